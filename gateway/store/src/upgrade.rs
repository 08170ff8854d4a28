//! Changes of a stored format, which can be undone until the new version says that it is ready.
//!
//! Promises: before anything is changed a backup is on disk, and a mark that says so; a change that was cut
//! short, whenever that was, is found by the mark and undone from the backup.
//!
//! Refuses: the change itself. Whoever makes it begins here, and ends here.
//!
//! The rule: `Upgrade::unfinished` (undo it if there is one), `Upgrade::begin`, the change, everything
//! opened and verified by the new version, `Upgrade::ready`. The backup stays until a person deletes it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use rollcall_domain::moment::Moment;

use crate::backup::backup;
use crate::error::StoreError;
use crate::keys::Keyring;
use crate::ledger::Ledger;
use crate::restore::{Overwrite, Restored, restore};
use crate::salvage::{remove_if_there, sync_folder};

/// Holds the backup's file name while a change is under way.
const MARK: &str = "upgrade.pending";

/// A change that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    folder: PathBuf,
    /// What everything was before.
    pub backup: PathBuf,
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
        let mark = folder.join(MARK);
        let writing = folder.join("upgrade.part");
        let mut file = File::create(&writing).map_err(redb::Error::Io)?;
        file.write_all(name.as_bytes()).and_then(|()| file.sync_all()).map_err(redb::Error::Io)?;
        fs::rename(&writing, &mark).map_err(redb::Error::Io)?;
        sync_folder(folder)?;
        Ok(Upgrade { folder: folder.to_owned(), backup: path })
    }

    /// A change of the ledger in `folder` that was begun and did not become ready.
    ///
    /// # Errors
    /// The mark cannot be read.
    pub fn unfinished(folder: &Path) -> Result<Option<Self>, StoreError> {
        match fs::read_to_string(folder.join(MARK)) {
            Ok(name) => Ok(Some(Upgrade { folder: folder.to_owned(), backup: folder.join(name.trim()) })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(redb::Error::Io(error).into()),
        }
    }

    /// The new version works with what it made; from now on nothing is undone.
    ///
    /// # Errors
    /// The mark cannot be removed.
    pub fn ready(self) -> Result<(), StoreError> {
        forget(&self.folder)
    }

    /// Brings back what was there before.
    ///
    /// # Errors
    /// As [`restore`].
    pub fn undo(self, keys: &Keyring, at: Moment) -> Result<Restored, StoreError> {
        let restored = restore(&self.backup, &self.folder, Some(keys), Overwrite::SetAside, at)?;
        self.ready()?;
        Ok(restored)
    }
}

/// Takes the mark away, if there is one.
pub(crate) fn forget(folder: &Path) -> Result<(), StoreError> {
    remove_if_there(&folder.join(MARK))?;
    sync_folder(folder)
}
