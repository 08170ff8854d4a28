//! Where the files lie.
//!
//! Promises: whatever a running store does to its ledger, its tail and its views goes through here, so that its
//! tests can cut the power of a disk that is made of memory, or let it fail; what is read after opening is what
//! the disk has, not what is left in memory of writes that it refused.
//!
//! Refuses: knowing what is in the files; evidence, and what is done to a whole folder at once, as backups,
//! restores, salvage and changes of a format are: those go by the paths of a real one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, StorageBackend};
use rustix::fs::{Advice, fadvise, statvfs};

use crate::error::StoreError;

/// How long to wait before trying a disk again that refused.
const RETRY: Duration = Duration::from_millis(500);
/// How long the ledger's tail may become before it is moved: some 40,000 scans.
const TAIL_BYTES: u64 = 8 << 20;
const TAIL_BLOCK: u64 = 4_096;

/// A folder on a disk, or what a test puts in its place.
pub trait Disk: Send + Sync {
    /// Opens the database in a file; makes it only if `make` says so.
    ///
    /// # Errors
    /// The file is not there, is in use, or is not a database; or the disk fails.
    fn open(&self, builder: &Builder, file: &str, make: bool) -> Result<Database, DatabaseError>;

    /// Opens a file as it is; makes an empty one only if `make` says so.
    ///
    /// # Errors
    /// The file is not there, or the disk fails.
    fn raw(&self, file: &str, make: bool) -> io::Result<Box<dyn StorageBackend>>;

    /// # Errors
    /// The disk fails.
    fn has(&self, file: &str) -> io::Result<bool>;

    /// Gives a file its name, which a power cut does not take back; it may be open.
    ///
    /// # Errors
    /// The disk fails.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a file away, if it is there; whoever has it open keeps it.
    ///
    /// # Errors
    /// The disk fails.
    fn remove(&self, file: &str) -> io::Result<()>;

    /// How many bytes can still be written.
    ///
    /// # Errors
    /// The disk does not tell.
    fn free(&self) -> io::Result<u64>;

    /// What people are told about a file.
    fn path(&self, file: &str) -> PathBuf;

    /// The real folder, if it is one: its files can be looked at page by page, and salvaged.
    fn folder(&self) -> Option<&Path> {
        None
    }
}

/// Where a store lies, and how much of the disk it leaves free. Made of a folder, or of a [`Disk`].
#[derive(Clone)]
pub struct Place {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) min_free_bytes: u64,
    pub(crate) retry: Duration,
    pub(crate) tail_bytes: u64,
}

impl Place {
    pub fn on(disk: Arc<dyn Disk>) -> Self {
        Place { disk, min_free_bytes: 0, retry: RETRY, tail_bytes: TAIL_BYTES }
    }

    /// Leaves so many bytes free: below it nothing is acknowledged, so that a full disk is never found out
    /// by a write that fails half way. 0 switches it off.
    #[must_use]
    pub fn keeping_free(self, bytes: u64) -> Self {
        Place { min_free_bytes: bytes, ..self }
    }

    /// Waits so long before a disk that refused is tried again.
    #[must_use]
    pub fn trying_again_after(self, retry: Duration) -> Self {
        Place { retry, ..self }
    }

    /// Has a tail of the ledger of about so many bytes.
    #[must_use]
    pub fn with_tail_of(self, bytes: u64) -> Self {
        Place { tail_bytes: bytes.max(TAIL_BLOCK).next_multiple_of(TAIL_BLOCK), ..self }
    }

    pub(crate) fn raw(&self, file: &str, make: bool) -> Result<Box<dyn StorageBackend>, StoreError> {
        let opened = self.disk.raw(file, make);
        opened.map_err(|error| StoreError::opening(self.disk.path(file), redb::Error::Io(error)))
    }

    pub(crate) fn open(&self, cache_bytes: usize, file: &str, make: bool) -> Result<Database, StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes);
        let opened = self.disk.open(&builder, file, make);
        opened.map_err(|error| StoreError::opening(self.disk.path(file), error.into()))
    }
}

impl From<&Path> for Place {
    fn from(folder: &Path) -> Self {
        Place::on(Arc::new(Folder(folder.to_owned())))
    }
}

impl From<&PathBuf> for Place {
    fn from(folder: &PathBuf) -> Self {
        Place::from(folder.as_path())
    }
}

/// Pages that could not be written stay in memory, and the system takes them for written; read from there, a
/// commit that failed would look as if it were on disk. So they are read from the disk. A file system that
/// cannot forget them refuses, which changes nothing.
fn forget_pages(path: &Path) {
    if let Err(error) = File::open(path).and_then(|file| Ok(fadvise(file, 0, None, Advice::DontNeed)?)) {
        tracing::debug!(%error, path = %path.display(), "what is in memory of the file is not read anew");
    }
}

/// The folder of a real disk.
struct Folder(PathBuf);

impl Folder {
    /// So that a file's name survives a power cut, like what is in it.
    fn keep_names(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl Disk for Folder {
    fn open(&self, builder: &Builder, file: &str, make: bool) -> Result<Database, DatabaseError> {
        let path = self.path(file);
        forget_pages(&path);
        if make { builder.create(path) } else { builder.open(path) }
    }

    fn raw(&self, file: &str, make: bool) -> io::Result<Box<dyn StorageBackend>> {
        let path = self.path(file);
        forget_pages(&path);
        let opened = OpenOptions::new().read(true).write(true).create(make).truncate(false).open(path)?;
        Ok(Box::new(FileBackend::new(opened).map_err(io::Error::other)?))
    }

    fn has(&self, file: &str) -> io::Result<bool> {
        self.path(file).try_exists()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))?;
        self.keep_names()
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        match fs::remove_file(self.path(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn free(&self) -> io::Result<u64> {
        let disk = statvfs(&self.0)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.0)
    }
}
