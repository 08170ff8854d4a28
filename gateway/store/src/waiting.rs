//! What waits to be brought into the views.
//!
//! Promises: batches come out as they went in; whoever waits for the views is woken by every change of them.
//!
//! Refuses: bringing anything anywhere. That is [`crate::follow`]'s.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;

use crate::ledger::Head;

/// The most entries that one commit of the views brings.
pub(crate) const AT_ONCE: usize = 16_384;

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
    /// How far they are on the disk.
    pub(crate) lasting: Seq,
    /// Somebody waits for them to be there.
    pub(crate) hurry: bool,
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
    pub(crate) fn is_stuck(&self) -> bool {
        self.mending || self.pausing || self.gone
    }
}

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) waiting: Mutex<Waiting>,
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
    pub(crate) fn wait_until(&self, holds: impl Fn(&Waiting) -> bool) {
        let wait = |waiting: &mut Waiting| !holds(waiting) && !waiting.is_stuck();
        drop(self.changed.wait_while(self.lock(), wait).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Batches that follow each other, as many as go into one commit.
pub(crate) fn take_some(waiting: &mut Waiting) -> Vec<(Head, Batch)> {
    let (mut taken, mut entries) = (Vec::new(), 0);
    while entries < AT_ONCE
        && let Some((end, batch)) = take_one(waiting)
    {
        entries += batch.iter().map(|entries| entries.len()).sum::<usize>();
        let ends_at = end.last;
        taken.push((end, batch));
        let next = waiting.batches.front().and_then(|(_, batch)| batch.first()).and_then(|e| e.first());
        if next.is_some_and(|next| next.seq.0 != ends_at.0 + 1) {
            break;
        }
    }
    taken
}

pub(crate) fn take_one(waiting: &mut Waiting) -> Option<(Head, Batch)> {
    let (end, batch) = waiting.batches.pop_front()?;
    waiting.entries -= batch.iter().map(|entries| entries.len()).sum::<usize>();
    Some((end, batch))
}
