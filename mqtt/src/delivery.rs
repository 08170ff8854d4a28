//! What one client is sent: packet ids, and what waits for the client's acknowledgements.
//!
//! Promises: nothing is sent beyond the client's receive maximum or above its largest packet; an id is
//! not used again before its message was acknowledged.
//!
//! Refuses: keeping more than [`BACKLOG`] messages for a client that does not take them.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::codec::{PacketId, QoS, Version, Writer};
use crate::leave::Leave;

/// Messages kept for a client that does not acknowledge what it was sent.
const BACKLOG: usize = 1024;
/// More than a PUBLISH has besides topic and payload.
const OVERHEAD: usize = 16;

pub(crate) struct Message {
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Bytes,
}

pub(crate) struct Delivery {
    version: Version,
    receive_maximum: usize,
    largest: usize,
    unacknowledged: HashSet<PacketId>,
    last_id: u16,
    backlog: VecDeque<Message>,
}

impl Delivery {
    pub(crate) fn new(version: Version, receive_maximum: u16, largest: Option<u32>) -> Self {
        Delivery {
            version,
            receive_maximum: usize::from(receive_maximum),
            largest: largest.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX),
            unacknowledged: HashSet::new(),
            last_id: 0,
            backlog: VecDeque::new(),
        }
    }

    /// True while messages wait because the client has not acknowledged earlier ones.
    pub(crate) fn is_behind(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// # Errors
    /// The client does not take what it was sent before.
    pub(crate) fn send(&mut self, message: Message, qos: QoS, out: &mut BytesMut) -> Result<(), Leave> {
        if message.topic.len() + message.payload.len() + OVERHEAD > self.largest {
            tracing::debug!(topic = %message.topic, "not sent: larger than the client said it takes");
        } else if qos == QoS::AtMostOnce {
            self.write(&message, None, out);
        } else if self.backlog.len() >= BACKLOG {
            return Err(Leave::Unresponsive);
        } else {
            self.backlog.push_back(message);
            self.send_backlog(out);
        }
        Ok(())
    }

    /// The client acknowledged. Twice, or of an earlier connection, does no harm and is no reason to drop it.
    pub(crate) fn acknowledged(&mut self, id: PacketId, out: &mut BytesMut) {
        if !self.unacknowledged.remove(&id) {
            tracing::debug!(id = id.get(), "the client acknowledged what it was not sent");
        }
        self.send_backlog(out);
    }

    fn send_backlog(&mut self, out: &mut BytesMut) {
        while self.unacknowledged.len() < self.receive_maximum {
            let Some(message) = self.backlog.pop_front() else { return };
            let Some(id) = self.fresh_id() else { return };
            if self.write(&message, Some(id), out) {
                self.unacknowledged.insert(id);
            }
        }
    }

    fn write(&self, message: &Message, id: Option<PacketId>, out: &mut BytesMut) -> bool {
        let mut writer = Writer { version: self.version, out };
        writer.publish(&message.topic, &message.payload, id, false)
    }

    /// The next id that no unfinished delivery holds; there are fewer of those than ids.
    fn fresh_id(&mut self) -> Option<PacketId> {
        (0..=u16::MAX).find_map(|_| {
            self.last_id = self.last_id.wrapping_add(1);
            PacketId::new(self.last_id).ok().filter(|id| !self.unacknowledged.contains(id))
        })
    }
}
