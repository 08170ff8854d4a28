//! The ledger file: opening, reading, and one transaction at a time.
//!
//! Promises: after a failed commit the database is dropped and opened anew; a reader sees sequences
//! without holes; the chain is checked when the file is opened.
//!
//! Refuses: deciding what is written. That is the [`crate::writer`]'s.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadOnlyTable, ReadableDatabase as _, ReadableTable as _, TableError};
use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;

use crate::codec::{self, Chain, GENESIS};
use crate::error::StoreError;
use crate::tables::EVENTS;

/// Pages that may stay in memory.
const CACHE_BYTES: usize = 64 << 20;

/// The key of the ledger's chain.
#[derive(Clone, Copy)]
pub struct ChainKey(pub [u8; 32]);

/// The file, and where its chain stands.
pub struct Ledger {
    path: PathBuf,
    pub(crate) key: ChainKey,
    /// Absent while it is being reopened.
    database: RwLock<Option<Arc<Database>>>,
    up: AtomicBool,
}

/// Where the next entry goes on.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) last: Seq,
    pub(crate) chain: Chain,
}

impl Ledger {
    pub(crate) fn open(path: &Path, key: ChainKey) -> Result<Self, StoreError> {
        let database = open_database(path)?;
        let database = RwLock::new(Some(Arc::new(database)));
        Ok(Ledger { path: path.to_owned(), key, database, up: AtomicBool::new(true) })
    }

    pub(crate) fn database(&self) -> Result<Arc<Database>, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or(StoreError::Down)
    }

    /// Drops the database, which may be unusable after a failure, and opens it anew.
    pub(crate) fn reopen(&self) -> Result<(), StoreError> {
        let mut place = self.database.write().unwrap_or_else(PoisonError::into_inner);
        *place = None;
        *place = Some(Arc::new(open_database(&self.path)?));
        Ok(())
    }

    pub(crate) fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Release);
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Walks the whole chain, handing each entry to `each`.
    pub(crate) fn walk(&self, mut each: impl FnMut(&Entry)) -> Result<Head, StoreError> {
        let mut head = Head { last: Seq(0), chain: GENESIS };
        let Some(table) = self.events()? else { return Ok(head) };
        for row in table.iter()? {
            let (seq, bytes) = row?;
            let (seq, bytes) = (seq.value(), bytes.value());
            if seq != head.last.0 + 1 {
                return Err(StoreError::Hole { seq: head.last.0 + 1 });
            }
            let decoded = codec::decode(seq, bytes)?;
            if !decoded.follows(&self.key.0, &head.chain, bytes) {
                return Err(StoreError::Chain { seq });
            }
            each(&decoded.entry);
            head = Head { last: Seq(seq), chain: decoded.chain };
        }
        Ok(head)
    }

    /// Where the chain stands now, from the last entry alone.
    pub(crate) fn head(&self) -> Result<Head, StoreError> {
        let Some(table) = self.events()? else { return Ok(Head { last: Seq(0), chain: GENESIS }) };
        match table.last()? {
            None => Ok(Head { last: Seq(0), chain: GENESIS }),
            Some((seq, bytes)) => {
                let decoded = codec::decode(seq.value(), bytes.value())?;
                Ok(Head { last: decoded.entry.seq, chain: decoded.chain })
            }
        }
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

fn open_database(path: &Path) -> Result<Database, StoreError> {
    let opened = Database::builder().set_cache_size(CACHE_BYTES).create(path);
    opened.map_err(|error| StoreError::Open { path: path.to_owned(), source: Box::new(error.into()) })
}
