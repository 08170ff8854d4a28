//! Keys of scans on disk, in runs.
//!
//! Promises: a run is written once, in order, and then only read; a key is found with one look into each run;
//! the runs are the same whatever commits the scans came in.
//!
//! Refuses: changing a run. Sixteen of them become a larger one.
//!
//! A run's keys lie in blocks of some 128, by the first bits of the key, so that it is known in which block a
//! key would be. One large tree of keys, into which every scan puts a page's worth of change, would cost more
//! than everything else that the views write.

use redb::{ReadableTable, Table};
use rollcall_domain::ids::Seq;
use serde::{Deserialize, Serialize};

use super::filter::{halves, scaled};
use crate::error::StoreError;

/// Scans of a fresh run.
pub(super) const KEYS: usize = 65_536;
const FRESH_BLOCKS: usize = 512;
/// So many fresh runs become one.
const MERGED: u32 = 16;
const MERGED_BLOCKS: usize = FRESH_BLOCKS * MERGED as usize;
/// A key and its sequence.
const ROW: usize = 16 + 8;

const FRESH: u8 = 0;
const LARGE: u8 = 1;

/// (size, run, block)
pub(crate) type BlockId = (u8, u32, u32);
pub(super) type Key = [u8; 16];

/// How many runs there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Runs {
    fresh: u32,
    large: u32,
}

impl Runs {
    /// Adds a run; `keys` are in the order of sequences.
    pub(super) fn add(
        &mut self,
        table: &mut Table<'_, BlockId, &'static [u8]>,
        keys: &[(Key, Seq)],
    ) -> Result<(), StoreError> {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        write(table, (FRESH, self.fresh), FRESH_BLOCKS, &keys)?;
        self.fresh += 1;
        if self.fresh == MERGED { self.merge(table) } else { Ok(()) }
    }

    fn merge(&mut self, table: &mut Table<'_, BlockId, &'static [u8]>) -> Result<(), StoreError> {
        for block in 0..u32::try_from(FRESH_BLOCKS).unwrap_or(u32::MAX) {
            let mut keys = Vec::new();
            for run in 0..self.fresh {
                if let Some(rows) = table.remove((FRESH, run, block))? {
                    keys.extend(rows_in(rows.value()));
                }
            }
            keys.sort_unstable();
            write(table, (LARGE, self.large), MERGED_BLOCKS, &keys)?;
        }
        *self = Runs { fresh: 0, large: self.large + 1 };
        Ok(())
    }

    pub(super) fn find(
        self,
        table: &impl ReadableTable<BlockId, &'static [u8]>,
        key: &Key,
    ) -> Result<Option<Seq>, StoreError> {
        let fresh = (0..self.fresh).rev().map(|run| (FRESH, run, FRESH_BLOCKS));
        let large = (0..self.large).rev().map(|run| (LARGE, run, MERGED_BLOCKS));
        for (size, run, blocks) in fresh.chain(large) {
            if let Some(rows) = table.get((size, run, block_of(key, blocks)))?
                && let Some(seq) = find_in(rows.value(), key)
            {
                return Ok(Some(seq));
            }
        }
        Ok(None)
    }
}

fn block_of(key: &Key, blocks: usize) -> u32 {
    u32::try_from(scaled(halves(key).0, blocks)).unwrap_or(u32::MAX)
}

/// Writes keys that are in their own order.
fn write(
    table: &mut Table<'_, BlockId, &'static [u8]>,
    (size, run): (u8, u32),
    blocks: usize,
    keys: &[(Key, Seq)],
) -> Result<(), StoreError> {
    for block in keys.chunk_by(|(one, _), (next, _)| block_of(one, blocks) == block_of(next, blocks)) {
        let mut rows = Vec::with_capacity(block.len() * ROW);
        for (key, seq) in block {
            rows.extend_from_slice(key);
            rows.extend_from_slice(&seq.0.to_be_bytes());
        }
        if let Some((first, _)) = block.first() {
            table.insert((size, run, block_of(first, blocks)), rows.as_slice())?;
        }
    }
    Ok(())
}

fn row(bytes: &[u8]) -> Option<(Key, Seq)> {
    let (key, seq) = bytes.split_first_chunk::<16>()?;
    Some((*key, Seq(u64::from_be_bytes(seq.try_into().ok()?))))
}

pub(super) fn rows_in(block: &[u8]) -> impl Iterator<Item = (Key, Seq)> {
    block.chunks_exact(ROW).filter_map(row)
}

fn find_in(block: &[u8], key: &Key) -> Option<Seq> {
    let (mut from, mut to) = (0, block.len() / ROW);
    while from < to {
        let middle = from.midpoint(to);
        let (found, seq) = row(block.get(middle * ROW..(middle + 1) * ROW)?)?;
        match found.cmp(key) {
            std::cmp::Ordering::Equal => return Some(seq),
            std::cmp::Ordering::Less => from = middle + 1,
            std::cmp::Ordering::Greater => to = middle,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;
    use redb::{Database, TableDefinition};

    use super::*;

    const TABLE: TableDefinition<'_, BlockId, &[u8]> = TableDefinition::new("blocks");

    fn key(number: u64) -> Key {
        *blake3::hash(&number.to_le_bytes()).as_bytes().first_chunk().unwrap()
    }

    #[test]
    fn every_key_is_found_in_fresh_and_in_merged_runs_and_no_other() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let write = database.begin_write().unwrap();
        let mut table = write.open_table(TABLE).unwrap();
        let mut runs = Runs::default();
        for run in 0..35 {
            let keys: Vec<_> =
                (run * 500..(run + 1) * 500).map(|number| (key(number), Seq(number))).collect();
            runs.add(&mut table, &keys).unwrap();
            for number in 0..(run + 1) * 500 {
                // All of the newest, and some of the others.
                if number >= run * 500 || number % 97 == run {
                    assert_eq!(runs.find(&table, &key(number)).unwrap(), Some(Seq(number)), "{number}");
                }
            }
            assert_eq!(runs.find(&table, &key(run + 1_000_000)).unwrap(), None);
        }
        assert_eq!(runs, Runs { fresh: 3, large: 2 });
        let stored: usize = table.iter().unwrap().map(|row| rows_in(row.unwrap().1.value()).count()).sum();
        assert_eq!(stored, 35 * 500);
    }
}
