//! What the writer does between batches: rows of a checkpoint that somebody asked for, taking away what it
//! stands for, and sealing rows anew.
//!
//! Promises: one small transaction at a time; whoever asked is told what became of it, also when the disk
//! refuses or the writer ends; what meets something that no other try would mend is left off, and not tried for
//! ever: taking away until somebody asks again, sealing until the next start.
//!
//! Refuses: knowing what is forgotten, and why. That is [`crate::retention`]'s.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::begin::begin_lasting;
use crate::checkpoint::{Copies, ROW, Sweep};
use crate::error::StoreError;
use crate::ledger::Ledger;
use crate::register::Reseal;

/// A row of a checkpoint: its key, and its bytes.
pub(crate) type Row = ((u64, u32), Arc<[u8]>);

#[derive(Default)]
struct Waiting {
    /// Rows, and who waits for them to be on disk.
    asked: VecDeque<(Copies, Row, SyncSender<()>)>,
    sweeping: bool,
    /// It was left off.
    left_off: bool,
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
        let mut waiting = self.lock();
        (waiting.sweeping, waiting.left_off) = (true, false);
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
        if waiting.sweeping || waiting.left_off || waiting.closed { Err(StoreError::Down) } else { Ok(()) }
    }

    /// Whether there is anything to do.
    fn are_wanted(&self) -> bool {
        let waiting = self.lock();
        waiting.sweeping || !waiting.asked.is_empty()
    }

    /// One transaction. If it fails, whoever asked for it hears of it.
    fn step(&self, ledger: &Ledger, sweep: &mut Sweep) -> Result<(), StoreError> {
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

    fn leave_off(&self) {
        let mut waiting = self.lock();
        (waiting.sweeping, waiting.left_off) = (false, true);
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

/// The writer's own: how far it has got.
#[derive(Default)]
pub(crate) struct Work {
    sweep: Sweep,
    reseal: Reseal,
    /// What the last step was at.
    is_at_chores: bool,
    seals_no_more: bool,
}

impl Work {
    /// Whether there is anything to do.
    pub(crate) fn is_wanted(&self, chores: &Chores, ledger: &Ledger) -> bool {
        chores.are_wanted() || ledger.keys.is_resealing() && !self.seals_no_more
    }

    /// One transaction, of whatever comes first.
    pub(crate) fn step(&mut self, chores: &Chores, ledger: &Ledger) -> Result<(), StoreError> {
        self.is_at_chores = chores.are_wanted();
        if self.is_at_chores { chores.step(ledger, &mut self.sweep) } else { self.reseal.step(ledger) }
    }

    /// A step came to nothing. The next one begins anew, if it may do better; tells whether it may.
    pub(crate) fn begin_anew(&mut self, chores: &Chores, error: &StoreError) -> bool {
        (self.sweep, self.reseal) = Default::default();
        if !error.is_passing() && self.is_at_chores {
            chores.leave_off();
            tracing::error!(%error, "entries cannot be forgotten, and it is not tried again until the next time: run rollcall verify for details");
        } else if !error.is_passing() {
            self.seals_no_more = true;
            tracing::error!(%error, "rows cannot be sealed with the new key, and it is not tried again until the next start: keep the older key, and run rollcall verify for details");
        }
        chores.refuse();
        error.is_passing()
    }
}

#[cfg(test)]
mod tests {
    use redb::TableDefinition;

    use super::*;
    use crate::disk::Place;
    use crate::keys::{Keyring, RootKey};

    #[test]
    fn sealing_anew_is_left_off_at_something_that_stays_and_tried_again_after_a_passing_error() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::from(folder.path());
        let old = RootKey::new([3; 32]);
        let ledger = Ledger::open(&place, &old.clone().into()).unwrap();
        // The engine refuses a table that is of another type.
        let write = ledger.database().unwrap().begin_write().unwrap();
        write.open_table(TableDefinition::<u64, u64>::new("people")).unwrap();
        write.commit().unwrap();
        drop(ledger);
        let ledger = Ledger::open(&place, &Keyring::new(RootKey::new([4; 32])).replacing(old)).unwrap();
        let (mut work, chores) = (Work::default(), Chores::default());
        assert!(work.is_wanted(&chores, &ledger));
        let error = work.step(&chores, &ledger).unwrap_err();
        assert!(work.begin_anew(&chores, &redb::Error::PreviousIo.into()));
        assert!(work.is_wanted(&chores, &ledger));
        assert!(!work.begin_anew(&chores, &error), "{error}");
        assert!(!work.is_wanted(&chores, &ledger));
        // Something else may still be done.
        chores.begin_sweep();
        assert!(work.is_wanted(&chores, &ledger));
    }
}
