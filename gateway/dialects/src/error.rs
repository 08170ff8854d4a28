//! What can be wrong with what a device sent.
//!
//! Promises: the message names the field, says what was expected, and never repeats what was there,
//! since that may be a person's number.

use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DialectError {
    #[error("not JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("expected {expected}, got something else")]
    Shape { expected: &'static str },
    #[error("{count} scans in one message; send at most {most}")]
    TooMany { count: usize, most: usize },
    #[error("field '{field}' is missing")]
    Missing { field: &'static str },
    #[error("field '{field}' must be {expected}")]
    Field { field: &'static str, expected: &'static str },
    #[error("a topic needs 1 to 65535 bytes, got {length}")]
    TopicLength { length: usize },
    #[error("a topic may not contain '+', '#' or a zero character; those are for subscriptions")]
    TopicCharacter,
    #[error("in a subscription '+' stands alone between slashes, and '#' alone at the end")]
    FilterWildcard,
}

/// A payload that is no scan, and the id to answer under if that much could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    pub id: Option<String>,
    pub error: DialectError,
}
