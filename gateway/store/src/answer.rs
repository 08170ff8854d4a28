//! What is to be told of an append once its batch is on disk.
//!
//! Promises: what was written before is read from the ledger, for whoever repeats it.
//!
//! Refuses: telling. The [`crate::writer`] does, when the time has come.

use std::sync::Arc;

use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;

use crate::append::{Appended, Failure};
use crate::ledger::Ledger;

pub(crate) enum Answer {
    Committed(Arc<[Entry]>),
    Already(Seq),
    Stale,
}

impl Answer {
    /// What was written for it, if anything was.
    pub(crate) fn written(&self) -> Option<Arc<[Entry]>> {
        match self {
            Answer::Committed(entries) if !entries.is_empty() => Some(Arc::clone(entries)),
            _ => None,
        }
    }

    pub(crate) fn told(self, ledger: &Ledger) -> Appended {
        match self {
            Answer::Committed(entries) => Appended::Committed(entries),
            Answer::Stale => Appended::Stale,
            Answer::Already(seq) => match ledger.entry(seq) {
                Ok(entry) => Appended::Already(Box::new(entry)),
                Err(error) => {
                    tracing::error!(%error, "the first result of a repeated scan cannot be read");
                    Appended::Failed(Failure::Unavailable)
                }
            },
        }
    }
}
