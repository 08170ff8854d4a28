//! The ledger as it is at one moment, and what can be read of it.
//!
//! Promises: sequences without holes, but for those that are known to be lost, wherever an entry lies: in the
//! ledger's file, or still in its tail; whoever walks the chain checks it; nobody waits for the writer; what
//! the ledger was told to forget is not there, whether it still lies in the file or not.
//!
//! Refuses: deciding what is written. That is the [`crate::writer`]'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase as _, TableError};
use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;

use crate::caught::caught;
use crate::checkpoint;
use crate::codec::{self, Chain, Decoded};
use crate::error::StoreError;
use crate::events;
use crate::gaps::{self, Gap, GapRow};
use crate::ledger::{Head, Ledger};
use crate::tables::EVENTS;
use crate::tail::Record;

/// One moment. What the tail has is looked at first, and the file then: in between it may have been moved
/// there, and never the other way.
pub(crate) struct Now {
    pub(crate) read: ReadTransaction,
    tail: Vec<Arc<Record>>,
}

impl Now {
    pub(crate) fn of(read: ReadTransaction, tail: Vec<Arc<Record>>) -> Self {
        Now { read, tail }
    }

    /// Hands out so many entries from this sequence on, as they were written.
    pub(crate) fn rows(
        &self,
        from: Seq,
        most: usize,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (mut left, mut next) = (most, from.0);
        if let Some(table) = self.events()? {
            left -= events::read(&table, from.0, most, |seq, bytes| {
                next = seq + 1;
                each(seq, bytes)
            })?;
        }
        let rows = self.tail.iter().flat_map(|record| record.rows(next)).take(left);
        for (seq, bytes) in rows {
            each(seq, bytes)?;
        }
        Ok(())
    }

    /// What the first entry follows that is not forgotten.
    pub(crate) fn start(&self) -> Result<Head, StoreError> {
        checkpoint::start(&self.read)
    }

    /// The last sequence that was given out.
    pub(crate) fn end(&self) -> Result<Seq, StoreError> {
        let entry = match self.events()? {
            Some(table) => events::last(&table)?,
            None => 0,
        };
        let lost = self.gaps()?.into_values().map(|row| row.gap.last.0).max();
        let tail = self.tail.last().map_or(0, |record| record.last().0);
        let forgotten = self.start()?.last.0;
        Ok(Seq(entry.max(lost.unwrap_or_default()).max(tail).max(forgotten)))
    }

    /// What the chain is after this sequence, which may be that before the first entry, or the last of a gap.
    pub(crate) fn link_at(&self, seq: Seq) -> Result<Chain, StoreError> {
        let start = self.start()?;
        if seq == start.last {
            return Ok(start.chain);
        }
        if seq < start.last {
            return Err(StoreError::Forgotten { seq: seq.0 });
        }
        let mut link = None;
        self.rows(seq, 1, |found, bytes| {
            if found == seq.0 {
                link = Some(codec::decode(found, bytes)?.chain);
            }
            Ok(())
        })?;
        if let Some(link) = link {
            return Ok(link);
        }
        let gaps = self.gaps()?;
        let ends_here = gaps.values().find(|row| row.gap.last == seq).and_then(GapRow::chain);
        ends_here.ok_or(StoreError::Lost { seq: seq.0 })
    }

    pub(crate) fn gaps(&self) -> Result<BTreeMap<u64, GapRow>, StoreError> {
        gaps::load(&self.read)
    }

    /// `None` before the first entry.
    fn events(&self) -> Result<Option<ReadOnlyTable<u64, &'static [u8]>>, StoreError> {
        match self.read.open_table(EVENTS) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Ledger {
    /// As it is now; of what is in the tail, only what comes from this sequence on.
    pub(crate) fn now(&self, from: Seq) -> Result<Now, StoreError> {
        let tail = self.tail.since(from);
        Ok(Now::of(self.database()?.begin_read()?, tail))
    }

    /// Reads something of it as it is now. If that fails, the writer opens the file again.
    fn read<T>(&self, from: Seq, read: impl FnOnce(&Now) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.noted(caught(|| read(&self.now(from)?)))
    }

    /// Whether the chain goes through there.
    pub(crate) fn has(&self, head: Head) -> Result<bool, StoreError> {
        if head == Head::START {
            return Ok(true);
        }
        self.read(head.last, |now| {
            if head.last < self.proven_start(now)?.last {
                return Ok(false);
            }
            let end = now.end()?.0;
            if end < head.last.0 {
                return Err(StoreError::Short { seq: end + 1 });
            }
            Ok(now.link_at(head.last)? == head.chain)
        })
    }

    /// What the first entry follows that is not forgotten, as whoever has the key says.
    pub(crate) fn start(&self) -> Result<Head, StoreError> {
        self.read(Seq(u64::MAX), |now| self.proven_start(now))
    }

    /// The same of one moment.
    fn proven_start(&self, now: &Now) -> Result<Head, StoreError> {
        checkpoint::proven_start(&now.read, &self.keys)
    }

    pub(crate) fn link_at(&self, seq: Seq) -> Result<Chain, StoreError> {
        self.read(seq, |now| now.link_at(seq))
    }

    /// Walks the chain from `head`, or from the first entry that is not forgotten, to its end, handing each
    /// entry to `each`.
    pub(crate) fn walk(&self, head: Head, each: impl FnMut(Entry)) -> Result<Head, StoreError> {
        self.walk_some(head, usize::MAX, each)
    }

    /// Walks at most so many entries of the chain.
    pub(crate) fn walk_some(
        &self,
        head: Head,
        most: usize,
        mut each: impl FnMut(Entry),
    ) -> Result<Head, StoreError> {
        self.read(head.last, |now| {
            self.walk_now(now, head, most, |entry, _bytes| {
                each(entry);
                Ok(())
            })
        })
    }

    /// The same of one moment, and hands out what was written, too.
    pub(crate) fn walk_now(
        &self,
        now: &Now,
        mut head: Head,
        most: usize,
        mut each: impl FnMut(Entry, &[u8]) -> Result<(), StoreError>,
    ) -> Result<Head, StoreError> {
        let start = self.proven_start(now)?;
        if head == Head::START {
            head = start;
        }
        if now.link_at(head.last)? != head.chain {
            return Err(StoreError::Chain { seq: head.last.0 });
        }
        let gaps = now.gaps()?;
        now.rows(Seq(head.last.0 + 1), most, |seq, bytes| {
            let decoded = self.step(&gaps, head, seq, bytes)?;
            head = Head { last: Seq(seq), chain: decoded.chain };
            each(decoded.entry, bytes)
        })?;
        // Entries may have been lost from the end.
        while let Some(row) = gaps.get(&(head.last.0 + 1)).filter(|row| row.chain().is_some()) {
            head = self.over(row, head)?;
        }
        Ok(head)
    }

    /// Checks that these bytes are the next entry after `head`.
    fn step(
        &self,
        gaps: &BTreeMap<u64, GapRow>,
        mut head: Head,
        seq: u64,
        bytes: &[u8],
    ) -> Result<Decoded, StoreError> {
        let decoded = codec::decode(seq, bytes)?;
        while let Some(row) = gaps.get(&(head.last.0 + 1)) {
            if row.chain().is_none() {
                let follows = row.follows(self.keys.chain(row.gap.first), &head.chain);
                let resumes = follows && row.gap.last.0 + 1 == seq && row.resumes_with(bytes);
                return if resumes { Ok(decoded) } else { Err(StoreError::Chain { seq }) };
            }
            head = self.over(row, head)?;
        }
        if seq != head.last.0 + 1 {
            return Err(StoreError::Hole { seq: head.last.0 + 1 });
        }
        let follows = decoded.follows(self.keys.chain(Seq(seq)), &head.chain, bytes);
        if follows { Ok(decoded) } else { Err(StoreError::Chain { seq }) }
    }

    /// Beyond a gap from whose row the chain goes on.
    fn over(&self, row: &GapRow, head: Head) -> Result<Head, StoreError> {
        match row.chain().filter(|_| row.follows(self.keys.chain(row.gap.first), &head.chain)) {
            Some(chain) => Ok(Head { last: row.gap.last, chain }),
            None => Err(StoreError::Chain { seq: row.gap.first.0 }),
        }
    }

    /// The last sequence that was given out.
    pub(crate) fn end(&self) -> Result<Seq, StoreError> {
        self.read(Seq(0), Now::end)
    }

    /// What the ledger is known to have lost.
    pub(crate) fn gaps(&self) -> Result<Vec<Gap>, StoreError> {
        self.read(Seq(u64::MAX), |now| {
            let start = now.start()?.last;
            let gaps = now.gaps()?.into_values().map(|row| row.gap);
            Ok(gaps.filter(|gap| gap.first > start).collect())
        })
    }

    pub(crate) fn entries(&self, from: Seq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.entries_and_start(from, limit).map(|(entries, _start)| entries)
    }

    /// The same, and what is forgotten at the same moment: everything up to there.
    pub(crate) fn entries_and_start(&self, from: Seq, limit: usize) -> Result<(Vec<Entry>, Seq), StoreError> {
        self.read(from, |now| {
            let mut entries = Vec::new();
            // Some that are forgotten may still be there.
            let start = self.proven_start(now)?.last;
            now.rows(from.max(Seq(start.0 + 1)), limit, |seq, bytes| {
                entries.push(codec::decode(seq, bytes)?.entry);
                Ok(())
            })?;
            Ok((entries, start))
        })
    }

    pub(crate) fn entry(&self, seq: Seq) -> Result<Entry, StoreError> {
        let (mut entries, start) = self.entries_and_start(seq, 1)?;
        if let Some(entry) = entries.pop().filter(|entry| entry.seq == seq) {
            return Ok(entry);
        }
        let forgotten = seq <= start;
        Err(if forgotten { StoreError::Forgotten { seq: seq.0 } } else { StoreError::Hole { seq: seq.0 } })
    }
}
