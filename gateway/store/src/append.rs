//! What can be asked of the ledger, and what is answered.
//!
//! Promises: the completion is called exactly once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rollcall_domain::event::{Entry, NewEvent};
use rollcall_domain::ids::{DeviceId, SessionId, UserId};
use rollcall_domain::scan::DedupKey;

/// A secret's hash, written to the register in the same transaction.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// The hash of a password, in PHC form.
    Password { user: UserId, hash: String },
    /// The hash of a device's secret, in hexadecimal.
    DeviceSecret { device: DeviceId, hash: String },
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
    /// The session has moved on; decide again.
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
}
