//! A message on its way through the front door, whoever wrote it.
//!
//! Promises: what goes through the router comes out as it went in; one that has expired is not sent.
//!
//! Refuses: knowing who wants it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rollcall_dialects::topics::Topic;

use crate::codec::{Passed, QoS};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Bytes,
    /// That it was published with.
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) passed: Passed,
    /// By the monotonic clock.
    pub(crate) expires: Option<Duration>,
    /// The number of the session that published it; 0 for the gateway itself.
    pub(crate) from: u64,
}

impl Message {
    /// One of the gateway's own.
    pub(crate) fn own(topic: Arc<str>, payload: Bytes) -> Self {
        let (qos, passed) = (QoS::AtLeastOnce, Passed::default());
        Message { topic, payload, qos, retain: false, passed, expires: None, from: 0 }
    }

    pub(crate) fn has_expired(&self, now: Duration) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// The seconds it has left, for whoever gets it.
    pub(crate) fn seconds_left(&self, now: Duration) -> Option<u32> {
        let left = self.expires?.saturating_sub(now);
        Some(u32::try_from(left.as_secs()).unwrap_or(u32::MAX))
    }

    /// As the router carries it, which knows nothing but bytes.
    pub(crate) fn pack(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(FIXED + self.passed.0.len() + self.payload.len());
        out.put_u8(self.qos.bits() | u8::from(self.retain) << 2 | u8::from(self.expires.is_some()) << 3);
        out.put_u64(self.from);
        out.put_u64(self.expires.map_or(0, |expires| u64::try_from(expires.as_millis()).unwrap_or(u64::MAX)));
        out.put_u32(u32::try_from(self.passed.0.len()).unwrap_or_default());
        out.put_slice(&self.passed.0);
        out.put_slice(&self.payload);
        out.freeze()
    }

    /// `None` if these are not the bytes of [`Self::pack`].
    pub(crate) fn unpack(topic: &Topic, mut bytes: Bytes) -> Option<Self> {
        let flags = bytes.try_get_u8().ok()?;
        let from = bytes.try_get_u64().ok()?;
        let expires = bytes.try_get_u64().ok()?;
        let passed = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
        if passed > bytes.len() {
            return None;
        }
        let passed = Passed(bytes.split_to(passed));
        Some(Message {
            topic: topic.as_str().into(),
            payload: bytes,
            qos: QoS::from_bits(flags & 0b11).ok()?,
            retain: flags & 0b100 != 0,
            passed,
            expires: (flags & 0b1000 != 0).then(|| Duration::from_millis(expires)),
            from,
        })
    }
}

/// Flags, who, until when, and how long the properties are.
const FIXED: usize = 1 + 8 + 8 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_through_the_router_comes_out_as_it_went_in() {
        let topic = Topic::parse("a/b").unwrap();
        let mut message = Message::own("a/b".into(), Bytes::from_static(b"hello"));
        assert_eq!(Message::unpack(&topic, message.pack()), Some(message.clone()));
        message.qos = QoS::ExactlyOnce;
        message.retain = true;
        message.passed = Passed(Bytes::from_static(b"\x01\x01"));
        message.expires = Some(Duration::from_millis(1_500));
        message.from = 7;
        let packed = message.pack();
        assert_eq!(Message::unpack(&topic, packed.clone()), Some(message));
        for length in 0..FIXED {
            assert_eq!(Message::unpack(&topic, packed.slice(..length)), None, "{length}");
        }
    }

    #[test]
    fn what_is_left_of_its_time_is_told_and_at_its_end_it_has_expired() {
        let mut message = Message::own("a".into(), Bytes::new());
        assert_eq!((message.has_expired(Duration::MAX), message.seconds_left(Duration::ZERO)), (false, None));
        message.expires = Some(Duration::from_secs(9));
        assert_eq!(message.seconds_left(Duration::from_secs(3)), Some(6));
        assert!(!message.has_expired(Duration::from_millis(8_999)));
        assert!(message.has_expired(Duration::from_secs(9)));
    }
}
