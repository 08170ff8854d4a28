//! What the ledger holds: facts, in the past tense, each decided by a rule before it was written.
//!
//! Promises: an event carries ids and keyed hashes, never a name, a number, a card or a free text
//! (those go to the people register beside it, as [`Personal`]); it carries the *result* of a decision,
//! so that folding it needs no settings and gives the same state for ever.
//!
//! Refuses: a format. How an event is framed, versioned and chained is the store's.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::campus::{Item, ItemId};
use crate::code::PersonKey;
use crate::ids::{
    ApiTokenId, CorrectionId, DeviceId, LeaveId, Name, RecordId, RoomId, SelfMarkId, Seq, SessionId,
    StudentId, TeacherId, TermId, UserId,
};
use crate::mark::{Mark, Source};
use crate::moment::Moment;
use crate::people::{Person, Personal};
use crate::policy::SessionRules;
use crate::requests::{Correction, Leave, SelfMark};
use crate::roster::{Days, Link};
use crate::scan::{DedupKey, Outcome, Scan, Unmatched};
use crate::timetable::{Plan, SlotDate};

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// The gateway itself: the timetable, a retention rule, a destination's receipt.
    Gateway,
    User(UserId),
    Device(DeviceId),
    /// The command line on the box.
    Cli,
    /// Somebody at a QR page who had not signed in.
    Visitor,
}

/// One entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub seq: Seq,
    pub at: Moment,
    pub by: Actor,
    pub event: Event,
}

/// An event on its way to the ledger, with what the register is to hold of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub by: Actor,
    pub event: Event,
    pub personal: Vec<Personal>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Campus(CampusEvent),
    Session(SessionId, SessionEvent),
    /// A scan that marked nobody; kept, listed, and matched again when something changes.
    Unmatched(Box<UnmatchedScan>),
    /// An unmatched scan found its place after all (the scan is in that session's next event), or was
    /// put aside by a person.
    UnmatchedSettled {
        scan: Seq,
    },
    Request(RequestEvent),
    Account(AccountEvent),
    Device(DeviceEvent),
    /// A setting that people change on a page; `None` goes back to the file's value.
    SettingChanged {
        key: String,
        value: Option<String>,
    },
    Upstream(UpstreamEvent),
    /// A person's rows were removed from the register. Says who, as an id that now means nobody.
    Erased(Person),
    /// An admin looked at the clock and said it is right.
    ClockConfirmed,
    Retention(RetentionEvent),
}

impl Event {
    /// The one session that the event changes, if it changes one.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Event::Session(id, _) => Some(*id),
            _ => None,
        }
    }
}

/// A scan that marked nobody, and how far it was understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmatchedScan {
    pub scan: Scan,
    pub reason: Unmatched,
    pub student: Option<StudentId>,
    pub session: Option<SessionId>,
}

/// What there is on the campus changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CampusEvent {
    Put(Box<Item>),
    Removed(ItemId),
    Joined {
        link: Link,
        days: Days,
    },
    /// Gone from that day on; without a day, as if never there.
    Left {
        link: Link,
        day: Option<Date>,
    },
    Merged {
        from: StudentId,
        into: StudentId,
    },
    PersonMapped {
        device: DeviceId,
        key: PersonKey,
        student: StudentId,
    },
    PersonUnmapped {
        device: DeviceId,
        key: PersonKey,
    },
    ConsentGiven {
        student: StudentId,
        given: bool,
    },
    TemplateStored {
        student: StudentId,
        present: bool,
    },
}

/// Why a meeting exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    Timetable(SlotDate),
    /// Made by hand: a makeup, or "start now".
    ByHand,
}

/// How a change of state came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    ByPerson,
    OnTime,
    /// The gateway was off at the time; it did then what it would have done, as of that time.
    CaughtUp,
    /// A scan came in the meeting's window before anything else opened it.
    ByScan,
    Holiday,
    TimetableChanged,
}

impl How {
    pub fn is_automatic(self) -> bool {
        self != How::ByPerson
    }
}

/// What happened to one meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionEvent {
    Created {
        plan: Plan,
        /// The term it is numbered in.
        term: Option<TermId>,
        number: u32,
        origin: Origin,
        rules: SessionRules,
    },
    Changed {
        teacher: TeacherId,
        room: Option<RoomId>,
        date: Date,
        starts: Moment,
        ends: Moment,
        by_hand: bool,
    },
    Opened {
        /// From when it counts as open; earlier than the entry's time if caught up.
        from: Moment,
        how: How,
        rules: SessionRules,
        excused: Vec<(StudentId, LeaveId)>,
    },
    Closed {
        from: Moment,
        how: How,
        absent: Vec<StudentId>,
        excused: Vec<(StudentId, LeaveId)>,
    },
    Reopened,
    Locked {
        how: How,
    },
    Cancelled {
        how: How,
    },
    Reinstated,
    Bound {
        device: DeviceId,
    },
    Unbound {
        device: DeviceId,
    },
    QrStarted {
        from: Moment,
        until: Moment,
        rotate_seconds: u32,
    },
    Scanned(Box<Scanned>),
    MarkedByQr {
        student: StudentId,
        captured_at: Moment,
        /// A keyed hash of the browser's cookie.
        browser: Option<PersonKey>,
        flags: BTreeSet<QrFlag>,
    },
    /// Somebody whom nobody knows was at the QR page; the teacher decides who that is.
    StrangerAtQr {
        captured_at: Moment,
        browser: Option<PersonKey>,
    },
    StrangerSettled {
        stranger: Seq,
    },
    MarkedSelf {
        student: StudentId,
        captured_at: Moment,
        request: SelfMarkId,
    },
    Marked(PersonMark),
    LeaveTaken {
        student: StudentId,
        leave: LeaveId,
    },
    ConflictSettled {
        student: StudentId,
    },
    RecordDeleted {
        student: StudentId,
    },
    /// Something was said about a mark that stays as it is; the text is in the register.
    Noted {
        student: StudentId,
    },
    /// Two students turned out to be one.
    StudentMerged {
        from: StudentId,
        into: StudentId,
    },
    /// Whether faces and fingers count here.
    BiometricSet {
        enabled: bool,
    },
}

/// A scan that belongs to a meeting, and what it meant there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanned {
    pub student: StudentId,
    pub scan: Scan,
    pub outcome: Outcome,
    /// It arrived when the meeting had already closed.
    pub late_upload: bool,
    /// The unmatched scan that this one was, if it found its place later.
    pub was_unmatched: Option<Seq>,
}

/// A mark that a person made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonMark {
    pub student: StudentId,
    pub mark: Mark,
    pub source: Source,
    pub decided_at: Moment,
    /// Made in sight of what was known then; `false` for an upload made offline.
    pub sighted: bool,
    /// The correction request it grants.
    pub correction: Option<CorrectionId>,
    /// For an upload: the same for every retransmission.
    pub dedup: Option<DedupKey>,
}

/// What makes a mark made at a QR page worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QrFlag {
    NotSignedIn,
    Poster,
    SameBrowser,
    NewPerson,
}

/// What students asked for, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestEvent {
    LeaveAsked(Leave),
    LeaveDecided { leave: LeaveId, approved: bool },
    CorrectionAsked(Correction),
    CorrectionDecided { correction: CorrectionId, approved: bool },
    SelfMarkAsked(SelfMark),
    SelfMarkDecided { request: SelfMarkId, approved: bool },
}

/// What happened to a sign-in. The secrets themselves are in the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountEvent {
    PasswordSet { user: UserId },
    ClaimCodeIssued { user: UserId },
    Claimed { user: UserId },
    SecondFactorOn { user: UserId },
    SecondFactorOff { user: UserId },
    BackupCodeUsed { user: UserId },
    SignedOutEverywhere { user: UserId },
    ApiTokenIssued { user: UserId, token: ApiTokenId },
    ApiTokenRevoked { user: UserId, token: ApiTokenId },
}

/// What happened to a device apart from its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceEvent {
    SecretIssued {
        device: DeviceId,
    },
    Revoked {
        device: DeviceId,
    },
    /// New hardware in its place; bindings, mappings and history stay.
    Replaced {
        device: DeviceId,
    },
}

/// A record as it was at one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordVersion {
    pub record: RecordId,
    pub version: u32,
}

/// What is not kept any longer, because of its age. That it is gone is a fact like any other, so that a
/// state folded again forgets the same at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionEvent {
    /// Meetings that ended before this time and are not open, with everyone's record, and unmatched scans
    /// that were received before it.
    Records { before: Moment },
    /// The entries up to this one; scans and uploads that they were the first to have count as new again.
    Entries { to: Seq },
}

/// What a destination answered; one event for a whole batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpstreamEvent {
    Delivered { destination: Name, low_water: Seq, records: Vec<RecordVersion> },
    DeadLettered { destination: Name, records: Vec<RecordVersion> },
    RetryAsked { destination: Name, records: Vec<RecordVersion> },
}
