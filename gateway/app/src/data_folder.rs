//! The data folder and the lock that one gateway holds on it.
//!
//! Promises: a folder that is made is for the gateway's user alone; while a [`DataFolder`] lives,
//! no other gateway works in it, on whatever terms the other was started.
//!
//! Refuses: making missing parent folders (a typing error would start an empty campus), and
//! trusting a lock file's existence: the lock is the kernel's and goes with the process.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

const LOCK: &str = "lock";
const OWNER_ONLY: u32 = 0o700;
/// What group and others may do.
const OTHERS: u32 = 0o077;

/// A folder that belongs to this process until it is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    created: bool,
    open_to_others: bool,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if need be, and takes its lock.
    ///
    /// # Errors
    /// It cannot be made or written, or another gateway holds it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let created = make(path)?;
        let about =
            path.metadata().with_context(|| format!("cannot look at the data folder {}", path.display()))?;
        if !about.is_dir() {
            bail!(
                "the data folder {} is not a folder; name another with --data-dir or store.path",
                path.display()
            );
        }
        let lock = lock(path)?;
        let open_to_others = about.mode() & OTHERS != 0;
        Ok(Self { path: path.to_owned(), created, open_to_others, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this start made it.
    pub(crate) fn created(&self) -> bool {
        self.created
    }

    /// Whether other users of the box may look into it.
    pub(crate) fn open_to_others(&self) -> bool {
        self.open_to_others
    }
}

fn make(path: &Path) -> Result<bool> {
    match DirBuilder::new().mode(OWNER_ONLY).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!(
                "cannot make the data folder {}: the folder above it does not exist; make that first",
                path.display()
            )
        }
        Err(error) => Err(error).with_context(|| format!("cannot make the data folder {}", path.display())),
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot write in the data folder {}", folder.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another gateway{} is running on the data folder {}; stop it first",
                holder(&mut file),
                folder.display()
            )
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    // For people and for the message above; the lock itself does not depend on it.
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}

/// The process that holds the lock, as far as its file tells.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(20).read_to_string(&mut text).map(|_length| text.trim().parse::<u32>()) {
        Ok(Ok(process)) => format!(" (process {process})"),
        _ => String::new(),
    }
}
