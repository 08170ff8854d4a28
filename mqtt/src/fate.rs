//! What becomes of one message to a device, which may have several connections.
//!
//! Promises: whoever asked is told once: at the first acknowledgement, or, when no connection has the message
//! any more, the best that was heard of it.
//!
//! Refuses: waiting. Who asked decides how long an answer is worth waiting for.

use std::sync::{Arc, Mutex, PoisonError};

use rollcall_domain::ports::{Delivered, Told};

/// Goes with each copy of the message.
#[derive(Clone)]
pub(crate) struct Fate(Arc<Asked>);

struct Asked(Mutex<(Delivered, Option<Told>)>);

impl Fate {
    pub(crate) fn of(told: Told) -> Self {
        Fate(Arc::new(Asked(Mutex::new((Delivered::NotConnected, Some(told))))))
    }

    pub(crate) fn is(&self, delivered: Delivered) {
        let mut asked = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.0 = asked.0.max(delivered);
        let told = if delivered == Delivered::Acknowledged { asked.1.take() } else { None };
        drop(asked);
        if let Some(told) = told {
            told(delivered);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let (best, told) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = told.take() {
            told(*best);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn the_first_acknowledgement_is_told_and_without_one_the_best_that_was_heard() {
        for (heard, told) in [
            (vec![], Delivered::NotConnected),
            (vec![Delivered::Sent, Delivered::Lost], Delivered::Sent),
            (vec![Delivered::Acknowledged, Delivered::Lost], Delivered::Acknowledged),
        ] {
            let (sender, receiver) = channel();
            let fate = Fate::of(Box::new(move |delivered| sender.send(delivered).unwrap()));
            for heard in &heard {
                fate.clone().is(*heard);
            }
            drop(fate);
            assert_eq!(receiver.iter().collect::<Vec<_>>(), [told], "{heard:?}");
        }
    }
}
