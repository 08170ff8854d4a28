//! A scan in the house.
//!
//! Promises: whoever submitted it is answered exactly once, whatever becomes of the actor that holds it: a
//! ticket that is dropped unanswered goes back to the supervisor, and after a few tries is refused.

use std::sync::Arc;

use rollcall_domain::ports::{Completion, NotTaken, ScanResult, Submission};
use rollcall_domain::scan::Scan;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

/// An actor that dies, or a state that was not current, this many times in a row is more than bad luck.
const TRIES: u8 = 5;

/// Told of every scan that is answered.
pub type OnAnswer = Box<dyn Fn(&ScanResult) + Send + Sync>;

/// What all tickets share.
pub(crate) struct Desk {
    /// The supervisor's second way in; it takes at most as many tickets as there are permits.
    pub(crate) back: UnboundedSender<Ticket>,
    pub(crate) on_answer: OnAnswer,
}

/// Who waits for the answer, and the place in the house that the scan takes up.
struct Waiting {
    completion: Completion,
    /// Given back when the answer is given.
    _permit: OwnedSemaphorePermit,
}

/// Held by whoever works on the scan.
pub(crate) struct Ticket {
    scan: Arc<Scan>,
    claim: Arc<str>,
    tries: u8,
    waiting: Option<Waiting>,
    desk: Arc<Desk>,
}

impl Ticket {
    pub(crate) fn new(
        scan: Scan,
        submission: Submission,
        permit: OwnedSemaphorePermit,
        desk: Arc<Desk>,
    ) -> Self {
        let Submission { scan: raw, completion } = submission;
        let waiting = Some(Waiting { completion, _permit: permit });
        Ticket { scan: Arc::new(scan), claim: raw.claim.into(), tries: 0, waiting, desk }
    }

    pub(crate) fn scan(&self) -> &Arc<Scan> {
        &self.scan
    }

    /// The text by which the device named the student.
    pub(crate) fn claim(&self) -> &str {
        &self.claim
    }

    pub(crate) fn done(mut self, result: ScanResult) {
        if let Some(Waiting { completion, .. }) = self.waiting.take() {
            (self.desk.on_answer)(&result);
            completion(Ok(result));
        }
    }

    /// It will not be taken; whoever brought it keeps it.
    pub(crate) fn refuse(mut self, why: NotTaken) {
        if let Some(Waiting { completion, .. }) = self.waiting.take() {
            completion(Err(why));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(waiting) = self.waiting.take() else { return };
        if self.tries >= TRIES {
            tracing::error!(device = %self.scan.device, "a scan could not be decided; its terminal will send it again");
            (waiting.completion)(Err(NotTaken::StorageUnavailable));
            return;
        }
        let again = Ticket {
            scan: Arc::clone(&self.scan),
            claim: Arc::clone(&self.claim),
            tries: self.tries + 1,
            waiting: Some(waiting),
            desk: Arc::clone(&self.desk),
        };
        if let Err(refused) = self.desk.back.send(again) {
            refused.0.refuse(NotTaken::Stopping);
        }
    }
}
