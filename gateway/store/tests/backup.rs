//! A backup is the ledger as it was at one moment, or it is refused; bringing it back loses nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use common::damage::{Chance, damage, fill, in_memory, ledger, many, stored};
use common::{KEY, append, at, news, open, queue, setting, wait_for};
use rollcall_domain::code::Code;
use rollcall_domain::ids::{DeviceId, Seq, StudentId, UserId};
use rollcall_domain::people::{PersonName, Personal, StudentDetails};
use rollcall_store::{
    Append, Appended, Credential, Extent, Keyring, Overwrite, RootKey, Store, StoreError, backup,
    check_backup, restore, verify,
};
use tempfile::TempDir;

fn ring() -> Keyring {
    KEY.into()
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("campus.rollcall-backup")
}

fn student() -> StudentDetails {
    StudentDetails {
        code: Code::parse("S1").unwrap(),
        name: PersonName::from_whole("Some One").unwrap(),
        email: None,
        phone: None,
        cards: vec![],
    }
}

/// A ledger with entries and a person, and a backup of it.
fn backed_up() -> (TempDir, TempDir, PathBuf) {
    let (folder, other) = (in_memory(), in_memory());
    fill(folder.path(), &many(60));
    let store = open(folder.path());
    let (sender, receiver) = channel();
    let mut events = news(vec![setting("a student")]);
    events[0].personal = vec![Personal::Student(StudentId(1), student())];
    let credentials = vec![
        Credential::Password { user: UserId(1), hash: "of a password".to_owned() },
        Credential::DeviceSecret {
            device: DeviceId::parse("gate").unwrap(),
            hash: store.secrets().device(b"of a secret"),
        },
    ];
    let then = move |appended| sender.send(appended).unwrap();
    assert!(store.append(Append { credentials, ..Append::new(events, then) }).is_ok());
    receiver.recv().unwrap();
    let target = file(&other);
    let made = store.backup(&target, at()).unwrap();
    assert_eq!((made.last, made.entries, made.rows), (Seq(61), 61, 4));
    assert_eq!(check_backup(&target, Some(&ring())).unwrap(), made);
    (folder, other, target)
}

fn bring_back(path: &Path, folder: &Path) -> Result<rollcall_store::Restored, StoreError> {
    restore(path, folder, Some(&ring()), Overwrite::Refuse, at())
}

#[test]
fn what_is_brought_back_is_what_was_there() {
    let (folder, _other, target) = backed_up();
    let new = in_memory();
    let restored = bring_back(&target, new.path()).unwrap();
    assert_eq!((restored.backup.last, restored.set_aside), (Seq(61), None));
    assert!(stored(new.path()) == stored(folder.path()));
    let store = open(new.path());
    assert_eq!(store.register().student(StudentId(1)).unwrap(), Some(student()));
    assert_eq!(store.register().password(UserId(1)).unwrap().as_deref(), Some("of a password"));
    assert_eq!(store.views().seen(), Seq(61));
    assert!(matches!(append(&store, vec![setting("on")]), Appended::Committed(new) if new[0].seq == Seq(62)));
}

#[test]
fn what_was_lost_stays_named_in_a_backup() {
    let folder = in_memory();
    fill(folder.path(), &many(60));
    let place = common::damage::places(folder.path(), &stored(folder.path())[20].1);
    damage(folder.path(), |bytes| place.iter().for_each(|at| bytes[*at] ^= 1));
    drop(open(folder.path()));
    let target = file(&folder);
    backup(folder.path(), KEY, &target, at()).unwrap();
    let new = in_memory();
    bring_back(&target, new.path()).unwrap();
    assert_eq!(verify(new.path(), KEY, None).unwrap(), verify(folder.path(), KEY, None).unwrap());
    assert_eq!(verify(new.path(), KEY, None).unwrap().gaps[0].first, Seq(21));
}

#[test]
fn nobody_else_may_read_a_backup_and_it_does_not_hold_the_key() {
    let (_folder, _other, target) = backed_up();
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&target).unwrap();
    assert!(!bytes.windows(8).any(|window| window == [3; 8]));
}

#[test]
fn a_backup_takes_no_other_files_place_and_leaves_none_when_it_fails() {
    let (folder, other, target) = backed_up();
    let before = fs::read(&target).unwrap();
    let store = open(folder.path());
    assert!(matches!(store.backup(&target, at()), Err(StoreError::Backup { .. })));
    assert!(fs::read(&target).unwrap() == before);
    assert!(store.backup(&other.path().join("no/such/folder"), at()).is_err());
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
}

#[test]
fn a_ledger_that_is_there_is_replaced_only_if_told_to_and_kept_then() {
    let (folder, _other, target) = backed_up();
    let store = open(folder.path());
    append(&store, vec![setting("later")]);
    drop(store);
    let before = fs::read(ledger(folder.path())).unwrap();
    assert!(matches!(bring_back(&target, folder.path()), Err(StoreError::IsThere { .. })));
    assert!(fs::read(ledger(folder.path())).unwrap() == before);
    let restored = restore(&target, folder.path(), Some(&ring()), Overwrite::SetAside, at()).unwrap();
    assert!(fs::read(restored.set_aside.unwrap()).unwrap() == before);
    let store = open(folder.path());
    assert_eq!((store.last(), store.views().seen()), (Seq(61), Seq(61)));
}

#[test]
fn a_ledger_that_a_gateway_has_open_is_not_replaced() {
    let (folder, _other, target) = backed_up();
    let store = open(folder.path());
    let refused = restore(&target, folder.path(), Some(&ring()), Overwrite::SetAside, at());
    assert!(matches!(refused, Err(StoreError::InUse { .. })));
    assert!(matches!(append(&store, vec![setting("on")]), Appended::Committed(_)));
}

#[test]
fn a_missing_key_and_another_one_are_told_apart() {
    let (_folder, _other, target) = backed_up();
    let new = in_memory();
    let with = |key| restore(&target, new.path(), key, Overwrite::Refuse, at());
    assert!(matches!(with(None), Err(StoreError::NoKey { .. })));
    assert!(matches!(with(Some(&RootKey::new([4; 32]).into())), Err(StoreError::OtherKey { .. })));
    assert_eq!(fs::read_dir(new.path()).unwrap().count(), 0);
    // What can be checked without a key is checked.
    assert_eq!(check_backup(&target, None).unwrap().last, Seq(61));
}

#[test]
fn a_backup_that_is_cut_short_or_changed_or_longer_is_refused_and_touches_nothing() {
    let (folder, other, target) = backed_up();
    let whole = fs::read(&target).unwrap();
    let before = fs::read(ledger(folder.path())).unwrap();
    let bad = other.path().join("bad");
    let mut chance = Chance(5);
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&bad, bytes).unwrap();
        let error = restore(&bad, folder.path(), Some(&ring()), Overwrite::SetAside, at()).unwrap_err();
        let named = matches!(
            error,
            StoreError::Backup { .. } | StoreError::Newer { .. } | StoreError::OtherKey { .. }
        );
        assert!(named, "{what}: {error}");
    };
    for _ in 0..400 {
        let place = chance.below(whole.len());
        refused(&whole[..place], &format!("cut at {place}"));
        let mut changed = whole.clone();
        changed[place] ^= 1 << chance.below(8);
        refused(&changed, &format!("changed at {place}"));
    }
    refused(&[whole.as_slice(), &[0]].concat(), "something after its end");
    refused(&[], "nothing");
    assert!(fs::read(ledger(folder.path())).unwrap() == before);
    let names =
        fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(
        names
            .filter(|name| !["ledger.redb", "ledger.tail", "views.redb", "evidence.redb"]
                .contains(&name.as_str()))
            .count()
            == 0
    );
}

#[test]
fn a_backup_made_while_appends_go_on_is_a_ledger_that_ends_where_it_says() {
    let (folder, other) = (in_memory(), in_memory());
    let store = Arc::new(open(folder.path()));
    append(&store, many(2_000));
    let stop = Arc::new(AtomicBool::new(false));
    let writing = std::thread::spawn({
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::Relaxed) {
                let answers: Vec<_> =
                    (0..50).map(|_| queue(&store, vec![setting("x")], None, None)).collect();
                answers
                    .into_iter()
                    .for_each(|answer| assert!(matches!(answer.recv().unwrap(), Appended::Committed(_))));
            }
        }
    });
    let mut lasts = Vec::new();
    for number in 0..5 {
        let target = other.path().join(number.to_string());
        let made = store.backup(&target, at()).unwrap();
        let new = in_memory();
        assert_eq!(bring_back(&target, new.path()).unwrap().backup, made);
        assert_eq!(verify(new.path(), KEY, None).unwrap().last, made.last);
        lasts.push(made.last);
        wait_for(&store, Seq(made.last.0 + 1));
    }
    stop.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    assert!(lasts.windows(2).all(|pair| pair[0] < pair[1]), "a backup missed them: {lasts:?}");
}

#[test]
fn appends_are_answered_however_long_a_backup_takes() {
    let (folder, other) = (in_memory(), in_memory());
    let store = Arc::new(open(folder.path()));
    append(&store, many(12_000));
    // A disk that is stuck after some of it.
    let (stuck, is_stuck) = channel();
    let (let_on, go_on) = channel::<()>();
    let backing_up = std::thread::spawn({
        let (store, target) = (Arc::clone(&store), file(&other));
        move || {
            let mut wait = |_bytes| {
                stuck.send(()).unwrap();
                go_on.recv().map_or(ControlFlow::Break(()), |()| ControlFlow::Continue(()))
            };
            store.backup_watched(&target, at(), Extent::Ledger, &mut wait)
        }
    });
    is_stuck.recv().unwrap();
    for _ in 0..20 {
        assert!(matches!(append(&store, many(50)), Appended::Committed(_)));
    }
    assert_eq!(store.last(), Seq(13_000));
    assert!(!backing_up.is_finished());
    // It is given up, and nothing of it stays.
    drop(let_on);
    assert!(matches!(backing_up.join().unwrap(), Err(StoreError::Backup { .. })));
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
}

#[test]
fn a_closed_ledger_is_backed_up_without_being_changed() {
    let (folder, _other, _target) = backed_up();
    let before = fs::read(ledger(folder.path())).unwrap();
    let made = backup(folder.path(), KEY, &file(&folder), at()).unwrap();
    assert_eq!(made.last, Seq(61));
    assert!(fs::read(ledger(folder.path())).unwrap() == before);
    assert!(Store::is_in(folder.path()));
}

#[test]
fn what_lies_in_the_way_of_a_backup_is_neither_followed_nor_filled() {
    let (folder, other, _) = backed_up();
    let target = other.path().join("next");
    let (part, mine) = (other.path().join("next.part"), other.path().join("mine"));
    fs::write(&mine, "mine").unwrap();
    std::os::unix::fs::symlink(&mine, &part).unwrap();
    backup(folder.path(), KEY, &target, at()).unwrap();
    assert_eq!(fs::read(&mine).unwrap(), b"mine");
    assert!(part.symlink_metadata().is_err());
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    // Also one that leads nowhere is somebody's.
    let dangling = other.path().join("dangling");
    std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
    assert!(backup(folder.path(), KEY, &dangling, at()).is_err());
}
