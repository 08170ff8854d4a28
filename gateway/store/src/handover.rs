//! What the writer hands to the thread of the views.
//!
//! Promises: memory holds only so many entries that wait; the writer waits for views that are far behind,
//! but not for views that are stuck.
//!
//! Refuses: bringing anything into the views.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;

use crate::ledger::Head;

/// Entries that may wait in memory.
const IN_MEMORY: usize = 65_536;
/// So far behind, the views hold up the writer.
const FAR_BEHIND: u64 = 500_000;

/// What a commit wrote; the writer and the views share it.
pub(crate) type Batch = Vec<Arc<[Entry]>>;

#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) batches: VecDeque<(Head, Batch)>,
    /// How many entries those hold.
    pub(crate) entries: usize,
    /// The end of the ledger.
    pub(crate) end: Head,
    /// How far the views are.
    pub(crate) seen: Seq,
    /// They are being opened again or made anew, and show nothing new until that is done.
    pub(crate) mending: bool,
    /// They wait for the ledger, or for room on the disk.
    pub(crate) pausing: bool,
    pub(crate) closed: bool,
    /// The thread has ended.
    pub(crate) gone: bool,
}

impl Waiting {
    /// Whether it is of no use to wait for them.
    fn is_stuck(&self) -> bool {
        self.mending || self.pausing || self.gone
    }

    /// Batches that follow each other, until they hold as many entries as go into one commit.
    pub(crate) fn take_some(&mut self, at_once: usize) -> Vec<(Head, Batch)> {
        let (mut taken, mut entries) = (Vec::new(), 0);
        while entries < at_once
            && let Some((end, batch)) = self.take_one()
        {
            entries += batch.iter().map(|entries| entries.len()).sum::<usize>();
            let ends_at = end.last;
            taken.push((end, batch));
            let next = self.batches.front().and_then(|(_, batch)| batch.first()).and_then(|e| e.first());
            if next.is_some_and(|next| next.seq.0 != ends_at.0 + 1) {
                break;
            }
        }
        taken
    }

    pub(crate) fn take_one(&mut self) -> Option<(Head, Batch)> {
        let (end, batch) = self.batches.pop_front()?;
        self.entries -= batch.iter().map(|entries| entries.len()).sum::<usize>();
        Some((end, batch))
    }
}

#[derive(Default)]
pub(crate) struct Shared {
    waiting: Mutex<Waiting>,
    pub(crate) changed: Condvar,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// Waits until it holds, or the views are stuck.
    fn wait_until(&self, holds: impl Fn(&Waiting) -> bool) {
        let wait = |waiting: &mut Waiting| !holds(waiting) && !waiting.is_stuck();
        drop(self.changed.wait_while(self.lock(), wait).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Takes the entries of each commit.
pub(crate) struct Follower(Arc<Shared>);

impl Follower {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Follower(shared)
    }

    /// Hands a commit over, after which the ledger ends at `end`; waits if the views are far behind.
    pub(crate) fn follow(&self, end: Head, batch: Batch) {
        let entries = batch.iter().map(|entries| entries.len()).sum::<usize>();
        self.0.change(|waiting| {
            waiting.end = end;
            // What is left out here is read from the ledger when its turn comes.
            if entries > 0 && waiting.entries + entries <= IN_MEMORY {
                waiting.entries += entries;
                waiting.batches.push_back((end, batch));
            }
        });
        self.0.wait_until(|waiting| waiting.end.last.0.saturating_sub(waiting.seen.0) <= FAR_BEHIND);
    }

    /// Returns once everything that was handed over is in the views, or they are stuck.
    pub(crate) fn caught_up(&self) {
        // It may be the ledger that they waited for.
        self.0.change(|waiting| waiting.pausing = false);
        self.0.wait_until(|waiting| waiting.seen >= waiting.end.last);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.change(|waiting| waiting.closed = true);
    }
}
