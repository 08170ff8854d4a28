//! The way back from the intake to a connection.
//!
//! Promises: each completion answers exactly once, also if the intake loses it: then the scan counts as
//! not taken, so that its connection closes and the terminal sends it again.

use rollcall_domain::ports::{Completion, NotTaken, ScanResult};
use tokio::sync::mpsc;

use crate::owed::Slot;

/// A scan, and what became of it.
pub(crate) type Completed = (Slot, Result<ScanResult, NotTaken>);

pub(crate) struct Answers(mpsc::Sender<Completed>);

/// `most` is how many answers can be on their way at once.
pub(crate) fn answers(most: usize) -> (Answers, mpsc::Receiver<Completed>) {
    let (sender, receiver) = mpsc::channel(most);
    (Answers(sender), receiver)
}

impl Answers {
    pub(crate) fn completion(&self, slot: Slot) -> Completion {
        let mut open = Open { slot, to: Some(self.0.clone()) };
        Box::new(move |answer| open.tell(answer))
    }
}

struct Open {
    slot: Slot,
    to: Option<mpsc::Sender<Completed>>,
}

impl Open {
    /// The channel has room for every open scan, so only a connection that ended refuses an answer; its
    /// client was not acknowledged and will send the scan again.
    fn tell(&mut self, answer: Result<ScanResult, NotTaken>) {
        let Some(to) = self.to.take() else { return };
        if to.try_send((self.slot, answer)).is_err() {
            tracing::trace!(slot = ?self.slot, "the client left before its scan was stored");
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.tell(Err(NotTaken::StorageUnavailable));
    }
}
