//! The ledger file: opening, reading, and one transaction at a time.
//!
//! Promises: the file is there with all that belongs into it or not at all; after a failed commit the
//! database is dropped and opened anew, and it is still the same one; a reader sees sequences without holes, and never waits for a reopening; the chain is checked when the
//! file is opened.
//!
//! Refuses: deciding what is written. That is the [`crate::writer`]'s.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadOnlyTable, ReadableDatabase as _, ReadableTable as _, TableError};
use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;

use crate::caught::let_go;
use crate::codec::{self, Chain, GENESIS};
use crate::disk::Place;
use crate::error::StoreError;
use crate::keys::{Keyring, Keys};
use crate::tables::EVENTS;

/// Pages that may stay in memory.
const CACHE_BYTES: usize = 64 << 20;
const FILE: &str = "ledger.redb";
/// A new ledger, until it is one.
const UNFINISHED: &str = "ledger.redb.new";

/// The file, and where its chain stands.
pub(crate) struct Ledger {
    place: Place,
    pub(crate) keys: Keys,
    /// Absent while it is being reopened, and once it is closed.
    database: RwLock<Option<Arc<Database>>>,
    up: AtomicBool,
    /// The last sequence on disk.
    last: AtomicU64,
}

/// Where the next entry goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Head {
    pub(crate) last: Seq,
    pub(crate) chain: Chain,
}

impl Head {
    /// Before the first entry.
    pub(crate) const START: Head = Head { last: Seq(0), chain: GENESIS };
}

impl Ledger {
    /// Opens the file, or makes it, and brings it under the keyring's current key.
    pub(crate) fn open(place: &Place, keys: &Keyring) -> Result<Self, StoreError> {
        Self::open_with(place, |database| Keys::settle(database, keys))
    }

    /// Opens the file to look at it: it stays under the key that it is under.
    pub(crate) fn open_as_it_is(place: &Place, keys: &Keyring) -> Result<Self, StoreError> {
        Self::open_with(place, |database| Keys::read(database, keys))
    }

    /// It gets its name once it is whole, so that an empty or a half-made one is never taken for a ledger:
    /// that could only be one that has lost what was in it.
    fn open_with(
        place: &Place,
        keys: impl FnOnce(&Database) -> Result<Keys, StoreError>,
    ) -> Result<Self, StoreError> {
        let disk = &*place.disk;
        if !disk.has(FILE).map_err(redb::Error::Io)? {
            disk.remove(UNFINISHED).map_err(redb::Error::Io)?;
            drop(place.open(CACHE_BYTES, UNFINISHED, true)?);
            disk.rename(UNFINISHED, FILE).map_err(redb::Error::Io)?;
        }
        let database = place.open(CACHE_BYTES, FILE, false)?;
        let keys = keys(&database)?;
        let database = RwLock::new(Some(Arc::new(database)));
        let (up, last) = (AtomicBool::new(true), AtomicU64::new(0));
        Ok(Ledger { place: place.clone(), keys, database, up, last })
    }

    pub(crate) fn database(&self) -> Result<Arc<Database>, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or(StoreError::Down)
    }

    /// Drops the database, which may be unusable after a failure, and opens it anew. One that is not there
    /// any more is not made: it would be an empty one.
    pub(crate) fn reopen(&self) -> Result<(), StoreError> {
        let_go(self.put(None));
        let database = self.place.open(CACHE_BYTES, FILE, false)?;
        self.keys.check(&database)?;
        self.put(Some(Arc::new(database)));
        Ok(())
    }

    /// Whoever reads finds the store down; the file is closed with what is returned.
    pub(crate) fn close(&self) -> Option<Arc<Database>> {
        self.set_up(false);
        self.put(None)
    }

    fn put(&self, database: Option<Arc<Database>>) -> Option<Arc<Database>> {
        std::mem::replace(&mut *self.database.write().unwrap_or_else(PoisonError::into_inner), database)
    }

    pub(crate) fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Release);
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    pub(crate) fn set_last(&self, last: Seq) {
        self.last.store(last.0, Ordering::Release);
    }

    pub(crate) fn last(&self) -> Seq {
        Seq(self.last.load(Ordering::Acquire))
    }

    /// Whether the chain goes through there.
    pub(crate) fn has(&self, head: Head) -> Result<bool, StoreError> {
        if head == Head::START {
            return Ok(true);
        }
        let end = match self.events()? {
            Some(table) => table.last()?.map_or(0, |(seq, _)| seq.value()),
            None => 0,
        };
        if end < head.last.0 {
            return Err(StoreError::Short { seq: end + 1 });
        }
        Ok(self.link_at(head.last)? == head.chain)
    }

    fn link_at(&self, seq: Seq) -> Result<Chain, StoreError> {
        let table = self.events()?.ok_or(StoreError::Lost { seq: seq.0 })?;
        let known = table.get(seq.0)?.ok_or(StoreError::Lost { seq: seq.0 })?;
        Ok(codec::decode(seq.0, known.value())?.chain)
    }

    /// Walks the chain from `head` to its end, handing each entry to `each`.
    pub(crate) fn walk(&self, head: Head, each: impl FnMut(Entry)) -> Result<Head, StoreError> {
        self.walk_some(head, usize::MAX, each)
    }

    /// Walks at most so many entries of the chain.
    pub(crate) fn walk_some(
        &self,
        mut head: Head,
        most: usize,
        mut each: impl FnMut(Entry),
    ) -> Result<Head, StoreError> {
        if head != Head::START && self.link_at(head.last)? != head.chain {
            return Err(StoreError::Chain { seq: head.last.0 });
        }
        let Some(table) = self.events()? else { return Ok(head) };
        for row in table.range(head.last.0 + 1..)?.take(most) {
            let (seq, bytes) = row?;
            let (seq, bytes) = (seq.value(), bytes.value());
            if seq != head.last.0 + 1 {
                return Err(StoreError::Hole { seq: head.last.0 + 1 });
            }
            let decoded = codec::decode(seq, bytes)?;
            if !decoded.follows(self.keys.chain(Seq(seq)), &head.chain, bytes) {
                return Err(StoreError::Chain { seq });
            }
            head = Head { last: Seq(seq), chain: decoded.chain };
            each(decoded.entry);
        }
        Ok(head)
    }

    pub(crate) fn entries(&self, from: Seq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let Some(table) = self.events()? else { return Ok(Vec::new()) };
        let rows = table.range(from.0..)?.take(limit);
        rows.map(|row| {
            let (seq, bytes) = row?;
            codec::decode(seq.value(), bytes.value()).map(|decoded| decoded.entry)
        })
        .collect()
    }

    pub(crate) fn entry(&self, seq: Seq) -> Result<Entry, StoreError> {
        self.entries(seq, 1)?.pop().filter(|entry| entry.seq == seq).ok_or(StoreError::Hole { seq: seq.0 })
    }

    /// `None` before the first entry.
    fn events(&self) -> Result<Option<ReadOnlyTable<u64, &'static [u8]>>, StoreError> {
        match self.database()?.begin_read()?.open_table(EVENTS) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a ledger lies in this folder.
pub(crate) fn is_in(folder: &Path) -> bool {
    folder.join(FILE).exists()
}
