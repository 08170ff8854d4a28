//! The end of the ledger, until it lies in the ledger's own file.
//!
//! Promises: a commit is one write to one place and one sync, where the tree of the engine would write many
//! pages in different places; what was written here is in the ledger for everybody who reads it; after a kill
//! or a power cut it is brought into the file before anybody reads.
//!
//! Refuses: rows of the register. A commit that has some goes into the file itself, with all that lies here,
//! in one transaction of the engine.
//!
//! The records lie in `ledger.tail`, one after the other. From time to time they are moved into the ledger's
//! file, which costs the engine little when there are many; once that is lasting, the next record goes to the
//! start of the tail again. Which of those that lie there still count is told by their sequences: what the
//! file has is passed over, what follows it is brought in, and where nothing follows, the tail ends.

mod file;
mod record;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use redb::{Database, Durability, ReadableDatabase as _, WriteTransaction};
use rollcall_domain::ids::Seq;

use crate::disk::Place;
use crate::error::StoreError;
use crate::events;
use crate::overlay::open_unchanged;
use crate::reading::Now;
use crate::tables::EVENTS;
use file::TailFile;
use record::BLOCK;
pub(crate) use record::Record;

/// How long something may be in the tail alone.
const LASTING: Duration = Duration::from_secs(5);
/// Pages that stay in memory while a tail is settled.
const CACHE_BYTES: usize = 1 << 20;

/// Where the tail of the ledger in this folder lies.
pub(crate) fn file_in(folder: &Path) -> PathBuf {
    folder.join(file::FILE)
}

#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// What is not in the ledger's file yet.
    records: RwLock<Vec<Arc<Record>>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Absent until something is written.
    file: Option<TailFile>,
    /// Something from before lies in it.
    used: bool,
    /// Of the records that are not in the ledger's file yet.
    bytes: u64,
    /// When it was first asked about what is not in the ledger's file lastingly.
    since: Option<Duration>,
    /// Something was moved into the ledger's file that a power cut would take from there.
    volatile: bool,
}

impl Tail {
    /// Brings what lies in the tail of a ledger into its file.
    ///
    /// # Errors
    /// Entries between the file and the tail are missing, or the disk fails.
    pub(crate) fn open(place: &Place, database: &Database) -> Result<Self, StoreError> {
        let tail = Tail::default();
        tail.open_again(place, database)?;
        Ok(tail)
    }

    /// The same after a failure; what was in memory is forgotten.
    pub(crate) fn open_again(&self, place: &Place, database: &Database) -> Result<(), StoreError> {
        self.records.write().unwrap_or_else(PoisonError::into_inner).clear();
        *self.state() = State::default();
        let Some(file) = TailFile::open(place)? else { return Ok(()) };
        let bytes = file.bytes()?;
        if bring_in(database, &bytes)? == Whose::Foreign {
            let aside = file::put_aside(place)?;
            tracing::warn!(aside = %aside.display(), "the tail is of another ledger than the one beside it; it is kept, and left out");
            return Ok(());
        }
        // A tail of another size is made anew when something is written.
        let fits = file.length() == place.tail_bytes;
        let used = bytes.iter().any(|byte| *byte != 0);
        *self.state() = State { file: fits.then_some(file), used, ..State::default() };
        Ok(())
    }

    /// Brings what lies in a tail that is only looked at into a file of which nothing is kept.
    pub(crate) fn look(folder: &Path, database: &Database) -> Result<(), StoreError> {
        bring_in(database, &bytes_in(folder)?).map(drop)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records with entries from this sequence on.
    pub(crate) fn since(&self, from: Seq) -> Vec<Arc<Record>> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let skipped = records.partition_point(|record| record.last() < from);
        records.get(skipped..).unwrap_or_default().to_vec()
    }

    /// Whether a record has room before what is there is moved.
    pub(crate) fn has_room_for(&self, record: &Record) -> bool {
        self.state().file.as_ref().is_none_or(|file| file.has_room_for(record))
    }

    /// Brings a record to the disk; afterwards everybody reads it.
    pub(crate) fn write(&self, place: &Place, mut record: Record) -> Result<(), StoreError> {
        let mut state = self.state();
        let file = match state.file.take() {
            // What was torn must not lie about among what is written next.
            Some(mut file) if state.used => file.wipe().map(|()| file)?,
            Some(file) => file,
            None => TailFile::make(place)?,
        };
        state.used = false;
        state.file.insert(file).write(&mut record)?;
        state.bytes += record.length();
        drop(state);
        self.records.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(record));
        Ok(())
    }

    /// Whether it should be moved now, and, if so, whether lastingly.
    pub(crate) fn is_due(&self, place: &Place, now: Duration) -> Option<bool> {
        let mut state = self.state();
        if state.bytes == 0 && !state.volatile {
            return None;
        }
        let since = *state.since.get_or_insert(now);
        match now.saturating_sub(since) >= LASTING {
            true => Some(true),
            false => (state.bytes >= place.tail_bytes / 4).then_some(false),
        }
    }

    /// Whether the ledger's file lacks something, or would after a power cut.
    pub(crate) fn is_open(&self) -> bool {
        let state = self.state();
        state.bytes > 0 || state.volatile
    }

    /// Writes the records into the ledger's file.
    pub(crate) fn put_into(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
        put(transaction, self.since(Seq(0)).iter().map(AsRef::as_ref))
    }

    /// To be called once that is committed; `lasting` if a power cut does not take it back.
    pub(crate) fn moved(&self, lasting: bool) {
        self.records.write().unwrap_or_else(PoisonError::into_inner).clear();
        let mut state = self.state();
        (state.bytes, state.volatile) = (0, !lasting);
        if lasting {
            state.since = None;
            state.file.iter_mut().for_each(TailFile::start_over);
        }
    }
}

/// A ledger that is made has none yet: one that lies there is another's.
pub(crate) fn put_foreign_aside(place: &Place) -> Result<(), StoreError> {
    if place.disk.has(file::FILE).map_err(redb::Error::Io)? {
        file::put_aside(place)?;
    }
    Ok(())
}

/// Brings the tail of a ledger in a real folder into its file, if that lacks something, so that it alone is
/// the whole ledger.
pub(crate) fn settle(folder: &Path, ledger: &str) -> Result<(), StoreError> {
    let bytes = bytes_in(folder)?;
    let end = Now::of(open_unchanged(&folder.join(ledger))?.begin_read()?, Vec::new()).end()?;
    if following(&bytes, end)?.0.is_empty() {
        return Ok(());
    }
    let place = Place::from(folder);
    Tail::open(&place, &place.open(CACHE_BYTES, ledger, false)?).map(drop)
}

/// Gives the tail in this folder the name of the ledger that was set aside.
pub(crate) fn set_aside(folder: &Path, with: &Path) -> Result<(), StoreError> {
    match std::fs::rename(file_in(folder), with.with_extension("tail")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(redb::Error::Io(error).into()),
        _ => Ok(()),
    }
}

/// The tail in a real folder, as it is; nothing if there is none.
pub(crate) fn bytes_in(folder: &Path) -> Result<Vec<u8>, StoreError> {
    match std::fs::read(file_in(folder)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        read => Ok(read.map_err(redb::Error::Io)?),
    }
}

/// Whether a record in this folder's tail was begun and is not whole. Those that were overwritten have lost
/// their beginning, too.
pub(crate) fn is_broken(folder: &Path) -> bool {
    let bytes = bytes_in(folder).unwrap_or_default();
    bytes.chunks(BLOCK).enumerate().any(|(block, start)| {
        let from_there = bytes.get(block * BLOCK..).unwrap_or_default();
        Record::begins(start) && matches!(Record::read(from_there), Ok(None))
    })
}

/// Whose a tail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    /// It follows something else than what is in the file.
    Foreign,
}

/// Writes those entries into the file that follow its last one.
fn bring_in(database: &Database, bytes: &[u8]) -> Result<Whose, StoreError> {
    let now = Now::of(database.begin_read()?, Vec::new());
    let end = now.end()?;
    let (records, at) = following(bytes, end)?;
    if let Some(first) = records.first()
        && now.link_at(end)? != *first.before()
    {
        return Ok(Whose::Foreign);
    }
    let last = records.last().map_or(end, Record::last);
    // Each was on disk before the next was begun: a later one that is whole tells that this one was, too.
    if is_more(bytes, at, last)? {
        let damaged = Record::first_damaged(bytes.get(at..).unwrap_or_default());
        return Err(match damaged {
            Some(seq) => StoreError::Damaged { seq, what: "in ledger.tail" },
            None => StoreError::Hole { seq: last.0 + 1 },
        });
    }
    if !records.is_empty() {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate).map_err(redb::Error::from)?;
        put(&transaction, records.iter())?;
        transaction.commit()?;
    }
    Ok(Whose::Ours)
}

/// The records that follow this entry, and where they end.
fn following(bytes: &[u8], mut end: Seq) -> Result<(Vec<Record>, usize), StoreError> {
    let (mut records, mut at) = (Vec::new(), 0_usize);
    while let Some(record) = bytes.get(at..).map(Record::read).transpose()?.flatten() {
        let is_next = record.first().0 == end.0 + 1;
        if !is_next && record.last() > end {
            break;
        }
        at = at.saturating_add(usize::try_from(record.length()).unwrap_or(usize::MAX));
        if is_next {
            end = record.last();
            records.push(record);
        }
    }
    Ok((records, at))
}

/// Whether a record with later entries lies there.
fn is_more(bytes: &[u8], from: usize, last: Seq) -> Result<bool, StoreError> {
    for at in (from..bytes.len()).step_by(BLOCK) {
        let found = Record::read(bytes.get(at..).unwrap_or_default())?;
        if found.is_some_and(|record| record.last() > last) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn put<'r>(
    transaction: &WriteTransaction,
    records: impl Iterator<Item = &'r Record>,
) -> Result<(), StoreError> {
    let entries = records.flat_map(|record| record.rows(0));
    events::insert(&mut transaction.open_table(EVENTS)?, entries)
}
