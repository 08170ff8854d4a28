//! The thread that brings committed entries into the views.
//!
//! Promises: entries arrive in order, and those of one commit at once; memory holds only so many of those
//! that wait, and the rest is read from the ledger; when the views are far behind, the writer waits for
//! them; views that cannot be read or written any more are opened again, and made anew if need be, while
//! readers keep what they have.
//!
//! Refuses: holding up an acknowledgement, but for that.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;
use rollcall_domain::ports::Clock;

use crate::error::StoreError;
use crate::ledger::{Head, Ledger};
use crate::views::{Views, ViewsFile};

/// Entries that may wait in memory.
const IN_MEMORY: usize = 65_536;
/// The most entries that one commit of the views brings.
const AT_ONCE: usize = 16_384;
/// So far behind, the views hold up the writer.
const FAR_BEHIND: u64 = 500_000;
/// Entries of a commit after which more are awaited, since the next ones are surely on their way.
const MANY: usize = 256;
/// For so long.
const GATHER: Duration = Duration::from_millis(10);
/// How long rows may be in memory alone.
const LASTING: Duration = Duration::from_secs(1);
/// How long to wait before trying a disk again that refused.
const RETRY: Duration = Duration::from_millis(500);

/// What a commit wrote; the writer and the views share it.
pub(crate) type Batch = Vec<Arc<[Entry]>>;

#[derive(Default)]
struct Waiting {
    batches: VecDeque<(Head, Batch)>,
    /// How many entries those hold.
    entries: usize,
    /// The end of the ledger.
    end: Head,
    /// How far the views are.
    seen: Seq,
    closed: bool,
    /// The thread has ended.
    gone: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// Waits until it holds, or the thread has ended.
    fn wait_until(&self, holds: impl Fn(&Waiting) -> bool) -> Result<(), StoreError> {
        let wait = |waiting: &mut Waiting| !holds(waiting) && !waiting.gone;
        let waiting = self.changed.wait_while(self.lock(), wait).unwrap_or_else(PoisonError::into_inner);
        if holds(&waiting) { Ok(()) } else { Err(StoreError::Views) }
    }
}

/// Takes the entries of each commit.
pub(crate) struct Follower(Arc<Shared>);

impl Follower {
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
        let is_near = |waiting: &Waiting| waiting.end.last.0 - waiting.seen.0 <= FAR_BEHIND;
        if let Err(error) = self.0.wait_until(is_near) {
            tracing::error!(%error, "the views are behind");
        }
    }

    /// Returns once everything that was handed over is in the views.
    pub(crate) fn caught_up(&self) -> Result<(), StoreError> {
        self.0.wait_until(|waiting| waiting.seen >= waiting.end.last)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.change(|waiting| waiting.closed = true);
    }
}

/// Brings the views to the end of the ledger, and starts the thread that keeps them there.
pub(crate) fn start(
    folder: &std::path::Path,
    ledger: &Arc<Ledger>,
    clock: Arc<dyn Clock>,
) -> Result<(Views, Follower, JoinHandle<()>, Head), StoreError> {
    let file = ViewsFile::open(folder, |head| ledger.has(head))?;
    let views = Views::new(file.snapshot()?);
    let shared = Arc::new(Shared::default());
    let lasting_since = clock.monotonic();
    let (ledger, shown) = (Arc::clone(ledger), views.clone());
    let mut following =
        Following { ledger, shared: Arc::clone(&shared), clock, views, file, lasting_since, last_commit: 0 };
    while following.step_from_ledger(AT_ONCE)? {}
    let end = following.file.head();
    shared.change(|waiting| (waiting.end, waiting.seen) = (end, end.last));
    let thread = std::thread::Builder::new().name("views".to_owned()).spawn(move || following.run());
    Ok((shown, Follower(shared), thread.map_err(StoreError::Thread)?, end))
}

struct Following {
    ledger: Arc<Ledger>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    views: Views,
    file: ViewsFile,
    /// When the rows were last all on disk.
    lasting_since: Duration,
    /// How many entries the last commit brought.
    last_commit: usize,
}

/// What there is to do.
enum Work {
    Batches(Vec<(Head, Batch)>),
    /// Some of what comes next is in the ledger alone.
    Gap(usize),
    MakeLasting,
    End,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.shared.change(|waiting| waiting.gone = true);
    }
}

impl Following {
    fn run(mut self) {
        loop {
            let done = match self.next() {
                Work::Batches(batches) => self.step(&batches),
                Work::Gap(entries) => self.step_from_ledger(entries.min(AT_ONCE)).map(|_more| ()),
                Work::MakeLasting => self.commit(self.file.head()),
                Work::End => return self.finish(),
            };
            if let Err(error) = done {
                tracing::error!(%error, "the views cannot be brought forward; they are opened again");
                self.open_again();
            }
            let seen = self.views.seen();
            self.shared.change(|waiting| waiting.seen = seen);
        }
    }

    fn next(&self) -> Work {
        let mut waiting = self.shared.lock();
        loop {
            let at = self.file.head().last;
            let gap = waiting.end.last.0.saturating_sub(at.0);
            if let Some((_, first)) = waiting.batches.front() {
                let starts = first.first().and_then(|entries| entries.first()).map_or(at, |entry| entry.seq);
                if starts.0 == at.0 + 1 {
                    if self.last_commit >= MANY && !waiting.closed {
                        // One commit for many is much cheaper than many commits.
                        let few = |waiting: &mut Waiting| waiting.entries < AT_ONCE && !waiting.closed;
                        let gathered = self.shared.changed.wait_timeout_while(waiting, GATHER, few);
                        waiting = gathered.unwrap_or_else(PoisonError::into_inner).0;
                    }
                    return Work::Batches(take_some(&mut waiting));
                }
                if starts > at {
                    return Work::Gap(usize::try_from(starts.0 - at.0 - 1).unwrap_or(AT_ONCE));
                }
                // It was read from the ledger meanwhile.
                take_one(&mut waiting);
            } else if gap > 0 {
                return Work::Gap(usize::try_from(gap).unwrap_or(AT_ONCE));
            } else if waiting.closed {
                return Work::End;
            } else if self.file.is_volatile() {
                let left = LASTING.saturating_sub(self.clock.monotonic().saturating_sub(self.lasting_since));
                if left == Duration::ZERO {
                    return Work::MakeLasting;
                }
                let woken = self.shared.changed.wait_timeout(waiting, left);
                waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
            } else {
                waiting = self.shared.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn step(&mut self, batches: &[(Head, Batch)]) -> Result<(), StoreError> {
        let latest = self.views.now();
        self.last_commit = 0;
        for entries in batches.iter().flat_map(|(_, batch)| batch) {
            self.file.fold(&latest, entries)?;
            self.last_commit += entries.len();
        }
        drop(latest);
        batches.last().map_or(Ok(()), |(end, _)| self.commit(*end))
    }

    /// Tells whether there may be more.
    fn step_from_ledger(&mut self, most: usize) -> Result<bool, StoreError> {
        let mut entries = Vec::new();
        let end = self.ledger.walk_some(self.file.head(), most, |entry| entries.push(entry))?;
        if entries.is_empty() {
            return Ok(false);
        }
        let latest = self.views.now();
        self.file.fold(&latest, &entries)?;
        drop(latest);
        self.commit(end)?;
        Ok(entries.len() == most)
    }

    fn commit(&mut self, end: Head) -> Result<(), StoreError> {
        let now = self.clock.monotonic();
        let lasting = now.saturating_sub(self.lasting_since) >= LASTING;
        self.file.commit(end, lasting)?;
        if lasting {
            self.lasting_since = now;
        }
        self.views.show(self.file.snapshot()?);
        Ok(())
    }

    /// Goes on from what is on disk; if that cannot be read, from nothing.
    fn open_again(&mut self) {
        loop {
            let ledger = Arc::clone(&self.ledger);
            match self.file.open_again(|head| ledger.has(head)) {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "the views cannot be opened yet; trying again"),
            }
            let waiting = self.shared.lock();
            if waiting.closed {
                return;
            }
            drop(self.shared.changed.wait_timeout(waiting, RETRY));
        }
    }

    fn finish(mut self) {
        if let Err(error) = self.file.commit(self.file.head(), true) {
            tracing::warn!(%error, "the last rows of the views are not on disk; they will be made again");
        }
    }
}

/// Batches that follow each other, as many as go into one commit.
fn take_some(waiting: &mut Waiting) -> Vec<(Head, Batch)> {
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

fn take_one(waiting: &mut Waiting) -> Option<(Head, Batch)> {
    let (end, batch) = waiting.batches.pop_front()?;
    waiting.entries -= batch.iter().map(|entries| entries.len()).sum::<usize>();
    Some((end, batch))
}
