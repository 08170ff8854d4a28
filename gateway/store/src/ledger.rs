//! The ledger's file and its tail: opening them, and writing to them.
//!
//! Promises: the file is there with all that belongs into it or not at all; what was written is on disk; after
//! a failed commit the database is dropped and opened anew, and it is still the same one; a reader never waits
//! for a reopening.
//!
//! Refuses: deciding what is written. That is the [`crate::writer`]'s. Reading is in [`crate::reading`].

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redb::{Database, ReadableDatabase as _, TableError};
use rollcall_domain::ids::Seq;
use tokio::sync::watch;

use crate::begin::{begin, begin_lasting};
use crate::caught::{caught, let_go};
use crate::change::Change;
use crate::codec::{Chain, GENESIS};
use crate::disk::Place;
use crate::error::StoreError;
use crate::events;
use crate::keys::{Keyring, Keys};
use crate::overlay::{Look, look_at, open_unchanged};
use crate::tables::{EVENTS, PROOF};
use crate::tail::{self, Record, Tail};

/// Pages that may stay in memory.
const CACHE_BYTES: usize = 8 << 20;
/// What a disk that refused has to take before it is trusted again.
const PROOF_BYTES: usize = 1 << 20;
pub(crate) const FILE: &str = "ledger.redb";
/// A new ledger, until it is one.
const UNFINISHED: &str = "ledger.redb.new";

/// The file, and where its chain stands.
pub(crate) struct Ledger {
    place: Place,
    pub(crate) keys: Keys,
    /// Absent while it is being reopened, and once it is closed.
    database: RwLock<Option<Arc<Database>>>,
    pub(crate) tail: Tail,
    /// A tail lies beside it that is another ledger's; known of one that is only looked at.
    pub(crate) is_tail_foreign: bool,
    /// Somebody could not read.
    doubted: AtomicBool,
    up: watch::Sender<State>,
    /// The last sequence on disk.
    last: AtomicU64,
    /// When the writer turned to the disk, in milliseconds, if it waits for it; [`IDLE`] if not.
    busy_since: AtomicU64,
}

const IDLE: u64 = u64::MAX;

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
        Self::open_with(place, keys, |database| Keys::settle(database, keys))
    }

    /// Opens the file to look at it: it stays under the key that it is under.
    pub(crate) fn open_as_it_is(place: &Place, keys: &Keyring) -> Result<Self, StoreError> {
        Self::open_with(place, keys, |database| Keys::read(database, keys))
    }

    /// It gets its name once it is whole, so that an empty or a half-made one is never taken for a ledger:
    /// that could only be one that has lost what was in it.
    fn open_with(
        place: &Place,
        ring: &Keyring,
        keys: impl FnOnce(&Database) -> Result<Keys, StoreError>,
    ) -> Result<Self, StoreError> {
        let disk = &*place.disk;
        if disk.has(FILE).map_err(redb::Error::Io)? {
            let database = place.open(CACHE_BYTES, FILE, false)?;
            // First, for a key that replaces another chains what comes after the last entry.
            let tail = Tail::open(place, &database, Keys::read(&database, ring)?.ledger())?;
            let keys = keys(&database)?;
            forget_proof(&database)?;
            return Ok(Ledger { tail, ..Self::of(place.clone(), keys, database) });
        }
        disk.remove(UNFINISHED).map_err(redb::Error::Io)?;
        tail::put_foreign_aside(place)?;
        let database = place.open(CACHE_BYTES, UNFINISHED, true)?;
        let keys = keys(&database)?;
        drop(database);
        disk.rename(UNFINISHED, FILE).map_err(redb::Error::Io)?;
        Ok(Self::of(place.clone(), keys, place.open(CACHE_BYTES, FILE, false)?))
    }

    /// Opens the file in a real folder to look at it: whatever is written is forgotten.
    pub(crate) fn open_unchanged(folder: &Path, keys: &Keyring) -> Result<Self, StoreError> {
        let mut is_tail_foreign = false;
        let ledger = Self::open_only(folder, keys, || {
            let database = open_unchanged(&file_in(folder))?;
            is_tail_foreign = Tail::look(folder, &database, Keys::read(&database, keys)?.ledger())?;
            Ok(database)
        })?;
        Ok(Ledger { is_tail_foreign, ..ledger })
    }

    /// Opens a ledger of this folder that has not its name yet.
    pub(crate) fn open_unnamed(folder: &Path, file: &str, keys: &Keyring) -> Result<Self, StoreError> {
        Self::open_only(folder, keys, || Place::from(folder).open(CACHE_BYTES, file, false))
    }

    /// Makes the file in a real folder the whole ledger, if something lies in its tail alone. What is damaged is
    /// left as it is: the engine would write to it while it opens it.
    ///
    /// # Errors
    /// File or tail is damaged, or somebody has it.
    pub(crate) fn settle(folder: &Path, keys: &Keyring) -> Result<(), StoreError> {
        let path = file_in(folder);
        if let Look::Damaged(what) = look_at(&path)? {
            return Err(StoreError::Broken { path, what });
        }
        let database = open_unchanged(&path)?;
        let ledger = Keys::read(&database, keys)?.ledger();
        let lacks = tail::lacks_something(&database, &tail::bytes_in(folder)?, ledger)?;
        drop(database);
        if lacks {
            let place = Place::from(folder);
            Tail::open(&place, &place.open(CACHE_BYTES, FILE, false)?, ledger)?;
        }
        Ok(())
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
        let (tail, up, last) = (Tail::default(), watch::Sender::new(State::Up), AtomicU64::new(0));
        let (doubted, busy_since) = (AtomicBool::new(false), AtomicU64::new(IDLE));
        let is_tail_foreign = false;
        Ledger { place, keys, database, tail, is_tail_foreign, doubted, up, last, busy_since }
    }

    pub(crate) fn database(&self) -> Result<Arc<Database>, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or(StoreError::Down)
    }

    /// Drops the database, which may be unusable after a failure, and opens it anew. One that is not there
    /// any more is not made: it would be an empty one. One that can be read and not written, as on a full
    /// disk, does not count as open; nor does one that does not go through `known`, up to where it was written.
    pub(crate) fn reopen(&self, known: Head) -> Result<(), StoreError> {
        let_go(self.put(None));
        self.doubted.store(false, Ordering::Release);
        let database = self.place.open(CACHE_BYTES, FILE, false)?;
        self.keys.check(&database)?;
        let lies = self.tail.open_again(&self.place, &database, self.keys.ledger(), known)?;
        prove(&database)?;
        self.tail.begin_anew(&self.place, lies)?;
        self.put(Some(Arc::new(database)));
        Ok(())
    }

    /// Brings entries to the disk.
    pub(crate) fn write(&self, record: Record) -> Result<(), StoreError> {
        if !self.tail.has_room_for(&record) {
            self.move_tail(true)?;
        }
        if record.length() > self.place.tail_bytes {
            return self.write_with(Change::of(self.database()?), &record);
        }
        self.tail.write(&self.place, record)
    }

    /// Brings entries to the disk together with rows of the register.
    pub(crate) fn write_with(&self, change: Change, record: &Record) -> Result<(), StoreError> {
        let transaction = change.transaction()?;
        self.tail.put_into(transaction)?;
        events::insert(&mut transaction.open_table(EVENTS)?, record.rows(0))?;
        change.commit()?;
        self.tail.moved(true);
        Ok(())
    }

    /// Moves the tail into the file; `lasting` if that is to outlast a power cut by itself.
    pub(crate) fn move_tail(&self, lasting: bool) -> Result<(), StoreError> {
        let transaction = begin(&*self.database()?, lasting)?;
        self.tail.put_into(&transaction)?;
        transaction.commit()?;
        self.tail.moved(lasting);
        Ok(())
    }

    /// Whether the tail should be moved now, and, if so, whether lastingly.
    pub(crate) fn is_due(&self, now: Duration) -> Option<bool> {
        self.tail.is_due(&self.place, now)
    }

    /// Whoever reads finds the store down; the file is closed with what is returned.
    pub(crate) fn close(&self) -> Option<Arc<Database>> {
        self.up.send_replace(State::Closed);
        self.put(None)
    }

    fn put(&self, database: Option<Arc<Database>>) -> Option<Arc<Database>> {
        std::mem::replace(&mut *self.database.write().unwrap_or_else(PoisonError::into_inner), database)
    }

    /// The engine reads nothing more after the disk has failed once: the file has to be opened again.
    pub(crate) fn noted<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Engine(error)) = &read
            && matches!(**error, redb::Error::PreviousIo)
        {
            self.doubted.store(true, Ordering::Release);
        }
        read
    }

    /// Whether somebody could not read since it was opened.
    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Acquire)
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

    /// The writer turns to the disk at this moment, or, with nothing, is done with it.
    pub(crate) fn set_busy(&self, since: Option<Duration>) {
        let millis = since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(IDLE);
        self.busy_since.store(millis, Ordering::Release);
    }

    /// How long the writer has waited for the disk.
    pub(crate) fn busy_for(&self, now: Duration) -> Duration {
        match self.busy_since.load(Ordering::Acquire) {
            IDLE => Duration::ZERO,
            since => now.saturating_sub(Duration::from_millis(since)),
        }
    }

    pub(crate) fn set_last(&self, last: Seq) {
        self.last.store(last.0, Ordering::Release);
    }

    pub(crate) fn last(&self) -> Seq {
        Seq(self.last.load(Ordering::Acquire))
    }
}

/// Writes something and takes it away again.
fn prove(database: &Database) -> Result<(), StoreError> {
    let write = begin_lasting(database)?;
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
    let write = begin_lasting(database)?;
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
