//! Evidence is in a backup if asked for, and comes back with it as it was.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::damage::{Chance, in_memory, ledger};
use common::{KEY, append, at, gate, open, setting, unmatched};
use redb::{Database, ReadableTable as _, Table, TableDefinition};
use rollcall_domain::ids::{DeviceId, Seq, StudentId};
use rollcall_store::evidence::{Item, ItemId, Kept, Kind, Limits, Subject};
use rollcall_store::{
    Evidence, Extent, Overwrite, Restored, Store, StoreError, backup_with, check_backup, restore, verify,
};
use tempfile::TempDir;

const WIDE: Limits = Limits { days: 90, max_bytes: 1 << 30, keep_pictures: true };
const ITEMS: u8 = 40;

fn evidence(folder: &Path) -> PathBuf {
    folder.join("evidence.redb")
}

fn item(of: u8) -> Item {
    let number = u64::from(of);
    let device = if number % 3 == 0 { gate() } else { DeviceId::parse("hall").unwrap() };
    let kind = if number % 5 == 0 { Kind::Picture } else { Kind::Scan };
    let about = vec![
        Subject::Student(StudentId(number % 4)),
        Subject::Event(Seq(number)),
        Subject::Scan(unmatched(&number.to_string()).1),
    ];
    let length = if of == 7 { 700_000 } else { usize::from(of) * 37 };
    let at = at().plus(jiff::SignedDuration::from_secs(number.cast_signed() / 2));
    Item { at, device, kind, about, bytes: vec![of; length] }
}

fn settle(evidence: &Evidence) {
    while evidence.settle().is_err() {}
}

/// A store with entries and evidence.
fn filled() -> (TempDir, Store) {
    let folder = in_memory();
    let store = open(folder.path());
    append(&store, vec![setting("1"), setting("2")]);
    store.evidence().set_limits(WIDE);
    (0..ITEMS).for_each(|number| store.evidence().keep(item(number)));
    (folder, store)
}

/// Everything that can be read of it, in every way.
#[derive(Debug, PartialEq, Eq)]
struct All {
    items: Vec<Kept>,
    bytes: Vec<Vec<u8>>,
    by_device_and_student: Vec<Vec<Kept>>,
    size: (u64, u64),
}

fn all(evidence: &Evidence) -> All {
    settle(evidence);
    let from = ItemId::first_at(at());
    let items = evidence.between(from, at().plus(jiff::SignedDuration::from_hours(1)), 1_000).unwrap();
    let bytes = items.iter().map(|kept| evidence.bytes(kept.id).unwrap().unwrap()).collect();
    let devices = [gate(), DeviceId::parse("hall").unwrap()];
    let mut found: Vec<_> = devices.iter().map(|id| evidence.of_device(id, from, 1_000).unwrap()).collect();
    found.extend((0..4).map(|id| evidence.about(&Subject::Student(StudentId(id)), from, 1_000).unwrap()));
    All { items, bytes, by_device_and_student: found, size: evidence.size().unwrap() }
}

fn bring_back(path: &Path, folder: &Path, overwrite: Overwrite) -> Result<Restored, StoreError> {
    restore(path, folder, Some(&KEY.into()), overwrite, at())
}

#[test]
fn evidence_that_was_asked_for_comes_back_as_it_was_and_goes_on() {
    let (folder, store) = filled();
    let target = folder.path().join("backup");
    // What was handed over right before is in it.
    let made = store.backup_with(&target, at(), Extent::WithEvidence).unwrap();
    assert_eq!((made.entries, made.rows, made.evidence), (2, 0, Some(ITEMS.into())));
    assert_eq!(check_backup(&target, Some(&KEY.into())).unwrap(), made);
    let was = all(store.evidence());
    assert_eq!(was.items.len(), usize::from(ITEMS));
    let new = in_memory();
    let restored = bring_back(&target, new.path(), Overwrite::Refuse).unwrap();
    assert_eq!((restored.backup, restored.evidence_set_aside), (made, None));
    let store = open(new.path());
    assert_eq!(all(store.evidence()), was);
    store.evidence().set_limits(WIDE);
    store.evidence().keep(item(ITEMS));
    let ids: Vec<ItemId> = all(store.evidence()).items.into_iter().map(|kept| kept.id).collect();
    let numbers: Vec<u64> = ids.iter().map(|id| id.number).collect();
    assert_eq!(numbers, (1..=u64::from(ITEMS) + 1).collect::<Vec<_>>());
    assert_eq!(store.evidence().forget(Subject::Event(Seq(7))).unwrap(), 1);
    assert_eq!(store.evidence().set_aside(), [""; 0].map(PathBuf::from));
}

#[test]
fn without_asking_none_is_in_it_and_what_is_there_stays() {
    let (folder, store) = filled();
    let target = folder.path().join("backup");
    settle(store.evidence());
    let made = store.backup(&target, at()).unwrap();
    assert_eq!(made.evidence, None);
    assert!(fs::metadata(&target).unwrap().len() < 100_000);
    let was = all(store.evidence());
    drop(store);
    let restored = bring_back(&target, folder.path(), Overwrite::SetAside).unwrap();
    assert!(restored.set_aside.is_some() && restored.evidence_set_aside.is_none());
    assert_eq!(all(open(folder.path()).evidence()), was);
}

#[test]
fn evidence_that_is_there_is_replaced_only_if_told_to_and_kept_then() {
    let (folder, store) = filled();
    let target = folder.path().join("backup");
    store.backup_with(&target, at(), Extent::WithEvidence).unwrap();
    drop(store);
    let new = in_memory();
    fs::write(evidence(new.path()), b"somebody's").unwrap();
    let refused = bring_back(&target, new.path(), Overwrite::Refuse);
    assert!(matches!(refused, Err(StoreError::IsThere { path }) if path == evidence(new.path())));
    assert!(!ledger(new.path()).exists());
    let restored = bring_back(&target, new.path(), Overwrite::SetAside).unwrap();
    let aside = restored.evidence_set_aside.unwrap();
    assert_eq!(fs::read(&aside).unwrap(), b"somebody's");
    let store = open(new.path());
    assert_eq!(all(store.evidence()).items.len(), usize::from(ITEMS));
    assert_eq!(store.evidence().set_aside(), [aside]);
}

#[test]
fn evidence_of_a_gateway_that_is_stopped_or_was_killed_is_backed_up_and_not_changed() {
    let (folder, store) = filled();
    let target = folder.path().join("backup");
    let was = all(store.evidence());
    drop(store);
    let before = fs::read(evidence(folder.path())).unwrap();
    let made = backup_with(folder.path(), KEY, &target, at(), Extent::WithEvidence).unwrap();
    assert_eq!(made.evidence, Some(ITEMS.into()));
    assert!(fs::read(evidence(folder.path())).unwrap() == before);
    let new = in_memory();
    bring_back(&target, new.path(), Overwrite::Refuse).unwrap();
    assert_eq!(all(open(new.path()).evidence()), was);
    // One that never kept anything has none.
    fs::remove_file(evidence(folder.path())).unwrap();
    let other = folder.path().join("other");
    let made = backup_with(folder.path(), KEY, &other, at(), Extent::WithEvidence).unwrap();
    assert_eq!(made.evidence, Some(0));
    let new = in_memory();
    bring_back(&other, new.path(), Overwrite::Refuse).unwrap();
    assert_eq!(all(open(new.path()).evidence()).size, (0, 0));
}

#[test]
fn evidence_that_cannot_be_read_is_not_left_out_without_a_word() {
    let (folder, store) = filled();
    let target = folder.path().join("backup");
    settle(store.evidence());
    drop(store);
    fs::write(evidence(folder.path()), [7; 100_000]).unwrap();
    let refused = backup_with(folder.path(), KEY, &target, at(), Extent::WithEvidence);
    assert!(refused.is_err() && !target.exists());
    assert!(backup_with(folder.path(), KEY, &target, at(), Extent::Ledger).is_ok());
}

/// Something is changed in sound pages of a closed file.
fn change(folder: &Path, change: impl FnOnce(&mut Table<'_, (i64, u64), &'static [u8]>), table: &str) {
    let database = Database::open(evidence(folder)).unwrap();
    let write = database.begin_write().unwrap();
    change(&mut write.open_table(TableDefinition::new(table)).unwrap());
    write.commit().unwrap();
}

#[test]
fn evidence_that_could_not_be_brought_back_is_not_said_to_be_backed_up() {
    let lose = |table: &mut Table<'_, (i64, u64), &'static [u8]>| drop(table.pop_last().unwrap().unwrap());
    let shorten = |table: &mut Table<'_, (i64, u64), &'static [u8]>| {
        let key = table.last().unwrap().unwrap().0.value();
        table.insert(key, [1].as_slice()).unwrap();
    };
    for (number, table) in ["items", "bytes", "bytes"].into_iter().enumerate() {
        let (folder, store) = filled();
        let (target, _) = (folder.path().join("backup"), all(store.evidence()));
        drop(store);
        if number == 2 {
            change(folder.path(), shorten, table);
        } else {
            change(folder.path(), lose, table);
        }
        let made = backup_with(folder.path(), KEY, &target, at(), Extent::WithEvidence);
        assert!(matches!(made, Err(StoreError::DamagedEvidence)), "{made:?}");
        // A store that is open sets it aside, as after any other reading of it.
        let made = open(folder.path()).backup_with(&target, at(), Extent::WithEvidence);
        assert!(matches!(made, Err(StoreError::Down)), "{made:?}");
        assert!(!target.exists());
    }
}

#[test]
fn a_backup_that_breaks_off_in_the_evidence_is_not_held_against_it() {
    let (folder, store) = filled();
    for number in 0..4 {
        store.evidence().keep(Item { bytes: vec![number; 700_000], ..item(number) });
    }
    let (was, target) = (all(store.evidence()), folder.path().join("backup"));
    let part = PathBuf::from(format!("{}.part", target.display()));
    let name = b"evidence.bytes";
    let mut reached = false;
    let refused = store.backup_watched(&target, at(), Extent::WithEvidence, &mut |_bytes| {
        reached |= fs::read(&part).unwrap().windows(name.len()).any(|window| window == name);
        if reached { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(reached);
    assert!(matches!(refused, Err(StoreError::Backup { .. })), "{refused:?}");
    assert_eq!(store.evidence().size().unwrap(), was.size);
    assert_eq!(all(store.evidence()), was);
}

#[test]
fn a_backup_with_evidence_that_is_changed_anywhere_is_refused_and_touches_nothing() {
    let (folder, store) = filled();
    let target = folder.path().join("backup");
    store.backup_with(&target, at(), Extent::WithEvidence).unwrap();
    drop(store);
    let whole = fs::read(&target).unwrap();
    let before = (fs::read(evidence(folder.path())).unwrap(), fs::read(ledger(folder.path())).unwrap());
    let (bad, mut chance) = (folder.path().join("bad"), Chance(9));
    for _ in 0..60 {
        let place = chance.below(whole.len());
        let mut changed = whole.clone();
        changed[place] ^= 1 << chance.below(8);
        for bytes in [&changed[..], &whole[..place]] {
            fs::write(&bad, bytes).unwrap();
            assert!(bring_back(&bad, folder.path(), Overwrite::SetAside).is_err(), "at {place}");
        }
    }
    let after = (fs::read(evidence(folder.path())).unwrap(), fs::read(ledger(folder.path())).unwrap());
    assert!(before == after && !folder.path().join("evidence.restoring.redb").exists());
    assert_eq!(verify(folder.path(), KEY, None).unwrap().last, Seq(2));
}
