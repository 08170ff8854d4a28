//! `evidence.redb`: opened, set aside, written a step at a time, made smaller.
//!
//! Promises: a file that is damaged or not ours is renamed and a new one begun; only one that was begun in
//! the last hour, in place of another, is deleted instead; a step is one transaction and touches a bounded
//! number of items; a panic of the engine over what it finds in the file is damage like any other.
//!
//! Refuses: deciding when. That is the thread's.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase};
use rollcall_domain::moment::Moment;

use super::queue::Shared;
use super::rows::{Rows, Totals};
use super::tables::{META, TOTALS};
use super::{Item, Subject};
use crate::begin::{begin, begin_lasting};
use crate::error::StoreError;
use crate::names::{folder_of, sync_folder};

/// Pages that may stay in memory.
const CACHE_BYTES: usize = 16 << 20;
/// The most items that one transaction removes.
const AT_ONCE: usize = 2_048;
/// A file is made smaller if it is this many times what is in it, and some.
const ROOMY_TIMES: u64 = 3;
const ROOMY_BYTES: u64 = 8 << 20;

/// What has to go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Everything from before.
    pub(super) before: Moment,
    /// And the oldest, until the rest comes to no more than this.
    pub(super) bytes: u64,
}

pub(super) struct EvidenceFile {
    path: PathBuf,
    shared: Arc<Shared>,
    totals: Totals,
    /// Something was committed that a power cut would undo.
    volatile: bool,
    /// How many items it would take.
    pub(super) unsaved: u64,
}

impl EvidenceFile {
    /// Opens the file, or makes it. Afterwards it is known that it can be written.
    pub(super) fn open(path: &Path, shared: &Arc<Shared>) -> Result<Self, StoreError> {
        let opened = guarded(|| {
            let database = open_database(path)?;
            let totals = totals_in(&database)?;
            let transaction = begin_lasting(&database)?;
            Rows::of(&transaction)?;
            totals.write(&transaction)?;
            transaction.commit()?;
            Ok((database, totals))
        });
        let (database, totals) = opened?;
        sync_folder(folder_of(path))?;
        shared.put_database(Some(Arc::new(database)));
        let (path, shared) = (path.to_owned(), Arc::clone(shared));
        Ok(EvidenceFile { path, shared, totals, volatile: false, unsaved: 0 })
    }

    pub(super) fn is_volatile(&self) -> bool {
        self.volatile
    }

    /// Writes the items, and removes what has to go, or a part of it; tells whether there may be more.
    pub(super) fn write(
        &mut self,
        items: &[Item],
        bounds: Option<Bounds>,
        lasting: bool,
    ) -> Result<bool, StoreError> {
        let more = self.step(lasting, |rows, totals| {
            items.iter().try_for_each(|item| rows.put(totals, item))?;
            bounds.map_or(Ok(false), |bounds| {
                rows.remove_oldest(totals, AT_ONCE, |oldest, bytes| {
                    oldest.at < bounds.before || bytes > bounds.bytes
                })
            })
        })?;
        if !lasting {
            self.unsaved += u64::try_from(items.len()).unwrap_or(u64::MAX);
        }
        Ok(more)
    }

    /// Removes what is about this, or a part of it; tells how many items, and whether there may be more.
    pub(super) fn forget(&mut self, about: &Subject) -> Result<(u64, bool), StoreError> {
        let gone = self.step(true, |rows, totals| rows.remove_about(totals, AT_ONCE, about))?;
        Ok((u64::try_from(gone).unwrap_or(u64::MAX), gone == AT_ONCE))
    }

    fn step<T>(
        &mut self,
        lasting: bool,
        step: impl FnOnce(&mut Rows<'_>, &mut Totals) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let before = self.totals;
        let mut totals = before;
        let database = self.shared.database()?;
        let done = guarded(|| {
            let transaction = begin(&database, lasting)?;
            let done = step(&mut Rows::of(&transaction)?, &mut totals)?;
            if totals == before && !(lasting && self.volatile) {
                transaction.abort()?;
            } else {
                totals.write(&transaction)?;
                transaction.commit()?;
            }
            Ok(done)
        })?;
        self.volatile = !lasting && (self.volatile || totals != before);
        self.totals = totals;
        if lasting {
            self.unsaved = 0;
        }
        Ok(done)
    }

    /// Whether much of the file is empty.
    pub(super) fn is_roomy(&self) -> bool {
        let length = fs::metadata(&self.path).map_or(0, |file| file.len());
        length > self.totals.bytes.saturating_mul(ROOMY_TIMES).saturating_add(ROOMY_BYTES)
    }

    /// Moves what is in the file to its front and cuts off the rest, which also takes what lies in pages
    /// that are free. Whoever comes to read meanwhile is told to try again; if somebody is reading, nothing
    /// is done. Tells whether it was.
    pub(super) fn compact(&mut self) -> Result<bool, StoreError> {
        let Some(mut database) = self.shared.put_database(None) else { return Err(StoreError::Down) };
        let compacted = match Arc::get_mut(&mut database) {
            Some(database) => guarded(|| match database.compact() {
                Ok(_moved) => Ok(true),
                Err(redb::CompactionError::TransactionInProgress) => Ok(false),
                Err(error) => Err(error.into()),
            }),
            None => Ok(false),
        };
        self.shared.put_database(Some(database));
        compacted
    }
}

/// What files are named that are set aside: the file's own name, a suffix and a number.
fn aside_prefix(path: &Path) -> OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".set-aside-");
    name
}

/// The files that were set aside and are still there.
pub(super) fn aside_of(path: &Path) -> Vec<PathBuf> {
    let prefix = aside_prefix(path);
    let is_aside = |name: &OsStr| name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes());
    let entries = path.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten();
    let found = entries.filter_map(Result::ok).filter(|entry| is_aside(&entry.file_name()));
    let mut found: Vec<PathBuf> = found.map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// Gives the file another name, under which nobody opens it; tells which.
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let named = |number: u32| {
        let mut name = aside_prefix(path);
        name.push(number.to_string());
        path.with_file_name(name)
    };
    let free = (1..).map(named).find(|name| fs::symlink_metadata(name).is_err()).ok_or(StoreError::Down)?;
    fs::rename(path, &free).map_err(redb::Error::Io)?;
    sync_folder(folder_of(path))?;
    Ok(free)
}

/// Deletes a file of our own that was begun a short while ago.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    Ok(fs::remove_file(path).map_err(redb::Error::Io)?)
}

/// Whether the file is at fault, not the disk.
pub(super) fn is_damage(error: &StoreError) -> bool {
    let why = match error {
        StoreError::DamagedEvidence | StoreError::NotEvidence => return true,
        StoreError::Engine(why) | StoreError::Open { why, .. } => why.as_ref(),
        _ => return false,
    };
    match why {
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableDoesNotExist(_) => true,
        redb::Error::Io(why) => matches!(why.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof),
        _ => false,
    }
}

/// The engine may panic over damaged pages; that is no reason for the caller to.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(StoreError::DamagedEvidence))
}

fn open_database(path: &Path) -> Result<Database, StoreError> {
    let opened = Database::builder().set_cache_size(CACHE_BYTES).create(path);
    opened.map_err(|error| StoreError::Open { path: path.to_owned(), why: Box::new(error.into()) })
}

/// A file without any table is new; one with others is somebody else's.
pub(super) fn totals_in(database: &impl ReadableDatabase) -> Result<Totals, StoreError> {
    let read = database.begin_read()?;
    if read.list_tables()?.next().is_none() && read.list_multimap_tables()?.next().is_none() {
        return Ok(Totals::default());
    }
    match read.open_table(META) {
        Ok(table) => table.get(TOTALS)?.map_or(Err(StoreError::NotEvidence), |row| Totals::read(row.value())),
        Err(redb::TableError::Storage(error)) => Err(error.into()),
        Err(_other) => Err(StoreError::NotEvidence),
    }
}
