//! The file that a backup is written to.
//!
//! Promises: it has its name only when it is complete and on disk, and nothing is left of one that failed; the
//! ledger's commits never wait for more than a little of it; nobody else may read it.
//!
//! Refuses: taking another file's place; following a link.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, fsync, renameat_with};
use rustix::io::Errno;

use crate::archive::{Header, Writer};
use crate::error::StoreError;
use crate::keys::RootKey;
use crate::names::{clear_away, folder_of};

/// After so many bytes it is brought to disk.
const SYNC_AFTER: usize = 1 << 20;

/// Is told how many bytes are on disk, again and again, and may end the work.
pub(crate) type Watch<'w> = &'w mut dyn FnMut(u64) -> ControlFlow<()>;

/// One that nothing is in yet.
pub(crate) struct BackupFile<'w> {
    file: Paced<'w>,
    target: &'w Path,
}

/// Rows go in here.
pub(crate) struct Out<'w> {
    writer: Writer<Paced<'w>>,
    target: &'w Path,
}

/// What a backup is called until it is one.
pub fn part_of_backup(target: &Path) -> PathBuf {
    let mut part = target.as_os_str().to_owned();
    part.push(".part");
    PathBuf::from(part)
}

/// Makes the file of what `write` puts into it.
pub(crate) fn make<'w, T>(
    target: &'w Path,
    watch: Watch<'w>,
    write: impl FnOnce(BackupFile<'w>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let writing = |error| failed(target, &error);
    if target.symlink_metadata().is_ok() {
        return Err(writing(io::ErrorKind::AlreadyExists.into()));
    }
    let part = part_of_backup(target);
    // It holds what identifies people: whatever lies there under its name is neither followed nor filled.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(writing(error)),
        _ => {}
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).map_err(writing)?;
    let file = Paced { file: made, unsynced: 0, synced: 0, watch };
    let written = write(BackupFile { file, target }).and_then(|written| {
        give_name(&part, target).map_err(writing)?;
        // What is said to have failed is not to be found under its name.
        keep_name(target).inspect_err(|_why| clear_away(target)).map_err(writing)?;
        Ok(written)
    });
    if written.is_err() {
        clear_away(&part);
    }
    written
}

fn failed(target: &Path, error: &io::Error) -> StoreError {
    StoreError::Backup { path: target.to_owned(), what: error.to_string() }
}

/// Not to a file that is there by now.
fn give_name(part: &Path, target: &Path) -> io::Result<()> {
    match renameat_with(CWD, part, CWD, target, RenameFlags::NOREPLACE) {
        // Not every file system can tell.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::rename(part, target),
        named => Ok(named?),
    }
}

/// Not every file system can be told to, and those keep it by themselves.
fn keep_name(target: &Path) -> io::Result<()> {
    match fsync(File::open(folder_of(target))?) {
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
        kept => Ok(kept?),
    }
}

impl<'w> BackupFile<'w> {
    pub(crate) fn begin(self, version: u8, header: &Header, key: &RootKey) -> Result<Out<'w>, StoreError> {
        let target = self.target;
        let writer = Writer::begin(self.file, version, header, key);
        Ok(Out { writer: writer.map_err(|error| failed(target, &error))?, target })
    }
}

impl Out<'_> {
    /// The rows that follow are this table's.
    pub(crate) fn table(&mut self, name: &str) -> Result<(), StoreError> {
        self.writer.table(name).map_err(|error| failed(self.target, &error))
    }

    pub(crate) fn row(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.writer.row(key, value).map_err(|error| failed(self.target, &error))
    }

    /// Brings all of it to disk.
    pub(crate) fn end(self) -> Result<(), StoreError> {
        let ended = self.writer.end().and_then(|paced| paced.file.sync_all());
        ended.map_err(|error| failed(self.target, &error))
    }
}

/// A file of which only so much is ever on its way to the disk.
struct Paced<'w> {
    file: File,
    unsynced: usize,
    synced: u64,
    watch: Watch<'w>,
}

impl Write for Paced<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= SYNC_AFTER {
            self.file.sync_data()?;
            self.synced += u64::try_from(self.unsynced).unwrap_or_default();
            self.unsynced = 0;
            if (self.watch)(self.synced).is_break() {
                return Err(io::Error::other("it was ended before it was through"));
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
