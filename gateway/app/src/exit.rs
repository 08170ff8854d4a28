//! The exit codes of the contract.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was asked.
    Done,
    /// It looked, and something is wrong; or nobody could be told what it found.
    CheckFailed,
    /// The command line makes no sense.
    WrongUsage,
    /// The gateway could not start.
    NotStarted,
    /// The command exists but does nothing yet.
    NotBuilt,
    /// It was told to end before it was through.
    Interrupted,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::CheckFailed => 1,
            Exit::WrongUsage => 2,
            Exit::NotStarted => 3,
            Exit::NotBuilt => 4,
            // As shells count a command that Ctrl-C ended.
            Exit::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
