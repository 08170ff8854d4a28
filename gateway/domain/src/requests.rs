//! What students ask for and staff decide: leave, corrections, self-marks.
//!
//! Promises: a request is decided once; leave covers whole calendar days, both ends included.
//!
//! Refuses: what a decision does to a mark. That is [`crate::decide`]'s.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::ids::{ClassId, CorrectionId, LeaveId, RecordId, SelfMarkId, StudentId};
use crate::mark::Mark;
use crate::moment::Moment;
use crate::refusal::Refusal;
use crate::roster::Days;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestStatus {
    Pending,
    Approved,
    Rejected,
}

impl RequestStatus {
    pub fn decide(self, approve: bool) -> Result<RequestStatus, Refusal> {
        match self {
            RequestStatus::Pending if approve => Ok(RequestStatus::Approved),
            RequestStatus::Pending => Ok(RequestStatus::Rejected),
            RequestStatus::Approved | RequestStatus::Rejected => Err(Refusal::AlreadyDecided),
        }
    }
}

/// A student asks to be away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    pub id: LeaveId,
    pub student: StudentId,
    /// Only this class; `None`: all of the student's classes.
    pub class: Option<ClassId>,
    pub days: Days,
    pub status: RequestStatus,
}

impl Leave {
    /// Whether it was granted and covers this student's meeting of `class` on `day`.
    pub fn excuses(&self, student: StudentId, class: ClassId, day: Date) -> bool {
        self.status == RequestStatus::Approved
            && self.student == student
            && self.class.is_none_or(|only| only == class)
            && self.days.contains(day)
    }
}

/// A student says that a mark is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    pub id: CorrectionId,
    pub record: RecordId,
    pub mark: Mark,
    pub asked_at: Moment,
    pub status: RequestStatus,
}

/// A student says "I am here"; it counts once the teacher says so too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfMark {
    pub id: SelfMarkId,
    pub record: RecordId,
    pub captured_at: Moment,
    pub status: RequestStatus,
}
