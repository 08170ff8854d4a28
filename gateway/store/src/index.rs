//! What the writer must know of everything that was ever written.
//!
//! Promises: says the same of an entry whether it was just staged or is folded into the views.

use std::collections::HashMap;

use rollcall_domain::event::{Entry, Event, SessionEvent};
use rollcall_domain::ids::{Seq, SessionId};
use rollcall_domain::scan::DedupKey;

use crate::views::Views;

#[derive(Default)]
pub(crate) struct Index {
    scans: HashMap<DedupKey, Seq>,
    versions: HashMap<SessionId, u64>,
}

impl Index {
    pub(crate) fn of(views: &Views) -> Self {
        views.read(|state| Index {
            scans: state.scans.iter().map(|(key, seq)| (*key, *seq)).collect(),
            versions: state.sessions.iter().map(|(id, session)| (*id, session.version)).collect(),
        })
    }

    /// The first entry that carries this key.
    pub(crate) fn first(&self, key: DedupKey) -> Option<Seq> {
        self.scans.get(&key).copied()
    }

    pub(crate) fn version(&self, session: SessionId) -> u64 {
        self.versions.get(&session).copied().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, entry: &Entry) {
        if let Event::Session(id, event) = &entry.event {
            match self.versions.get_mut(id) {
                Some(version) => *version += 1,
                None if matches!(event, SessionEvent::Created { .. }) => drop(self.versions.insert(*id, 1)),
                // An event of a session that was never made changes nothing.
                None => {}
            }
        }
        if let Some(key) = carried(&entry.event) {
            self.scans.entry(key).or_insert(entry.seq);
        }
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
