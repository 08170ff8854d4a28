//! The one thread that writes: group commit.
//!
//! Promises: what has gathered while the disk was busy goes to it together, next; nothing is
//! answered as written before its commit; a dedup key is written once; an append that was decided by an
//! older state, or by one that never came to be, is refused as stale. When a commit fails, nobody is told
//! otherwise, the file is opened anew, what did reach the disk is brought into the views, and the writer
//! goes on as soon as the disk does. It stops before the disk is full. What a completion does, a panic
//! included, stops nobody else's.
//!
//! Refuses: looking into what it writes, but for dedup keys and session versions.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::Duration;

use rollcall_domain::event::{Entry, NewEvent};
use rollcall_domain::ids::Seq;
use rollcall_domain::ports::Clock;

use crate::answer::Answer;
use crate::append::{Append, Appended, Failure};
use crate::caught::caught;
use crate::change::Change;
use crate::checkpoint::is_unswept;
use crate::chores::{Chores, Work};
use crate::disk::Place;
use crate::error::StoreError;
use crate::follow::Follower;
use crate::index::{Index, Known};
use crate::ledger::{Head, Ledger};
use crate::queue::{Arrivals, Queue, queue};
use crate::register;
use crate::reserve::Reserve;
use crate::said::Said;
use crate::tail::Record;
use crate::views::Views;
use crate::waiting::Batch;

/// After so long without anything to do it is looked after what can be done then.
const QUIET: Duration = Duration::from_secs(1);

/// A commit that succeeded.
#[derive(Debug, Clone, Copy)]
pub struct Commit {
    pub entries: usize,
    pub took: Duration,
    pub last: Seq,
}

/// Told of every commit.
pub type OnCommit = Box<dyn Fn(Commit) + Send>;

/// What the writer works with, besides the ledger.
pub(crate) struct Parts {
    pub(crate) views: Views,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) on_commit: OnCommit,
    pub(crate) follower: Follower,
    pub(crate) chores: Arc<Chores>,
}

struct Writer {
    ledger: Arc<Ledger>,
    parts: Parts,
    index: Index,
    head: Head,
    work: Work,
    /// How long nothing else may come before the next step: a disk that refused is left in peace.
    reseal_after: Duration,
    /// What is in memory is what is on disk; not so after a failure.
    sound: bool,
    /// When it was last tried to come back from one.
    tried: Option<Duration>,
    said: Said,
    reserve: Arc<Reserve>,
    retry: Duration,
}

/// What a batch comes to.
struct Staged {
    /// Of the register.
    change: Change,
    record: Record,
    head: Head,
}

/// Starts the writer where the ledger ends.
pub(crate) fn start(
    place: &Place,
    reserve: Arc<Reserve>,
    ledger: Arc<Ledger>,
    parts: Parts,
) -> Result<(Queue, JoinHandle<()>), StoreError> {
    let (queue, arrivals) = queue();
    // Of views that stand still for want of room, the rest is walked here.
    let head = ledger.walk(parts.views.now().head(), drop)?;
    ledger.set_last(head.last);
    parts.follower.follow(head, Batch::new());
    if is_unswept(&ledger)? {
        parts.chores.begin_sweep();
    }
    let index = Index::of(&parts.views, &ledger, head)?;
    let mut writer = Writer {
        ledger,
        parts,
        index,
        head,
        work: Work::default(),
        reseal_after: Duration::ZERO,
        sound: true,
        tried: None,
        said: Said::default(),
        reserve,
        retry: place.retry,
    };
    writer.is_ready();
    let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || writer.run(arrivals));
    Ok((queue, thread.map_err(StoreError::Thread)?))
}

impl Drop for Writer {
    /// However it ends, nothing more is written.
    fn drop(&mut self) {
        self.ledger.set_up(false);
        self.parts.chores.close();
    }
}

impl Writer {
    fn run(&mut self, mut arrivals: Arrivals) {
        loop {
            let is_up = self.ledger.is_up();
            if !is_up {
                self.parts.chores.refuse();
            }
            let busy = is_up && self.work.is_wanted(&self.parts.chores, &self.ledger);
            let patience = match (busy, is_up) {
                (true, _) => Some(self.reseal_after),
                (false, true) => Some(QUIET),
                (false, false) => Some(self.retry),
            };
            match arrivals.next(patience) {
                Ok(first) => {
                    let batch = arrivals.gather(first);
                    self.take(batch);
                    let now = self.parts.clock.monotonic();
                    if self.ledger.is_up()
                        && let Some(lasting) = self.ledger.is_due(now)
                    {
                        self.move_tail(lasting);
                    }
                    // Also between batches, so that a busy campus gets there too.
                    if busy && self.reseal_after.is_zero() && self.ledger.is_up() {
                        self.do_a_step();
                    }
                }
                Err(RecvTimeoutError::Timeout) if busy => self.do_a_step(),
                Err(RecvTimeoutError::Timeout) if is_up => self.rest(),
                Err(RecvTimeoutError::Timeout) => {
                    self.tried = None;
                    self.is_ready();
                }
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
        }
    }

    /// What there is to do when nobody asks for anything.
    fn rest(&mut self) {
        if self.is_ready() && self.ledger.tail.is_open() {
            self.move_tail(true);
        }
    }

    /// Moves the tail into the ledger's file. What it holds is on disk whatever comes of it.
    fn move_tail(&mut self, lasting: bool) {
        if self.is_ready()
            && let Err(error) = self.at_the_disk(|ledger| ledger.move_tail(lasting))
        {
            if self.said.may_say(self.parts.clock.monotonic()) {
                tracing::error!(%error, "the end of the ledger cannot be moved into its file: check the disk");
            }
            self.ledger.set_up(false);
            self.doubt();
        }
    }

    /// So that the file alone is the whole ledger. If that fails, the tail has what it lacks.
    fn finish(&mut self) {
        if self.sound
            && self.ledger.tail.is_open()
            && let Err(error) = caught(|| self.ledger.move_tail(true))
        {
            tracing::warn!(%error, "the end of the ledger stays in ledger.tail until the next start");
        }
    }

    /// Of what is done beside the batches.
    fn do_a_step(&mut self) {
        self.reseal_after = self.retry;
        if !self.is_ready() {
            return;
        }
        let done = caught(|| self.work.step(&self.parts.chores, &self.ledger));
        match done {
            Ok(()) => self.reseal_after = Duration::ZERO,
            Err(error) => {
                let goes_on = self.work.begin_anew(&self.parts.chores, &error);
                if goes_on && self.said.may_say(self.parts.clock.monotonic()) {
                    tracing::error!(
                        %error,
                        "rows cannot be sealed with the new key, or entries not forgotten, yet: check the disk"
                    );
                }
                self.doubt();
            }
        }
    }

    /// While it is, everybody can see for how long; so nothing else is done meanwhile.
    fn at_the_disk<T>(&self, work: impl FnOnce(&Ledger) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.ledger.set_busy(Some(self.parts.clock.monotonic()));
        let done = caught(|| work(&self.ledger));
        self.ledger.set_busy(None);
        done
    }

    /// What is in memory may not be what is on disk.
    fn doubt(&mut self) {
        self.sound = false;
        self.tried = None;
        self.is_ready();
    }

    /// Whether something can be written now; tries to come back if it could not, but not all the time.
    fn is_ready(&mut self) -> bool {
        if !self.sound || self.ledger.is_doubted() {
            let now = self.parts.clock.monotonic();
            if self.tried.is_none_or(|tried| now.saturating_sub(tried) >= self.retry) {
                (self.sound, self.tried) = (false, Some(now));
                self.recover();
            }
        }
        let ready = self.sound && self.reserve.has_room();
        self.ledger.set_up(ready);
        ready
    }

    fn take(&mut self, mut batch: Vec<Append>) {
        if !self.is_ready() {
            return fail(batch);
        }
        let began = self.parts.clock.monotonic();
        match caught(|| self.write(&mut batch)) {
            Ok(answers) => {
                let took = self.parts.clock.monotonic().saturating_sub(began);
                self.tell(batch, answers, took);
            }
            Err(error) => {
                if self.said.may_say(self.parts.clock.monotonic()) {
                    tracing::error!(%error, "the ledger cannot be written; nothing is acknowledged until it can: check the disk");
                }
                self.ledger.set_up(false);
                fail(batch);
                self.doubt();
            }
        }
    }

    /// Brings the batch to the disk at once; on failure everything is as it was, but for the index.
    fn write(&mut self, batch: &mut [Append]) -> Result<Vec<Answer>, StoreError> {
        let known = self.index.look(batch)?;
        let mut staged = Staged {
            change: Change::of(self.ledger.database()?),
            record: Record::after(self.head, self.ledger.keys.ledger()),
            head: self.head,
        };
        let mut answers = Vec::with_capacity(batch.len());
        for append in batch {
            answers.push(self.stage(&mut staged, &known, append)?);
        }
        let Staged { change, record, head } = staged;
        let is_written = answers.iter().any(|answer| matches!(answer, Answer::Committed(_)));
        if is_written && change.has_begun() {
            self.at_the_disk(|ledger| ledger.write_with(change, &record))?;
        } else if !record.is_empty() {
            self.at_the_disk(|ledger| ledger.write(record))?;
        }
        self.head = head;
        self.ledger.set_last(head.last);
        Ok(answers)
    }

    fn stage(
        &mut self,
        staged: &mut Staged,
        known: &Known,
        append: &mut Append,
    ) -> Result<Answer, StoreError> {
        if let Some(key) = append.dedup
            && let Some(seq) = self.index.first(known, key)
        {
            append.end_line();
            return Ok(Answer::Already(seq));
        }
        if let Some(expect) = &append.expect {
            let moved_on = self.index.version(expect.session) != expect.version;
            if moved_on || expect.line.is_broken() {
                append.end_line();
                return Ok(Answer::Stale);
            }
        }
        let Staged { change, record, head } = staged;
        if !register::are_unused(change, &append.credentials)? {
            append.end_line();
            return Ok(Answer::Stale);
        }
        let (at, keys) = (self.parts.clock.now(), &self.ledger.keys);
        let mut entries = Vec::with_capacity(append.events.len());
        for NewEvent { by, event, personal } in std::mem::take(&mut append.events) {
            let seq = Seq(head.last.0 + 1);
            let entry = Entry { seq, at, by, event };
            let chain = record.push(keys.chain(seq), &head.chain, &entry)?;
            register::write(change, keys, &entry, &personal)?;
            *head = Head { last: seq, chain };
            self.index.add(&entry);
            entries.push(entry);
        }
        register::write_credentials(change, keys, &append.credentials)?;
        register::forget_erased(change, &entries)?;
        Ok(Answer::Committed(entries.into()))
    }

    fn tell(&mut self, batch: Vec<Append>, answers: Vec<Answer>, took: Duration) {
        let written: Batch = answers.iter().filter_map(Answer::written).collect();
        if !written.is_empty() {
            let entries = written.iter().map(|entries| entries.len()).sum();
            let commit = Commit { entries, took, last: self.head.last };
            // The batch is on disk, and is answered whatever becomes of the news.
            if catch_unwind(AssertUnwindSafe(|| (self.parts.on_commit)(commit))).is_err() {
                tracing::error!("what is told of every commit panicked; please report this");
            }
        }
        for (append, answer) in batch.into_iter().zip(answers) {
            append.complete(answer.told(&self.ledger));
        }
        // Last, so that those who wait are not kept from the processor by the views; what they want to see
        // they wait for.
        if !written.is_empty() {
            self.parts.follower.follow(self.head, written);
        }
    }

    /// Opens the file anew and goes on from what is on disk.
    fn recover(&mut self) {
        match caught(|| self.reopen()) {
            Ok(()) => {
                self.sound = true;
                self.said = Said::default();
                tracing::info!(last = self.head.last.0, "the ledger can be written again");
            }
            Err(error) if self.said.may_say(self.parts.clock.monotonic()) => {
                tracing::warn!(%error, "the ledger cannot be opened yet; trying again");
            }
            Err(_) => {}
        }
    }

    /// A commit that was reported as failed may have reached the disk all the same: the disk decides.
    fn reopen(&mut self) -> Result<(), StoreError> {
        self.at_the_disk(|ledger| ledger.reopen(self.head))?;
        let head = self.ledger.walk(self.head, drop)?;
        // The views read for themselves what was not handed to them.
        self.parts.follower.follow(head, Batch::new());
        self.head = head;
        self.ledger.set_last(head.last);
        self.parts.follower.caught_up();
        // What was staged and not written must be forgotten, and what was written known.
        self.index = Index::of(&self.parts.views, &self.ledger, head)?;
        Ok(())
    }
}

fn fail(batch: Vec<Append>) {
    batch.iter().for_each(Append::end_line);
    batch.into_iter().for_each(|append| append.complete(Appended::Failed(Failure::Unavailable)));
}
