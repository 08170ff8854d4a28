//! The exit codes of the contract. Usage errors (2) are the command line parser's own.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was asked.
    Done,
    /// It looked, and something is wrong.
    CheckFailed,
    /// The gateway could not start.
    NotStarted,
    /// The command exists but does nothing yet.
    NotBuilt,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::CheckFailed => 1,
            Exit::NotStarted => 3,
            Exit::NotBuilt => 4,
        })
    }
}
