//! Frames to packets.
//!
//! Promises: every byte of the frame is accounted for; reserved bits and empty lists are refused as the
//! standard asks.
//!
//! Refuses: topic aliases beyond those that are offered, and lists of filters beyond [`MOST_FILTERS`], each of
//! which would be an answer and a log line.

use bytes::{Buf, Bytes, TryGetError};
use rollcall_dialects::topics::{Filter, Topic};

use super::properties::{self, Properties};
use super::{
    Connect, ConnectError, Frame, Malformed, Named, Packet, PacketId, Password, Publish, QoS, Receipt,
    Request, Retained, Version, Will,
};

/// The most filters in one packet.
const MOST_FILTERS: usize = 256;

/// Reads CONNECT and finds out which version the client speaks.
///
/// # Errors
/// It is another packet, of another version, or malformed.
pub fn connect(frame: Frame) -> Result<Connect, ConnectError> {
    if frame.first >> 4 != 1 {
        return Err(ConnectError::NotConnect);
    }
    let mut reader = Reader(frame.body);
    let name = reader.binary()?;
    let level = reader.byte()?;
    let version = match (name.as_ref(), level) {
        (b"MQTT", 4) => Version::V311,
        (b"MQTT", 5) => Version::V5,
        _ => return Err(ConnectError::Level(level)),
    };
    flags_are(frame.first, 0)?;
    Ok(connect_fields(version, &mut reader)?)
}

fn connect_fields(version: Version, reader: &mut Reader) -> Result<Connect, Malformed> {
    let flags = reader.byte()?;
    if flags & 0b1 != 0 {
        return Err(Malformed::Flags(flags));
    }
    let keep_alive_seconds = reader.short()?;
    let properties = reader.properties(version, properties::CONNECT)?;
    let client_id = reader.text()?;
    let will = connect_will(version, flags, reader)?;
    let user_name = (flags & 0x80 != 0).then(|| reader.text()).transpose()?;
    let password = (flags & 0x40 != 0).then(|| reader.binary()).transpose()?.map(Password);
    if version == Version::V311 && user_name.is_none() && password.is_some() {
        return Err(Malformed::Flags(flags));
    }
    reader.end()?;
    Ok(Connect {
        version,
        client_id,
        clean_start: flags & 0b10 != 0,
        keep_alive_seconds,
        user_name,
        password,
        will,
        receive_maximum: properties.receive_maximum.unwrap_or(u16::MAX),
        session_expiry_seconds: match version {
            Version::V5 => properties.session_expiry_seconds.unwrap_or(0),
            Version::V311 if flags & 0b10 != 0 => 0,
            Version::V311 => u32::MAX,
        },
        maximum_packet_size: properties.maximum_packet_size,
        topic_aliases: properties.topic_aliases.unwrap_or(0),
        asks_extended_authentication: properties.authentication_method,
    })
}

fn connect_will(version: Version, flags: u8, reader: &mut Reader) -> Result<Option<Will>, Malformed> {
    if flags & 0b100 == 0 {
        return if flags & 0b0011_1000 == 0 { Ok(None) } else { Err(Malformed::Flags(flags)) };
    }
    let qos = QoS::from_bits(flags >> 3 & 0b11)?;
    let properties = reader.properties(version, properties::WILL)?;
    Ok(Some(Will {
        topic: reader.topic()?,
        payload: reader.binary()?,
        qos,
        retain: flags & 0b0010_0000 != 0,
        delay_seconds: properties.will_delay_seconds.unwrap_or(0),
        expiry_seconds: properties.message_expiry_seconds,
        passed: properties.passed,
    }))
}

/// Reads any packet that may follow CONNECT.
///
/// # Errors
/// It is malformed in this version, or not one that a client sends then.
pub fn packet(version: Version, frame: Frame) -> Result<Packet, Malformed> {
    let Frame { first, body } = frame;
    let reader = Reader(body);
    match first >> 4 {
        3 => publish(version, first, reader).map(Packet::Publish),
        4 => acknowledgement(version, first, 0, reader).map(|(id, reason)| Packet::PubAck { id, reason }),
        5 => acknowledgement(version, first, 0, reader).map(|(id, reason)| Packet::PubRec { id, reason }),
        6 => acknowledgement(version, first, 0b10, reader).map(|(id, reason)| Packet::PubRel { id, reason }),
        7 => acknowledgement(version, first, 0, reader).map(|(id, reason)| Packet::PubComp { id, reason }),
        8 => subscribe(version, first, reader),
        10 => unsubscribe(version, first, reader),
        12 => {
            flags_are(first, 0)?;
            reader.end()?;
            Ok(Packet::PingReq)
        }
        14 => disconnect(version, first, reader),
        _ => Err(Malformed::Type(first)),
    }
}

fn publish(version: Version, first: u8, mut reader: Reader) -> Result<Publish, Malformed> {
    let topic = reader.binary()?;
    let receipt = match QoS::from_bits(first >> 1 & 0b11)? {
        QoS::AtMostOnce => Receipt::None,
        QoS::AtLeastOnce => Receipt::Ack(reader.packet_id()?),
        QoS::ExactlyOnce => Receipt::Rec(reader.packet_id()?),
    };
    let duplicate = first & 0b1000 != 0;
    if duplicate && receipt == Receipt::None {
        return Err(Malformed::Flags(first));
    }
    let properties = reader.properties(version, properties::PUBLISH)?;
    let topic = match properties.topic_alias {
        Some(alias) if topic.is_empty() => Named::Alias(alias),
        Some(alias) => Named::Both(as_topic(&topic)?, alias),
        None => Named::Whole(as_topic(&topic)?),
    };
    let (expiry_seconds, passed) = (properties.message_expiry_seconds, properties.passed);
    let retain = first & 1 != 0;
    Ok(Publish { topic, payload: reader.0, receipt, duplicate, retain, expiry_seconds, passed })
}

fn acknowledgement(
    version: Version,
    first: u8,
    flags: u8,
    mut reader: Reader,
) -> Result<(PacketId, u8), Malformed> {
    flags_are(first, flags)?;
    let (id, mut reason) = (reader.packet_id()?, 0);
    if version == Version::V5 && !reader.is_empty() {
        reason = reader.byte()?;
        if !reader.is_empty() {
            Properties::read(&mut reader, properties::ACK)?;
        }
    }
    reader.end()?;
    Ok((id, reason))
}

fn subscribe(version: Version, first: u8, mut reader: Reader) -> Result<Packet, Malformed> {
    flags_are(first, 0b10)?;
    let id = reader.packet_id()?;
    let subscription = reader.properties(version, properties::SUBSCRIBE)?.subscription_id;
    let mut requests = Vec::new();
    while !reader.is_empty() {
        one_more(requests.len())?;
        let filter = reader.filter()?;
        let options = reader.byte()?;
        let reserved = if version == Version::V5 { 0b1100_0000 } else { 0b1111_1100 };
        if options & reserved != 0 || options >> 4 & 0b11 == 0b11 {
            return Err(Malformed::Flags(options));
        }
        requests.push(Request {
            filter,
            qos: QoS::from_bits(options & 0b11)?,
            not_own: options & 0b100 != 0,
            as_published: options & 0b1000 != 0,
            retained: match options >> 4 {
                0 => Retained::Always,
                1 => Retained::IfNew,
                _ => Retained::Never,
            },
            id: subscription,
        });
    }
    if requests.is_empty() { Err(Malformed::Empty) } else { Ok(Packet::Subscribe { id, requests }) }
}

fn unsubscribe(version: Version, first: u8, mut reader: Reader) -> Result<Packet, Malformed> {
    flags_are(first, 0b10)?;
    let id = reader.packet_id()?;
    reader.properties(version, properties::UNSUBSCRIBE)?;
    let mut filters = Vec::new();
    while !reader.is_empty() {
        one_more(filters.len())?;
        filters.push(reader.filter()?);
    }
    if filters.is_empty() { Err(Malformed::Empty) } else { Ok(Packet::Unsubscribe { id, filters }) }
}

fn one_more(filters: usize) -> Result<(), Malformed> {
    if filters < MOST_FILTERS { Ok(()) } else { Err(Malformed::TooManyFilters { most: MOST_FILTERS }) }
}

fn disconnect(version: Version, first: u8, mut reader: Reader) -> Result<Packet, Malformed> {
    flags_are(first, 0)?;
    let (mut reason, mut session_expiry_seconds) = (0, None);
    if version == Version::V5 && !reader.is_empty() {
        reason = reader.byte()?;
        if !reader.is_empty() {
            let properties = Properties::read(&mut reader, properties::DISCONNECT)?;
            session_expiry_seconds = properties.session_expiry_seconds;
        }
    }
    reader.end()?;
    Ok(Packet::Disconnect { with_will: reason != 0, session_expiry_seconds })
}

fn flags_are(first: u8, wanted: u8) -> Result<(), Malformed> {
    if first & 0x0F == wanted { Ok(()) } else { Err(Malformed::Flags(first)) }
}

/// The rest of a frame; every step that would pass its end is an error instead.
pub(super) struct Reader(Bytes);

impl Reader {
    /// What was not read yet.
    pub(super) fn rest(&self) -> Bytes {
        self.0.clone()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed::Trailing(self.0.len())) }
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.0.try_get_u8()?)
    }

    pub(super) fn short(&mut self) -> Result<u16, Malformed> {
        Ok(self.0.try_get_u16()?)
    }

    pub(super) fn long(&mut self) -> Result<u32, Malformed> {
        Ok(self.0.try_get_u32()?)
    }

    pub(super) fn variable(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for index in 0..4 {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Length)
    }

    pub(super) fn part(&mut self, length: usize) -> Result<Reader, Malformed> {
        if length > self.0.len() { Err(Malformed::Truncated) } else { Ok(Reader(self.0.split_to(length))) }
    }

    pub(super) fn binary(&mut self) -> Result<Bytes, Malformed> {
        let length = self.short()?;
        Ok(self.part(usize::from(length))?.0)
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        Ok(utf8(&self.binary()?)?.to_owned())
    }

    fn packet_id(&mut self) -> Result<PacketId, Malformed> {
        PacketId::new(self.short()?)
    }

    fn topic(&mut self) -> Result<Topic, Malformed> {
        as_topic(&self.binary()?)
    }

    fn filter(&mut self) -> Result<Filter, Malformed> {
        let raw = self.binary()?;
        Filter::parse(utf8(&raw)?).map_err(|_invalid| Malformed::Filter)
    }

    fn properties(&mut self, version: Version, allowed: &[u8]) -> Result<Properties, Malformed> {
        match version {
            Version::V311 => Ok(Properties::default()),
            Version::V5 => Properties::read(self, allowed),
        }
    }
}

fn as_topic(raw: &[u8]) -> Result<Topic, Malformed> {
    Topic::parse(utf8(raw)?).map_err(|_invalid| Malformed::Topic)
}

fn utf8(raw: &[u8]) -> Result<&str, Malformed> {
    match std::str::from_utf8(raw) {
        Ok(text) if !text.contains('\0') => Ok(text),
        Ok(_) | Err(_) => Err(Malformed::Text),
    }
}

impl From<TryGetError> for Malformed {
    fn from(_: TryGetError) -> Self {
        Malformed::Truncated
    }
}
