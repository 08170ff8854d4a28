//! A scan: one claim by a device that a student was there.
//!
//! Promises: a scan carries who says so (the connection's identity, never the payload's), whom it
//! means in every way the device could name them, and its three times; its dedup key is the same for
//! every retransmission.
//!
//! Refuses: meaning. What a scan does is decided by [`crate::decide::scan`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock_offset::Captured;
use crate::code::{KeyKind, PersonKey, Pseudonyms};
use crate::ids::{DeviceId, UserId};
use crate::moment::Moment;

/// For so long a terminal may send a scan again, and it is known to be the same.
pub const KNOWN_DAYS: u32 = 400;

/// How the device recognised the student.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Face,
    Fingerprint,
    Iris,
    Palm,
    Card,
    Qr,
    Pin,
}

impl Method {
    /// Whether the body itself was measured, which is what a minimum quality is asked of.
    pub fn is_biometric(self) -> bool {
        matches!(self, Method::Face | Method::Fingerprint | Method::Iris | Method::Palm)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    In,
    Out,
}

/// The one text by which a device names a student, hashed as a card is spelt and as anything else is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Claim {
    card: PersonKey,
    text: PersonKey,
}

impl Claim {
    pub fn of(text: &str, pseudonyms: &Pseudonyms) -> Self {
        Claim { card: pseudonyms.key(KeyKind::Card, text), text: pseudonyms.key(KeyKind::Code, text) }
    }

    /// The key under which to look for a number of this kind.
    pub fn key(&self, kind: KeyKind) -> PersonKey {
        if kind == KeyKind::Card { self.card } else { self.text }
    }
}

/// The same for every retransmission of one scan, different for every other scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DedupKey(PersonKey);

impl DedupKey {
    pub fn bytes(self) -> [u8; 16] {
        self.0.bytes()
    }

    /// For an upload by a person, under the id their program gave it.
    pub fn of_upload(user: UserId, client_id: &str, pseudonyms: &Pseudonyms) -> Self {
        DedupKey(pseudonyms.hash(&[b"upload", &user.0.to_le_bytes(), client_id.as_bytes()]))
    }

    /// For a scan that carries the device's own id for it.
    pub fn of_id(device: &DeviceId, id: &str, pseudonyms: &Pseudonyms) -> Self {
        DedupKey(pseudonyms.hash(&[b"scan-id", device.as_str().as_bytes(), id.as_bytes()]))
    }

    /// For a scan without one: who, where and when as the device told them.
    pub fn of_claim(device: &DeviceId, claim: &str, claimed_at: Moment, pseudonyms: &Pseudonyms) -> Self {
        let at = claimed_at.millis().to_le_bytes();
        DedupKey(pseudonyms.hash(&[b"scan-claim", device.as_str().as_bytes(), claim.as_bytes(), &at]))
    }
}

/// A scan as a dialect read it and a connection stamped it, before anybody knows whom it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawScan {
    /// The connection's identity, never the payload's word.
    pub device: DeviceId,
    pub scan_id: Option<String>,
    /// The text by which the device names the student.
    pub claim: String,
    pub claimed_at: Moment,
    pub received_at: Moment,
    /// The monotonic clock at receipt.
    pub received_after: Duration,
    /// It may have waited in the device; its time says nothing about the device's clock.
    pub is_replay: bool,
    pub method: Option<Method>,
    pub quality_milli: Option<u16>,
    pub direction: Option<Direction>,
}

impl RawScan {
    /// The scan that rules see: numbers hashed, times corrected.
    pub fn scan(&self, captured: Captured, pseudonyms: &Pseudonyms) -> Scan {
        let dedup = match &self.scan_id {
            Some(id) => DedupKey::of_id(&self.device, id, pseudonyms),
            None => DedupKey::of_claim(&self.device, &self.claim, self.claimed_at, pseudonyms),
        };
        Scan {
            device: self.device.clone(),
            scan_id: self.scan_id.clone(),
            dedup,
            claim: Claim::of(&self.claim, pseudonyms),
            claimed_at: self.claimed_at,
            captured_at: captured.at,
            received_at: self.received_at,
            clock_flagged: captured.flagged,
            method: self.method,
            quality_milli: self.quality_milli,
            direction: self.direction,
        }
    }
}

/// One scan, as the rules and the ledger see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    pub device: DeviceId,
    /// The device's own id for it, kept so that an export can be held against the device's list.
    pub scan_id: Option<String>,
    pub dedup: DedupKey,
    pub claim: Claim,
    /// What the device said the time was.
    pub claimed_at: Moment,
    /// When it happened, after correction (see [`crate::clock_offset`]).
    pub captured_at: Moment,
    /// When the gateway received it, by its own clock.
    pub received_at: Moment,
    /// The device's time was impossible, so the time of receipt stands in for it.
    pub clock_flagged: bool,
    pub method: Option<Method>,
    /// In thousandths: 930 is a quality of 0.93.
    pub quality_milli: Option<u16>,
    pub direction: Option<Direction>,
}

/// Why a stored scan marked nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    UnknownStudent,
    /// The number belongs to more than one student.
    AmbiguousStudent,
    NotEnrolled,
    NoOpenSession,
    /// More than one open meeting of the student would fit.
    AmbiguousSession,
    LowQuality,
    BiometricDisabled,
    SessionLocked,
    NotBound,
}

impl Unmatched {
    /// The code that devices and programs are told; finer distinctions are for the admin's list.
    pub fn code(self) -> &'static str {
        match self {
            Unmatched::UnknownStudent | Unmatched::AmbiguousStudent => "unknown_student",
            Unmatched::NotEnrolled => "not_enrolled",
            Unmatched::NoOpenSession | Unmatched::AmbiguousSession => "no_open_session",
            Unmatched::LowQuality | Unmatched::BiometricDisabled => "low_quality",
            Unmatched::SessionLocked => "session_locked",
            Unmatched::NotBound => "not_bound",
        }
    }

    /// What the terminal shows to the person in front of it.
    pub fn message(self) -> &'static str {
        match self {
            Unmatched::UnknownStudent => "not known here; please see the office",
            Unmatched::AmbiguousStudent => {
                "this number belongs to more than one student; please see the office"
            }
            Unmatched::NotEnrolled => "not in this class",
            Unmatched::NoOpenSession => "no class is open here now",
            Unmatched::AmbiguousSession => {
                "more than one of your classes is open; please use the room's terminal"
            }
            Unmatched::LowQuality => "not recognised clearly; please try again",
            Unmatched::BiometricDisabled => "face and finger are switched off; please use your card",
            Unmatched::SessionLocked => "this class is already locked; please see your teacher",
            Unmatched::NotBound => "this terminal is not in use for a class now",
        }
    }
}

/// What a scan turned out to mean, once it is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Present,
    Late {
        minutes: u32,
    },
    /// The student had this mark already; nothing changed.
    Duplicate {
        mark: crate::mark::Mark,
    },
    /// Checked out; the mark stands.
    Out,
    /// Checked out too soon after coming in: now absent.
    LeftEarly,
    Unmatched(Unmatched),
}

/// The four words of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Accepted,
    Duplicate,
    Unmatched,
    /// Not a scan at all; never an outcome of a rule.
    Rejected,
}

impl Outcome {
    pub fn status(self) -> Status {
        match self {
            Outcome::Present | Outcome::Late { .. } | Outcome::Out | Outcome::LeftEarly => Status::Accepted,
            Outcome::Duplicate { .. } => Status::Duplicate,
            Outcome::Unmatched(_) => Status::Unmatched,
        }
    }

    /// In plain words, for a terminal's screen.
    pub fn message(self) -> String {
        match self {
            Outcome::Present => "present".to_owned(),
            Outcome::Late { minutes: 0 } => "late by less than a minute".to_owned(),
            Outcome::Late { minutes: 1 } => "late by 1 minute".to_owned(),
            Outcome::Late { minutes } => format!("late by {minutes} minutes"),
            Outcome::Duplicate { mark } => format!("already marked {}", mark.word()),
            Outcome::Out => "checked out".to_owned(),
            Outcome::LeftEarly => "checked out early; counted as absent".to_owned(),
            Outcome::Unmatched(reason) => reason.message().to_owned(),
        }
    }
}
