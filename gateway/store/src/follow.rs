//! The thread that brings committed entries into the views.
//!
//! Promises: entries arrive in order, and those of one commit at once, unless they are so many or so far
//! behind that they are read from the ledger; memory holds only so many of those that wait; when the views
//! are far behind, the writer waits for them, unless they are stuck; views that cannot be written or read any
//! more are opened again; those whose rows are damaged are made anew while readers keep what they have; what
//! is shown never goes back.
//!
//! Refuses: holding up an acknowledgement, but for that; filling the disk.

use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;
use rollcall_domain::ports::Clock;
use rustix::process::setpriority_process;

use crate::caught::{caught, let_go};
use crate::checkpoint::{self, Unbegun};
use crate::disk::Place;
use crate::error::StoreError;
use crate::ledger::{Head, Ledger};
use crate::reserve::Reserve;
use crate::said::Said;
use crate::views::{Views, ViewsFile};
use crate::waiting::{AT_ONCE, Batch, Shared, Waiting, take_one, take_some};

/// Entries that may wait in memory.
const IN_MEMORY: usize = 65_536;
/// So far behind, the views hold up the writer.
const FAR_BEHIND: u64 = 500_000;
/// Entries of a commit after which more are awaited, since the next ones are surely on their way.
const MANY: usize = 256;
/// For so long.
const GATHER: Duration = Duration::from_millis(10);
/// The priority of the thread: larger is less.
const BEHIND: i32 = 5;
/// How long rows may be in memory alone.
const LASTING: Duration = Duration::from_secs(1);
/// How many entries may be, since a start has to fold them in again.
const LASTING_ENTRIES: u64 = 40_000;

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

/// Brings the views to the end of the ledger, if there is room for them, and starts the thread that keeps
/// them there.
pub(crate) fn start(
    place: &Place,
    found: Result<ViewsFile, StoreError>,
    reserve: Arc<Reserve>,
    ledger: &Arc<Ledger>,
    clock: Arc<dyn Clock>,
) -> Result<(Views, Follower, JoinHandle<()>), StoreError> {
    let file = ViewsFile::open_found(place, found, |head| ledger.has(head))?;
    let shared = Arc::new(Shared::default());
    let views = Views::new(file.snapshot()?, Arc::clone(&shared));
    let (ledger, shown) = (Arc::clone(ledger), views.clone());
    let (following_shared, retry) = (Arc::clone(&shared), place.retry);
    let mut following = Following {
        ledger,
        shared: following_shared,
        lasting_since: clock.monotonic(),
        clock,
        views,
        file,
        lasting_at: Seq(0),
        last_commit: 0,
        said: Said::default(),
        reserve,
        retry,
    };
    following.begin()?;
    let end = following.file.head();
    shared.change(|waiting| (waiting.end, waiting.seen) = (end, end.last));
    let thread = std::thread::Builder::new().name("views".to_owned()).spawn(move || following.run());
    Ok((shown, Follower(shared), thread.map_err(StoreError::Thread)?))
}

struct Following {
    ledger: Arc<Ledger>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    views: Views,
    file: ViewsFile,
    /// When the rows were last all on disk.
    lasting_since: Duration,
    /// How far they were then.
    lasting_at: Seq,
    /// How many entries the last commit brought.
    last_commit: usize,
    said: Said,
    reserve: Arc<Reserve>,
    retry: Duration,
}

/// What there is to do.
enum Work {
    Batches(Vec<(Head, Batch)>),
    /// Some of what comes next is in the ledger alone.
    Gap(usize),
    MakeLasting,
    /// Somebody could not read what is shown.
    Mend(StoreError),
    End,
}

/// Why it is not done.
enum Trouble {
    /// The store is closed, and the views have seen everything.
    End,
    /// The disk is nearly full.
    Room,
    /// The ledger cannot be read.
    Ledger(StoreError),
    Views(StoreError),
}

impl Drop for Following {
    fn drop(&mut self) {
        self.views.are_stuck();
        self.shared.change(|waiting| waiting.gone = true);
    }
}

/// Acknowledgements come first when the processor is short: the views take what is left, and a good third of
/// it in any case.
fn step_back() {
    if let Err(error) = setpriority_process(None, BEHIND) {
        tracing::debug!(%error, "the views' thread keeps its priority");
    }
}

impl Following {
    /// What is left from last time.
    fn begin(&mut self) -> Result<(), StoreError> {
        let mut anew = false;
        loop {
            match self.step_from_ledger(AT_ONCE) {
                Ok(true) => {}
                Err(Trouble::Room) if self.file.head().last < self.ledger.start()?.last => {
                    // The ledger does not lead on from what there is, or was begun.
                    self.file.make_anew()?;
                    self.file.let_go_of_those_before();
                    self.views.show(self.file.snapshot()?);
                    return Ok(());
                }
                Ok(false) | Err(Trouble::Room | Trouble::End) => return Ok(()),
                Err(Trouble::Views(error)) if error.is_damage() && !anew => {
                    tracing::warn!(%error, "rows of the views are damaged; they are made anew");
                    self.file.make_anew()?;
                    self.views.show(self.file.snapshot()?);
                    anew = true;
                }
                Err(Trouble::Ledger(error) | Trouble::Views(error)) => return Err(error),
            }
        }
    }

    fn run(mut self) {
        step_back();
        loop {
            let work = self.next();
            let done = match work {
                Work::Batches(batches) => self.step(&batches),
                Work::Gap(entries) => self.step_from_ledger(entries.min(AT_ONCE)).map(|_more| ()),
                Work::MakeLasting => self.make_lasting(),
                Work::Mend(error) => Err(Trouble::Views(error)),
                Work::End => Err(Trouble::End),
            };
            let whole = !matches!(done, Err(Trouble::Views(_)));
            let goes_on = match done {
                Ok(()) => true,
                Err(Trouble::End) => false,
                Err(Trouble::Room) => self.pause(),
                Err(Trouble::Ledger(error)) => {
                    if self.may_say() {
                        tracing::warn!(%error, "the views wait for the ledger");
                    }
                    self.pause()
                }
                Err(Trouble::Views(error)) => self.mend(&error),
            };
            if !goes_on {
                return if whole { self.finish() } else { let_go(self) };
            }
        }
    }

    fn next(&self) -> Work {
        let mut waiting = self.shared.lock();
        loop {
            // Before anything is written into what somebody could not read.
            if let Some(error) = self.file.doubt() {
                return Work::Mend(error);
            }
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
            } else if waiting.hurry {
                return Work::MakeLasting;
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

    fn step(&mut self, batches: &[(Head, Batch)]) -> Result<(), Trouble> {
        let Some((end, _)) = batches.last() else { return Ok(()) };
        self.last_commit = batches.iter().flat_map(|(_, batch)| batch).map(|entries| entries.len()).sum();
        let entries = batches.iter().flat_map(|(_, batch)| batch).map(AsRef::as_ref);
        self.take(entries, *end)
    }

    /// Tells whether there may be more.
    fn step_from_ledger(&mut self, most: usize) -> Result<bool, Trouble> {
        let (ledger, file, reserve) = (&self.ledger, &mut self.file, &self.reserve);
        let begun = caught(|| Ok(checkpoint::begin_views(ledger, file, &mut || reserve.has_room())));
        match begun.map_err(Trouble::Ledger)? {
            Ok(true) => self.show()?,
            Ok(false) => {}
            Err(Unbegun::Stopped) => return Err(Trouble::Room),
            Err(Unbegun::Ledger(error)) => return Err(Trouble::Ledger(error)),
            Err(Unbegun::Views(error)) => return Err(Trouble::Views(error)),
        }
        let mut entries = Vec::new();
        let read = caught(|| self.ledger.walk_some(self.file.head(), most, |entry| entries.push(entry)));
        let end = read.map_err(Trouble::Ledger)?;
        // The chain can go on over a gap without any entry.
        if end != self.file.head() {
            self.take([entries.as_slice()].into_iter(), end)?;
        }
        Ok(entries.len() == most)
    }

    /// Folds entries in; afterwards they are in the rows, and shown.
    fn take<'a>(&mut self, all: impl Iterator<Item = &'a [Entry]>, end: Head) -> Result<(), Trouble> {
        if !self.reserve.has_room() {
            return Err(Trouble::Room);
        }
        let file = &mut self.file;
        let folded = caught(|| {
            let latest = file.snapshot()?;
            all.into_iter().try_for_each(|entries| file.fold(&latest, entries))
        });
        folded.map_err(Trouble::Views)?;
        self.commit(end)
    }

    fn make_lasting(&mut self) -> Result<(), Trouble> {
        if !self.reserve.has_room() {
            return Err(Trouble::Room);
        }
        self.commit(self.file.head())
    }

    fn commit(&mut self, end: Head) -> Result<(), Trouble> {
        let now = self.clock.monotonic();
        let more = end.last.0.saturating_sub(self.lasting_at.0);
        let is_due = now.saturating_sub(self.lasting_since) >= LASTING || more >= LASTING_ENTRIES;
        let lasting = is_due || self.shared.lock().hurry;
        caught(|| self.file.commit(end, lasting)).map_err(Trouble::Views)?;
        if lasting {
            (self.lasting_since, self.lasting_at) = (now, end.last);
            self.shared.change(|waiting| (waiting.lasting, waiting.hurry) = (end.last, false));
        }
        self.show()
    }

    /// Rows that are opened again or made anew are shown once they are as far as those before them: the
    /// writer has forgotten what was shown, and nobody who has seen something shall see it vanish.
    fn show(&mut self) -> Result<(), Trouble> {
        let last = self.file.head().last;
        if last >= self.views.seen() {
            self.views.show(self.file.snapshot().map_err(Trouble::Views)?);
            self.file.let_go_of_those_before();
            self.shared.change(|waiting| {
                (waiting.mending, waiting.pausing, waiting.seen) = (false, false, last);
            });
        }
        Ok(())
    }

    /// Opens the file again or makes it anew; tells whether there is anyone to go on for.
    fn mend(&mut self, error: &StoreError) -> bool {
        if self.may_say() {
            tracing::error!(%error, "the views cannot be brought forward; what is shown stays as it is meanwhile");
        }
        let (again, closed) = self.shared.change(|waiting| {
            let again = std::mem::replace(&mut waiting.mending, true);
            (again, waiting.closed)
        });
        if closed {
            return false;
        }
        // What fails again before it has come to show anything is not tried in a circle.
        if again && !self.pause() {
            return false;
        }
        if error.is_damage() {
            // The more there is in the ledger, the longer it takes.
            self.views.are_stuck();
        }
        loop {
            let mended = if error.is_damage() {
                caught(|| self.file.make_anew())
            } else {
                caught(|| self.file.open_again(|head| self.ledger.has(head)))
            };
            match mended.map_err(Trouble::Views).and_then(|()| self.show()) {
                Err(Trouble::Views(error)) => {
                    if self.may_say() {
                        tracing::warn!(%error, "the views cannot be opened yet; trying again");
                    }
                }
                _ => return true,
            }
            if !self.pause() {
                return false;
            }
        }
    }

    fn may_say(&mut self) -> bool {
        self.said.may_say(self.clock.monotonic())
    }

    /// Waits before something is tried again; tells whether there is anyone to try it for.
    fn pause(&self) -> bool {
        self.views.are_stuck();
        self.shared.change(|waiting| waiting.pausing = true);
        let wait = |waiting: &mut Waiting| waiting.pausing && !waiting.closed;
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), self.retry, wait);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    fn finish(mut self) {
        if let Err(error) = caught(|| self.file.commit(self.file.head(), true)) {
            tracing::warn!(%error, "the last rows of the views are not on disk; they will be made again");
        }
        let_go(self);
    }
}
