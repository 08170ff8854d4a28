//! What a restore has made, on its way to its place.
//!
//! Promises: a part is renamed once; wherever that is cut short, what is left to do is told by the mark and by
//! which parts have their names, so that the backup is not needed for it.
//!
//! Refuses: going by parts that no mark calls whole, or that are not whole any more.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;

use crate::backup::EVIDENCE;
use crate::disk::Place;
use crate::error::StoreError;
use crate::keys::Keyring;
use crate::ledger::{FILE, Ledger, file_in};
use crate::names::{clear_away, keep_aside, remove_if_there, sync_folder};
use crate::overlay::{Held, Look, look_at};
use crate::upgrade::{Undone, Upgrade};
use crate::{evidence, salvage, tail, upgrade, views};

/// A ledger that is being brought back, until it is one.
pub(crate) const UNFINISHED: &str = "ledger.restoring.redb";
/// The same of evidence.
pub(crate) const UNFINISHED_EVIDENCE: &str = "evidence.restoring.redb";

/// How far a restore had come when its mark was left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stage {
    pub(crate) made: Made,
    /// The second name of the ledger that was there.
    pub(crate) set_aside: Option<PathBuf>,
}

/// The parts that were whole and on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Made {
    #[default]
    Nothing,
    Ledger,
    WithEvidence,
}

/// The parts that are to get their names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unnamed {
    pub(crate) ledger: bool,
    pub(crate) evidence: bool,
}

/// What lies in a folder while a backup is brought back, and stays there if that is cut short.
pub(crate) fn parts_of_restore(folder: &Path) -> [PathBuf; 2] {
    [UNFINISHED, UNFINISHED_EVIDENCE].map(|name| folder.join(name))
}

/// The parts of a restore that is given up here: none once a mark says that they are what the next start goes
/// on with. They go in this order: without the first, the second is left alone, for it may be in use by now.
pub fn unneeded_parts(folder: &Path) -> Vec<PathBuf> {
    let left = Upgrade::unfinished(folder);
    let is_needed = left.map_or(true, |left| left.is_some_and(|left| left.stage.made != Made::Nothing));
    if is_needed { Vec::new() } else { parts_of_restore(folder).into() }
}

/// Takes away what one that was cut short has left, and the same of a salvage and of a mark.
pub(crate) fn clear_unfinished(folder: &Path) {
    unneeded_parts(folder).iter().for_each(|file| clear_away(file));
    [salvage::UNFINISHED, upgrade::UNFINISHED].iter().for_each(|name| clear_away(&folder.join(name)));
}

/// Gives the ledger that is there, if there is one, a second name, unless it has the known one already.
pub(crate) fn set_ledger_aside(
    folder: &Path,
    known: Option<&Path>,
    at: Moment,
) -> Result<Option<PathBuf>, StoreError> {
    let ledger = file_in(folder);
    match known.filter(|known| is_same(known, &ledger)) {
        Some(known) => Ok(Some(known.to_owned())),
        None => ledger.exists().then(|| keep_aside(&ledger, "replaced", at)).transpose(),
    }
}

/// Whether both are names of one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).map(|about| (about.dev(), about.ino())).ok();
    file(one).is_some_and(|one| file(other) == Some(one))
}

/// Gives what was made its names; tells where the tail and the evidence are now that were there.
pub(crate) fn put_in_place(
    folder: &Path,
    set_aside: Option<&Path>,
    unnamed: Unnamed,
) -> Result<(Option<PathBuf>, Option<PathBuf>), StoreError> {
    // It goes first: of an earlier end of the same ledger it would be taken for the continuation.
    let tail = match set_aside {
        Some(ledger) => tail::set_aside(folder, ledger)?,
        None => tail::put_foreign_aside(&Place::from(folder))?,
    };
    // They have followed another ledger, perhaps further.
    remove_if_there(&folder.join("views.redb"))?;
    views::forget_put_aside(folder).map_err(redb::Error::Io)?;
    // The names before this one stay, or this one does not come.
    sync_folder(folder)?;
    let [new, new_evidence] = parts_of_restore(folder);
    if unnamed.ledger {
        fs::rename(&new, file_in(folder)).map_err(redb::Error::Io)?;
        sync_folder(folder)?;
    }
    if !unnamed.evidence {
        return Ok((tail, None));
    }
    let evidence = folder.join(EVIDENCE);
    let evidence_set_aside = evidence.exists().then(|| evidence::set_aside(&evidence)).transpose()?;
    fs::rename(&new_evidence, &evidence).map_err(redb::Error::Io)?;
    sync_folder(folder)?;
    Ok((tail, evidence_set_aside))
}

/// Goes on where a restore was cut short that had made everything; nothing, if a part of it is missing now, so
/// that the backup is needed.
///
/// # Errors
/// Somebody has a file, the key is another, or something cannot be renamed; the mark stays then.
pub(crate) fn complete(
    unfinished: &Upgrade,
    keys: &Keyring,
    at: Moment,
) -> Result<Option<Undone>, StoreError> {
    let Upgrade { folder, stage, .. } = unfinished;
    let Some((unnamed, last)) = look_for(folder, stage, keys)? else { return Ok(None) };
    let ledger = file_in(folder);
    // Nobody may go on writing to what is set aside.
    let held = ledger.exists().then(|| Held::take(&ledger)).transpose()?;
    let mut set_aside = stage.set_aside.clone();
    if unnamed.ledger && ledger.exists() {
        set_aside = set_ledger_aside(folder, set_aside.as_deref(), at)?;
        unfinished.mark_again(&Stage { set_aside: set_aside.clone(), ..*stage })?;
    }
    let (tail_set_aside, evidence_set_aside) = put_in_place(folder, set_aside.as_deref(), unnamed)?;
    upgrade::forget(folder)?;
    drop(held);
    Ok(Some(Undone { last, set_aside, tail_set_aside, evidence_set_aside }))
}

/// What is left to be done, and where the new ledger ends, if every part is whole under one of its names.
fn look_for(folder: &Path, stage: &Stage, keys: &Keyring) -> Result<Option<(Unnamed, Seq)>, StoreError> {
    let [new, new_evidence] = parts_of_restore(folder);
    let with_evidence = stage.made == Made::WithEvidence;
    let unnamed = Unnamed { ledger: new.exists(), evidence: with_evidence && new_evidence.exists() };
    let is_old = |ledger: &Path| stage.set_aside.as_deref().is_some_and(|old| is_same(old, ledger));
    let is_ledger_there = unnamed.ledger || !is_old(&file_in(folder));
    // It gets its name after the ledger.
    let is_evidence_there = match unnamed.evidence {
        true => is_whole(look_at(&new_evidence))?,
        false => !with_evidence || (!unnamed.ledger && folder.join(EVIDENCE).exists()),
    };
    if stage.made == Made::Nothing || !is_ledger_there || !is_evidence_there {
        return Ok(None);
    }
    let name = if unnamed.ledger { UNFINISHED } else { FILE };
    if !is_whole(look_at(&folder.join(name)))? {
        return Ok(None);
    }
    match Ledger::open_unnamed(folder, name, keys).and_then(|ledger| ledger.end()) {
        Err(error @ (StoreError::InUse { .. } | StoreError::OtherKey { .. })) => Err(error),
        ended => Ok(ended.ok().map(|last| (unnamed, last))),
    }
}

/// What cannot be read is as good as missing.
fn is_whole(looked: Result<Look, StoreError>) -> Result<bool, StoreError> {
    match looked {
        Err(error @ StoreError::InUse { .. }) => Err(error),
        looked => Ok(looked.is_ok_and(|look| matches!(look, Look::Whole | Look::Unclosed))),
    }
}
