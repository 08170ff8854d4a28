//! What is wrong with the settings, and where.
//!
//! Promises: a problem says what is wrong, at which key, in which line or variable, and what to
//! do; it never quotes a secret.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody wrote it: the table's own value.
    Default,
    /// The file, with line and column from 1; line 0 is the file as a whole.
    File { path: Arc<Path>, line: usize, column: usize },
    /// The environment variable of this name.
    Variable(String),
    /// The settings page.
    Page,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File { path, line: 0, .. } => write!(out, "{}", path.display()),
            Self::File { path, line, .. } => write!(out, "{}:{line}", path.display()),
            Self::Variable(name) => write!(out, "environment {name}"),
            Self::Page => out.write_str("settings page"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Where it is written.
    pub origin: Origin,
    /// The key, e.g. `http.listen`; empty when the file as a whole is meant.
    pub key: String,
    /// What is wrong with it.
    pub fault: Fault,
    /// What to do about it.
    pub advice: String,
}

/// The kinds of mistakes.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Fault {
    #[error("there is no such file")]
    FileMissing,
    #[error("is not a file")]
    NotAFile,
    #[error("cannot be read ({reason})")]
    Unreadable { reason: String },
    #[error("is {bytes} bytes long; settings need no more than {limit}")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("is not text in UTF-8")]
    NotUtf8,
    #[error("is not TOML: {message}")]
    Syntax { message: String },
    #[error("unknown key")]
    UnknownKey,
    #[error("unknown section")]
    UnknownSection,
    #[error("is a section, not a value")]
    NotASection,
    #[error("is {found}, not {wanted}")]
    WrongType { found: String, wanted: &'static str },
    #[error("{found} is out of range")]
    OutOfRange { found: String },
    #[error("{found} {why}")]
    Malformed { found: String, why: String },
    #[error("{found} is already written at {first}")]
    Repeated { found: String, first: Origin },
    #[error("cannot be changed on the settings page")]
    NotOnPage,
    #[error("is missing")]
    Missing,
    #[error("does nothing without {other}")]
    Alone { other: &'static str },
    #[error("disagrees with {other}: {why}")]
    Disagrees { other: &'static str, why: String },
    #[error("the table of keys and the settings disagree: {message}")]
    Internal { message: String },
}

impl fmt::Display for Problem {
    /// One line, whatever control characters stand in names of files, keys and variables.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line();
        line.chars().try_for_each(|c| out.write_char(if c.is_control() { '?' } else { c }))
    }
}

impl Problem {
    fn line(&self) -> String {
        let mut place = self.origin.to_string();
        if let Origin::File { line: 1.., column, .. } = &self.origin {
            place = format!("{place}:{column}");
        }
        if !self.key.is_empty() {
            place = format!("{place}: {}", self.key);
        }
        let joint = if self.origin_is_subject() { " " } else { ": " };
        format!("{place}{joint}{}; {}", self.fault, self.advice)
    }

    /// `/etc/rollcall/rollcall.toml is not a file` reads as a sentence, without a colon.
    fn origin_is_subject(&self) -> bool {
        self.key.is_empty()
            && matches!(self.fault, Fault::NotAFile | Fault::Unreadable { .. } | Fault::TooLarge { .. })
    }
}

/// Everything that is wrong, in the order of the file, then of the environment.
#[derive(Debug, Clone, PartialEq, Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// A single one.
    pub(crate) fn one(problem: Problem) -> Self {
        Self(vec![problem])
    }

    /// Several, in the order of the file, then of the environment.
    pub(crate) fn sorted(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|one, other| one.origin.cmp(&other.origin).then_with(|| one.key.cmp(&other.key)));
        problems.dedup();
        Self(problems)
    }

    /// The problems, if there are any.
    pub(crate) fn among(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self::sorted(problems)) }
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            write!(out, "{problem}")?;
        }
        Ok(())
    }
}
