//! Which scans and uploads are stored, and in which event.
//!
//! Promises: a key is known for 400 days, by the times of the ledger's own entries; of what is new, nearly all
//! is told from memory alone, however many there are; a key stands for the first event that has it, or, if
//! that or its entry was forgotten, for the first one after; a snapshot goes on telling what it told.
//!
//! Refuses: a clock. What is known after an event follows from the events up to it, so that the rows are the
//! same whatever commits they came in.
//!
//! The last keys are in memory and in a table in the order of events; when there are enough of them, they
//! become a run ([`runs`]), and runs that are too old by then are let go, each with its filter.

mod filter;
mod runs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{ReadTransaction, ReadableTable, Table, WriteTransaction};
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;
use rollcall_domain::scan::DedupKey;
use serde::{Deserialize, Serialize};

use self::filter::Filter;
pub(super) use self::runs::BlockId;
pub(crate) use self::runs::is_forgotten;
use self::runs::{Key, Listed, Runs, Shape, Span};
use super::rows::{bytes, value};
use super::tables::{META, RECENT_SCANS, SCANS};
use crate::error::StoreError;

/// A row of [`META`]: what is known of the keys.
pub(super) const RUNS: &str = "runs";

/// A scan or an upload, and the event that has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) key: DedupKey,
    pub(crate) seq: Seq,
    /// When the event was written.
    pub(crate) at: Moment,
    /// Entries up to here were forgotten by then.
    pub(crate) forgotten: Seq,
}

/// Clones share what is in memory.
#[derive(Clone)]
pub(super) struct Scans {
    recent: Arc<Recent>,
    runs: Arc<Runs>,
    /// Of those that are recent.
    span: Option<Span>,
}

/// Keys that are in no run yet.
struct Recent {
    filter: Filter,
    keys: RwLock<HashMap<Key, Seq>>,
}

/// The row under [`RUNS`].
#[derive(Default, Serialize, Deserialize)]
struct Known {
    recent: Option<Span>,
    runs: Listed,
}

/// What a transaction that is not committed yet has brought.
pub(super) struct Added {
    keys: Vec<(Key, Seq)>,
    /// Forgotten events of recent keys that came again.
    replaced: BTreeSet<Seq>,
    /// Those that were recent have become a run.
    begins_anew: bool,
    runs: Arc<Runs>,
    span: Option<Span>,
}

impl Recent {
    fn of(shape: Shape, keys: HashMap<Key, Seq>) -> Self {
        let filter = Filter::with_room(shape.keys);
        keys.keys().for_each(|key| filter.add(key));
        Recent { filter, keys: RwLock::new(keys) }
    }

    fn get(&self, key: &Key) -> Option<Seq> {
        if !self.filter.perhaps(key) {
            return None;
        }
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    fn extend(&self, keys: Vec<(Key, Seq)>) {
        keys.iter().for_each(|(key, _)| self.filter.add(key));
        self.keys.write().unwrap_or_else(PoisonError::into_inner).extend(keys);
    }
}

impl Scans {
    pub(super) fn load(read: &ReadTransaction) -> Result<Self, StoreError> {
        Self::load_as(read, Shape::default())
    }

    fn load_as(read: &ReadTransaction, shape: Shape) -> Result<Self, StoreError> {
        let known = read.open_table(META)?.get(RUNS)?.map(|row| value::<Known>(row.value())).transpose()?;
        let Known { recent: span, runs } = known.unwrap_or_default();
        let runs = Runs::of(&runs, shape);
        for row in read.open_table(SCANS)?.iter()? {
            let (block, rows) = row?;
            runs.loaded(block.value(), rows.value())?;
        }
        let mut recent = HashMap::new();
        for row in read.open_table(RECENT_SCANS)?.iter()? {
            let (seq, key) = row?;
            recent.insert(key.value(), Seq(seq.value()));
        }
        Ok(Scans { recent: Arc::new(Recent::of(shape, recent)), runs: Arc::new(runs), span })
    }

    /// False if the scan is surely not known.
    pub(super) fn perhaps(&self, key: DedupKey) -> bool {
        let key = key.bytes();
        self.recent.filter.perhaps(&key) || self.runs.perhaps(&key)
    }

    /// The event up to `last` that has this scan.
    pub(super) fn find(
        &self,
        table: &impl ReadableTable<BlockId, &'static [u8]>,
        key: DedupKey,
        last: Seq,
    ) -> Result<Option<Seq>, StoreError> {
        let key = key.bytes();
        match self.recent.get(&key) {
            // Those who look at what was before do not see it.
            Some(seq) => Ok((seq <= last).then_some(seq)),
            None => self.runs.find(table, &key),
        }
    }

    /// False if the keys of this block need not be known for views that are as far as `now`: its run was let
    /// go by then, and with it the keys of no event that comes after the last one here.
    pub(super) fn is_kept(&self, block: BlockId, now: &Scans) -> bool {
        // If the last event has filled a run, the next one may be of the same append, and have its key.
        self.span.is_none() || self.runs.is_kept(block, &now.runs)
    }

    /// Writes those of `found`, which are in the order of events, that are not known at their event, or only
    /// from what was forgotten by then.
    pub(super) fn write(&self, transaction: &WriteTransaction, found: &[Found]) -> Result<Added, StoreError> {
        let mut growing = Growing::on(self);
        let mut table = transaction.open_table(SCANS)?;
        for found in found {
            growing.take(&mut table, found)?;
        }
        let added = growing.end();
        if added.keys.is_empty() && !added.begins_anew {
            return Ok(added);
        }
        if added.begins_anew {
            transaction.delete_table(RECENT_SCANS)?;
        }
        let mut recent = transaction.open_table(RECENT_SCANS)?;
        for seq in &added.replaced {
            recent.remove(seq.0)?;
        }
        for (key, seq) in &added.keys {
            recent.insert(seq.0, key)?;
        }
        let known = Known { recent: added.span, runs: added.runs.listed() };
        transaction.open_table(META)?.insert(RUNS, bytes(&known)?.as_slice())?;
        Ok(added)
    }

    /// After the commit.
    pub(super) fn written(&mut self, added: Added) {
        (self.runs, self.span) = (added.runs, added.span);
        if added.begins_anew {
            // Not into those that are known: older snapshots find in them what is in no run of theirs.
            let keys = added.keys.into_iter().collect();
            self.recent = Arc::new(Recent::of(self.runs.shape, keys));
        } else {
            self.recent.extend(added.keys);
        }
    }
}

/// What is known, from one event to the next.
struct Growing<'s> {
    /// As long as they are in no run.
    recent: Option<&'s Recent>,
    /// How many these are.
    before: usize,
    /// Those that came since and are in no run.
    keys: HashMap<Key, Seq>,
    /// Events of those that are recent, whose keys came again.
    replaced: BTreeSet<Seq>,
    runs: Arc<Runs>,
    span: Option<Span>,
}

impl<'s> Growing<'s> {
    fn on(scans: &'s Scans) -> Self {
        let before = scans.recent.keys.read().unwrap_or_else(PoisonError::into_inner).len();
        let (keys, replaced) = Default::default();
        let (runs, span) = (Arc::clone(&scans.runs), scans.span);
        Growing { recent: Some(&scans.recent), before, keys, replaced, runs, span }
    }

    fn take(
        &mut self,
        table: &mut Table<'_, BlockId, &'static [u8]>,
        found: &Found,
    ) -> Result<(), StoreError> {
        let key = found.key.bytes();
        let new = self.keys.get(&key).copied();
        let recent = self.recent.and_then(|recent| recent.get(&key));
        let first = match new.or(recent) {
            Some(first) => Some(first),
            None => self.runs.find(table, &key)?,
        };
        if first.is_some_and(|first| first > found.forgotten) {
            return Ok(());
        }
        self.replaced.extend(recent);
        self.keys.insert(key, found.seq);
        let at = Span::of(found.at);
        let span = *self.span.insert(self.span.map_or(at, |span| span.and(at)));
        if self.before + self.keys.len() - self.replaced.len() == self.runs.shape.keys {
            let mut keys: Vec<(Key, Seq)> = self.keys.drain().collect();
            if let Some(recent) = self.recent.take() {
                let recent = recent.keys.read().unwrap_or_else(PoisonError::into_inner);
                let others = recent.iter().filter(|(_, seq)| !self.replaced.contains(seq));
                keys.extend(others.map(|(key, seq)| (*key, *seq)));
            }
            Arc::make_mut(&mut self.runs).add(table, keys, span)?;
            self.replaced.clear();
            (self.before, self.span) = (0, None);
        }
        Ok(())
    }

    fn end(self) -> Added {
        let Growing { recent, keys, replaced, runs, span, .. } = self;
        let mut keys: Vec<(Key, Seq)> = keys.into_iter().collect();
        keys.sort_unstable_by_key(|(_, seq)| *seq);
        Added { keys, replaced, begins_anew: recent.is_none(), runs, span }
    }
}
