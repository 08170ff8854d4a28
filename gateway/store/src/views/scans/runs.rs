//! Keys of scans on disk, in runs.
//!
//! Promises: a run is written once, in order, and then only read; a key is found with one look, into the run
//! that has it; a run whose youngest key is older than [`KNOWN_DAYS`] is let go when a later one is full; the
//! runs are the same whatever commits the scans came in.
//!
//! Refuses: changing a run. Sixteen of them become a larger one. A clock: how old a run is follows from the
//! times of the entries that its keys are in, and a few of these that are wrong let nothing go early.
//!
//! A run's keys lie in blocks of some 128, by the first bits of the key, so that it is known in which block a
//! key would be. One large tree of keys, into which every scan puts a page's worth of change, would cost more
//! than everything else that the views write.

use std::sync::Arc;

use redb::{ReadableTable, Table};
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::{Moment, days};
use rollcall_domain::scan::KNOWN_DAYS;
use serde::{Deserialize, Serialize};

use super::filter::{Ever, Filter, halves, scaled};
use crate::error::StoreError;

/// A key and its sequence.
const ROW: usize = 16 + 8;

const FRESH: u8 = 0;
const LARGE: u8 = 1;

/// (size, run, block)
pub(crate) type BlockId = (u8, u32, u32);
pub(super) type Key = [u8; 16];

/// How large runs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Keys of a fresh run.
    pub(super) keys: usize,
    pub(super) blocks: usize,
    /// So many fresh runs become one.
    pub(super) merged: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Shape { keys: 65_536, blocks: 512, merged: 16 }
    }
}

impl Shape {
    fn blocks_of(self, size: u8) -> usize {
        if size == FRESH { self.blocks } else { self.blocks * self.merged }
    }

    fn keys_of(self, size: u8) -> usize {
        if size == FRESH { self.keys } else { self.keys * self.merged }
    }
}

/// Whether a key of `then` need not be known any more.
pub(crate) fn is_forgotten(then: Moment, now: Moment) -> bool {
    then.plus(days(KNOWN_DAYS)) < now
}

/// The times of the entries that some keys are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    oldest: Moment,
    newest: Moment,
}

impl Span {
    pub(super) fn of(at: Moment) -> Self {
        Span { oldest: at, newest: at }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Span { oldest: self.oldest.min(other.oldest), newest: self.newest.max(other.newest) }
    }

    fn covers(self, other: Self) -> bool {
        self.and(other) == self
    }
}

#[derive(Clone)]
struct Run {
    number: u32,
    span: Span,
    filter: Arc<Filter>,
}

/// All runs, each size in the order in which they were made.
#[derive(Clone)]
pub(super) struct Runs {
    pub(super) shape: Shape,
    ever: Arc<Ever>,
    fresh: Vec<Run>,
    large: Vec<Run>,
}

/// What tells of the runs in a row.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    fresh: Vec<(u32, Span)>,
    large: Vec<(u32, Span)>,
}

impl Runs {
    /// Those that are listed, with nothing in their filters yet.
    pub(super) fn of(listed: &Listed, shape: Shape) -> Self {
        let runs = |size, list: &[(u32, Span)]| {
            let room = shape.keys_of(size);
            let run = |&(number, span)| Run { number, span, filter: Arc::new(Filter::with_room(room)) };
            list.iter().map(run).collect()
        };
        let ever = Arc::new(Ever::with_room(shape.keys));
        Runs { shape, ever, fresh: runs(FRESH, &listed.fresh), large: runs(LARGE, &listed.large) }
    }

    pub(super) fn listed(&self) -> Listed {
        let list = |runs: &[Run]| runs.iter().map(|run| (run.number, run.span)).collect();
        Listed { fresh: list(&self.fresh), large: list(&self.large) }
    }

    /// Puts the keys of a block that was read into its run's filter.
    pub(super) fn loaded(&self, (size, number, _): BlockId, rows: &[u8]) -> Result<(), StoreError> {
        let runs = if size == FRESH { &self.fresh } else { &self.large };
        let run = runs.iter().find(|run| run.number == number).ok_or(StoreError::DamagedViews)?;
        rows_in(rows).for_each(|(key, _)| {
            run.filter.add(&key);
            self.ever.add(&key);
        });
        Ok(())
    }

    /// Adds a run, and lets go of those that are too old by it: by the oldest of its times, so that it takes
    /// a whole run of wrong ones to let go of a key early.
    pub(super) fn add(
        &mut self,
        table: &mut Table<'_, BlockId, &'static [u8]>,
        mut keys: Vec<(Key, Seq)>,
        span: Span,
    ) -> Result<(), StoreError> {
        self.let_go(table, span.oldest)?;
        keys.sort_unstable();
        let filter = Arc::new(Filter::with_room(self.shape.keys));
        for (key, _) in &keys {
            filter.add(key);
            // What is not committed after all is not denied, and then not found.
            self.ever.add(key);
        }
        let run = Run { number: next_number(&self.fresh), span, filter };
        write(table, (FRESH, run.number), self.shape.blocks, &keys)?;
        self.fresh.push(run);
        if self.fresh.len() == self.shape.merged { self.merge(table, span) } else { Ok(()) }
    }

    fn let_go(
        &mut self,
        table: &mut Table<'_, BlockId, &'static [u8]>,
        now: Moment,
    ) -> Result<(), StoreError> {
        for (size, runs) in [(FRESH, &mut self.fresh), (LARGE, &mut self.large)] {
            let is_old = |run: &Run| is_forgotten(run.span.newest, now);
            for run in runs.iter().filter(|run| is_old(run)) {
                table.retain_in((size, run.number, 0)..=(size, run.number, u32::MAX), |_, _| false)?;
            }
            runs.retain(|run| !is_old(run));
        }
        Ok(())
    }

    fn merge(&mut self, table: &mut Table<'_, BlockId, &'static [u8]>, span: Span) -> Result<(), StoreError> {
        let fresh = std::mem::take(&mut self.fresh);
        let filter = Arc::new(Filter::with_room(self.shape.keys_of(LARGE)));
        let span = fresh.iter().fold(span, |span, run| span.and(run.span));
        let merged = Run { number: next_number(&self.large), span, filter };
        for block in 0..u32::try_from(self.shape.blocks).unwrap_or(u32::MAX) {
            let mut keys = Vec::new();
            for run in &fresh {
                if let Some(rows) = table.remove((FRESH, run.number, block))? {
                    keys.extend(rows_in(rows.value()));
                }
            }
            keys.sort_unstable();
            keys.iter().for_each(|(key, _)| merged.filter.add(key));
            write(table, (LARGE, merged.number), self.shape.blocks_of(LARGE), &keys)?;
        }
        self.large.push(merged);
        Ok(())
    }

    /// Whether a run in which these keys may be is still there `now`: of what became of a run, at least the
    /// times are known.
    pub(super) fn is_kept(&self, (size, number, _): BlockId, now: &Runs) -> bool {
        let mut runs = self.all().filter(|(of, run)| (*of, run.number) == (size, number));
        runs.any(|(_, run)| now.all().any(|(_, later)| later.span.covers(run.span)))
    }

    fn all(&self) -> impl Iterator<Item = (u8, &Run)> {
        let fresh = self.fresh.iter().rev().map(|run| (FRESH, run));
        fresh.chain(self.large.iter().rev().map(|run| (LARGE, run)))
    }

    /// False if the key is surely in none of them.
    pub(super) fn perhaps(&self, key: &Key) -> bool {
        self.ever.perhaps(key) && self.all().any(|(_, run)| run.filter.perhaps(key))
    }

    pub(super) fn find(
        &self,
        table: &impl ReadableTable<BlockId, &'static [u8]>,
        key: &Key,
    ) -> Result<Option<Seq>, StoreError> {
        if !self.ever.perhaps(key) {
            return Ok(None);
        }
        for (size, run) in self.all().filter(|(_, run)| run.filter.perhaps(key)) {
            let block = block_of(key, self.shape.blocks_of(size));
            if let Some(rows) = table.get((size, run.number, block))?
                && let Some(seq) = find_in(rows.value(), key)
            {
                return Ok(Some(seq));
            }
        }
        Ok(None)
    }
}

/// None that a run has which is still there.
fn next_number(runs: &[Run]) -> u32 {
    runs.last().map_or(0, |run| run.number.wrapping_add(1))
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

fn rows_in(block: &[u8]) -> impl Iterator<Item = (Key, Seq)> {
    block.chunks_exact(ROW).filter_map(row)
}

fn find_in(block: &[u8], key: &Key) -> Option<Seq> {
    let (mut from, mut to) = (0, block.len() / ROW);
    let mut last = None;
    // A key can be there twice: one whose entry was forgotten, and that came again, has the later sequence.
    while from < to {
        let middle = from.midpoint(to);
        let (found, seq) = row(block.get(middle * ROW..(middle + 1) * ROW)?)?;
        match found.cmp(key) {
            std::cmp::Ordering::Greater => to = middle,
            order => {
                last = order.is_eq().then_some(seq).or(last);
                from = middle + 1;
            }
        }
    }
    last
}
