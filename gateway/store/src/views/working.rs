//! The fold of the views: the whole campus, the meetings of these weeks, and of the sessions those that
//! events have touched lately.
//!
//! Promises: folds by the domain's one fold and by nothing else; a session that is not at hand is brought
//! from its rows first; what has to be written is all in [`Touched`] and in the state itself.
//!
//! Refuses: growing with the ledger.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use rollcall_domain::campus::Campus;
use rollcall_domain::event::{Entry, Event};
use rollcall_domain::ids::SessionId;
use rollcall_domain::office::Office;
use rollcall_domain::session::Session;
use rollcall_domain::state::State;

use super::near::Near;
use super::scans::Found;
use super::touched::{Before, Touched, TouchedSession};
use crate::error::StoreError;

/// Sessions that stay at hand between two commits; a few hundred are live on a busy day.
const AT_HAND: usize = 1_024;

pub(crate) struct Working {
    pub(crate) state: State,
    pub(crate) near: Arc<Near>,
    pub(crate) touched: Touched,
    /// Campus and office as their rows have them.
    pub(crate) kept: (Arc<Campus>, Arc<Office>),
    /// When each session at hand was last touched, counted in sessions touched.
    used: HashMap<SessionId, u64>,
    uses: u64,
}

impl Working {
    pub(crate) fn new(state: State, near: Near) -> Self {
        let kept = (Arc::clone(&state.campus), Arc::clone(&state.office));
        let (near, touched) = (Arc::new(near), Touched::default());
        Working { state, near, touched, kept, used: HashMap::new(), uses: 0 }
    }

    /// Folds an entry in; `bring` reads a session's rows.
    pub(crate) fn apply(
        &mut self,
        entry: &Entry,
        bring: impl FnOnce(SessionId) -> Result<Option<Session>, StoreError>,
    ) -> Result<(), StoreError> {
        match &entry.event {
            Event::Session(id, event) => {
                if !self.state.sessions.contains_key(id)
                    && let Some(session) = bring(*id)?
                {
                    self.state.hold(session);
                }
                self.uses += 1;
                self.used.insert(*id, self.uses);
                let session = self.state.sessions.get(id);
                let touched = self.touched.sessions.entry(*id).or_insert_with(|| first_touch(session));
                touched.touch(session, event);
            }
            Event::UnmatchedSettled { scan } => self.touched.settled.push(*scan),
            Event::Upstream(answer) => self.touched.answers.push(answer.clone()),
            event => self.touched.classes.touch(&self.state.campus, event),
        }
        self.state.apply(entry);
        // One after the other: a key that is forgotten between two events is written for both.
        while let Some((key, seq)) = self.state.scans.pop_first() {
            self.touched.scans.push(Found { key, seq, at: entry.at });
        }
        Ok(())
    }

    /// Brings the meetings in memory up to what was folded in; days from `first` on are near.
    pub(crate) fn follow_meetings(&mut self, first: Date) {
        if self.near.first() < first {
            Arc::make_mut(&mut self.near).forget_before(first);
        }
        for id in self.touched.sessions.keys() {
            let Some(session) = self.state.sessions.get(id) else { continue };
            if !self.near.is_current(&session.meeting) {
                Arc::make_mut(&mut self.near).put(&session.meeting);
            }
        }
    }

    /// Everything that was touched is written; the sessions used longest ago are let go.
    pub(crate) fn written(&mut self) {
        self.touched = Touched::default();
        self.state.unmatched.clear();
        let surplus = self.state.sessions.len().saturating_sub(AT_HAND);
        if surplus > AT_HAND / 4 {
            let mut by_use: Vec<(u64, SessionId)> = self.used.iter().map(|(id, used)| (*used, *id)).collect();
            by_use.sort_unstable();
            for (_, id) in by_use.into_iter().take(surplus) {
                self.state.release(id);
                self.used.remove(&id);
            }
        }
    }
}

fn first_touch(session: Option<&Session>) -> TouchedSession {
    let before = session.map(|session| Before::of(&session.meeting));
    TouchedSession { before, ..TouchedSession::default() }
}
