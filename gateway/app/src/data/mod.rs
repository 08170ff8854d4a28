//! What commands do with the data of a campus.
//!
//! Promises: the same work and the same words with a running gateway and without; whether one runs is told by
//! the lock on the data folder, which a command without a gateway holds as long as it works; what went wrong
//! is one line. Only a running gateway ends work for want of room on its disk, or since whoever asked has gone.
//!
//! Refuses: waiting for a gateway that starts or stops; making a data folder or a key.

mod command;
pub(crate) mod export;
mod interrupt;
mod ledger_rows;
mod restore;
mod screen;

use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rollcall_config::{plain, reason};
use rollcall_domain::ports::Clock;
use rollcall_store::{Backup, Export, Extent, Keyring, Span, Store, StoreError, Verified, part_of_backup};
use serde::{Deserialize, Serialize};

use crate::control::{Compared, Lost, Report, Request, Trouble};

pub(crate) use command::{backup, export, verify};
pub(crate) use restore::restore;
pub(crate) use screen::Screen;

/// Where views are made anew to be compared; of no use afterwards.
const SCRATCH: &str = "verify-scratch";

/// How far work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Bytes that were written.
    Bytes(u64),
    /// Entries that were looked at.
    Entries(u64),
    /// So many of so many.
    Part(u64, u64),
}

/// Who is told of work under way.
pub(crate) trait Told {
    /// May end it.
    fn progress(&mut self, step: Step) -> ControlFlow<()>;

    /// The next piece of what is to be printed.
    ///
    /// # Errors
    /// It cannot be printed; the work ends.
    fn text(&mut self, text: &str) -> Result<(), Trouble>;
}

/// Where the data is.
pub(crate) enum Source<'a> {
    /// In the store of the running gateway.
    Open { store: &'a Store, folder: &'a Path },
    /// In a folder that nobody else has.
    Closed { folder: &'a Path, keys: &'a Keyring },
}

/// Does what was asked for.
///
/// # Errors
/// It could not be begun, or not be ended, or something is wrong with what was looked at.
pub(crate) fn carry_out(
    request: &Request,
    source: &Source<'_>,
    clock: &dyn Clock,
    told: &mut dyn Told,
) -> Result<Report, Trouble> {
    match request {
        Request::Backup { target, evidence } => back_up(target, *evidence, source, clock, told),
        Request::Verify { rebuild } => verified(*rebuild, source, told),
        Request::ExportLedger(wanted) => {
            let open = || source.entries();
            export::ledger(&open, wanted, told).map(|()| Report::Exported)
        }
    }
}

/// What lies about when it is cut off without a gateway.
fn unfinished(request: &Request, folder: &Path) -> Vec<PathBuf> {
    match request {
        Request::Backup { target, .. } => vec![part_of_backup(target)],
        Request::Verify { .. } => vec![folder.join(SCRATCH)],
        Request::ExportLedger(_) => Vec::new(),
    }
}

impl Source<'_> {
    fn entries(&self) -> Result<Export, StoreError> {
        match self {
            Source::Open { store, .. } => Ok(store.export(Span::ALL)),
            Source::Closed { folder, keys } => Export::open(folder, (*keys).clone(), Span::ALL),
        }
    }

    /// Tells how far the work of a running gateway is; the reason ends it, if there is one.
    fn may_go_on(
        store: &Store,
        told: &mut dyn Told,
        step: Step,
        lack: &mut Option<String>,
    ) -> ControlFlow<()> {
        // What scans need comes first; a disk that is slow to answer may be so because of this work.
        if let Some(reason) = store.refuses() {
            *lack = Some(reason);
            return ControlFlow::Break(());
        }
        told.progress(step)
    }
}

fn back_up(
    target: &Path,
    evidence: bool,
    source: &Source<'_>,
    clock: &dyn Clock,
    told: &mut dyn Told,
) -> Result<Report, Trouble> {
    look_at_target(target, source)?;
    let mut lack = None;
    let extent = if evidence { Extent::WithEvidence } else { Extent::Ledger };
    let made = match source {
        Source::Open { store, .. } => {
            let mut watch = |bytes| Source::may_go_on(store, told, Step::Bytes(bytes), &mut lack);
            store.backup_watched(target, clock.now(), extent, &mut watch)
        }
        Source::Closed { folder, keys } => {
            rollcall_store::backup_with(folder, (*keys).clone(), target, clock.now(), extent)
        }
    };
    match (made, lack) {
        (Err(_), Some(lack)) => Err(Trouble::found(format!("the backup was ended, since {lack}"))),
        (Err(StoreError::Backup { what, .. }), None) => {
            let what = plain(&what).to_lowercase();
            let who = match source {
                Source::Open { .. } => "the gateway's user writes it, and needs the right to",
                Source::Closed { .. } => "you need the right to write there",
            };
            let shown = target.display();
            Err(Trouble::found(format!("cannot write {shown}: {what}; {who}, and room on the disk")))
        }
        (Err(error), None) => Err(trouble(&error)),
        (Ok(Backup { entries, rows, last, evidence, is_tail_foreign, .. }), _) => {
            Ok(Report::BackedUp { entries, rows, last, evidence, is_tail_foreign })
        }
    }
}

/// Says in plain words what would come as an error of the disk.
fn look_at_target(target: &Path, source: &Source<'_>) -> Result<(), Trouble> {
    let shown = target.display();
    let folder = target.parent().unwrap_or(Path::new("/"));
    if !target.is_absolute() || target.file_name().is_none() {
        return Err(Trouble::at_start(format!("{shown} is not the whole path of a file")));
    }
    if target.symlink_metadata().is_ok() {
        return Err(Trouble::found(format!("{shown} is there already; name a file that is not")));
    }
    match fs::metadata(folder) {
        Ok(about) if about.is_dir() => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let (who, they) = match source {
                Source::Open { .. } => ("the gateway's user", "it"),
                Source::Closed { .. } => ("you", "you"),
            };
            let folder = folder.display();
            Err(Trouble::found(format!(
                "{who} may not look into {folder}; name a folder that {they} may write"
            )))
        }
        _ => {
            Err(Trouble::found(format!("there is no folder {}; make it, or name another", folder.display())))
        }
    }
}

fn verified(rebuild: bool, source: &Source<'_>, told: &mut dyn Told) -> Result<Report, Trouble> {
    let folder = match source {
        Source::Open { folder, .. } | Source::Closed { folder, .. } => *folder,
    };
    let scratch = if rebuild { Some(Scratch::make(folder)?) } else { None };
    let path = scratch.as_ref().map(|scratch| scratch.0.as_path());
    let mut lack = None;
    let looked = match source {
        Source::Open { store, .. } => {
            let mut watch = |done, of| {
                // Walking the chain takes no room on the disk.
                if path.is_none() {
                    return told.progress(Step::Part(done, of));
                }
                Source::may_go_on(store, told, Step::Part(done, of), &mut lack)
            };
            store.verify(path, &mut watch)
        }
        Source::Closed { keys, .. } => rollcall_store::verify(folder, (*keys).clone(), path),
    };
    let Verified { last, gaps, forgotten, is_tail_foreign, difference } = match (looked, lack) {
        (Ok(verified), _) => verified,
        (Err(_), Some(lack)) => {
            return Err(Trouble::found(format!("the verification was ended, since {lack}")));
        }
        (Err(error), None) => return Err(trouble(&error)),
    };
    let lost = gaps.iter().map(|gap| Lost { first: gap.first, last: gap.last, at: gap.at }).collect();
    let views = match difference {
        Some(difference) => Compared::Differ(difference),
        None if rebuild => Compared::Same,
        None => Compared::NotAsked,
    };
    let forgotten = forgotten.map(|forgotten| forgotten.to);
    Ok(Report::Verified { last, forgotten, lost, is_tail_foreign, views })
}

/// A folder that goes with its value.
struct Scratch(PathBuf);

impl Scratch {
    fn make(folder: &Path) -> Result<Self, Trouble> {
        clear_scratch(folder);
        let path = folder.join(SCRATCH);
        let making = |error: std::io::Error| {
            Trouble::at_start(format!(
                "cannot make {}: {}; make room, or mend that",
                path.display(),
                reason(&error)
            ))
        };
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(making)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a folder of no use could not be removed; delete it");
        }
    }
}

/// Removes what a verification that was killed has left.
pub(crate) fn clear_scratch(folder: &Path) {
    let path = folder.join(SCRATCH);
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(folder = %path.display(), %error, "a folder of no use could not be removed; delete it");
        }
        _ => {}
    }
}

/// What the store says, and whether it could not begin: what fails in the middle was looked at.
fn trouble(error: &StoreError) -> Trouble {
    let message = plain(&error.to_string());
    match error {
        StoreError::Open { .. }
        | StoreError::InUse { .. }
        | StoreError::OtherEngine { .. }
        | StoreError::NoKey { .. }
        | StoreError::OtherKey { .. }
        | StoreError::Newer { .. }
        | StoreError::Down
        | StoreError::UnreadableViews => Trouble::at_start(message),
        _ => Trouble::found(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn what_fails_in_the_middle_has_another_code_than_what_cannot_begin() {
        let what = "Input/output error (os error 5)".to_owned();
        let broken = trouble(&StoreError::Backup { path: PathBuf::from("b"), what });
        assert_eq!(broken.exit(), Exit::CheckFailed);
        assert_eq!(broken.message, "the backup b cannot be made or used: Input/output error");
        let engine = trouble(&StoreError::from(std::io::Error::from_raw_os_error(5)));
        assert_eq!(engine.exit(), Exit::CheckFailed);
        assert!(!engine.message.contains("os error"), "{}", engine.message);
        assert_eq!(trouble(&StoreError::InUse { path: PathBuf::from("b") }).exit(), Exit::NotStarted);
    }
}
