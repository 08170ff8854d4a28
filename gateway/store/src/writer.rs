//! The one thread that writes: group commit.
//!
//! Promises: what has gathered while the disk was busy goes into the next transaction together; a
//! completion is called after the commit, or when it is certain that there will be none; a dedup key is
//! written once; an append that was decided by an older state is refused as stale. When a commit fails,
//! nobody is told otherwise, the file is opened anew, and the writer goes on as soon as the disk does.
//!
//! Refuses: looking into what it writes, but for dedup keys and session versions.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use redb::{Durability, WriteTransaction};
use rollcall_domain::event::{Entry, Event, SessionEvent};
use rollcall_domain::ids::{Seq, SessionId};
use rollcall_domain::ports::Clock;
use rollcall_domain::scan::DedupKey;

use crate::append::{Append, Appended, Failure};
use crate::codec;
use crate::error::StoreError;
use crate::follow::Follower;
use crate::ledger::{Head, Ledger};
use crate::register;
use crate::tables::EVENTS;
use crate::views::Views;

/// Appends that may wait; beyond that whoever brings more keeps them.
const QUEUE: usize = 16_384;
/// The most appends in one transaction.
const BATCH: usize = 4_096;
/// How long to wait before trying a disk again that refused.
const RETRY: Duration = Duration::from_millis(500);

/// The queue is full (or closed); here is the append again.
pub struct Full(pub Box<Append>);

/// A commit that succeeded.
#[derive(Debug, Clone, Copy)]
pub struct Commit {
    pub entries: usize,
    pub took: Duration,
    pub last: Seq,
}

/// Told of every commit.
pub type OnCommit = Box<dyn Fn(Commit) + Send>;

/// The way into the writer.
pub(crate) struct Queue {
    sender: SyncSender<Append>,
    length: Arc<AtomicUsize>,
}

impl Queue {
    pub(crate) fn push(&self, append: Append) -> Result<(), Full> {
        self.length.fetch_add(1, Ordering::Relaxed);
        self.sender.try_send(append).map_err(|refused| {
            self.length.fetch_sub(1, Ordering::Relaxed);
            let (TrySendError::Full(append) | TrySendError::Disconnected(append)) = refused;
            Full(Box::new(append))
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }
}

/// What the writer must know of everything that was ever written.
#[derive(Default)]
struct Index {
    scans: HashMap<DedupKey, Seq>,
    versions: HashMap<SessionId, u64>,
}

impl Index {
    fn of(views: &Views) -> Self {
        views.read(|state| Index {
            scans: state.scans.iter().map(|(key, seq)| (*key, *seq)).collect(),
            versions: state.sessions.iter().map(|(id, session)| (*id, session.version)).collect(),
        })
    }
}

struct Writer {
    ledger: Arc<Ledger>,
    views: Views,
    clock: Arc<dyn Clock>,
    on_commit: OnCommit,
    follower: Follower,
    length: Arc<AtomicUsize>,
    index: Index,
    head: Head,
}

/// What is to be told once the transaction is on disk.
enum Answer {
    Committed(Vec<Entry>),
    Already(Seq),
    Stale,
}

pub(crate) fn start(
    ledger: Arc<Ledger>,
    views: Views,
    clock: Arc<dyn Clock>,
    on_commit: OnCommit,
    follower: Follower,
) -> Result<(Queue, JoinHandle<()>), StoreError> {
    let (sender, receiver) = sync_channel(QUEUE);
    let length = Arc::new(AtomicUsize::new(0));
    let (index, head) = (Index::of(&views), ledger.head()?);
    let queue = Queue { sender, length: Arc::clone(&length) };
    let mut writer = Writer { ledger, views, clock, on_commit, follower, length, index, head };
    let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || writer.run(&receiver));
    Ok((queue, thread.map_err(StoreError::Thread)?))
}

impl Writer {
    fn run(&mut self, receiver: &Receiver<Append>) {
        loop {
            let first = if self.ledger.is_up() {
                receiver.recv().map_err(|_closed| RecvTimeoutError::Disconnected)
            } else {
                receiver.recv_timeout(RETRY)
            };
            match first {
                Ok(first) => self.take(first, receiver),
                Err(RecvTimeoutError::Timeout) => self.recover(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, first: Append, receiver: &Receiver<Append>) {
        let batch: Vec<Append> = [first].into_iter().chain(receiver.try_iter().take(BATCH - 1)).collect();
        self.length.fetch_sub(batch.len(), Ordering::Relaxed);
        if !self.ledger.is_up() {
            self.recover();
        }
        let began = self.clock.monotonic();
        match self.write(&batch) {
            Ok(answers) => {
                let took = self.clock.monotonic().saturating_sub(began);
                self.tell(batch, answers, took);
            }
            Err(error) => {
                tracing::error!(%error, "the ledger cannot be written; nothing is acknowledged until it can: check the disk");
                self.ledger.set_up(false);
                batch.into_iter().for_each(|append| (append.then)(Appended::Failed(Failure::Unavailable)));
                self.recover();
            }
        }
    }

    /// Writes the batch in one transaction; on failure everything is as it was, but for the index.
    fn write(&mut self, batch: &[Append]) -> Result<Vec<Answer>, StoreError> {
        if !self.ledger.is_up() {
            return Err(StoreError::Down);
        }
        let mut transaction = self.ledger.database()?.begin_write()?;
        transaction.set_durability(Durability::Immediate).map_err(redb::Error::from)?;
        let mut head = self.head;
        let mut answers = Vec::with_capacity(batch.len());
        for append in batch {
            answers.push(self.stage(&transaction, &mut head, append)?);
        }
        if head.last == self.head.last {
            transaction.abort()?;
        } else {
            transaction.commit()?;
        }
        self.head = head;
        Ok(answers)
    }

    fn stage(
        &mut self,
        transaction: &WriteTransaction,
        head: &mut Head,
        append: &Append,
    ) -> Result<Answer, StoreError> {
        if let Some(seq) = append.dedup.and_then(|key| self.index.scans.get(&key)) {
            return Ok(Answer::Already(*seq));
        }
        if let Some(expect) = append.expect {
            let version = self.index.versions.get(&expect.session).copied().unwrap_or_default();
            if version != expect.version {
                return Ok(Answer::Stale);
            }
        }
        let at = self.clock.now();
        let mut entries = Vec::with_capacity(append.events.len());
        let mut table = transaction.open_table(EVENTS)?;
        for new in &append.events {
            let seq = Seq(head.last.0 + 1);
            let entry = Entry { seq, at, by: new.by.clone(), event: new.event.clone() };
            let (bytes, chain) = codec::encode(&self.ledger.key.0, &head.chain, &entry)?;
            table.insert(seq.0, bytes.as_slice())?;
            register::write(transaction, seq, &new.personal)?;
            *head = Head { last: seq, chain };
            if let Event::Session(id, _) = &entry.event {
                *self.index.versions.entry(*id).or_default() += 1;
            }
            entries.push(entry);
        }
        register::write_credentials(transaction, &append.credentials)?;
        if let (Some(key), Some(first)) = (append.dedup, entries.first()) {
            self.index.scans.insert(key, dedup_seq(&entries).unwrap_or(first.seq));
        }
        Ok(Answer::Committed(entries))
    }

    fn tell(&mut self, batch: Vec<Append>, answers: Vec<Answer>, took: Duration) {
        let committed = answers.iter().filter_map(|answer| match answer {
            Answer::Committed(entries) => Some(entries),
            _ => None,
        });
        let entries: Vec<Entry> = committed.flatten().cloned().collect();
        if !entries.is_empty() {
            (self.on_commit)(Commit { entries: entries.len(), took, last: self.head.last });
            self.follower.follow(entries);
        }
        for (append, answer) in batch.into_iter().zip(answers) {
            (append.then)(match answer {
                Answer::Committed(entries) => Appended::Committed(entries),
                Answer::Stale => Appended::Stale,
                Answer::Already(seq) => match self.ledger.entry(seq) {
                    Ok(entry) => Appended::Already(Box::new(entry)),
                    Err(error) => {
                        tracing::error!(%error, "the first result of a repeated scan cannot be read");
                        Appended::Failed(Failure::Unavailable)
                    }
                },
            });
        }
    }

    /// Opens the file anew and goes on from what is on disk.
    fn recover(&mut self) {
        let recovered = self.ledger.reopen().and_then(|()| self.ledger.head());
        match recovered {
            Ok(head) => {
                self.catch_up(head);
                self.ledger.set_up(true);
                tracing::info!(last = head.last.0, "the ledger can be written again");
            }
            Err(error) => tracing::warn!(%error, "the ledger cannot be opened yet; trying again"),
        }
    }

    /// A commit that was reported as failed may have reached the disk all the same: the disk decides.
    fn catch_up(&mut self, head: Head) {
        let from = Seq(self.head.last.0 + 1);
        let missed = usize::try_from(head.last.0.saturating_sub(self.head.last.0)).unwrap_or(usize::MAX);
        if missed > 0 {
            match self.ledger.entries(from, missed) {
                Ok(entries) => self.follower.follow(entries),
                Err(error) => tracing::error!(%error, "cannot read what was written before the failure"),
            }
        }
        self.head = head;
        // What was staged and not written must be forgotten, and what was written known.
        let mut seen = self.views.watch();
        while *seen.borrow_and_update() < head.last {
            std::thread::yield_now();
        }
        self.index = Index::of(&self.views);
    }
}

/// The entry of an append that carries its scan; the opening of a session may come before it.
fn dedup_seq(entries: &[Entry]) -> Option<Seq> {
    let carries = |entry: &&Entry| match &entry.event {
        Event::Unmatched(_) => true,
        Event::Session(_, event) => matches!(event, SessionEvent::Scanned(_) | SessionEvent::Marked(_)),
        _ => false,
    };
    entries.iter().find(carries).map(|entry| entry.seq)
}
