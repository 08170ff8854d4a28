//! Which scans and uploads are stored, and in which event.
//!
//! Promises: of what is new, nearly all is told from memory alone, however many there are; a key stands for
//! the first event that has it; a snapshot goes on telling what it told.
//!
//! The last keys are in memory and in a table in the order of events; when there are enough of them, they
//! become a run ([`runs`]). The filter knows all of them.

mod filter;
mod runs;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use rollcall_domain::ids::Seq;
use rollcall_domain::scan::DedupKey;

use self::filter::Filter;
pub(super) use self::runs::BlockId;
use self::runs::{KEYS, Key, Runs, rows_in};
use super::rows::{bytes, value};
use super::tables::{META, RECENT_SCANS, SCANS};
use crate::error::StoreError;

/// A row of [`META`]: how many runs there are.
const RUNS: &str = "runs";

/// Clones share what is in memory.
#[derive(Clone, Default)]
pub(super) struct Scans {
    filter: Arc<Filter>,
    recent: Arc<RwLock<HashMap<Key, Seq>>>,
    runs: Runs,
}

/// What a transaction that is not committed yet has brought.
pub(super) struct Added {
    keys: Vec<(Key, Seq)>,
    /// In place of those that were recent, if they have become a run.
    recent: Option<HashMap<Key, Seq>>,
    runs: Runs,
}

impl Scans {
    pub(super) fn load(read: &ReadTransaction) -> Result<Self, StoreError> {
        let mut scans = Scans::default();
        if let Some(runs) = read.open_table(META)?.get(RUNS)? {
            scans.runs = value(runs.value())?;
        }
        for row in read.open_table(SCANS)?.iter()? {
            rows_in(row?.1.value()).for_each(|(key, _)| scans.filter.add(&key));
        }
        let mut recent = HashMap::new();
        for row in read.open_table(RECENT_SCANS)?.iter()? {
            let (seq, key) = row?;
            scans.filter.add(&key.value());
            recent.insert(key.value(), Seq(seq.value()));
        }
        scans.recent = Arc::new(RwLock::new(recent));
        Ok(scans)
    }

    /// False if the scan is surely not stored.
    pub(super) fn perhaps(&self, key: DedupKey) -> bool {
        self.filter.perhaps(&key.bytes())
    }

    /// The first event up to `last` that has this scan.
    pub(super) fn find(
        &self,
        table: &impl ReadableTable<BlockId, &'static [u8]>,
        key: DedupKey,
        last: Seq,
    ) -> Result<Option<Seq>, StoreError> {
        let key = key.bytes();
        if !self.filter.perhaps(&key) {
            return Ok(None);
        }
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        match recent {
            // Those who look at what was before do not see it.
            Some(seq) => Ok((seq <= last).then_some(seq)),
            None => self.runs.find(table, &key),
        }
    }

    /// Writes those of `found` that are new.
    pub(super) fn write(
        &self,
        transaction: &WriteTransaction,
        found: &BTreeMap<DedupKey, Seq>,
    ) -> Result<Added, StoreError> {
        let mut table = transaction.open_table(SCANS)?;
        let mut keys = Vec::with_capacity(found.len());
        for (key, seq) in found {
            if self.find(&table, *key, Seq(u64::MAX))?.is_none() {
                keys.push((key.bytes(), *seq));
            }
        }
        keys.sort_unstable_by_key(|(_, seq)| *seq);
        let mut added = Added { keys, recent: None, runs: self.runs };
        let mut recent = transaction.open_table(RECENT_SCANS)?;
        for (key, seq) in &added.keys {
            recent.insert(seq.0, key)?;
        }
        let known = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        if known.len() + added.keys.len() < KEYS {
            return Ok(added);
        }
        let mut all: Vec<(Key, Seq)> = known.iter().map(|(key, seq)| (*key, *seq)).collect();
        drop(known);
        all.sort_unstable_by_key(|(_, seq)| *seq);
        all.extend_from_slice(&added.keys);
        let runs = all.chunks_exact(KEYS);
        let rest = runs.remainder().to_vec();
        for run in runs {
            added.runs.add(&mut table, run)?;
        }
        transaction.open_table(META)?.insert(RUNS, bytes(&added.runs)?.as_slice())?;
        drop(recent);
        transaction.delete_table(RECENT_SCANS)?;
        let mut recent = transaction.open_table(RECENT_SCANS)?;
        for (key, seq) in &rest {
            recent.insert(seq.0, key)?;
        }
        added.recent = Some(rest.into_iter().collect());
        Ok(added)
    }

    /// After the commit.
    pub(super) fn written(&mut self, added: Added) {
        added.keys.iter().for_each(|(key, _)| self.filter.add(key));
        self.runs = added.runs;
        match added.recent {
            // Not into those that are known: older snapshots find in them what is in no run of theirs.
            Some(recent) => self.recent = Arc::new(RwLock::new(recent)),
            None => self.recent.write().unwrap_or_else(PoisonError::into_inner).extend(added.keys),
        }
    }
}
