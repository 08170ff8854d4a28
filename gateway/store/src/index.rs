//! What the writer must know of everything that was ever written.
//!
//! Promises: says the same of an entry whether it was just staged or is folded into the views.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rollcall_domain::event::{Entry, Event, SessionEvent};
use rollcall_domain::ids::{Seq, SessionId};
use rollcall_domain::scan::DedupKey;

use crate::error::StoreError;
use crate::views::{Scans, Snapshot, Views};

/// Versions of sessions that are remembered; of others they are read from the views.
const VERSIONS: usize = 16_384;

pub(crate) struct Index {
    views: Views,
    /// Of entries that the views have not seen yet.
    scans: HashMap<DedupKey, Seq>,
    /// The same, in order, so that what the views have seen can be forgotten.
    order: VecDeque<(Seq, DedupKey)>,
    versions: HashMap<SessionId, u64>,
    last: Seq,
}

/// What the views showed when a batch began: all that is not there yet is in the index.
pub(crate) struct Seen {
    views: Arc<Snapshot>,
    scans: Scans,
}

impl Index {
    pub(crate) fn of(views: &Views) -> Self {
        let (scans, order, versions) = Default::default();
        Index { views: views.clone(), scans, order, versions, last: views.seen() }
    }

    /// To be called before each batch.
    pub(crate) fn look(&mut self) -> Result<Seen, StoreError> {
        let seen = self.views.now();
        while let Some((seq, key)) = self.order.pop_front() {
            if seq > seen.last() {
                self.order.push_front((seq, key));
                break;
            }
            self.scans.remove(&key);
        }
        // A version may only be forgotten when the views have it.
        if self.versions.len() > VERSIONS && self.order.is_empty() && self.last <= seen.last() {
            self.versions.clear();
        }
        Ok(Seen { scans: seen.scans()?, views: seen })
    }

    /// The first entry that carries this key.
    pub(crate) fn first(&self, seen: &Seen, key: DedupKey) -> Result<Option<Seq>, StoreError> {
        match self.scans.get(&key) {
            Some(seq) => Ok(Some(*seq)),
            None => seen.scans.first(key),
        }
    }

    pub(crate) fn version(&mut self, seen: &Seen, session: SessionId) -> Result<u64, StoreError> {
        if let Some(version) = self.versions.get(&session) {
            return Ok(*version);
        }
        let version = seen.views.version(session)?;
        if version > 0 {
            self.versions.insert(session, version);
        }
        Ok(version)
    }

    pub(crate) fn add(&mut self, seen: &Seen, entry: &Entry) -> Result<(), StoreError> {
        self.last = entry.seq;
        if let Event::Session(id, event) = &entry.event {
            let version = self.version(seen, *id)?;
            // An event of a session that was never made changes nothing.
            if version > 0 || matches!(event, SessionEvent::Created { .. }) {
                self.versions.insert(*id, version + 1);
            }
        }
        if let Some(key) = carried(&entry.event) {
            self.scans.entry(key).or_insert(entry.seq);
            self.order.push_back((entry.seq, key));
        }
        Ok(())
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
