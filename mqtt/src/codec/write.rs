//! Packets to bytes, as a server sends them.
//!
//! Promises: what is written for a version is valid in that version; a reason that v3.1.1 cannot express
//! is left out or mapped to its nearest code.
//!
//! Refuses: packets longer than the format can say; they are not written and the caller is told so.

use bytes::{BufMut, BytesMut};

use super::{PacketId, QoS, Version};

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
}

/// No session outlives its connection; no subscription identifiers; no shared subscriptions.
const NOT_OFFERED: &[u8] = &[0x11, 0, 0, 0, 0, 0x29, 0, 0x2A, 0];

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
        if self.version == Version::V311 {
            return self.out.put_slice(&[0x20, 2, 0, 0]);
        }
        let mut properties = BytesMut::new();
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
        self.out.put_slice(&[0, 0]);
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

    pub fn pubcomp(&mut self, id: PacketId) {
        self.acknowledge(0x70, id, 0);
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

    /// PUBLISH; with an id it is QoS 1, without one QoS 0. False if it cannot be expressed.
    #[must_use]
    pub fn publish(&mut self, topic: &str, payload: &[u8], id: Option<PacketId>, retain: bool) -> bool {
        let blank = usize::from(self.version == Version::V5);
        let body = 2 + topic.len() + id.map_or(0, |_| 2) + blank + payload.len();
        let Ok(topic_length) = u16::try_from(topic.len()) else { return false };
        if body > LONGEST {
            return false;
        }
        let qos = if id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        self.out.reserve(body + 5);
        self.out.put_u8(0x30 | qos.bits() << 1 | u8::from(retain));
        put_length(self.out, body);
        self.out.put_u16(topic_length);
        self.out.put_slice(topic.as_bytes());
        if let Some(id) = id {
            self.out.put_u16(id.get());
        }
        self.out.put_bytes(0, blank);
        self.out.put_slice(payload);
        true
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
