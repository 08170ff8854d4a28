//! Packets to bytes, as a server sends them.
//!
//! Promises: what is written for a version is valid in that version; a reason that v3.1.1 cannot express
//! is left out or mapped to its nearest code.
//!
//! Refuses: packets longer than the format can say; they are not written and the caller is told so.

use bytes::{BufMut, BytesMut};

use super::{ALIASES, PacketId, Passed, Receipt, Version};

/// Why a connection is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Version,
    ClientId,
    BadLogin,
    NotAuthorized,
    Unavailable,
    AuthenticationMethod,
}

impl Refusal {
    fn code(self, version: Version) -> u8 {
        let (v311, v5) = match self {
            Refusal::Version => (1, 0x84),
            Refusal::ClientId => (2, 0x85),
            Refusal::BadLogin => (4, 0x86),
            Refusal::NotAuthorized => (5, 0x87),
            Refusal::Unavailable => (3, 0x88),
            Refusal::AuthenticationMethod => (5, 0x8C),
        };
        if version == Version::V5 { v5 } else { v311 }
    }
}

/// What the server tells a v5 client in CONNACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer<'a> {
    pub receive_maximum: u16,
    pub maximum_packet_size: u32,
    /// How long the client may be silent, if it did not say so itself.
    pub keep_alive_seconds: Option<u16>,
    /// The name the client goes by, if it brought none.
    pub client_id: Option<&'a str>,
    /// For how long its session is kept, if that is less than it asked for.
    pub session_expiry_seconds: Option<u32>,
    /// Whether a session was found that goes on.
    pub session_present: bool,
}

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Empty where the alias stands for it.
    pub topic: &'a str,
    pub alias: Option<u16>,
    pub payload: &'a [u8],
    pub receipt: Receipt,
    pub duplicate: bool,
    pub retain: bool,
    /// The client's subscriptions that this is for, as it calls them.
    pub subscriptions: &'a [u32],
    pub expiry_seconds: Option<u32>,
    pub passed: &'a Passed,
}

/// No shared subscriptions.
const NOT_OFFERED: &[u8] = &[0x2A, 0];

/// The longest body the length field can express.
const LONGEST: usize = 268_435_455;

/// Appends packets to a connection's outgoing bytes.
pub struct Writer<'a> {
    pub version: Version,
    pub out: &'a mut BytesMut,
}

impl Writer<'_> {
    /// CONNACK for a connection that is open. v5 is told what this server offers.
    pub fn welcome(&mut self, offer: &Offer<'_>) {
        let present = u8::from(offer.session_present);
        if self.version == Version::V311 {
            return self.out.put_slice(&[0x20, 2, present, 0]);
        }
        let mut properties = BytesMut::new();
        if let Some(seconds) = offer.session_expiry_seconds {
            properties.put_u8(0x11);
            properties.put_u32(seconds);
        }
        properties.put_u8(0x22);
        properties.put_u16(ALIASES);
        properties.put_u8(0x21);
        properties.put_u16(offer.receive_maximum);
        properties.put_u8(0x27);
        properties.put_u32(offer.maximum_packet_size);
        if let Some(seconds) = offer.keep_alive_seconds {
            properties.put_u8(0x13);
            properties.put_u16(seconds);
        }
        // A client id that was made up here is short.
        if let Some((id, length)) = offer.client_id.and_then(|id| Some((id, u16::try_from(id.len()).ok()?))) {
            properties.put_u8(0x12);
            properties.put_u16(length);
            properties.put_slice(id.as_bytes());
        }
        properties.put_slice(NOT_OFFERED);
        let mut block = BytesMut::new();
        put_length(&mut block, properties.len());
        self.out.put_u8(0x20);
        put_length(self.out, 2 + block.len() + properties.len());
        self.out.put_slice(&[present, 0]);
        self.out.put_slice(&block);
        self.out.put_slice(&properties);
    }

    pub fn refuse(&mut self, refusal: Refusal) {
        let code = refusal.code(self.version);
        match self.version {
            Version::V311 => self.out.put_slice(&[0x20, 2, 0, code]),
            Version::V5 => self.out.put_slice(&[0x20, 3, 0, code, 0]),
        }
    }

    /// `reason` is v5's; v3.1.1 has none.
    pub fn puback(&mut self, id: PacketId, reason: u8) {
        self.acknowledge(0x40, id, reason);
    }

    pub fn pubrec(&mut self, id: PacketId, reason: u8) {
        self.acknowledge(0x50, id, reason);
    }

    pub fn pubrel(&mut self, id: PacketId, reason: u8) {
        self.acknowledge(0x62, id, reason);
    }

    pub fn pubcomp(&mut self, id: PacketId, reason: u8) {
        self.acknowledge(0x70, id, reason);
    }

    fn acknowledge(&mut self, first: u8, id: PacketId, reason: u8) {
        let [high, low] = id.get().to_be_bytes();
        if self.version == Version::V5 && reason != 0 {
            self.out.put_slice(&[first, 3, high, low, reason]);
        } else {
            self.out.put_slice(&[first, 2, high, low]);
        }
    }

    pub fn pingresp(&mut self) {
        self.out.put_slice(&[0xD0, 0]);
    }

    /// v3.1.1 has no DISCONNECT from a server: it only closes.
    pub fn disconnect(&mut self, reason: u8) {
        if self.version == Version::V5 {
            self.out.put_slice(&[0xE0, 1, reason]);
        }
    }

    pub fn suback(&mut self, id: PacketId, codes: &[u8]) {
        self.answer(0x90, id, codes);
    }

    pub fn unsuback(&mut self, id: PacketId, codes: &[u8]) {
        self.answer(0xB0, id, if self.version == Version::V5 { codes } else { &[] });
    }

    fn answer(&mut self, first: u8, id: PacketId, codes: &[u8]) {
        let blank = usize::from(self.version == Version::V5);
        self.out.put_u8(first);
        put_length(self.out, 2 + blank + codes.len());
        self.out.put_u16(id.get());
        self.out.put_bytes(0, blank);
        self.out.put_slice(codes);
    }

    /// False if it cannot be expressed.
    #[must_use]
    pub fn publish(&mut self, message: &Outgoing<'_>) -> bool {
        let properties = (self.version == Version::V5).then(|| message.properties());
        let id = match message.receipt {
            Receipt::None => None,
            Receipt::Ack(id) | Receipt::Rec(id) => Some(id),
        };
        let block = properties.as_ref().map_or(0, |block| length_of(block.len()) + block.len());
        let body = 2 + message.topic.len() + id.map_or(0, |_| 2) + block + message.payload.len();
        let Ok(topic_length) = u16::try_from(message.topic.len()) else { return false };
        if body > LONGEST {
            return false;
        }
        let flags = u8::from(message.duplicate) << 3 | message.receipt.qos().bits() << 1;
        self.out.reserve(body + 5);
        self.out.put_u8(0x30 | flags | u8::from(message.retain));
        put_length(self.out, body);
        self.out.put_u16(topic_length);
        self.out.put_slice(message.topic.as_bytes());
        if let Some(id) = id {
            self.out.put_u16(id.get());
        }
        if let Some(properties) = properties {
            put_length(self.out, properties.len());
            self.out.put_slice(&properties);
        }
        self.out.put_slice(message.payload);
        true
    }
}

impl Outgoing<'_> {
    fn properties(&self) -> BytesMut {
        let mut block = BytesMut::new();
        if let Some(seconds) = self.expiry_seconds {
            block.put_u8(0x02);
            block.put_u32(seconds);
        }
        if let Some(alias) = self.alias {
            block.put_u8(0x23);
            block.put_u16(alias);
        }
        for id in self.subscriptions {
            block.put_u8(0x0B);
            put_length(&mut block, usize::try_from(*id).unwrap_or_default());
        }
        block.put_slice(&self.passed.0);
        block
    }
}

fn length_of(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

fn put_length(out: &mut BytesMut, mut value: usize) {
    loop {
        let low = value.to_le_bytes().first().copied().unwrap_or(0) & 0x7F;
        value >>= 7;
        out.put_u8(if value > 0 { low | 0x80 } else { low });
        if value == 0 {
            return;
        }
    }
}
