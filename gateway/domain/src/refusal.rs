//! Why a rule says no, in words for people and in a code for programs.
//!
//! Promises: every refusal says what is the matter and, where there is one, the way out; its code is
//! the one that the documentation of the API lists.
//!
//! Refuses: transport. Which HTTP status a code goes with is the API's to say.

use thiserror::Error;

use crate::campus::ItemId;
use crate::ids::{DeviceId, SessionId};
use crate::session::SessionStatus;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("you may not do this")]
    Forbidden,
    #[error("this session is {}, not open", .0.word())]
    SessionNotOpen(SessionStatus),
    #[error("this session is locked; ask the office to change it")]
    SessionLocked,
    #[error("this cannot be done to a session that is {}", .0.word())]
    WrongState(SessionStatus),
    #[error("not in this class")]
    NotEnrolled,
    #[error("already marked {0}")]
    AlreadyMarked(&'static str),
    #[error("there is no record of this student in this session")]
    NoRecord,
    #[error("say why: this mark came from a device or a QR code, or the session is locked")]
    ReasonNeeded,
    #[error("device {device} is bound to session {held_by}; unbind it there first")]
    DeviceTaken { device: DeviceId, held_by: SessionId },
    #[error("session {number} of this class starts at the same time")]
    SameStart { number: u32 },
    #[error("this class already has all of its {limit} sessions of the term")]
    TooManySessions { limit: u32 },
    #[error("a session must end after it starts")]
    EndsBeforeStart,
    #[error("this code is not known; scan the one on the screen")]
    QrUnknown,
    #[error("this code has expired; scan the one on the screen now")]
    QrExpired,
    #[error("marking oneself is switched off")]
    SelfMarkingOff,
    #[error("corrections can be asked for within {days} days of the session")]
    TooLateToCorrect { days: u32 },
    #[error("this was already decided")]
    AlreadyDecided,
    #[error("this was already asked for and is waiting for an answer")]
    AlreadyAsked,
    #[error("nothing disagrees here any more")]
    NoConflict,
    #[error("there is no such scan, or it has been settled")]
    NoSuchScan,
    #[error("leave needs a first and a last day, in this order")]
    LeaveDays,
    #[error("this code is taken by {0}")]
    CodeTaken(ItemId),
    #[error("{0} does not exist")]
    Missing(ItemId),
    #[error("a timetable slot stays with its class; make a new one for another class")]
    SlotKeepsClass,
    #[error("the gateway's clock is in doubt; an admin must confirm the time")]
    ClockInDoubt,
}

impl Refusal {
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Forbidden | Refusal::SelfMarkingOff => "forbidden",
            Refusal::SessionNotOpen(_) => "session_not_open",
            Refusal::SessionLocked => "session_locked",
            Refusal::NotEnrolled => "not_enrolled",
            Refusal::AlreadyMarked(_) => "already_marked",
            Refusal::NoRecord | Refusal::NoConflict | Refusal::NoSuchScan => "not_found",
            Refusal::ReasonNeeded
            | Refusal::EndsBeforeStart
            | Refusal::TooLateToCorrect { .. }
            | Refusal::LeaveDays
            | Refusal::CodeTaken(_)
            | Refusal::Missing(_)
            | Refusal::SlotKeepsClass => "validation_failed",
            Refusal::WrongState(_)
            | Refusal::DeviceTaken { .. }
            | Refusal::SameStart { .. }
            | Refusal::TooManySessions { .. }
            | Refusal::AlreadyDecided
            | Refusal::AlreadyAsked => "conflict",
            Refusal::QrUnknown => "qr_unknown",
            Refusal::QrExpired => "qr_expired",
            Refusal::ClockInDoubt => "clock_in_doubt",
        }
    }
}
