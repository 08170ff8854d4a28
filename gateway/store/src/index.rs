//! What the writer must know of everything that was ever written.
//!
//! Promises: says the same of an entry whether it was just staged, is folded into the views, or can only be
//! read from the ledger because the views cannot; only of keys that need not be known any more, and of sessions
//! that were forgotten, one may know longer than the other. What is appended to such a session changes nothing.
//!
//! Refuses: growing with the ledger. What the views have seen is forgotten; while they are stuck, it grows by
//! about a hundred bytes a scan.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use rollcall_domain::event::{Entry, Event, RetentionEvent, SessionEvent};
use rollcall_domain::ids::{Seq, SessionId};
use rollcall_domain::moment::Moment;
use rollcall_domain::scan::DedupKey;
use rollcall_domain::state::State;
use rustc_hash::FxHashMap;

use crate::append::Append;
use crate::checkpoint;
use crate::error::StoreError;
use crate::ledger::{Head, Ledger};
use crate::views::{Snapshot, Views, is_forgotten};

/// Versions of sessions that are remembered; of others they are read from the views.
const VERSIONS: usize = 16_384;
/// Entries that are read from the ledger at a time.
const AT_ONCE: usize = 16_384;

pub(crate) struct Index {
    views: Views,
    ledger: Arc<Ledger>,
    /// Of entries that the views have not seen yet.
    ///
    /// Nobody chooses these keys: they are hashes with a key of ours, or numbers that we gave out. So a hash
    /// that can be foreseen will do.
    scans: FxHashMap<DedupKey, Seq>,
    /// The same, in order, so that what the views have seen can be forgotten.
    order: VecDeque<(Seq, DedupKey)>,
    versions: FxHashMap<SessionId, u64>,
    last: Seq,
    /// Entries up to here are forgotten, and so are the keys that only they have.
    forgotten: Seq,
    /// Sessions were forgotten, and versions may still be known of them.
    sessions_gone: bool,
}

/// What has to be asked before some appends are staged.
#[derive(Default)]
struct Wanted {
    keys: BTreeSet<DedupKey>,
    sessions: BTreeSet<SessionId>,
}

/// Of the keys that a batch asks for, those that the views have. Everything else is in the index.
pub(crate) struct Known(FxHashMap<DedupKey, Seq>);

impl Wanted {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.sessions.is_empty()
    }
}

impl Index {
    /// Of a ledger that ends at `head`, wherever the views are.
    pub(crate) fn of(views: &Views, ledger: &Arc<Ledger>, head: Head) -> Result<Self, StoreError> {
        let seen = views.now();
        let (views, ledger) = (views.clone(), Arc::clone(ledger));
        let (scans, order, versions) = Default::default();
        let (last, forgotten) = (seen.last(), seen.forgotten());
        let mut index =
            Index { views, ledger, scans, order, versions, last, forgotten, sessions_gone: false };
        // Views for which there was no room can be before what the ledger begins with: of sessions that are in
        // that, they know nothing yet.
        let mut at = seen.head();
        if at.last < index.ledger.start()?.last {
            let versions = &mut index.versions;
            checkpoint::sessions(&index.ledger, |session| {
                versions.insert(session.meeting.id, session.version);
            })?;
        }
        while at.last < head.last {
            let mut entries = Vec::new();
            at = index.ledger.walk_some(at, AT_ONCE, |entry| entries.push(entry))?;
            let mut wanted = Wanted::default();
            entries.iter().for_each(|entry| index.want_session(&mut wanted, session_of(&entry.event)));
            index.ask(&seen, &wanted)?;
            entries.iter().for_each(|entry| index.add(entry));
        }
        Ok(index)
    }

    /// To be called before each batch.
    pub(crate) fn look(&mut self, batch: &[Append]) -> Result<Known, StoreError> {
        let seen = self.views.now();
        while let Some((seq, key)) = self.order.pop_front() {
            if seq > seen.last() {
                self.order.push_front((seq, key));
                break;
            }
            if self.scans.get(&key) == Some(&seq) {
                self.scans.remove(&key);
            }
        }
        // A version may only be forgotten when the views have it.
        let outdated = self.sessions_gone || self.versions.len() > VERSIONS;
        if outdated && self.order.is_empty() && self.last <= seen.last() {
            self.versions.clear();
            self.sessions_gone = false;
        }
        let mut wanted = Wanted::default();
        for append in batch {
            let key = append.dedup.filter(|key| !self.scans.contains_key(key) && seen.perhaps(*key));
            wanted.keys.extend(key);
            self.want_session(&mut wanted, append.expect.as_ref().map(|expect| expect.session));
            append.events.iter().for_each(|new| self.want_session(&mut wanted, session_of(&new.event)));
        }
        self.ask(&seen, &wanted)
    }

    fn want_session(&self, wanted: &mut Wanted, session: Option<SessionId>) {
        wanted.sessions.extend(session.filter(|session| !self.versions.contains_key(session)));
    }

    /// Asks the views, or, if they cannot tell, the ledger: that takes a second for a million entries, but
    /// nobody is turned away for what can be made anew.
    fn ask(&mut self, seen: &Snapshot, wanted: &Wanted) -> Result<Known, StoreError> {
        let (known, versions) = match ask_views(seen, wanted) {
            Ok(found) => found,
            // Whoever mends the views knows of it.
            Err(_) => self.ask_ledger(wanted)?,
        };
        self.versions.extend(versions);
        Ok(Known(known))
    }

    fn ask_ledger(&self, wanted: &Wanted) -> Result<Found, StoreError> {
        if wanted.is_empty() {
            return Ok(Found::default());
        }
        let (mut walked, mut state) = (Walked::default(), State::default());
        let most = usize::try_from(self.last.0).unwrap_or(usize::MAX);
        checkpoint::sessions(&self.ledger, |session| {
            if wanted.sessions.contains(&session.meeting.id) {
                state.hold(session);
            }
        })?;
        self.ledger.walk_some(Head::START, most, |entry| {
            let is_kept = entry.seq > self.forgotten;
            let key = carried(&entry.event).filter(|key| is_kept && wanted.keys.contains(key));
            walked.take(key, entry.seq, entry.at);
            let is_wanted = match &entry.event {
                Event::Session(id, _) => wanted.sessions.contains(id),
                event => matches!(event, Event::Retention(RetentionEvent::Records { .. })),
            };
            if is_wanted {
                state.apply(&entry);
            }
        })?;
        let versions = state.sessions.iter().map(|(id, session)| (*id, session.version));
        Ok((walked.known(), versions.collect()))
    }

    /// The entry that this key stands for.
    pub(crate) fn first(&self, known: &Known, key: DedupKey) -> Option<Seq> {
        let first = self.scans.get(&key).or_else(|| known.0.get(&key)).copied();
        first.filter(|seq| *seq > self.forgotten)
    }

    /// Of a session that was asked for; 0 if there is none.
    pub(crate) fn version(&self, session: SessionId) -> u64 {
        self.versions.get(&session).copied().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, entry: &Entry) {
        self.last = entry.seq;
        if let Event::Session(id, event) = &entry.event {
            let version = version_after(self.version(*id), event);
            if version > 0 {
                self.versions.insert(*id, version);
            }
        }
        match entry.event {
            Event::Retention(RetentionEvent::Entries { to }) => self.forgotten = self.forgotten.max(to),
            Event::Retention(RetentionEvent::Records { .. }) => self.sessions_gone = true,
            _ => {}
        }
        if let Some(key) = carried(&entry.event) {
            let first = self.scans.entry(key).or_insert(entry.seq);
            if *first <= self.forgotten {
                *first = entry.seq;
            }
            self.order.push_back((entry.seq, key));
        }
    }
}

/// What the entries say of keys, from the first to the last.
#[derive(Default)]
struct Walked {
    first: FxHashMap<DedupKey, (Seq, Moment)>,
    end: Moment,
}

impl Walked {
    fn take(&mut self, key: Option<DedupKey>, seq: Seq, at: Moment) {
        self.end = at;
        let Some(key) = key else { return };
        let first = self.first.entry(key).or_insert((seq, at));
        // It was stored because nobody knew it any more.
        if is_forgotten(first.1, at) {
            *first = (seq, at);
        }
    }

    fn known(self) -> FxHashMap<DedupKey, Seq> {
        let still = self.first.into_iter().filter(|(_, (_, at))| !is_forgotten(*at, self.end));
        still.map(|(key, (seq, _))| (key, seq)).collect()
    }
}

type Found = (FxHashMap<DedupKey, Seq>, FxHashMap<SessionId, u64>);

fn ask_views(seen: &Snapshot, wanted: &Wanted) -> Result<Found, StoreError> {
    let (mut known, mut versions) = Found::default();
    for key in &wanted.keys {
        if let Some(seq) = seen.scan(*key)? {
            known.insert(*key, seq);
        }
    }
    for session in &wanted.sessions {
        let version = seen.version(*session)?;
        if version > 0 {
            versions.insert(*session, version);
        }
    }
    Ok((known, versions))
}

/// An event of a session that was never made changes nothing.
fn version_after(version: u64, event: &SessionEvent) -> u64 {
    if version > 0 || matches!(event, SessionEvent::Created { .. }) { version + 1 } else { 0 }
}

fn session_of(event: &Event) -> Option<SessionId> {
    match event {
        Event::Session(id, _) => Some(*id),
        _ => None,
    }
}

/// The key of the scan or the upload that an event stores.
fn carried(event: &Event) -> Option<DedupKey> {
    match event {
        Event::Unmatched(kept) => Some(kept.scan.dedup),
        Event::Session(_, SessionEvent::Scanned(scanned)) => Some(scanned.scan.dedup),
        Event::Session(_, SessionEvent::Marked(mark)) => mark.dedup,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rollcall_domain::code::Pseudonyms;
    use rollcall_domain::ids::UserId;
    use rollcall_domain::moment::days;

    use super::*;

    #[test]
    fn of_a_key_that_was_forgotten_in_between_the_later_entry_is_told_and_of_an_old_one_none() {
        let key = |id| DedupKey::of_upload(UserId(1), id, &Pseudonyms::new([1; 32]));
        let all = [("again", 0), ("old", 1), ("young", 300), ("young", 301), ("again", 401), ("", 402)];
        let mut walked = Walked::default();
        for (seq, (id, day)) in (1..).zip(all) {
            let key = (!id.is_empty()).then(|| key(id));
            walked.take(key, Seq(seq), Moment::from_millis(0).plus(days(day)));
        }
        let known = walked.known();
        let expected = FxHashMap::from_iter([(key("again"), Seq(5)), (key("young"), Seq(3))]);
        assert_eq!(known, expected);
    }
}
