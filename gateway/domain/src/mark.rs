//! Marks, where they come from, and which one prevails.
//!
//! Promises: one order of precedence (person, leave, device, QR, self, automatic) in one place.
//!
//! Refuses: history. How several claims become one mark is [`crate::record`]'s.

use serde::{Deserialize, Serialize};

/// What is written in the register for one student and one meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    Present,
    Late,
    Absent,
    /// Away with a reason that was accepted; counts neither for nor against.
    Excused,
    /// Away by the teacher's leave; counts like excused.
    Permission,
}

impl Mark {
    pub const ALL: [Mark; 5] = [Mark::Present, Mark::Late, Mark::Absent, Mark::Excused, Mark::Permission];

    pub fn attended(self) -> bool {
        matches!(self, Mark::Present | Mark::Late)
    }

    /// The word that programs and pages use.
    pub fn word(self) -> &'static str {
        match self {
            Mark::Present => "present",
            Mark::Late => "late",
            Mark::Absent => "absent",
            Mark::Excused => "excused",
            Mark::Permission => "permission",
        }
    }
}

/// How a mark came about, as it is shown and sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Qr,
    Biometric,
    Manual,
    /// A device's scan that arrived after the meeting had closed.
    Offline,
    #[serde(rename = "self")]
    Own,
    Leave,
    Correction,
    /// Nobody said anything, so closing wrote absent.
    Auto,
}

impl Source {
    pub fn rank(self) -> Rank {
        match self {
            Source::Manual | Source::Correction => Rank::Person,
            Source::Leave => Rank::Leave,
            Source::Biometric | Source::Offline => Rank::Device,
            Source::Qr => Rank::Qr,
            Source::Own => Rank::Own,
            Source::Auto => Rank::Auto,
        }
    }

    /// The word that programs and pages use.
    pub fn word(self) -> &'static str {
        match self {
            Source::Qr => "qr",
            Source::Biometric => "biometric",
            Source::Manual => "manual",
            Source::Offline => "offline",
            Source::Own => "self",
            Source::Leave => "leave",
            Source::Correction => "correction",
            Source::Auto => "auto",
        }
    }
}

/// Who prevails when two sources disagree: the greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    Auto,
    Own,
    Qr,
    Device,
    Leave,
    Person,
}

/// Why a mark is what it is, where the mark alone does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkReason {
    /// Checked out sooner after coming in than the meeting's rules ask for.
    LeftEarly,
}
