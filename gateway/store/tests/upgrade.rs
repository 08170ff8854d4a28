//! A change of a format can be undone until the new version says that it works.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::fs;

use common::damage::{damage, fill, in_memory, ledger, many, stored};
use common::{KEY, at};
use rollcall_domain::ids::Seq;
use rollcall_store::{Upgrade, check_backup, verify};

#[test]
fn a_change_that_was_cut_short_is_found_and_undone() {
    let folder = in_memory();
    fill(folder.path(), &many(50));
    let before = stored(folder.path());
    assert_eq!(Upgrade::unfinished(folder.path()).unwrap(), None);
    let begun = Upgrade::begin(folder.path(), KEY, at()).unwrap();
    assert_eq!(check_backup(&begun.backup, Some(&KEY.into())).unwrap().last, Seq(50));
    damage(folder.path(), |bytes| bytes[..20_000].fill(7));
    let half_done = fs::read(ledger(folder.path())).unwrap();
    let unfinished = Upgrade::unfinished(folder.path()).unwrap().unwrap();
    assert_eq!(unfinished, begun);
    let restored = unfinished.undo(&KEY.into(), at()).unwrap();
    assert!(fs::read(restored.set_aside.unwrap()).unwrap() == half_done);
    assert!(stored(folder.path()) == before);
    assert_eq!(verify(folder.path(), KEY, None).unwrap().last, Seq(50));
    assert_eq!(Upgrade::unfinished(folder.path()).unwrap(), None);
    assert!(begun.backup.exists());
}

#[test]
fn once_the_new_version_is_ready_nothing_is_undone_and_the_backup_stays() {
    let folder = in_memory();
    fill(folder.path(), &many(50));
    let begun = Upgrade::begin(folder.path(), KEY, at()).unwrap();
    let backup = begun.backup.clone();
    begun.ready().unwrap();
    assert_eq!(Upgrade::unfinished(folder.path()).unwrap(), None);
    assert!(backup.exists());
}

#[test]
fn without_a_backup_no_change_begins() {
    let folder = in_memory();
    fill(folder.path(), &many(50));
    let begun = Upgrade::begin(folder.path(), KEY, at()).unwrap();
    // The backup of this second is there already.
    assert!(Upgrade::begin(folder.path(), KEY, at()).is_err());
    begun.ready().unwrap();
    assert!(Upgrade::begin(folder.path(), KEY, at()).is_err());
    assert_eq!(Upgrade::unfinished(folder.path()).unwrap(), None);
}
