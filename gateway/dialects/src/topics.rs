//! Topics, and the filters that subscribe to them: two types, because a name with a wildcard in it is
//! a different thing.
//!
//! Promises: what is a [`Topic`] or a [`Filter`] is valid; the native dialect's topics are spelt here and
//! nowhere else.
//!
//! Refuses: permission. Who may use a topic is the front door's to say.

use std::fmt;

use rollcall_domain::ids::DeviceId;

use crate::error::DialectError;

/// The name a message is published under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(String);

impl Topic {
    /// # Errors
    /// It is empty, too long, or has a wildcard in it.
    pub fn parse(raw: &str) -> Result<Self, DialectError> {
        check_length(raw)?;
        if raw.contains(['+', '#', '\0']) {
            return Err(DialectError::TopicCharacter);
        }
        Ok(Topic(raw.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a subscription asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter(String);

impl Filter {
    /// # Errors
    /// It is empty, too long, or has a wildcard where none may stand.
    pub fn parse(raw: &str) -> Result<Self, DialectError> {
        check_length(raw)?;
        if raw.contains('\0') {
            return Err(DialectError::TopicCharacter);
        }
        let mut levels = raw.split('/').peekable();
        while let Some(level) = levels.next() {
            let last = levels.peek().is_none();
            let fits = match level {
                "+" => true,
                "#" => last,
                _ => !level.contains(['+', '#']),
            };
            if !fits {
                return Err(DialectError::FilterWildcard);
            }
        }
        Ok(Filter(raw.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a message under `topic` is meant. A wildcard never reaches topics that begin with `$`.
    pub fn matches(&self, topic: &Topic) -> bool {
        if topic.0.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let (mut filter, mut name) = (self.0.split('/'), topic.0.split('/'));
        loop {
            match (filter.next(), name.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(_)) => {}
                (Some(wanted), Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
    }
}

impl From<Topic> for Filter {
    /// A name without wildcards asks for itself alone.
    fn from(topic: Topic) -> Filter {
        Filter(topic.0)
    }
}

fn check_length(raw: &str) -> Result<(), DialectError> {
    let length = raw.len();
    if (1..=65_535).contains(&length) { Ok(()) } else { Err(DialectError::TopicLength { length }) }
}

/// What a native topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    Scan,
    Scans,
    Heartbeat,
    Status,
    Result,
    Command,
    Config,
}

impl Purpose {
    pub const ALL: [Purpose; 7] = [
        Purpose::Scan,
        Purpose::Scans,
        Purpose::Heartbeat,
        Purpose::Status,
        Purpose::Result,
        Purpose::Command,
        Purpose::Config,
    ];

    fn word(self) -> &'static str {
        match self {
            Purpose::Scan => "scan",
            Purpose::Scans => "scans",
            Purpose::Heartbeat => "heartbeat",
            Purpose::Status => "status",
            Purpose::Result => "result",
            Purpose::Command => "command",
            Purpose::Config => "config",
        }
    }

    /// Whether the device publishes here; on the others it listens.
    pub fn is_up(self) -> bool {
        matches!(self, Purpose::Scan | Purpose::Scans | Purpose::Heartbeat | Purpose::Status)
    }
}

/// A topic of the native dialect: `rollcall/v1/{device}/{purpose}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NativeTopic {
    pub device: DeviceId,
    pub purpose: Purpose,
}

const NATIVE: &str = "rollcall/v1/";

impl NativeTopic {
    /// `None` if it is not one of the native dialect.
    pub fn of(topic: &Topic) -> Option<Self> {
        let (device, word) = topic.0.strip_prefix(NATIVE)?.split_once('/')?;
        let purpose = Purpose::ALL.into_iter().find(|purpose| purpose.word() == word)?;
        Some(NativeTopic { device: DeviceId::parse(device).ok()?, purpose })
    }

    pub fn topic(&self) -> Topic {
        // A device id has only characters that may stand in a topic, and at most 64 of them.
        Topic(format!("{NATIVE}{}/{}", self.device, self.purpose.word()))
    }
}

/// The native topic of a device.
pub fn native(device: &DeviceId, purpose: Purpose) -> Topic {
    NativeTopic { device: device.clone(), purpose }.topic()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(filter: &str, topic: &str) -> bool {
        Filter::parse(filter).unwrap().matches(&Topic::parse(topic).unwrap())
    }

    #[test]
    fn a_topic_has_no_wildcard_and_a_filter_has_them_in_their_places() {
        for wrong in ["", "a/+", "a/#", "a\0b", &"x".repeat(65_536)] {
            assert!(Topic::parse(wrong).is_err(), "{wrong:?}");
        }
        for right in ["#", "+", "a/+/b", "a/#", "/", "a//b", "+/+"] {
            assert!(Filter::parse(right).is_ok(), "{right:?}");
        }
        for wrong in ["", "a#", "a/#/b", "a+/b", "##", "a\0"] {
            assert!(Filter::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn filters_match_as_the_mqtt_standard_says() {
        for (filter, topic) in
            [("a/b", "a/b"), ("a/+", "a/b"), ("a/#", "a"), ("a/#", "a/b/c"), ("#", "a"), ("+/+", "/x")]
        {
            assert!(matches(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in
            [("a/b", "a"), ("a/+", "a"), ("a/+", "a/b/c"), ("#", "$SYS/x"), ("+/x", "$SYS/x"), ("+", "/x")]
        {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
        assert!(matches("$SYS/#", "$SYS/x"));
    }

    #[test]
    fn native_topics_read_back_as_they_were_written() {
        let device = DeviceId::parse("gate-1.north:A_b").unwrap();
        for purpose in Purpose::ALL {
            let topic = native(&device, purpose);
            assert_eq!(Topic::parse(topic.as_str()), Ok(topic.clone()));
            assert_eq!(NativeTopic::of(&topic), Some(NativeTopic { device: device.clone(), purpose }));
        }
        for other in ["rollcall/v1/a/scan/b", "rollcall/v1//scan", "rollcall/v2/a/scan", "rollcall/v1/a/b"] {
            assert_eq!(NativeTopic::of(&Topic::parse(other).unwrap()), None, "{other}");
        }
    }
}
