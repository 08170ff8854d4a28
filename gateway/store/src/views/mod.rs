//! What screens and reports read.
//!
//! Promises: a pure function of the ledger, by the domain's one fold; whoever changed something can wait
//! until it is visible; a reader takes a [`Snapshot`], waits for nobody, and sees no half of anything; the
//! file can be deleted, which costs the time to make it anew and nothing else.
//!
//! Refuses: being written to by anything but the ledger's entries.
//!
//! Campus and office are small and held in memory whole, as are the meetings of these weeks; sessions and
//! everything else that grows lie in rows (`tables`). A thread of its own (`follow`) folds what
//! the writer commits into `Working`, writes the rows that this touched, and then shows the next
//! snapshot. The rows reach the disk once a second: what a power cut takes with it is folded again.

mod compare;
mod file;
mod near;
mod rows;
mod snapshot;
mod statistics;
mod tables;
mod touched;
mod working;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rollcall_domain::ids::Seq;
use tokio::sync::watch;

pub use rows::Delivery;
pub use snapshot::Snapshot;

use crate::error::StoreError;

pub(crate) use compare::difference;
pub(crate) use file::{ViewsFile, last_in};

/// A handle; clones share one state.
#[derive(Clone)]
pub struct Views {
    now: Arc<RwLock<Arc<Snapshot>>>,
    seen: watch::Sender<Seq>,
    doubted: Arc<AtomicBool>,
}

impl Views {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let (seen, _) = watch::channel(snapshot.last());
        Views { now: Arc::new(RwLock::new(Arc::new(snapshot))), seen, doubted: Arc::default() }
    }

    pub(crate) fn show(&self, snapshot: Snapshot) {
        let last = snapshot.last();
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        self.seen.send_replace(last);
    }

    /// Somebody could not read this. If it is what is shown, and the fault lies in the rows, they are made
    /// anew.
    pub(crate) fn doubt(&self, read: &Arc<Snapshot>, error: &StoreError) {
        if error.is_damage() && Arc::ptr_eq(read, &self.now()) {
            self.doubted.store(true, Ordering::Release);
        }
    }

    /// Whether there is a doubt; there is none any more.
    pub(crate) fn take_doubt(&self) -> bool {
        self.doubted.swap(false, Ordering::AcqRel)
    }

    /// Everything as of the last commit of the views.
    pub fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How far the views have got.
    pub fn seen(&self) -> Seq {
        *self.seen.borrow()
    }

    /// Tells of every further step.
    pub fn watch(&self) -> watch::Receiver<Seq> {
        self.seen.subscribe()
    }

    /// Returns once the views have seen `seq`.
    pub async fn wait_for(&self, seq: Seq) {
        let mut seen = self.seen.subscribe();
        // The sender lives in `self`, so this ends only by having seen it.
        seen.wait_for(|seen| *seen >= seq).await.ok();
    }
}
