//! The way of appends to the writer.
//!
//! Promises: what does not fit comes back to whoever brought it; what is taken out together fits into one
//! transaction; a lone append waits for no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use crate::append::Append;

/// Appends that may wait; beyond that whoever brings more keeps them.
const QUEUE: usize = 16_384;
/// The most appends in one transaction.
const BATCH: usize = 4_096;
/// The most events in one transaction, but for an append that has more by itself.
const BATCH_EVENTS: usize = 65_536;
/// How often the processor is left to those who may bring more.
const MOMENT: usize = 16;

/// The same, before falling asleep: some 50 microseconds.
const WAKEFUL: usize = 64;

/// The queue is full (or closed); here is the append again.
pub struct Full(pub Box<Append>);

/// The way in.
pub(crate) struct Queue {
    sender: SyncSender<Append>,
    length: Arc<AtomicUsize>,
}

/// The way out.
pub(crate) struct Arrivals {
    receiver: Receiver<Append>,
    length: Arc<AtomicUsize>,
    /// How many came out together last time.
    last: usize,
}

pub(crate) fn queue() -> (Queue, Arrivals) {
    let (sender, receiver) = sync_channel(QUEUE);
    let length = Arc::new(AtomicUsize::new(0));
    (Queue { sender, length: Arc::clone(&length) }, Arrivals { receiver, length, last: 0 })
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

impl Arrivals {
    /// Waits for one, or for so long. Whoever was answered a moment ago may bring the next one: for that
    /// moment the processor is only lent, since falling asleep and being woken takes as long as the rest.
    pub(crate) fn next(&self, patience: Option<Duration>) -> Result<Append, RecvTimeoutError> {
        for _ in 0..WAKEFUL {
            if let Ok(append) = self.receiver.try_recv() {
                return Ok(append);
            }
            std::thread::yield_now();
        }
        match patience {
            Some(patience) => self.receiver.recv_timeout(patience),
            None => self.receiver.recv().map_err(|_closed| RecvTimeoutError::Disconnected),
        }
    }

    /// What has gathered behind the first. Those who were answered a moment ago may be about to bring more: a
    /// batch that is much smaller than the one before gives them that moment.
    pub(crate) fn gather(&mut self, first: Append) -> Vec<Append> {
        let mut events = first.events.len();
        let mut batch = Vec::with_capacity(self.last + 1);
        batch.push(first);
        for _ in 0..MOMENT {
            while batch.len() < BATCH
                && events < BATCH_EVENTS
                && let Ok(append) = self.receiver.try_recv()
            {
                events += append.events.len();
                batch.push(append);
            }
            if batch.len() * 2 >= self.last || events >= BATCH_EVENTS {
                break;
            }
            std::thread::yield_now();
        }
        self.last = batch.len();
        self.length.fetch_sub(batch.len(), Ordering::Relaxed);
        batch
    }
}
