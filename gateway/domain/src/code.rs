//! Codes: the short names that people and machines give to students, rooms, classes and the like.
//!
//! Promises: a code is trimmed, 1 to 64 characters, free of control characters, and never looks like
//! an id, so that "id or code" in a path has one meaning. [`PersonKey`] is what an event holds of a
//! number or a card: a keyed hash, the same for the same number, telling nothing about it.
//!
//! Refuses: letting a personal number into an event.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::PREFIXES;

/// Why a text is not a code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CodeError {
    #[error("a code needs 1 to 64 characters, got {length}")]
    Length { length: usize },
    #[error("a code may not contain control characters or '/'")]
    Character,
    #[error("'{text}' looks like an id; a code may not begin with '{prefix}_' and a number")]
    LooksLikeAnId { text: String, prefix: &'static str },
}

/// A code of something that is not a person: a room, a class, a course, a term, a section.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Code(String);

impl Code {
    pub fn parse(raw: &str) -> Result<Self, CodeError> {
        let text = raw.trim();
        let length = text.chars().count();
        if !(1..=64).contains(&length) {
            return Err(CodeError::Length { length });
        }
        if text.chars().any(|c| c.is_control() || c == '/') {
            return Err(CodeError::Character);
        }
        match PREFIXES.iter().chain(&["rec"]).find(|prefix| looks_like_id(text, prefix)) {
            Some(prefix) => Err(CodeError::LooksLikeAnId { text: text.to_owned(), prefix }),
            None => Ok(Code(text.to_owned())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Only what an id of this kind could be parsed from: the prefix in small letters, then numbers.
fn looks_like_id(text: &str, prefix: &str) -> bool {
    let numbers = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
    numbers
        .is_some_and(|rest| rest.split('_').all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())))
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        Code::parse(text)
    }
}

impl TryFrom<String> for Code {
    type Error = CodeError;

    fn try_from(raw: String) -> Result<Self, CodeError> {
        Code::parse(&raw)
    }
}

impl From<Code> for String {
    fn from(code: Code) -> String {
        code.0
    }
}

/// What kind of personal number a [`PersonKey`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyKind {
    /// An admission number, an employee number.
    Code,
    /// A card's number.
    Card,
    /// A terminal's own person number; only means something together with the device.
    DevicePerson,
    /// The number of the gateway's own id of a student, which some terminals know.
    Number,
    /// A sign-in name.
    Username,
}

/// A keyed hash of a personal number, as events and indexes hold it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PersonKey([u8; 16]);

impl PersonKey {
    pub(crate) fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonKey(")?;
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

/// The secret with which personal numbers are hashed. It never leaves the box and is never printed.
#[derive(Clone)]
pub struct Pseudonyms([u8; 32]);

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms(secret)")
    }
}

impl Pseudonyms {
    pub fn new(secret: [u8; 32]) -> Self {
        Pseudonyms(secret)
    }

    /// The key of a number as a person or a machine wrote it; spelling that does not matter (case,
    /// outer blanks, the separators in a card's number) does not change it.
    pub fn key(&self, kind: KeyKind, raw: &str) -> PersonKey {
        let upper = raw.trim().to_uppercase();
        if kind == KeyKind::Card {
            let digits: String = upper.chars().filter(|c| !matches!(c, ':' | '-' | ' ' | '.')).collect();
            self.hash(&[b"card", digits.as_bytes()])
        } else {
            self.hash(&[b"text", upper.as_bytes()])
        }
    }

    /// A keyed hash of several parts; no two lists of parts share one by moving bytes between parts.
    pub fn hash(&self, parts: &[&[u8]]) -> PersonKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        PersonKey(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_never_looks_like_an_id() {
        assert!(Code::parse(" B-101 ").is_ok_and(|code| code.as_str() == "B-101"));
        assert!(Code::parse("120").is_ok());
        for fine in ["Room_101", "TERM_1", "rm_", "stu_12a"] {
            assert!(Code::parse(fine).is_ok(), "{fine:?}");
        }
        for wrong in ["", "  ", "stu_120", "rm_7", "rec_1_2", "a/b", "a\u{0}b"] {
            assert!(Code::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn spelling_that_does_not_matter_gives_the_same_key() {
        let pseudonyms = Pseudonyms::new([7; 32]);
        let card = |raw| pseudonyms.key(KeyKind::Card, raw);
        assert_eq!(card("04:a2:3f"), card(" 04A23F "));
        assert_ne!(card("120"), pseudonyms.key(KeyKind::Code, "120"));
        assert_ne!(pseudonyms.hash(&[b"ab", b"c"]), pseudonyms.hash(&[b"a", b"bc"]));
    }

    #[test]
    fn a_key_does_not_print_what_it_stands_for_nor_the_secret() {
        let pseudonyms = Pseudonyms::new([7; 32]);
        assert_eq!(format!("{pseudonyms:?}"), "Pseudonyms(secret)");
        assert!(format!("{:?}", pseudonyms.key(KeyKind::Code, "S-4711")).len() < 24);
    }
}
