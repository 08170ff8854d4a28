//! The data folder and the lock that one gateway holds on it.
//!
//! Promises: a folder that is made is for the gateway's user alone; while a [`DataFolder`] lives,
//! no other gateway and no other command works in it, on whatever terms the other was started.
//!
//! Refuses: making missing parent folders (a typing error would start an empty campus); trusting a
//! lock file's existence (the lock is the kernel's and goes with the process); following a link
//! from inside the folder; and working where other users may write, for they could put one there.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Error, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use rollcall_config::reason;
use rustix::fs::OFlags;
use rustix::io::Errno;

const LOCK: &str = "lock";
const OWNER_ONLY: u32 = 0o700;
/// What group and others may do.
const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;
/// How often the lock is tried while only visitors have it, and after how long again.
const LOOKS: u32 = 100;
const MOMENT: Duration = Duration::from_millis(5);

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
    /// It cannot be made or written, it is another user's, others may write it, a sealing key lies in it, or
    /// another gateway holds it.
    pub(crate) fn open<'k>(path: &Path, key_files: impl Iterator<Item = &'k PathBuf>) -> Result<Self> {
        let created = make(path)?;
        if let Some(refusal) = of_another(path) {
            bail!(refusal);
        }
        match Self::take(path, key_files, created)? {
            Taken::Free(folder) => Ok(folder),
            Taken::Held(Held { holder, .. }) => bail!(
                "another gateway or command{holder} has the data folder {}; stop it first, or wait until it is through",
                path.display()
            ),
        }
    }

    /// Takes the lock of a folder that is there, or tells that somebody else has it.
    ///
    /// # Errors
    /// As [`DataFolder::open`], or it is not there.
    pub(crate) fn find<'k>(path: &Path, key_files: impl Iterator<Item = &'k PathBuf>) -> Result<Taken> {
        if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            bail!(
                "there is no data folder {}; name it with --data-dir, or the settings of the gateway with --config",
                path.display()
            );
        }
        Self::take(path, key_files, false)
    }

    /// Tells who has a folder, if anybody has, and makes and changes nothing in it.
    ///
    /// # Errors
    /// As [`DataFolder::find`].
    pub(crate) fn visit<'k>(
        path: &Path,
        key_files: impl Iterator<Item = &'k PathBuf>,
    ) -> Result<Option<Held>> {
        let (path, _) = check(path, key_files)?;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file =
            OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path.join(LOCK));
        let mut file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => bail!("cannot look at {}: {}", path.join(LOCK).display(), advise(&error)),
        };
        // Beside those of other visitors.
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(Held { holder: holder(&mut file), path })),
            Err(TryLockError::Error(error)) => {
                bail!("cannot look at {}: {}", path.join(LOCK).display(), advise(&error))
            }
        }
    }

    fn take<'k>(path: &Path, key_files: impl Iterator<Item = &'k PathBuf>, created: bool) -> Result<Taken> {
        let (whole, open_to_others) = check(path, key_files)?;
        Ok(match lock(path)? {
            Ok(lock) => Taken::Free(Self { path: whole, created, open_to_others, _lock: lock }),
            Err(holder) => Taken::Held(Held { path: whole, holder }),
        })
    }

    /// Where it is, from the root and without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this start made it.
    pub(crate) fn created(&self) -> bool {
        self.created
    }

    /// Takes it away again, if there is nothing in it.
    pub(crate) fn unmake(self) {
        let gone = fs::remove_file(self.path.join(LOCK)).and_then(|()| fs::remove_dir(&self.path));
        if let Err(error) = gone {
            tracing::debug!(%error, "the data folder stays");
        }
    }

    /// Whether other users of the box may look into it.
    pub(crate) fn open_to_others(&self) -> bool {
        self.open_to_others
    }
}

/// Whether nobody had the folder.
#[derive(Debug)]
pub(crate) enum Taken {
    Free(DataFolder),
    Held(Held),
}

/// A folder that somebody has.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) path: PathBuf,
    /// Who has it: ` (process 7)`, or nothing if that cannot be told.
    pub(crate) holder: String,
}

/// Where a folder is, and whether others may look into it, if it is such that one may work in it.
fn check<'k>(path: &Path, mut key_files: impl Iterator<Item = &'k PathBuf>) -> Result<(PathBuf, bool)> {
    let shown = path.display();
    let about = match path.metadata() {
        Ok(about) => about,
        // It was there a moment ago: what is left is a link.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("the data folder {shown} is a link to nothing; make the folder it leads to, or remove it")
        }
        Err(error) => bail!("cannot look at the data folder {shown}: {}", advise(&error)),
    };
    if !about.is_dir() {
        bail!("the data folder {shown} is not a folder; name another with --data-dir or store.path");
    }
    if about.mode() & OTHERS_WRITE != 0 {
        bail!(
            "other users may write in the data folder {shown}; run chmod 700 on it, and look what lies in it"
        );
    }
    let whole = match path.canonicalize() {
        Ok(whole) => whole,
        Err(error) => bail!("cannot find the data folder {shown}: {}", advise(&error)),
    };
    if let Some(key_file) = key_files.find(|key_file| lies_in(key_file, &whole)) {
        bail!(
            "the sealing key {} lies in the data folder {}, where a copy of the data would hold it; \
                 keep it elsewhere and correct the settings",
            key_file.display(),
            whole.display()
        );
    }
    Ok((whole, about.mode() & OTHERS != 0))
}

/// Why nothing is made in a folder that is another user's, if it is: it would be of no use to that user.
pub(crate) fn of_another(folder: &Path) -> Option<String> {
    let owner = fs::metadata(folder).ok()?.uid();
    (owner != rustix::process::geteuid().as_raw()).then(|| {
        format!(
            "the data folder {} is another user's; run this as that user, such as with sudo -u",
            folder.display()
        )
    })
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
        Err(error) => bail!("cannot make the data folder {}: {}", path.display(), advise(&error)),
    }
}

/// The system's words, and what to do.
fn advise(error: &Error) -> String {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => "let the gateway's user write it",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on the disk",
        ErrorKind::ReadOnlyFilesystem => "mount the disk for writing",
        _ => "mend that, or name another folder with --data-dir or store.path",
    };
    format!("{}; {advice}", reason(error))
}

/// Whether a file lies in a folder, whatever links lead to it. It need not exist yet.
fn lies_in(file: &Path, folder: &Path) -> bool {
    let whole = file.canonicalize().ok().or_else(|| {
        let above = file.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(above.canonicalize().ok()?.join(file.file_name()?))
    });
    whole.is_some_and(|whole| whole.starts_with(folder))
}

/// The lock, or who has it.
fn lock(folder: &Path) -> Result<Result<File, String>> {
    let path = folder.join(LOCK);
    let mut file = match open_lock(&path) {
        Ok(file) => file,
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            bail!("{} is a link, which is not followed; remove it", path.display())
        }
        Err(error) => bail!("cannot write in the data folder {}: {}", folder.display(), advise(&error)),
    };
    if !file.metadata().is_ok_and(|about| about.is_file()) {
        bail!("{} is not a regular file; remove it", path.display());
    }
    match lock_among_visitors(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Err(holder(&mut file))),
        Err(TryLockError::Error(error)) => {
            bail!("cannot lock {}: {}", path.display(), advise(&error));
        }
    }
    // For people and for the message above; the lock itself does not depend on it.
    let written =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    match written {
        Ok(()) => Ok(Ok(file)),
        Err(error) => bail!("cannot write {}: {}", path.display(), advise(&error)),
    }
}

/// Somebody who only looks has it beside others for a moment; whoever works in the folder has it alone.
fn lock_among_visitors(file: &File) -> Result<(), TryLockError> {
    for _ in 0..LOOKS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => file.try_lock_shared()?,
            locked => return locked,
        }
        file.unlock().map_err(TryLockError::Error)?;
        // Nothing tells when a lock is let go that is not waited for, and that could be for ever.
        thread::park_timeout(MOMENT);
    }
    Err(TryLockError::WouldBlock)
}

/// Without following a link: whoever put one there would have its target emptied.
fn open_lock(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// The process that holds the lock, as far as its file tells.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(20).read_to_string(&mut text).map(|_length| text.trim().parse::<u32>()) {
        Ok(Ok(process)) => format!(" (process {process})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_does_not_keep_a_gateway_from_starting_and_who_works_in_it_does_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK);
        let visitor = open_lock(&path).unwrap();
        visitor.try_lock_shared().unwrap();
        thread::scope(|scope| {
            let starting = scope.spawn(|| DataFolder::find(folder.path(), [].iter()));
            // It stays while the other looks at the lock, again and again.
            for _ in 0..10_000 {
                if starting.is_finished() {
                    break;
                }
                thread::yield_now();
            }
            drop(visitor);
            let Taken::Free(taken) = starting.join().unwrap().unwrap() else { panic!("it is held") };
            assert!(matches!(DataFolder::find(folder.path(), [].iter()), Ok(Taken::Held(_))));
            assert!(DataFolder::visit(folder.path(), [].iter()).unwrap().is_some());
            drop(taken);
        });
        assert!(DataFolder::visit(folder.path(), [].iter()).unwrap().is_none());
    }
}
