//! What screens and reports read.
//!
//! Promises: a pure function of the ledger, by the domain's one fold; whoever changed something can wait
//! until it is visible; readers get values of their own and hold no lock while they use them.
//!
//! Refuses: being written to by anything but the ledger's entries.

use std::sync::{Arc, PoisonError, RwLock};

use rollcall_domain::event::Entry;
use rollcall_domain::ids::{Seq, SessionId};
use rollcall_domain::session::Session;
use rollcall_domain::state::State;
use tokio::sync::watch;

use crate::error::StoreError;
use crate::ledger::{Head, Ledger};

/// A handle; clones share one state.
#[derive(Clone)]
pub struct Views {
    state: Arc<RwLock<State>>,
    seen: watch::Sender<Seq>,
}

impl Views {
    /// Folds the whole ledger; also tells where its chain ends.
    pub(crate) fn of(ledger: &Ledger) -> Result<(Self, Head), StoreError> {
        let mut state = State::default();
        let head = ledger.walk(Head::START, |entry| state.apply(&entry))?;
        let (seen, _) = watch::channel(state.last);
        Ok((Views { state: Arc::new(RwLock::new(state)), seen }, head))
    }

    pub(crate) fn apply(&self, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        entries.iter().for_each(|entry| state.apply(entry));
        drop(state);
        self.seen.send_replace(last.seq);
    }

    /// Looks at the state; keep it short, since the views wait meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How far the views have got.
    pub fn seen(&self) -> Seq {
        *self.seen.borrow()
    }

    /// Tells of every further step.
    pub fn watch(&self) -> watch::Receiver<Seq> {
        self.seen.subscribe()
    }

    /// Returns once the views have seen `seq`.
    pub async fn wait_for(&self, seq: Seq) {
        let mut seen = self.seen.subscribe();
        // The sender lives in `self`, so this ends only by having seen it.
        seen.wait_for(|seen| *seen >= seq).await.ok();
    }

    pub fn session(&self, id: SessionId) -> Option<Session> {
        self.read(|state| state.sessions.get(&id).cloned())
    }
}
