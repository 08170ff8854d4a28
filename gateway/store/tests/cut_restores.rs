//! A restore, or a change that is undone, that is cut short or fails half way is completed, not forgotten.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::damage::{at_one_moment, damage, fill, in_memory, ledger, many, stored};
use common::{KEY, append, at, open, setting};
use rollcall_domain::ids::Seq;
use rollcall_store::{
    Extent, Overwrite, Restored, StoreError, Upgrade, backup, backup_with, restore, unneeded_parts, verify,
};
use tempfile::TempDir;

/// A ledger, and a backup of another one with so many entries.
fn with_a_backup(entries: usize, extent: Extent) -> (TempDir, TempDir, PathBuf) {
    let (folder, other) = (in_memory(), in_memory());
    fill(folder.path(), &many(50));
    fill(other.path(), &many(entries));
    let file = other.path().join("b");
    backup_with(other.path(), KEY, &file, at(), extent).unwrap();
    (folder, other, file)
}

fn bring_back(file: &Path, folder: &Path) -> Result<Restored, StoreError> {
    restore(file, folder, Some(&KEY.into()), Overwrite::SetAside, at())
}

/// The views cannot be taken away, which is needed right before the new ledger gets its name.
fn bar(folder: &Path) {
    fs::remove_file(folder.join("views.redb")).ok();
    fs::create_dir_all(folder.join("views.redb/x")).unwrap();
}

fn unbar(folder: &Path) {
    fs::remove_dir_all(folder.join("views.redb")).unwrap();
}

fn unfinished(folder: &Path) -> Option<Upgrade> {
    Upgrade::unfinished(folder).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The ledgers that were there before, and their tails.
fn replaced(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| name.starts_with("ledger.replaced-")).collect()
}

#[test]
fn an_undo_that_fails_keeps_its_mark_and_is_completed_by_the_next() {
    let folder = in_memory();
    fill(folder.path(), &many(50));
    let before = stored(folder.path());
    let begun = Upgrade::begin(folder.path(), KEY, at()).unwrap();
    damage(folder.path(), |bytes| bytes[..20_000].fill(7));
    bar(folder.path());
    assert!(unfinished(folder.path()).unwrap().undo(&KEY.into(), at()).is_err());
    let left = unfinished(folder.path()).unwrap();
    assert_eq!((left.is_restore, &left.backup), (false, &begun.backup));
    unbar(folder.path());
    left.undo(&KEY.into(), at()).unwrap();
    assert!(stored(folder.path()) == before);
    assert_eq!(unfinished(folder.path()), None);
}

#[test]
fn what_a_person_brings_back_over_a_half_changed_ledger_is_what_is_completed() {
    let (folder, other, file) = with_a_backup(30, Extent::Ledger);
    let begun = Upgrade::begin(folder.path(), KEY, at()).unwrap();
    damage(folder.path(), |bytes| bytes[..20_000].fill(7));
    // One that cannot be brought back changes nothing.
    fs::write(other.path().join("bad"), "no backup").unwrap();
    assert!(bring_back(&other.path().join("bad"), folder.path()).is_err());
    assert_eq!(unfinished(folder.path()), Some(begun));
    bar(folder.path());
    assert!(bring_back(&file, folder.path()).is_err());
    let left = unfinished(folder.path()).unwrap();
    assert_eq!((left.is_restore, &left.backup), (true, &file));
    unbar(folder.path());
    left.undo(&KEY.into(), at()).unwrap();
    assert!(stored(folder.path()) == stored(other.path()));
    assert_eq!(unfinished(folder.path()), None);
}

#[test]
fn a_restore_with_evidence_is_not_left_half_done() {
    let (folder, other, file) = with_a_backup(30, Extent::WithEvidence);
    bar(folder.path());
    assert!(bring_back(&file, folder.path()).is_err());
    let left = unfinished(folder.path()).unwrap();
    // As if the power had gone when the ledger had its name, and the evidence not yet.
    fs::rename(folder.path().join("ledger.restoring.redb"), ledger(folder.path())).unwrap();
    fs::write(folder.path().join("evidence.redb"), "of what was there").unwrap();
    unbar(folder.path());
    let restored = left.undo(&KEY.into(), at()).unwrap();
    assert_eq!(fs::read(restored.evidence_set_aside.unwrap()).unwrap(), b"of what was there");
    assert!(stored(folder.path()) == stored(other.path()));
    assert_eq!(unfinished(folder.path()), None);
}

#[test]
fn a_whole_ledger_over_which_nothing_was_brought_back_stays_and_needs_no_mark() {
    let (folder, _other, file) = with_a_backup(30, Extent::Ledger);
    let before = stored(folder.path());
    bar(folder.path());
    assert!(bring_back(&file, folder.path()).is_err());
    assert_eq!(unfinished(folder.path()), None);
    assert!(stored(folder.path()) == before);
    assert!(
        !names(folder.path()).iter().any(|name| name.contains("restoring")),
        "{:?}",
        names(folder.path())
    );
}

/// A ledger whose last entries lie in its tail alone, as a gateway that was killed left it, and then damaged.
fn killed_and(damage: impl FnOnce(&mut [u8])) -> TempDir {
    let (running, left) = (in_memory(), in_memory());
    fill(running.path(), &many(300));
    let store = open(running.path());
    append(&store, vec![setting("the last")]);
    for file in ["ledger.tail", "ledger.redb"] {
        fs::write(left.path().join(file), at_one_moment(&running.path().join(file))).unwrap();
    }
    drop(store);
    let mut bytes = fs::read(ledger(left.path())).unwrap();
    damage(&mut bytes);
    fs::write(ledger(left.path()), bytes).unwrap();
    left
}

fn killed() -> TempDir {
    killed_and(|bytes| bytes[8_192..].fill(7))
}

#[test]
fn nothing_is_written_into_a_damaged_ledger_that_is_set_aside() {
    let (_, _other, file) = with_a_backup(30, Extent::Ledger);
    // A page that opening it does not come to.
    let folder = killed_and(|bytes| {
        let place = bytes.windows(8).rposition(|window| window == b"47:xxxxx").unwrap();
        bytes[place + 5_000] ^= 1;
    });
    let before = fs::read(ledger(folder.path())).unwrap();
    let restored = bring_back(&file, folder.path()).unwrap();
    assert!(fs::read(restored.set_aside.unwrap()).unwrap() == before);
    assert!(restored.tail_set_aside.is_some());
}

#[test]
fn a_damaged_ledger_does_not_lose_its_tail_to_a_restore_that_is_cut_short() {
    let (_, other, file) = with_a_backup(30, Extent::Ledger);
    let folder = killed();
    let tail = fs::read(folder.path().join("ledger.tail")).unwrap();
    bar(folder.path());
    assert!(bring_back(&file, folder.path()).is_err());
    // Both lie together under another name, and the next start goes on from the mark.
    let kept = replaced(folder.path());
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(fs::read(folder.path().join(&kept[1])).unwrap() == tail, "{kept:?}");
    let left = unfinished(folder.path()).unwrap();
    assert_eq!((left.is_restore, &left.backup), (true, &file));
    unbar(folder.path());
    let undone = left.undo(&KEY.into(), at()).unwrap();
    assert!(stored(folder.path()) == stored(other.path()));
    assert_eq!(unfinished(folder.path()), None);
    // They were not set aside again.
    assert_eq!(replaced(folder.path()), kept);
    let told = [undone.set_aside, undone.tail_set_aside].map(|path| path.unwrap());
    assert_eq!(told, [0, 1].map(|number| folder.path().join(&kept[number])));
}

#[test]
fn where_the_tail_is_kept_is_told() {
    let (_, _other, file) = with_a_backup(30, Extent::Ledger);
    let folder = killed();
    let tail = fs::read(folder.path().join("ledger.tail")).unwrap();
    let restored = bring_back(&file, folder.path()).unwrap();
    let (ledger, kept) = (restored.set_aside.unwrap(), restored.tail_set_aside.unwrap());
    assert_eq!(ledger.with_extension("tail"), kept);
    assert!(fs::read(kept).unwrap() == tail);
    assert_eq!(verify(folder.path(), KEY, None).unwrap().last, Seq(30));
    // One that lies there without its ledger, too.
    let folder = in_memory();
    fs::write(folder.path().join("ledger.tail"), &tail).unwrap();
    let kept = bring_back(&file, folder.path()).unwrap().tail_set_aside.unwrap();
    assert!(fs::read(kept).unwrap() == tail);
}

#[test]
fn the_tail_of_a_later_end_does_not_go_on_what_was_brought_back() {
    let (folder, other) = (in_memory(), in_memory());
    let file = other.path().join("b");
    fill(folder.path(), &many(50));
    backup(folder.path(), KEY, &file, at()).unwrap();
    let store = open(folder.path());
    append(&store, vec![setting("later")]);
    drop(store);
    assert!(folder.path().join("ledger.tail").exists());
    bring_back(&file, folder.path()).unwrap();
    assert_eq!(open(folder.path()).last(), Seq(50));
}

#[test]
fn what_a_killed_restore_has_left_goes_with_the_next_start() {
    let folder = in_memory();
    fill(folder.path(), &many(5));
    let left = ["ledger.restoring.redb", "evidence.restoring.redb", "ledger.salvaging.redb", "upgrade.part"];
    left.iter().for_each(|name| fs::write(folder.path().join(name), "half").unwrap());
    drop(open(folder.path()));
    assert!(left.iter().all(|name| !folder.path().join(name).exists()), "{:?}", names(folder.path()));
}

#[test]
fn a_restore_where_the_ledger_is_gone_is_completed_and_no_empty_one_is_begun() {
    let (folder, other, file) = with_a_backup(30, Extent::Ledger);
    fs::remove_file(ledger(folder.path())).unwrap();
    bar(folder.path());
    assert!(bring_back(&file, folder.path()).is_err());
    let left = unfinished(folder.path()).unwrap();
    assert_eq!((left.is_restore, &left.backup), (true, &file));
    unbar(folder.path());
    let restored = left.undo(&KEY.into(), at()).unwrap();
    assert_eq!(restored.set_aside, None);
    assert!(stored(folder.path()) == stored(other.path()));
    assert_eq!(unfinished(folder.path()), None);
}

#[test]
fn views_that_a_salvage_had_put_aside_do_not_outlive_the_ledger_that_they_have_followed() {
    let (folder, _other, file) = with_a_backup(30, Extent::Ledger);
    let aside = folder.path().join("views.redb.damaged-ledger");
    fs::copy(folder.path().join("views.redb"), &aside).unwrap();
    bring_back(&file, folder.path()).unwrap();
    assert!(!aside.exists());
    assert_eq!(verify(folder.path(), KEY, None).unwrap().last, Seq(30));
}

/// A restore with evidence that was cut short when all was made, of a backup that is not there any more.
fn cut_and_the_backup_gone() -> (TempDir, TempDir, PathBuf) {
    let (folder, other, file) = with_a_backup(30, Extent::WithEvidence);
    bar(folder.path());
    assert!(bring_back(&file, folder.path()).is_err());
    unbar(folder.path());
    let away = other.path().join("away");
    fs::rename(file, &away).unwrap();
    (folder, other, away)
}

fn undo(folder: &Path) -> Result<rollcall_store::Undone, StoreError> {
    unfinished(folder).unwrap().undo(&KEY.into(), at())
}

#[test]
fn what_was_made_is_enough_wherever_it_was_cut_short() {
    let (part, of_evidence) = ("ledger.restoring.redb", "evidence.restoring.redb");
    for named in 0..3 {
        let (folder, other, _away) = cut_and_the_backup_gone();
        let path = |name: &str| folder.path().join(name);
        for (part, name) in [(part, "ledger.redb"), (of_evidence, "evidence.redb")].into_iter().take(named) {
            fs::rename(path(part), path(name)).unwrap();
        }
        let undone = undo(folder.path()).unwrap();
        assert_eq!(undone.last, Seq(30));
        assert_eq!(undone.evidence_set_aside.is_some(), named < 2);
        assert!(stored(folder.path()) == stored(other.path()));
        assert_eq!(replaced(folder.path()).len(), 1);
        assert_eq!(undone.set_aside.unwrap(), path(&replaced(folder.path())[0]));
        assert!(unfinished(folder.path()).is_none() && !path(part).exists() && !path(of_evidence).exists());
        assert_eq!(open(folder.path()).last(), Seq(30));
    }
}

#[test]
fn the_backup_is_needed_only_where_a_part_is_missing_or_damaged() {
    for (part, is_gone) in [("ledger", true), ("ledger", false), ("evidence", true), ("evidence", false)] {
        let (folder, other, away) = cut_and_the_backup_gone();
        let (part, before) = (folder.path().join(format!("{part}.restoring.redb")), stored(folder.path()));
        if is_gone {
            fs::remove_file(&part).unwrap();
        } else {
            let mut bytes = fs::read(&part).unwrap();
            bytes[4_096..].fill(7);
            fs::write(&part, bytes).unwrap();
        }
        let left = names(folder.path());
        assert!(matches!(undo(folder.path()), Err(StoreError::Backup { .. })));
        assert_eq!(names(folder.path()), left);
        assert!(stored(folder.path()) == before);
        fs::rename(away, other.path().join("b")).unwrap();
        undo(folder.path()).unwrap();
        assert!(stored(folder.path()) == stored(other.path()));
        assert_eq!((unfinished(folder.path()), replaced(folder.path()).len()), (None, 1));
    }
}

#[test]
fn what_is_made_once_more_does_not_count_before_it_is_whole() {
    let (folder, other, away) = cut_and_the_backup_gone();
    let (part, shorter) = (folder.path().join("ledger.restoring.redb"), in_memory());
    fill(shorter.path(), &many(10));
    // Making it fails right at its beginning; then it is as if it had been cut short later on.
    fs::remove_file(&part).unwrap();
    fs::create_dir_all(part.join("x")).unwrap();
    assert!(bring_back(&away, folder.path()).is_err());
    fs::remove_dir_all(&part).unwrap();
    fs::copy(ledger(shorter.path()), &part).unwrap();
    assert!(undo(folder.path()).is_err());
    assert_eq!(unneeded_parts(folder.path()).len(), 2);
    bar(folder.path());
    assert!(bring_back(&away, folder.path()).is_err());
    unbar(folder.path());
    fs::remove_file(away).unwrap();
    assert_eq!(undo(folder.path()).unwrap().last, Seq(30));
    assert!(stored(folder.path()) == stored(other.path()));
    assert_eq!(replaced(folder.path()).len(), 1);
}

#[test]
fn parts_are_given_up_until_a_mark_calls_them_whole() {
    let (folder, _other, _away) = cut_and_the_backup_gone();
    assert!(unneeded_parts(folder.path()).is_empty());
    fs::remove_file(folder.path().join("upgrade.pending")).unwrap();
    assert_eq!(unneeded_parts(folder.path()).len(), 2);
    // Which is the way out, too.
    assert_eq!(open(folder.path()).last(), Seq(50));
    assert!(!names(folder.path()).iter().any(|name| name.contains("restoring")));
}

#[test]
fn a_ledger_that_was_put_there_since_is_kept() {
    let (folder, other, file) = with_a_backup(30, Extent::Ledger);
    let ledger = ledger(folder.path());
    let away = other.path().join("away");
    fs::rename(&ledger, &away).unwrap();
    bar(folder.path());
    assert!(bring_back(&file, folder.path()).is_err());
    unbar(folder.path());
    fs::copy(&away, &ledger).unwrap();
    let undone = undo(folder.path()).unwrap();
    assert!(fs::read(undone.set_aside.unwrap()).unwrap() == fs::read(away).unwrap());
    assert!(stored(folder.path()) == stored(other.path()));
}
