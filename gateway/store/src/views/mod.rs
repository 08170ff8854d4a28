//! What screens and reports read.
//!
//! Promises: a pure function of the ledger, by the domain's one fold; whoever changed something can wait
//! until it is visible; a reader takes a [`Snapshot`], waits for nobody, and sees no half of an event; the
//! file can be deleted, which costs the time to make it anew and nothing else.
//!
//! Refuses: being written to by anything but the ledger's entries.
//!
//! Campus and office are small and held in memory whole, as are the meetings of these weeks; sessions and
//! everything else that grows lie in rows (`tables`). A thread of its own (`follow`) folds what
//! the writer commits into `Working`, writes the rows that this touched, and then shows the next
//! snapshot. The rows reach the disk once a second: what a power cut takes with it is folded again.

mod compare;
mod doubts;
mod file;
mod forget;
mod near;
mod rows;
mod scans;
mod snapshot;
mod statistics;
mod tables;
mod touched;
mod whole;
mod working;

use std::sync::{Arc, PoisonError, RwLock};

use rollcall_domain::ids::Seq;
use tokio::sync::watch;

pub use rows::Delivery;
pub use snapshot::Snapshot;

use crate::error::StoreError;
use crate::waiting::Shared;

pub(crate) use compare::{difference, heads};
pub(crate) use file::{Kept, ViewsFile, forget_put_aside, last_in, put_aside};
pub(crate) use scans::is_forgotten;
pub(crate) use whole::Item;

/// A handle; clones share one state.
#[derive(Clone)]
pub struct Views {
    now: Arc<RwLock<Arc<Snapshot>>>,
    progress: watch::Sender<Progress>,
    shared: Arc<Shared>,
}

/// How far the views have got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub seen: Seq,
    /// They are being mended, or wait for the disk: what comes next may take long.
    pub stuck: bool,
}

/// What was waited for is on disk, and cannot be seen yet, because the views are being mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck;

impl Views {
    pub(crate) fn new(snapshot: Snapshot, shared: Arc<Shared>) -> Self {
        let (progress, _) = watch::channel(Progress { seen: snapshot.last(), stuck: false });
        snapshot.doubts.wake(&shared);
        Views { now: Arc::new(RwLock::new(Arc::new(snapshot))), progress, shared }
    }

    pub(crate) fn show(&self, snapshot: Snapshot) {
        let seen = snapshot.last();
        snapshot.doubts.wake(&self.shared);
        let mut shown = Arc::new(snapshot);
        std::mem::swap(&mut *self.now.write().unwrap_or_else(PoisonError::into_inner), &mut shown);
        self.progress.send_replace(Progress { seen, stuck: false });
    }

    /// Until something is shown again.
    pub(crate) fn are_stuck(&self) {
        self.progress.send_modify(|progress| progress.stuck = true);
    }

    /// Everything as of the last commit of the views.
    pub fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn seen(&self) -> Seq {
        self.progress.borrow().seen
    }

    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Tells of every further step.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Returns once what the views say up to `seq` is on the disk, too. For a thread that can wait.
    pub(crate) fn wait_until_lasting(&self, seq: Seq) -> Result<(), StoreError> {
        self.shared.wait_until(|waiting| waiting.seen >= seq);
        let there = self.shared.change(|waiting| {
            waiting.hurry |= waiting.lasting < seq;
            waiting.lasting
        });
        if there < seq {
            self.shared.wait_until(|waiting| waiting.lasting >= seq);
        }
        let lasts = self.seen() >= seq && self.shared.lock().lasting >= seq;
        if lasts { Ok(()) } else { Err(StoreError::UnreadableViews) }
    }

    /// Returns once the views have seen `seq`.
    ///
    /// # Errors
    /// That may take long: they are being mended.
    pub async fn wait_for(&self, seq: Seq) -> Result<(), Stuck> {
        let mut progress = self.progress.subscribe();
        // The sender lives in `self`, so there is always an end to wait for.
        match progress.wait_for(|progress| progress.seen >= seq || progress.stuck).await {
            Ok(progress) if progress.seen >= seq => Ok(()),
            _ => Err(Stuck),
        }
    }
}
