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

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Message {
        Message { topic: "t".into(), payload: vec![b'x'; length].into() }
    }

    fn id(raw: u16) -> PacketId {
        PacketId::new(raw).unwrap()
    }

    /// The packet ids of QoS 1 messages with one byte of payload, v3.1.1.
    fn ids(out: &mut BytesMut) -> Vec<u16> {
        let all = out.split();
        all.chunks(8).map(|packet| u16::from_be_bytes([packet[5], packet[6]])).collect()
    }

    #[test]
    fn messages_beyond_the_receive_maximum_wait_in_order_and_leave_one_by_one() {
        let (mut delivery, mut out) = (Delivery::new(Version::V311, 2, None), BytesMut::new());
        for _ in 0..4 {
            delivery.send(message(1), QoS::AtLeastOnce, &mut out).unwrap();
        }
        assert_eq!((ids(&mut out), delivery.is_behind()), (vec![1, 2], true));
        delivery.acknowledged(id(2), &mut out);
        delivery.acknowledged(id(2), &mut out);
        assert_eq!(ids(&mut out), [3]);
        delivery.acknowledged(id(1), &mut out);
        assert_eq!((ids(&mut out), delivery.is_behind()), (vec![4], false));
    }

    #[test]
    fn an_id_is_not_used_again_before_its_message_was_acknowledged() {
        let (mut delivery, mut out) = (Delivery::new(Version::V311, 3, None), BytesMut::new());
        delivery.send(message(1), QoS::AtLeastOnce, &mut out).unwrap();
        delivery.last_id = u16::MAX - 1;
        for _ in 0..2 {
            delivery.send(message(1), QoS::AtLeastOnce, &mut out).unwrap();
        }
        assert_eq!(ids(&mut out), [1, u16::MAX, 2], "neither 0 nor 1, which is under way");
    }

    #[test]
    fn nothing_larger_than_the_client_takes_is_sent_to_it() {
        let (mut delivery, mut out) = (Delivery::new(Version::V5, 9, Some(100)), BytesMut::new());
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            delivery.send(message(101), qos, &mut out).unwrap();
            assert!(out.is_empty() && !delivery.is_behind());
            delivery.send(message(80), qos, &mut out).unwrap();
            assert!((80..=100).contains(&out.split().len()));
        }
    }

    #[test]
    fn a_client_that_never_acknowledges_is_left_instead_of_being_kept_for() {
        let (mut delivery, mut out) = (Delivery::new(Version::V5, 1, None), BytesMut::new());
        for _ in 0..=BACKLOG {
            delivery.send(message(1), QoS::AtLeastOnce, &mut out).unwrap();
        }
        let refused = delivery.send(message(1), QoS::AtLeastOnce, &mut out);
        assert_eq!(refused, Err(Leave::Unresponsive));
    }
}
