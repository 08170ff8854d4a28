//! The last message of each topic that its publisher wanted kept for those who come later.
//!
//! Promises: an empty message takes away what was kept; one that has expired is not shown; memory is bounded.
//!
//! Refuses: outliving the gateway. What devices must find at every time, their configuration, comes from the
//! store.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rollcall_dialects::topics::{Filter, Topic};

use crate::message::Message;

const MOST: usize = 20_000;
const MOST_BYTES: usize = 32 << 20;

#[derive(Default)]
pub(crate) struct Retained(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    messages: BTreeMap<Topic, Message>,
    bytes: usize,
}

/// There is no room for another.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Retained {
    /// # Errors
    /// It is full; then what was kept of this topic is kept no longer, since it is not the last.
    pub(crate) fn keep(&self, topic: &Topic, message: Message) -> Result<(), Full> {
        let mut kept = self.kept();
        if let Some(old) = kept.messages.remove(topic) {
            kept.bytes = kept.bytes.saturating_sub(size(topic, &old));
        }
        if message.payload.is_empty() {
            return Ok(());
        }
        let bytes = kept.bytes + size(topic, &message);
        if kept.messages.len() >= MOST || bytes > MOST_BYTES {
            return Err(Full);
        }
        kept.bytes = bytes;
        kept.messages.insert(topic.clone(), message);
        Ok(())
    }

    /// Those that the filter asks for.
    pub(crate) fn matching(&self, filter: &Filter, now: Duration) -> Vec<(Topic, Message)> {
        let kept = self.kept();
        // What stands before the first wildcard is how all of them begin.
        let beginning = filter.as_str().split(['+', '#']).next().unwrap_or_default();
        let beginning = beginning.strip_suffix('/').unwrap_or(beginning);
        let from = Topic::parse(beginning).ok();
        let range =
            from.map_or_else(|| kept.messages.range::<Topic, _>(..), |from| kept.messages.range(from..));
        range
            .take_while(|(topic, _)| topic.as_str().starts_with(beginning))
            .filter(|(topic, message)| filter.matches(topic) && !message.has_expired(now))
            .map(|(topic, message)| (topic.clone(), message.clone()))
            .collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(topic: &Topic, message: &Message) -> usize {
    topic.as_str().len() + message.payload.len() + message.passed.0.len()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::parse(name).unwrap()
    }

    fn message(name: &str, payload: &'static str) -> Message {
        Message::own(name.into(), Bytes::from_static(payload.as_bytes()))
    }

    fn found(retained: &Retained, filter: &str, now: Duration) -> Vec<String> {
        let found = retained.matching(&Filter::parse(filter).unwrap(), now);
        found.into_iter().map(|(topic, _)| topic.to_string()).collect()
    }

    #[test]
    fn the_last_of_each_topic_is_kept_until_an_empty_one_comes_or_its_time_is_over() {
        let (retained, now) = (Retained::default(), Duration::from_secs(5));
        for name in ["a", "a/b", "a/b/c", "a-b", "ab", "$a"] {
            retained.keep(&topic(name), message(name, "x")).unwrap();
        }
        let mut short = message("a/d", "x");
        short.expires = Some(now);
        retained.keep(&topic("a/d"), short).unwrap();
        assert_eq!(found(&retained, "a/b", now), ["a/b"]);
        assert_eq!(found(&retained, "a/+", now), ["a/b"]);
        assert_eq!(found(&retained, "a/+", Duration::ZERO), ["a/b", "a/d"]);
        assert_eq!(found(&retained, "a/#", now), ["a", "a/b", "a/b/c"]);
        assert_eq!(found(&retained, "#", now), ["a", "a-b", "a/b", "a/b/c", "ab"]);
        retained.keep(&topic("a/b"), message("a/b", "")).unwrap();
        assert_eq!(found(&retained, "a/#", now), ["a", "a/b/c"]);
    }

    #[test]
    fn a_message_beyond_the_room_is_refused_and_takes_away_the_one_before_it() {
        let retained = Retained::default();
        let mut large = message("a", "");
        large.payload = vec![0; MOST_BYTES - 1].into();
        retained.keep(&topic("a"), large.clone()).unwrap();
        assert_eq!(retained.keep(&topic("b"), message("b", "x")), Err(Full));
        large.payload = vec![0; MOST_BYTES].into();
        assert_eq!(retained.keep(&topic("a"), large), Err(Full));
        assert!(found(&retained, "#", Duration::ZERO).is_empty());
        retained.keep(&topic("b"), message("b", "x")).unwrap();
    }
}
