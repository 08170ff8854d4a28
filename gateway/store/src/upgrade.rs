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

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;

use crate::backup::backup;
use crate::error::StoreError;
use crate::keys::Keyring;
use crate::ledger::Ledger;
use crate::names::{remove_if_there, sync_folder};
use crate::placing::{Made, Stage, complete};
use crate::restore::{Overwrite, Restored, restore};

/// Holds where the backup is while a change is under way: its name in the same folder, or, of a restore, its
/// whole path. Of a restore that had made everything two more fields tell what that is, and how the ledger is
/// called that was there; a zero, which no path has, is before each.
const MARK: &str = "upgrade.pending";
/// A mark, until it is one.
pub(crate) const UNFINISHED: &str = "upgrade.part";

/// A change that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    pub(crate) folder: PathBuf,
    /// What everything was before, or, of a restore, what is to be there.
    pub backup: PathBuf,
    /// What was begun is a restore.
    pub is_restore: bool,
    pub(crate) stage: Stage,
}

/// What was brought back of what was cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The end of the ledger.
    pub last: Seq,
    /// Where the ledger is now that was there before.
    pub set_aside: Option<PathBuf>,
    /// The same of its tail and of evidence, where that is known.
    pub tail_set_aside: Option<PathBuf>,
    pub evidence_set_aside: Option<PathBuf>,
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
        let stage = Stage::default();
        mark(folder, Path::new(&name), &stage)?;
        Ok(Upgrade { folder: folder.to_owned(), backup: path, is_restore: false, stage })
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
        let mut fields = marked.split(|byte| *byte == 0).map(OsStr::from_bytes);
        let backup = fields.next().map(PathBuf::from).unwrap_or_default();
        let made = fields.next().map_or(Made::Nothing, made);
        let set_aside = fields.next().filter(|name| !name.is_empty()).map(|name| folder.join(name));
        let (is_restore, folder) = (backup.is_absolute(), folder.to_owned());
        let stage = Stage { made, set_aside };
        Ok(Some(Upgrade { backup: folder.join(backup), folder, is_restore, stage }))
    }

    /// Where it says so.
    pub fn mark(&self) -> PathBuf {
        self.folder.join(MARK)
    }

    /// The new version works with what it made; from now on nothing is undone.
    ///
    /// # Errors
    /// The mark cannot be removed.
    pub fn ready(self) -> Result<(), StoreError> {
        forget(&self.folder)
    }

    /// Brings back what was there before; of a restore that was cut short, what was to be there. If all of it
    /// had been made, the backup is not read again.
    ///
    /// # Errors
    /// As [`restore`]; the mark stays then.
    pub fn undo(self, keys: &Keyring, at: Moment) -> Result<Undone, StoreError> {
        if let Some(undone) = complete(&self, keys, at)? {
            return Ok(undone);
        }
        let restored = restore(&self.backup, &self.folder, Some(keys), Overwrite::SetAside, at)?;
        let Restored { backup, set_aside, tail_set_aside, evidence_set_aside } = restored;
        Ok(Undone { last: backup.last, set_aside, tail_set_aside, evidence_set_aside })
    }

    /// From here on nothing counts as made.
    pub(crate) fn start_over(self) -> Result<Self, StoreError> {
        let stage = Stage { made: Made::Nothing, ..self.stage.clone() };
        self.mark_again(&stage)?;
        Ok(Upgrade { stage, ..self })
    }

    /// The same mark, at another stage.
    pub(crate) fn mark_again(&self, stage: &Stage) -> Result<(), StoreError> {
        if self.stage == *stage {
            return Ok(());
        }
        let within = self.backup.strip_prefix(&self.folder).ok().filter(|_within| !self.is_restore);
        mark(&self.folder, within.unwrap_or(&self.backup), stage)
    }
}

/// From here on, until the mark is taken away, a start goes on with what is made of this backup.
pub(crate) fn will_restore(
    folder: &Path,
    backup: &Path,
    unfinished: Option<&Upgrade>,
    stage: &Stage,
) -> Result<(), StoreError> {
    let whole = |path: &Path| std::path::absolute(path).map_err(redb::Error::Io);
    let backup = whole(backup)?;
    match unfinished {
        Some(known) if whole(&known.backup)? == backup => known.mark_again(stage),
        _ => mark(folder, &backup, stage),
    }
}

fn mark(folder: &Path, backup: &Path, stage: &Stage) -> Result<(), StoreError> {
    let writing = folder.join(UNFINISHED);
    let mut marked = backup.as_os_str().as_bytes().to_vec();
    if *stage != Stage::default() {
        let set_aside = stage.set_aside.as_deref().and_then(Path::file_name).unwrap_or_default();
        for field in [OsStr::new(name_of(stage.made)), set_aside] {
            marked.push(0);
            marked.extend_from_slice(field.as_bytes());
        }
    }
    let mut file = File::create(&writing).map_err(redb::Error::Io)?;
    file.write_all(&marked).and_then(|()| file.sync_all()).map_err(redb::Error::Io)?;
    fs::rename(&writing, folder.join(MARK)).map_err(redb::Error::Io)?;
    sync_folder(folder)
}

fn name_of(made: Made) -> &'static str {
    match made {
        Made::Nothing => "",
        Made::Ledger => "ledger",
        Made::WithEvidence => "ledger and evidence",
    }
}

fn made(name: &OsStr) -> Made {
    let known = [Made::Ledger, Made::WithEvidence].into_iter().find(|made| name_of(*made) == name);
    known.unwrap_or_default()
}

/// Takes the mark away, if there is one.
pub(crate) fn forget(folder: &Path) -> Result<(), StoreError> {
    remove_if_there(&folder.join(MARK))?;
    sync_folder(folder)
}
