//! Changes of a stored format, which can be undone until the new version says that it is ready.
//!
//! Promises: before anything is changed a backup is on disk, and a mark that says so; a change that was cut
//! short, whenever that was, is found by the mark and undone from the backup; the mark stays until that is
//! through, or something else was brought back in its place.
//!
//! Refuses: the change itself. Whoever makes it begins here, and ends here.
//!
//! A [restore](mod@crate::restore) that takes more than one step leaves such a mark, too, so that one that was
//! cut short is not half a restore.
//!
//! The rule: `Upgrade::unfinished` (undo it if there is one), `Upgrade::begin`, the change, everything
//! opened and verified by the new version, `Upgrade::ready`. The backup stays until a person deletes it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use rollcall_domain::moment::Moment;

use crate::backup::backup;
use crate::error::StoreError;
use crate::keys::Keyring;
use crate::ledger::Ledger;
use crate::names::{remove_if_there, sync_folder};
use crate::restore::{Overwrite, Restored, restore};

/// Holds where the backup is while a change is under way: its name in the same folder, or, of a restore, its
/// whole path.
const MARK: &str = "upgrade.pending";
/// A mark, until it is one.
pub(crate) const UNFINISHED: &str = "upgrade.part";

/// A change that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    folder: PathBuf,
    /// What everything was before, or, of a restore, what is to be there.
    pub backup: PathBuf,
    /// What was begun is a restore.
    pub is_restore: bool,
}

impl Upgrade {
    /// Backs up the ledger in `folder`, which no gateway may have open.
    ///
    /// # Errors
    /// The backup cannot be made; nothing may be changed then.
    pub fn begin(folder: &Path, keys: impl Into<Keyring>, at: Moment) -> Result<Self, StoreError> {
        let stamp = at.civil(&TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ");
        let name = format!("before-upgrade-{stamp}.rollcall-backup");
        let path = folder.join(&name);
        let keys = keys.into();
        backup(folder, keys.clone(), &path, at)?;
        // So that what is changed is the whole ledger.
        Ledger::settle(folder, &keys)?;
        mark(folder, Path::new(&name))?;
        Ok(Upgrade { folder: folder.to_owned(), backup: path, is_restore: false })
    }

    /// A change of the ledger in `folder` that was begun and did not become ready, or a restore that was cut
    /// short.
    ///
    /// # Errors
    /// The mark cannot be read.
    pub fn unfinished(folder: &Path) -> Result<Option<Self>, StoreError> {
        let mut marked = match fs::read(folder.join(MARK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            marked => marked.map_err(redb::Error::Io)?,
        };
        if marked.last() == Some(&b'\n') {
            marked.pop();
        }
        let backup = PathBuf::from(OsString::from_vec(marked));
        let (is_restore, folder) = (backup.is_absolute(), folder.to_owned());
        Ok(Some(Upgrade { backup: folder.join(backup), folder, is_restore }))
    }

    /// The new version works with what it made; from now on nothing is undone.
    ///
    /// # Errors
    /// The mark cannot be removed.
    pub fn ready(self) -> Result<(), StoreError> {
        forget(&self.folder)
    }

    /// Brings back what was there before; of a restore that was cut short, what was to be there.
    ///
    /// # Errors
    /// As [`restore`]; the mark stays then.
    pub fn undo(self, keys: &Keyring, at: Moment) -> Result<Restored, StoreError> {
        restore(&self.backup, &self.folder, Some(keys), Overwrite::SetAside, at)
    }
}

/// From here on, until the mark is taken away, a start brings this backup back.
pub(crate) fn will_restore(
    folder: &Path,
    backup: &Path,
    unfinished: Option<&Upgrade>,
) -> Result<(), StoreError> {
    let whole = |path: &Path| std::path::absolute(path).map_err(redb::Error::Io);
    let backup = whole(backup)?;
    match unfinished {
        Some(known) if whole(&known.backup)? == backup => Ok(()),
        _ => mark(folder, &backup),
    }
}

fn mark(folder: &Path, backup: &Path) -> Result<(), StoreError> {
    let writing = folder.join(UNFINISHED);
    let mut file = File::create(&writing).map_err(redb::Error::Io)?;
    file.write_all(backup.as_os_str().as_bytes()).and_then(|()| file.sync_all()).map_err(redb::Error::Io)?;
    fs::rename(&writing, folder.join(MARK)).map_err(redb::Error::Io)?;
    sync_folder(folder)
}

/// Takes the mark away, if there is one.
pub(crate) fn forget(folder: &Path) -> Result<(), StoreError> {
    remove_if_there(&folder.join(MARK))?;
    sync_folder(folder)
}
