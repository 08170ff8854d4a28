//! The fold of the views: the whole campus, the meetings of these weeks, and of the sessions those that
//! events have touched lately.
//!
//! Promises: folds by the domain's one fold and by nothing else; a session that is not at hand is brought
//! from its rows first; what has to be written is all in [`Touched`] and in the state itself.
//!
//! Refuses: growing with the ledger.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::civil::Date;
use rollcall_domain::campus::Campus;
use rollcall_domain::event::{Entry, Event, RetentionEvent, UpstreamEvent};
use rollcall_domain::ids::{Seq, SessionId};
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
                    && !self.touched.gone.contains(id)
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
            Event::Retention(RetentionEvent::Records { before }) => {
                let at_hand = self.state.sessions.values().map(|session| &session.meeting);
                let old = at_hand.filter(|meeting| meeting.is_before(*before));
                let old: BTreeSet<SessionId> = old.map(|meeting| meeting.id).collect();
                self.used.retain(|id, _| !old.contains(id));
                self.touched.forget(old);
            }
            Event::UnmatchedSettled { scan } => self.touched.settled.push(*scan),
            event => self.touched.classes.touch(&self.state.campus, event),
        }
        self.state.apply(entry);
        // One after the other: a key that is forgotten between two events is written for both.
        while let Some((key, seq)) = self.state.scans.pop_first() {
            self.touched.scans.push(Found { key, seq, at: entry.at, forgotten: self.state.forgotten });
        }
        Ok(())
    }

    /// Forgets what only the rows have.
    pub(crate) fn forget(
        &mut self,
        sessions: impl Iterator<Item = SessionId>,
        unmatched: impl Iterator<Item = Seq>,
    ) {
        let is_at_hand =
            |id: &SessionId| self.state.sessions.contains_key(id) || self.touched.sessions.contains_key(id);
        let gone = sessions.filter(|id| !is_at_hand(id)).collect();
        self.touched.forget(gone);
        self.touched.settled.extend(unmatched);
    }

    /// Takes in what a destination answered, but for what it says of sessions that there are not, or not any
    /// more; `is_there` looks into the rows.
    pub(crate) fn hear(
        &mut self,
        answer: &UpstreamEvent,
        is_there: impl Fn(SessionId) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut answer = answer.clone();
        let (UpstreamEvent::Delivered { records, .. }
        | UpstreamEvent::DeadLettered { records, .. }
        | UpstreamEvent::RetryAsked { records, .. }) = &mut answer;
        let mut kept = Vec::with_capacity(records.len());
        for record in records.drain(..) {
            let id = record.record.session;
            let at_hand = self.state.sessions.contains_key(&id);
            if at_hand || !self.touched.gone.contains(&id) && is_there(id)? {
                kept.push(record);
            }
        }
        *records = kept;
        self.touched.answers.push(answer);
        Ok(())
    }

    /// Brings the meetings in memory up to what was folded in; days from `first` on are near.
    pub(crate) fn follow_meetings(&mut self, first: Date) {
        if self.near.first() < first {
            Arc::make_mut(&mut self.near).forget_before(first);
        }
        if !self.touched.gone.is_empty() {
            Arc::make_mut(&mut self.near).forget(&self.touched.gone);
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
