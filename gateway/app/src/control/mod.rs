//! How a command on the box asks the running gateway: `<data>/control.sock`.
//!
//! Promises: one request on a connection, a line of JSON of at most [`LONGEST`] bytes that has to come within
//! [`PATIENCE`]; lines of JSON come back, and the last one is the result or says what went wrong. Only the
//! gateway's own user and root are answered, and only so many at once. A socket that a killed gateway left
//! behind means nothing: whether one runs is told by the lock on the data folder.
//!
//! Refuses: doing the work. What a request does is in [`crate::data`], the same with a gateway and without.
//! A further command is a further [`Request`] and [`Report`].

mod client;
mod line;
mod server;
mod socket;

use std::path::PathBuf;
use std::time::Duration;

use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;
use serde::{Deserialize, Serialize};

use crate::data::Step;
use crate::data::export::Wanted;
use crate::exit::Exit;

pub(crate) use client::ask;
pub(crate) use server::Control;

/// The name of the socket in the data folder.
const FILE: &str = "control.sock";
/// Of a request in bytes.
const LONGEST: usize = 64 << 10;
/// Until the whole request is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// The gateway writes the file, so its path begins at the root.
    Backup {
        target: PathBuf,
        /// Whether it is to be in it.
        #[serde(default)]
        evidence: bool,
    },
    Verify {
        rebuild: bool,
    },
    ExportLedger(Wanted),
}

impl Request {
    /// The command as it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Request::Backup { .. } => "backup",
            Request::Verify { rebuild: false } => "verify",
            Request::Verify { rebuild: true } => "verify --rebuild",
            Request::ExportLedger(_) => "export ledger",
        }
    }
}

/// One line of an answer; all but the last two kinds are followed by more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Progress(Step),
    /// The next piece of what is to be printed.
    Text(String),
    Result(Report),
    Error(Trouble),
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    BackedUp {
        entries: u64,
        rows: u64,
        last: Seq,
        evidence: Option<u64>,
        /// The end of another ledger lies beside it, and was left out.
        #[serde(default)]
        is_tail_foreign: bool,
    },
    Verified {
        last: Seq,
        /// The last entry that was forgotten by age.
        #[serde(default)]
        forgotten: Option<Seq>,
        lost: Vec<Lost>,
        /// As in a backup.
        #[serde(default)]
        is_tail_foreign: bool,
        views: Compared,
    },
    Exported,
}

impl Report {
    /// For whoever asked for something else.
    pub(crate) fn of_another_kind() -> Trouble {
        Trouble::found("the gateway answered something that was not asked; is it of another version?")
    }
}

/// Entries that the ledger is known to have lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lost {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    pub(crate) at: Moment,
}

/// What became of the views when a ledger was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Compared {
    NotAsked,
    Same,
    Differ(String),
}

/// Why there is no result, on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    pub(crate) message: String,
    /// It was looked at, and something is wrong with it; else it could not be looked at.
    pub(crate) found: bool,
}

impl Trouble {
    /// Something is wrong with what was looked at, or it could not be done to its end.
    pub(crate) fn found(message: impl Into<String>) -> Self {
        Trouble { message: message.into(), found: true }
    }

    /// It could not be begun.
    pub(crate) fn at_start(message: impl Into<String>) -> Self {
        Trouble { message: message.into(), found: false }
    }

    pub(crate) fn exit(&self) -> Exit {
        if self.found { Exit::CheckFailed } else { Exit::NotStarted }
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Trouble::at_start(format!("{error:#}"))
    }
}
