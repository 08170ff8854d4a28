//! What is wrong with the settings, and where.
//!
//! Promises: a problem says what is wrong, at which key, in which line or variable, and what to
//! do; it never quotes a secret.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
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
    #[error("is a folder, not a file")]
    IsAFolder,
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
    #[error("is a list of sections, not one section")]
    ListOfSections,
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
    #[error("is not built yet")]
    NotBuilt,
    #[error("is missing")]
    Missing,
    #[error("does nothing without {other}")]
    Alone { other: &'static str },
    #[error("disagrees with {other}: {why}")]
    Disagrees { other: &'static str, why: String },
    #[error("{} {why}", path.display())]
    File { path: PathBuf, why: String },
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
            && matches!(
                self.fault,
                Fault::IsAFolder | Fault::NotAFile | Fault::Unreadable { .. } | Fault::TooLarge { .. }
            )
    }
}

/// So many are shown. Whoever has more has named the wrong file, or mends one cause for many.
pub(crate) const MOST: usize = 100;

/// What is wrong, in the order of the file, then of the environment: the first hundred of it.
#[derive(Debug, Clone, PartialEq, Error)]
pub struct Problems {
    shown: Vec<Problem>,
    more: usize,
    incomplete: bool,
}

impl Problems {
    /// A single one.
    pub(crate) fn one(problem: Problem) -> Self {
        Self { shown: vec![problem], more: 0, incomplete: false }
    }

    /// Several, in the order of the file, then of the environment.
    pub(crate) fn sorted(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|one, other| one.origin.cmp(&other.origin).then_with(|| one.key.cmp(&other.key)));
        problems.dedup();
        let more = problems.len().saturating_sub(MOST);
        problems.truncate(MOST);
        Self { shown: problems, more, incomplete: false }
    }

    /// Found although the file could not be read to its end: others may come to light.
    pub(crate) fn incomplete(self, incomplete: bool) -> Self {
        Self { incomplete, ..self }
    }

    /// Those that are shown.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.shown.iter()
    }

    /// How many were found, shown or not.
    #[must_use]
    pub fn found(&self) -> usize {
        self.shown.len() + self.more
    }

    /// How many there are, for the last line of a report.
    #[must_use]
    pub fn count(&self) -> String {
        let noun = if self.found() == 1 { "problem" } else { "problems" };
        let mut count = format!("{} {noun} in the settings", self.found());
        if self.more > 0 {
            count.push_str(&format!(", the first {MOST} shown"));
        }
        if self.incomplete {
            count.push_str("; more may follow when the file can be read to its end");
        }
        count
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.shown.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            write!(out, "{problem}")?;
        }
        if self.more > 0 {
            write!(out, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}
