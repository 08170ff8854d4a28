//! Is the end of a ledger the end that it had?
//!
//! Promises: whoever starts from a ledger in a real folder, verifies it or backs it up comes to the same answer;
//! no ledger is begun where one was that is gone.
//!
//! Refuses: looking at what lies before the end; that the chain does.

use std::path::Path;

use rollcall_domain::ids::Seq;

use crate::disk::Place;
use crate::error::StoreError;
use crate::keys::Keyring;
use crate::ledger::{FILE, Ledger, file_in};
use crate::{overlay, tail, views};

/// Checks that nobody remembers more of the ledger in this folder than what ends here, which nobody has open
/// and nobody has opened since.
///
/// # Errors
/// The views have seen more.
pub(crate) fn check(folder: &Path, end: Seq) -> Result<(), StoreError> {
    if views::last_in(folder) <= end {
        return Ok(());
    }
    Err(why_short(folder, end.0 + 1, overlay::is_unclosed(&file_in(folder))))
}

/// Opens the ledger in this folder to look at it, if it ends where it ended.
///
/// # Errors
/// There is none, or an empty file in its place; the views have seen more of it.
pub(crate) fn open_unchanged(folder: &Path, keys: &Keyring) -> Result<Ledger, StoreError> {
    refuse_empty(folder)?;
    let ledger = Ledger::open_unchanged(folder, keys)?;
    check(folder, ledger.end()?)?;
    Ok(ledger)
}

/// The engine would make an empty ledger of an empty file.
///
/// # Errors
/// It is one.
pub(crate) fn refuse_empty(folder: &Path) -> Result<(), StoreError> {
    let path = file_in(folder);
    let is_empty = std::fs::metadata(&path).is_ok_and(|found| found.len() == 0);
    if is_empty { Err(StoreError::Empty { path }) } else { Ok(()) }
}

/// Checks that nothing in this place, which has no ledger, tells of one that had entries.
///
/// # Errors
/// Something does; it is left as it is.
pub(crate) fn may_begin(place: &Place) -> Result<(), StoreError> {
    let seen = place.disk.folder().map(views::last_in).unwrap_or_default();
    let beside = if seen > Seq(0) {
        "views.redb"
    } else if tail::has_entries(place)? {
        tail::FILE
    } else {
        return Ok(());
    };
    Err(StoreError::Gone { path: place.disk.path(FILE), beside: place.disk.path(beside) })
}

/// Why a ledger has no entry `seq`, which the views have seen; `unclosed` tells what its file was before anybody
/// opened it. What is missing at the end of one that was not closed was in the tail, and may be there in part;
/// one that was closed is another, an older one.
pub(crate) fn why_short(folder: &Path, seq: u64, unclosed: bool) -> StoreError {
    if unclosed || tail::is_broken(folder) {
        StoreError::Damaged { seq, what: "it was at the end, and is not there any more" }
    } else {
        StoreError::Short { seq }
    }
}
