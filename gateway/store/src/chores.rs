//! What the writer does between batches because somebody asked for it: rows of a checkpoint, and taking
//! away what it stands for.
//!
//! Promises: one small transaction at a time; whoever asked is told what became of it, also when the disk
//! refuses or the writer ends.
//!
//! Refuses: knowing what is forgotten, and why. That is [`crate::retention`]'s.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::begin::begin_lasting;
use crate::checkpoint::{Copies, ROW, Sweep};
use crate::error::StoreError;
use crate::ledger::Ledger;

/// A row of a checkpoint: its key, and its bytes.
pub(crate) type Row = ((u64, u32), Arc<[u8]>);

#[derive(Default)]
struct Waiting {
    /// Rows, and who waits for them to be on disk.
    asked: VecDeque<(Copies, Row, SyncSender<()>)>,
    sweeping: bool,
    /// The disk refused since somebody began to wait.
    refused: bool,
    closed: bool,
}

/// Those who ask and the writer share it.
#[derive(Default)]
pub(crate) struct Chores {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Chores {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a row in one of its tables; what is returned hears of it once it is on disk, or of its end if it
    /// is not.
    pub(crate) fn ask(&self, copies: Copies, row: Row) -> Receiver<()> {
        let (done, heard) = sync_channel(1);
        let mut waiting = self.lock();
        if !waiting.closed {
            waiting.asked.push_back((copies, row, done));
        }
        heard
    }

    pub(crate) fn begin_sweep(&self) {
        self.lock().sweeping = true;
    }

    pub(crate) fn is_sweeping(&self) -> bool {
        self.lock().sweeping
    }

    /// Returns once nothing is left to take away, or with an error if it cannot be done now.
    pub(crate) fn until_swept(&self) -> Result<(), StoreError> {
        let mut waiting = self.lock();
        waiting.refused = false;
        let waits = |waiting: &mut Waiting| waiting.sweeping && !waiting.refused && !waiting.closed;
        let waiting = self.changed.wait_while(waiting, waits).unwrap_or_else(PoisonError::into_inner);
        if waiting.sweeping || waiting.closed { Err(StoreError::Down) } else { Ok(()) }
    }

    /// For the writer: whether there is anything to do.
    pub(crate) fn are_wanted(&self) -> bool {
        let waiting = self.lock();
        waiting.sweeping || !waiting.asked.is_empty()
    }

    /// One transaction. If it fails, whoever asked for it hears of it.
    pub(crate) fn step(&self, ledger: &Ledger, sweep: &mut Sweep) -> Result<(), StoreError> {
        let asked = self.lock().asked.pop_front();
        if let Some((copies, (key, bytes), done)) = asked {
            // What the row stands for must lie where it is forgotten, and not come back from the tail.
            if key.1 == ROW {
                ledger.move_tail(true)?;
            }
            let transaction = begin_lasting(&*ledger.database()?)?;
            transaction.open_table(copies)?.insert(key, &*bytes)?;
            transaction.commit()?;
            // Whoever does not wait any more need not hear of it.
            done.send(()).unwrap_or_default();
        } else if self.is_sweeping() && sweep.step(ledger)? {
            self.lock().sweeping = false;
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Nothing can be written now.
    pub(crate) fn refuse(&self) {
        let mut waiting = self.lock();
        waiting.asked.clear();
        waiting.refused = true;
        self.changed.notify_all();
    }

    /// Nothing will be written any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.refuse();
    }
}
