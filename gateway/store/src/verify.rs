//! Is everything still as it was written?
//!
//! Promises: every entry of the ledger is looked at, and the first that is damaged, missing or not the one
//! that was written is named; every page of the file is looked at, and none is changed; what the ledger
//! lost earlier is named; the views are compared, row by row, with views made anew.
//!
//! Refuses: mending. Views that differ are made anew by deleting their file; a ledger is salvaged.

use std::io;
use std::path::Path;

use rollcall_domain::ids::Seq;

use crate::caught::caught;
use crate::disk::Place;
use crate::error::StoreError;
use crate::gaps::Gap;
use crate::keys::Keyring;
use crate::ledger::{Head, Ledger, file_in};
use crate::overlay::{Look, look_at};
use crate::views::{ViewsFile, difference};

/// How many entries are folded at a time.
const AT_ONCE: usize = 16_384;

/// What was found to be in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The last entry of the ledger; its chain is whole, but for the gaps.
    pub last: Seq,
    /// What the ledger is known to have lost.
    pub gaps: Vec<Gap>,
    /// The first row of the views that is not what the ledger makes it; nothing if all are.
    pub difference: Option<String>,
}

/// Walks the chain of the ledger in `folder`, which no gateway may have open; if asked to, also makes the
/// views anew in `scratch`, an empty folder, and compares.
///
/// # Errors
/// The ledger is damaged, or a file cannot be read.
pub fn verify(
    folder: &Path,
    keys: impl Into<Keyring>,
    scratch: Option<&Path>,
) -> Result<Verified, StoreError> {
    verify_at(&Place::from(folder), keys, scratch.map(Place::from).as_ref())
}

/// The same, wherever the files lie.
///
/// # Errors
/// The ledger is damaged, or a file cannot be read.
pub fn verify_at(
    place: &Place,
    keys: impl Into<Keyring>,
    scratch: Option<&Place>,
) -> Result<Verified, StoreError> {
    let keys = keys.into();
    let Some(folder) = place.disk.folder() else {
        return walk(&Ledger::open_as_it_is(place, &keys)?, place, scratch);
    };
    let open = || Ledger::open_unchanged(folder, &keys);
    let path = file_in(folder);
    match look_at(&path)? {
        Look::Whole | Look::Unclosed { .. } => caught(|| walk(&open()?, place, scratch)),
        Look::Absent => Err(StoreError::opening(path, redb::Error::Io(io::ErrorKind::NotFound.into()))),
        // Pages are damaged; which entries they hold is told, if any entry can still be reached.
        Look::Damaged(what) => match caught(|| walk(&open()?, place, None)) {
            Err(error @ (StoreError::Damaged { .. } | StoreError::Hole { .. })) => Err(error),
            _ => Err(StoreError::Broken { path, what }),
        },
    }
}

fn walk(ledger: &Ledger, place: &Place, scratch: Option<&Place>) -> Result<Verified, StoreError> {
    let end = ledger.walk(Head::START, drop)?;
    let gaps = ledger.gaps()?;
    let difference = match scratch {
        None => None,
        Some(scratch) => {
            let mut kept = ViewsFile::open(place, |head| ledger.has(head))?;
            let mut anew = ViewsFile::open(scratch, |_| Ok(true))?;
            bring_to_end(&mut kept, ledger)?;
            bring_to_end(&mut anew, ledger)?;
            difference(&kept.snapshot()?, &anew.snapshot()?)?
        }
    };
    Ok(Verified { last: end.last, gaps, difference })
}

fn bring_to_end(file: &mut ViewsFile, ledger: &Ledger) -> Result<(), StoreError> {
    loop {
        let mut entries = Vec::new();
        let end = ledger.walk_some(file.head(), AT_ONCE, |entry| entries.push(entry))?;
        let latest = file.snapshot()?;
        file.fold(&latest, &entries)?;
        file.commit(end, true)?;
        if entries.len() < AT_ONCE {
            return Ok(());
        }
    }
}
