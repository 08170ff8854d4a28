//! The bytes of MQTT v3.1.1 and v5, as a server reads and writes them.
//!
//! Promises: no input makes it panic; a whole frame is either a packet or malformed, never "not enough
//! bytes"; payloads are slices of what was read, not copies; both versions become one set of packets.
//!
//! Refuses: packets that only servers send, and any opinion on whether a client may do what it asks.
//!
//! Ours rather than rumqttd's, because theirs panics on CONNACK and UNSUBACK from a client, asks for more
//! bytes of frames that are complete, hides packet id, QoS and DUP, and writes v5 DISCONNECT wrongly.

mod properties;
mod read;
mod write;

use std::fmt;
use std::num::NonZeroU16;

use bytes::{Buf, Bytes, BytesMut};
use rollcall_dialects::topics::{Filter, Topic};
use thiserror::Error;

pub use read::{connect, packet};
pub use write::{Offer, Outgoing, Refusal, Writer};

/// Why bytes are not MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    #[error("the packet announces {announced} bytes, more than the {limit} allowed here")]
    TooLarge { announced: usize, limit: usize },
    #[error("the length of the packet is not a valid number")]
    Length,
    #[error("the packet ends in the middle of a field")]
    Truncated,
    #[error("{0} bytes follow the last field of the packet")]
    Trailing(usize),
    #[error("a text is not UTF-8 or contains a zero character")]
    Text,
    #[error("packet type {0:#04x} is not one that a client sends")]
    Type(u8),
    #[error("reserved bits of the packet are set: {0:#010b}")]
    Flags(u8),
    #[error("the quality of service is 3")]
    QoS,
    #[error("the packet id is zero")]
    PacketId,
    #[error("property {0:#04x} does not belong here or stands twice")]
    Property(u8),
    #[error("the topic is empty or contains a wildcard")]
    Topic,
    #[error("a topic filter is not valid")]
    Filter,
    #[error("the packet names no topic filter")]
    Empty,
    #[error("the packet names more than {most} topic filters")]
    TooManyFilters { most: usize },
    #[error("the topic alias is 0, beyond the {ALIASES} offered here, or stands for no topic yet")]
    TopicAlias,
}

/// Topic aliases a client may have.
pub const ALIASES: u16 = 16;

/// Why the first packet does not open a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConnectError {
    #[error("the first packet is not CONNECT")]
    NotConnect,
    #[error("protocol level {0} is not spoken here; use 3.1.1 or 5")]
    Level(u8),
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V311,
    V5,
}

/// How hard each side tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QoS {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}

impl QoS {
    pub(crate) fn from_bits(bits: u8) -> Result<Self, Malformed> {
        match bits {
            0 => Ok(QoS::AtMostOnce),
            1 => Ok(QoS::AtLeastOnce),
            2 => Ok(QoS::ExactlyOnce),
            _ => Err(Malformed::QoS),
        }
    }

    pub(crate) fn bits(self) -> u8 {
        match self {
            QoS::AtMostOnce => 0,
            QoS::AtLeastOnce => 1,
            QoS::ExactlyOnce => 2,
        }
    }
}

/// Names one unfinished exchange on one connection; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    pub fn new(raw: u16) -> Result<Self, Malformed> {
        NonZeroU16::new(raw).map(PacketId).ok_or(Malformed::PacketId)
    }

    pub fn get(self) -> u16 {
        self.0.get()
    }
}

/// What a client proves itself with; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub Bytes);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What a client that opens a connection says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    pub version: Version,
    pub client_id: String,
    pub clean_start: bool,
    pub keep_alive_seconds: u16,
    pub user_name: Option<String>,
    pub password: Option<Password>,
    pub will: Option<Will>,
    /// How many QoS 1 and 2 messages the client takes at once; 65,535 unless it said less.
    pub receive_maximum: u16,
    /// How long its session is to be kept after it left; v3.1.1 says for ever or not at all.
    pub session_expiry_seconds: u32,
    pub maximum_packet_size: Option<u32>,
    /// How many topic aliases the client takes.
    pub topic_aliases: u16,
    /// v5 extended authentication, which the front door does not offer.
    pub asks_extended_authentication: bool,
}

/// What to publish for a client that leaves without saying so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    pub topic: Topic,
    pub payload: Bytes,
    pub qos: QoS,
    pub retain: bool,
    pub delay_seconds: u32,
    pub expiry_seconds: Option<u32>,
    pub passed: Passed,
}

/// The v5 properties of a message that are passed on as they came: what the payload is, where an answer is to
/// go, and what users add.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passed(pub Bytes);

/// How a message wants to be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    None,
    Ack(PacketId),
    Rec(PacketId),
}

impl Receipt {
    pub fn qos(self) -> QoS {
        match self {
            Receipt::None => QoS::AtMostOnce,
            Receipt::Ack(_) => QoS::AtLeastOnce,
            Receipt::Rec(_) => QoS::ExactlyOnce,
        }
    }
}

/// A message on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub topic: Named,
    pub payload: Bytes,
    pub receipt: Receipt,
    pub duplicate: bool,
    pub retain: bool,
    pub expiry_seconds: Option<u32>,
    pub passed: Passed,
}

/// How a client names the topic of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    Whole(Topic),
    /// And the alias stands for it from now on.
    Both(Topic, u16),
    Alias(u16),
}

/// One line of a SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub filter: Filter,
    pub qos: QoS,
    /// Not what this client publishes itself.
    pub not_own: bool,
    /// With the mark of being retained that it was published with.
    pub as_published: bool,
    pub retained: Retained,
    /// What the client calls this subscription.
    pub id: Option<u32>,
}

/// Whether a subscription begins with what is retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retained {
    Always,
    /// Unless the client has this subscription already.
    IfNew,
    Never,
}

/// A packet from a client after CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    Publish(Publish),
    PubAck { id: PacketId, reason: u8 },
    PubRec { id: PacketId, reason: u8 },
    PubRel { id: PacketId, reason: u8 },
    PubComp { id: PacketId, reason: u8 },
    Subscribe { id: PacketId, requests: Vec<Request> },
    Unsubscribe { id: PacketId, filters: Vec<Filter> },
    PingReq,
    Disconnect { with_will: bool, session_expiry_seconds: Option<u32> },
}

/// One packet's bytes: its first byte, and what follows the length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub(crate) first: u8,
    pub(crate) body: Bytes,
}

/// Takes the next whole frame off the front of `buffer`; `None` while it is incomplete.
///
/// # Errors
/// The length is no number, or more than `limit`; then nothing of the frame needs to have arrived.
pub fn next_frame(buffer: &mut BytesMut, limit: usize) -> Result<Option<Frame>, Malformed> {
    let Some((first, header, body)) = lengths(buffer)? else { return Ok(None) };
    let announced = header + body;
    if announced > limit {
        return Err(Malformed::TooLarge { announced, limit });
    }
    if buffer.len() < announced {
        buffer.reserve(announced - buffer.len());
        return Ok(None);
    }
    let mut frame = buffer.split_to(announced).freeze();
    frame.advance(header);
    Ok(Some(Frame { first, body: frame }))
}

/// First byte, length of the fixed header, length of the rest.
fn lengths(buffer: &[u8]) -> Result<Option<(u8, usize, usize)>, Malformed> {
    let Some((&first, rest)) = buffer.split_first() else { return Ok(None) };
    let mut body = 0;
    for (index, &byte) in rest.iter().take(4).enumerate() {
        body |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((first, index + 2, body)));
        }
    }
    if rest.len() < 4 { Ok(None) } else { Err(Malformed::Length) }
}
