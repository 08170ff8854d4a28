//! What can be asked of the ledger, and what is answered.
//!
//! Promises: the completion is called exactly once.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rollcall_domain::event::{Entry, NewEvent};
use rollcall_domain::ids::{ApiTokenId, DeviceId, SessionId, StudentId, UserId};
use rollcall_domain::scan::{DedupKey, Method};

use crate::register::Template;
use crate::secrets::SecretHash;

/// What goes to the register in the same transaction: what lets somebody in, or is known of their body.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// The hash of a password, in PHC form.
    Password {
        user: UserId,
        hash: String,
    },
    /// What a second factor makes codes from.
    SecondFactor {
        user: UserId,
        secret: Vec<u8>,
    },
    /// In place of those that were there.
    BackupCodes {
        user: UserId,
        hashes: Vec<SecretHash>,
    },
    /// Uses one up. If it is not there any more, the whole append is stale.
    BackupCodeUsed {
        user: UserId,
        hash: SecretHash,
    },
    ApiToken {
        user: UserId,
        token: ApiTokenId,
        hash: SecretHash,
    },
    /// In place of the one that was there.
    DeviceSecret {
        device: DeviceId,
        hash: SecretHash,
    },
    /// In place of the one that was there.
    ClaimCode {
        of: Claimant,
        hash: SecretHash,
    },
    /// Uses it up. If it is not there any more, the whole append is stale.
    ClaimCodeUsed {
        of: Claimant,
        hash: SecretHash,
    },
    /// In place of the one with the same method and number.
    Template(Template),
    /// Removes what was there.
    Gone(Held),
}

/// A credential by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    Password(UserId),
    SecondFactor(UserId),
    BackupCodes(UserId),
    ApiToken(UserId, ApiTokenId),
    ApiTokens(UserId),
    DeviceSecret(DeviceId),
    ClaimCode(Claimant),
    Template { student: StudentId, method: Method, number: u16 },
    Templates(StudentId),
}

/// Who takes over what was made for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimant {
    User(UserId),
    Device(DeviceId),
}

/// Says what it is and whose, and nothing of what it is worth.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Password { user, .. } => write!(f, "Password({user})"),
            Credential::SecondFactor { user, .. } => write!(f, "SecondFactor({user})"),
            Credential::BackupCodes { user, hashes } => write!(f, "BackupCodes({user}, {})", hashes.len()),
            Credential::BackupCodeUsed { user, .. } => write!(f, "BackupCodeUsed({user})"),
            Credential::ApiToken { user, token, .. } => write!(f, "ApiToken({user}, {token})"),
            Credential::DeviceSecret { device, .. } => write!(f, "DeviceSecret({device})"),
            Credential::ClaimCode { of, .. } => write!(f, "ClaimCode({of:?})"),
            Credential::ClaimCodeUsed { of, .. } => write!(f, "ClaimCodeUsed({of:?})"),
            Credential::Template(template) => template.fmt(f),
            Credential::Gone(held) => write!(f, "Gone({held:?})"),
        }
    }
}

/// The state that a decision was made by.
#[derive(Debug, Clone)]
pub struct Expect {
    pub session: SessionId,
    pub version: u64,
    pub line: Line,
}

/// Decisions of which each was made as if those before it were on disk. Once one of them is not written,
/// none after it is, even if others have brought the session to the version that it expects.
#[derive(Debug, Clone, Default)]
pub struct Line {
    broken: Arc<AtomicBool>,
}

impl Line {
    // Only the writer looks, so there is nothing to be ordered with.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }
}

/// Events that go to disk together or not at all.
pub struct Append {
    pub events: Vec<NewEvent>,
    pub credentials: Vec<Credential>,
    /// Something with this key is written once; asked again, the first entry is the answer. One of the
    /// events carries it, for that is how it is known after a restart.
    pub dedup: Option<DedupKey>,
    pub expect: Option<Expect>,
    pub then: Box<dyn FnOnce(Appended) + Send>,
}

/// What became of an append.
#[derive(Debug, Clone)]
pub enum Appended {
    /// On disk.
    Committed(Arc<[Entry]>),
    /// Was on disk already: the entry with the same dedup key.
    Already(Box<Entry>),
    /// The session has moved on, or a code that can be used once is used up; decide again.
    Stale,
    Failed(Failure),
}

/// Why nothing was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The disk does not take writes now; the store keeps trying. A commit that was reported as failed may
    /// have reached the disk all the same: once the store is up again, its views tell.
    Unavailable,
}

impl Append {
    /// Events that depend on nothing and repeat nothing.
    pub fn new(events: Vec<NewEvent>, then: impl FnOnce(Appended) + Send + 'static) -> Self {
        Append { events, credentials: Vec::new(), dedup: None, expect: None, then: Box::new(then) }
    }

    /// Nothing that was decided after it is written.
    pub(crate) fn end_line(&self) {
        if let Some(expect) = &self.expect {
            expect.line.end();
        }
    }

    pub(crate) fn complete(self, appended: Appended) {
        // Whose completion it is, is none of the other appends' business.
        if catch_unwind(AssertUnwindSafe(|| (self.then)(appended))).is_err() {
            tracing::error!(
                "what was to be done after an append panicked; the ledger is intact, please report this"
            );
        }
    }
}
