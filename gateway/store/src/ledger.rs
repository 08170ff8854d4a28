//! The ledger file: opening, reading, and one transaction at a time.
//!
//! Promises: the file is there with all that belongs into it or not at all; after a failed commit the
//! database is dropped and opened anew, and it is still the same one; a reader sees sequences without holes,
//! but for those that are known to be lost, and never waits for a reopening; whoever walks the chain checks
//! it.
//!
//! Refuses: deciding what is written. That is the [`crate::writer`]'s.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableError};
use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;
use tokio::sync::watch;

use crate::caught::{caught, let_go};
use crate::codec::{self, Chain, Decoded, GENESIS};
use crate::disk::Place;
use crate::error::StoreError;
use crate::gaps::{self, Gap, GapRow};
use crate::keys::{Keyring, Keys};
use crate::overlay::open_unchanged;
use crate::tables::{EVENTS, PROOF};

/// Pages that may stay in memory.
const CACHE_BYTES: usize = 8 << 20;
/// What a disk that refused has to take before it is trusted again.
const PROOF_BYTES: usize = 1 << 20;
const FILE: &str = "ledger.redb";
/// A new ledger, until it is one.
const UNFINISHED: &str = "ledger.redb.new";

/// The file, and where its chain stands.
pub(crate) struct Ledger {
    place: Place,
    pub(crate) keys: Keys,
    /// Absent while it is being reopened, and once it is closed.
    database: RwLock<Option<Arc<Database>>>,
    up: watch::Sender<State>,
    /// The last sequence on disk.
    last: AtomicU64,
}

/// Whether appends are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Down,
    /// For good.
    Closed,
}

/// The store is closed, and nothing comes of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

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
        if disk.has(FILE).map_err(redb::Error::Io)? {
            let database = place.open(CACHE_BYTES, FILE, false)?;
            let keys = keys(&database)?;
            forget_proof(&database)?;
            return Ok(Self::of(place.clone(), keys, database));
        }
        disk.remove(UNFINISHED).map_err(redb::Error::Io)?;
        let database = place.open(CACHE_BYTES, UNFINISHED, true)?;
        let keys = keys(&database)?;
        drop(database);
        disk.rename(UNFINISHED, FILE).map_err(redb::Error::Io)?;
        Ok(Self::of(place.clone(), keys, place.open(CACHE_BYTES, FILE, false)?))
    }

    /// Opens the file in a real folder to look at it: whatever is written is forgotten.
    pub(crate) fn open_unchanged(folder: &Path, keys: &Keyring) -> Result<Self, StoreError> {
        Self::open_only(folder, keys, || open_unchanged(&file_in(folder)))
    }

    /// Opens a ledger of this folder that has not its name yet.
    pub(crate) fn open_unnamed(folder: &Path, file: &str, keys: &Keyring) -> Result<Self, StoreError> {
        Self::open_only(folder, keys, || Place::from(folder).open(CACHE_BYTES, file, false))
    }

    fn open_only(
        folder: &Path,
        keys: &Keyring,
        open: impl FnOnce() -> Result<Database, StoreError>,
    ) -> Result<Self, StoreError> {
        // A damaged file can make the engine panic.
        let (database, keys) = caught(|| {
            let database = open()?;
            let keys = Keys::read(&database, keys)?;
            Ok((database, keys))
        })?;
        Ok(Self::of(Place::from(folder), keys, database))
    }

    fn of(place: Place, keys: Keys, database: Database) -> Self {
        let database = RwLock::new(Some(Arc::new(database)));
        Ledger { place, keys, database, up: watch::Sender::new(State::Up), last: AtomicU64::new(0) }
    }

    pub(crate) fn database(&self) -> Result<Arc<Database>, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or(StoreError::Down)
    }

    /// Drops the database, which may be unusable after a failure, and opens it anew. One that is not there
    /// any more is not made: it would be an empty one. One that can be read and not written, as on a full
    /// disk, does not count as open.
    pub(crate) fn reopen(&self) -> Result<(), StoreError> {
        let_go(self.put(None));
        let database = self.place.open(CACHE_BYTES, FILE, false)?;
        self.keys.check(&database)?;
        prove(&database)?;
        self.put(Some(Arc::new(database)));
        Ok(())
    }

    /// Whoever reads finds the store down; the file is closed with what is returned.
    pub(crate) fn close(&self) -> Option<Arc<Database>> {
        self.up.send_replace(State::Closed);
        self.put(None)
    }

    fn put(&self, database: Option<Arc<Database>>) -> Option<Arc<Database>> {
        std::mem::replace(&mut *self.database.write().unwrap_or_else(PoisonError::into_inner), database)
    }

    pub(crate) fn set_up(&self, up: bool) {
        let up = if up { State::Up } else { State::Down };
        self.up.send_if_modified(|known| {
            let is_news = *known != up && *known != State::Closed;
            if is_news {
                *known = up;
            }
            is_news
        });
    }

    pub(crate) fn is_up(&self) -> bool {
        *self.up.borrow() == State::Up
    }

    pub(crate) async fn until_up(&self) -> Result<(), Closed> {
        // The sender lives in `self`, so there is always an end to wait for.
        match self.up.subscribe().wait_for(|up| *up != State::Down).await {
            Ok(up) if *up == State::Up => Ok(()),
            _ => Err(Closed),
        }
    }

    pub(crate) async fn until_down(&self) {
        // The sender lives in `self`, so there is always an end to wait for.
        self.up.subscribe().wait_for(|up| *up != State::Up).await.ok();
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
        let end = self.end()?.0;
        if end < head.last.0 {
            return Err(StoreError::Short { seq: end + 1 });
        }
        Ok(self.link_at(head.last)? == head.chain)
    }

    /// What the chain is after this sequence, which may be the last of a gap.
    fn link_at(&self, seq: Seq) -> Result<Chain, StoreError> {
        let read = self.database()?.begin_read()?;
        if let Some(table) = open_events(&read)?
            && let Some(known) = table.get(seq.0)?
        {
            return Ok(codec::decode(seq.0, known.value())?.chain);
        }
        let gaps = gaps::load(&read)?;
        let ends_here = gaps.values().find(|row| row.gap.last == seq).and_then(GapRow::chain);
        ends_here.ok_or(StoreError::Lost { seq: seq.0 })
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
        let read = self.database()?.begin_read()?;
        let gaps = gaps::load(&read)?;
        if let Some(table) = open_events(&read)? {
            for row in table.range(head.last.0 + 1..)?.take(most) {
                let (seq, bytes) = row?;
                let decoded = self.step(&gaps, head, seq.value(), bytes.value())?;
                head = Head { last: Seq(seq.value()), chain: decoded.chain };
                each(decoded.entry);
            }
        }
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
        Self::end_in(&self.database()?.begin_read()?)
    }

    pub(crate) fn end_in(read: &ReadTransaction) -> Result<Seq, StoreError> {
        let entry = match open_events(read)? {
            Some(table) => table.last()?.map_or(0, |(seq, _)| seq.value()),
            None => 0,
        };
        let lost = gaps::load(read)?.into_values().map(|row| row.gap.last.0).max();
        Ok(Seq(entry.max(lost.unwrap_or_default())))
    }

    /// What the ledger is known to have lost.
    pub(crate) fn gaps(&self) -> Result<Vec<Gap>, StoreError> {
        let rows = gaps::load(&self.database()?.begin_read()?)?;
        Ok(rows.into_values().map(|row| row.gap).collect())
    }

    pub(crate) fn entries(&self, from: Seq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        caught(|| {
            let Some(table) = self.events()? else { return Ok(Vec::new()) };
            let rows = table.range(from.0..)?.take(limit);
            rows.map(|row| {
                let (seq, bytes) = row?;
                codec::decode(seq.value(), bytes.value()).map(|decoded| decoded.entry)
            })
            .collect()
        })
    }

    pub(crate) fn entry(&self, seq: Seq) -> Result<Entry, StoreError> {
        self.entries(seq, 1)?.pop().filter(|entry| entry.seq == seq).ok_or(StoreError::Hole { seq: seq.0 })
    }

    fn events(&self) -> Result<Option<Events>, StoreError> {
        open_events(&self.database()?.begin_read()?)
    }
}

type Events = ReadOnlyTable<u64, &'static [u8]>;

/// `None` before the first entry.
fn open_events(read: &ReadTransaction) -> Result<Option<Events>, StoreError> {
    match read.open_table(EVENTS) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes something and takes it away again.
fn prove(database: &Database) -> Result<(), StoreError> {
    let write = database.begin_write()?;
    write.open_table(PROOF)?.insert((), vec![0; PROOF_BYTES].as_slice())?;
    write.commit()?;
    forget_proof(database)
}

/// The power may have gone before it was taken away.
fn forget_proof(database: &Database) -> Result<(), StoreError> {
    match database.begin_read()?.open_table(PROOF) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        found => drop(found?),
    }
    let write = database.begin_write()?;
    write.delete_table(PROOF)?;
    Ok(write.commit()?)
}

/// Whether a ledger lies in this folder.
pub(crate) fn is_in(folder: &Path) -> bool {
    file_in(folder).exists()
}

pub(crate) fn file_in(folder: &Path) -> PathBuf {
    folder.join(FILE)
}
