//! Ids are types, parsed once at the edge.
//!
//! Promises: an id prints as `stu_120` and parses back only as what it is, so that it can never be
//! mistaken for another kind's id or for a code (a code may not look like an id, see [`crate::code`]).
//! Ids of things are small numbers given in order, which keeps events short and lets a terminal that
//! knows a student only as `120` be understood.
//!
//! Refuses: being guessed from. Whether a caller may see what an id names is decided elsewhere.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    #[error("'{text}' is not the id of a {kind}; expected {prefix}_ and a number")]
    NotAnId { kind: &'static str, prefix: &'static str, text: String },
    #[error("'{text}' is not a name; use 1 to 32 small letters, digits, '-' or '_'")]
    Name { text: String },
    #[error("a device id needs 1 to 64 characters, got {length}")]
    DeviceLength { length: usize },
    #[error("a device id may not contain {character:?}; use letters, digits, '-', '_', '.' or ':'")]
    DeviceCharacter { character: char },
}

macro_rules! numbered_ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal $kind:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl $name {
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                number_after(text, $prefix).map($name).ok_or_else(|| IdError::NotAnId {
                    kind: $kind,
                    prefix: $prefix,
                    text: text.chars().take(40).collect(),
                })
            }
        }
    )+

        /// Every prefix an id can have; a code may not look like one.
        pub(crate) const PREFIXES: &[&str] = &[$($prefix),+];
    };
}

numbered_ids! {
    /// One student.
    StudentId "stu" "student",
    /// One teacher (also faculty, lecturer).
    TeacherId "tch" "teacher",
    /// One sign-in.
    UserId "usr" "user",
    DepartmentId "dep" "department",
    BatchId "bat" "batch",
    /// A fixed group of students.
    SectionId "sec" "section",
    /// A subject.
    CourseId "crs" "course",
    /// One offering of a course to students by teachers in a term.
    ClassId "cls" "class",
    RoomId "rm" "room",
    TermId "trm" "term",
    HolidayId "hol" "holiday",
    /// A weekly row of the timetable.
    SlotId "slt" "timetable slot",
    /// One meeting of a class.
    SessionId "ses" "session",
    LeaveId "lve" "leave application",
    CorrectionId "cor" "correction request",
    SelfMarkId "slf" "self-mark",
    /// A secret that a person gave to a program.
    ApiTokenId "tok" "API token",
}

/// Accepts exactly what `Display` prints: no sign, no leading zero, no blank.
fn number_after(text: &str, prefix: &str) -> Option<u64> {
    let digits = text.strip_prefix(prefix)?.strip_prefix('_')?;
    let canonical = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()));
    if digits.is_empty() || !canonical {
        return None;
    }
    digits.parse().ok()
}

/// A position in the ledger. Sequences begin at 1; 0 is "before everything".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl Seq {
    /// Stands for "the event being decided now", which has no sequence yet.
    pub const NEXT: Seq = Seq(u64::MAX);
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a destination or of a dialect, as settings and metrics spell it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    pub fn parse(raw: &str) -> Result<Self, IdError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if (1..=32).contains(&raw.len()) && raw.chars().all(fits) {
            Ok(Name(raw.into()))
        } else {
            Err(IdError::Name { text: raw.chars().take(40).collect() })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = IdError;

    fn try_from(raw: String) -> Result<Self, IdError> {
        Name::parse(&raw)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0.as_ref().to_owned()
    }
}

/// One student's mark in one session: the pair is the id, so it is the same on every retry, after
/// every rebuild, and in every destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordId {
    pub session: SessionId,
    pub student: StudentId,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rec_{}_{}", self.session.0, self.student.0)
    }
}

impl FromStr for RecordId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let parse = || {
            let (session, student) = text.strip_prefix("rec_")?.split_once('_')?;
            let id = RecordId {
                session: SessionId(session.parse().ok()?),
                student: StudentId(student.parse().ok()?),
            };
            (id.to_string() == text).then_some(id)
        };
        parse().ok_or_else(|| IdError::NotAnId {
            kind: "record",
            prefix: "rec",
            text: text.chars().take(40).collect(),
        })
    }
}

/// A device's own name, as it signs in and as it stands in topics.
///
/// The characters are those that are safe in an MQTT topic, a URL and a log line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(Arc<str>);

impl DeviceId {
    pub fn parse(raw: &str) -> Result<Self, IdError> {
        let length = raw.chars().count();
        if !(1..=64).contains(&length) {
            return Err(IdError::DeviceLength { length });
        }
        match raw.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.:".contains(*c))) {
            Some(character) => Err(IdError::DeviceCharacter { character }),
            None => Ok(DeviceId(raw.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DeviceId {
    type Error = IdError;

    fn try_from(raw: String) -> Result<Self, IdError> {
        DeviceId::parse(&raw)
    }
}

impl From<DeviceId> for String {
    fn from(id: DeviceId) -> String {
        id.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_parses_only_as_what_it_is() {
        assert_eq!("stu_120".parse(), Ok(StudentId(120)));
        assert_eq!(StudentId(120).to_string(), "stu_120");
        for wrong in ["120", "stu_", "stu_0120", "stu_+1", "stu_1 ", "tch_120", "stu_99999999999999999999"] {
            assert!(wrong.parse::<StudentId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_record_id_is_its_session_and_student() {
        let id = RecordId { session: SessionId(7), student: StudentId(120) };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("rec_07_120".parse::<RecordId>().is_err());
    }

    #[test]
    fn a_device_id_cannot_reach_into_a_topic() {
        assert!(DeviceId::parse("gate-1.north:A_b").is_ok());
        for wrong in ["", "a/b", "a+b", "#", "a b", "ä", &"x".repeat(65)] {
            assert!(DeviceId::parse(wrong).is_err(), "{wrong}");
        }
    }
}
