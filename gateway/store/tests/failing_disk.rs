//! When the disk fails nothing is acknowledged, and when it is back everything goes on from what is on it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::fs;
use std::path::Path;

use common::disk::Disk;
use common::{SESSION, append, append_as, created, open, register, setting, step, unmatched};
use rollcall_domain::event::Event;
use rollcall_domain::ids::{Seq, UserId};
use rollcall_store::{Appended, Credential, Expect, Failure, Line, Store};
use tempfile::tempdir;

fn events(store: &Store) -> Vec<Event> {
    store.entries(Seq(1), 1_000).unwrap().into_iter().map(|entry| entry.event).collect()
}

fn failed(appended: &Appended) -> bool {
    matches!(appended, Appended::Failed(Failure::Unavailable))
}

/// Appends until the disk takes it, as who is told to try again would.
fn insist(store: &Store, event: &Event) -> Vec<Seq> {
    loop {
        match append(store, vec![event.clone()]) {
            Appended::Committed(entries) => return entries.iter().map(|entry| entry.seq).collect(),
            other => assert!(failed(&other), "{other:?}"),
        }
    }
}

/// What is on the disk, with more that the store does not know of yet.
fn copy_with(disk: &Disk, more: Vec<Event>) -> tempfile::TempDir {
    let folder = tempdir().unwrap();
    disk.copy_to(folder.path());
    let other = open(folder.path());
    more.into_iter().for_each(|event| drop(append(&other, vec![event])));
    folder
}

fn store_on(disk: &Disk) -> Store {
    let store = open(disk.folder());
    append(&store, vec![created(), setting("1")]);
    store
}

#[test]
fn what_fails_is_not_acknowledged_and_the_store_goes_on_once_the_disk_is_back() {
    let disk = Disk::new();
    let store = store_on(&disk);
    disk.fail();
    assert!(failed(&append(&store, vec![setting("2")])));
    assert!(!store.is_up());
    assert!(failed(&append(&store, vec![setting("3")])));
    let copy = copy_with(&disk, vec![]);
    disk.put_in(copy.path());
    assert_eq!(insist(&store, &setting("4")), [Seq(3)]);
    assert!(store.is_up());
    drop(store);
    let store = open(copy.path());
    assert_eq!(events(&store), [created(), setting("1"), setting("4")]);
}

#[test]
fn what_was_staged_when_the_disk_failed_is_forgotten() {
    let disk = Disk::new();
    let store = store_on(&disk);
    disk.fail();
    let (event, key) = unmatched("a");
    assert!(failed(&append_as(&store, vec![event.clone(), step()], Some(key), None)));
    let copy = copy_with(&disk, vec![]);
    disk.put_in(copy.path());
    insist(&store, &setting("2"));
    let again = append_as(&store, vec![event], Some(key), None);
    assert!(matches!(again, Appended::Committed(_)), "{again:?}");
}

#[test]
fn a_commit_that_reached_the_disk_although_it_was_reported_as_failed_counts() {
    let disk = Disk::new();
    let store = store_on(&disk);
    disk.fail();
    let (event, key) = unmatched("a");
    assert!(failed(&append_as(&store, vec![event.clone()], Some(key), None)));
    let copy = copy_with(&disk, vec![event.clone()]);
    disk.put_in(copy.path());
    assert_eq!(insist(&store, &setting("2")), [Seq(4)]);
    assert!(
        matches!(append_as(&store, vec![event], Some(key), None), Appended::Already(entry) if entry.seq == Seq(3))
    );
    assert_eq!(store.views().now().scan(key).unwrap(), Some(Seq(3)));
}

#[test]
fn what_was_decided_after_a_commit_that_failed_is_stale_whatever_its_version() {
    let disk = Disk::new();
    let store = store_on(&disk);
    disk.fail();
    let line = Line::default();
    let expect = |version| Some(Expect { session: SESSION, version, line: line.clone() });
    assert!(failed(&append_as(&store, vec![step()], None, expect(1))));
    // Somebody else's step is on the disk.
    let copy = copy_with(&disk, vec![step()]);
    disk.put_in(copy.path());
    insist(&store, &setting("2"));
    assert!(matches!(append_as(&store, vec![step()], None, expect(2)), Appended::Stale));
}

/// The store stays down with this in place of its ledger, and comes back with its own. Tells whether a
/// ledger lay there meanwhile.
fn refuses(replace: impl FnOnce(&Disk, &Path)) -> bool {
    let disk = Disk::new();
    let store = store_on(&disk);
    let copy = copy_with(&disk, vec![]);
    disk.fail();
    assert!(failed(&append(&store, vec![setting("2")])));
    let other = tempdir().unwrap();
    replace(&disk, other.path());
    for _ in 0..3 {
        assert!(failed(&append(&store, vec![setting("3")])));
    }
    assert!(!store.is_up());
    let lay_there = Store::is_in(disk.folder());
    disk.put_in(copy.path());
    assert_eq!(insist(&store, &setting("4")), [Seq(3)]);
    lay_there
}

#[test]
fn a_ledger_that_is_gone_is_not_replaced_by_an_empty_one() {
    assert!(!refuses(|disk, _| disk.pull_out()));
}

#[test]
fn a_ledger_that_has_lost_what_was_acknowledged_is_not_gone_on_with() {
    refuses(|disk, folder| {
        append(&open(folder), vec![created()]);
        disk.put_in(folder);
    });
}

#[test]
fn another_ledger_of_the_same_length_is_not_gone_on_with() {
    refuses(|disk, folder| {
        append(&open(folder), vec![created(), setting("other")]);
        disk.put_in(folder);
    });
}

#[test]
fn a_ledger_without_any_entry_is_not_gone_on_with() {
    refuses(|disk, folder| {
        drop(open(folder));
        disk.put_in(folder);
    });
}

#[test]
fn the_tail_of_an_older_copy_that_is_there_for_a_while_is_left_alone_and_nothing_is_let_go() {
    let disk = Disk::new();
    let store = store_on(&disk);
    let older = tempdir().unwrap();
    disk.copy_to(older.path());
    let tail = || fs::read(older.path().join("ledger.tail")).unwrap();
    let before = tail();
    assert!(before.iter().any(|byte| *byte != 0));
    let secret = Credential::Password { user: UserId(1), hash: "$argon2id$".to_owned() };
    register(&store, setting("2"), vec![], vec![secret]);
    // What the file has, without what comes only now, which is in memory.
    let right = tempdir().unwrap();
    disk.copy_to(right.path());
    append(&store, vec![setting("3")]);
    disk.fail();
    assert!(failed(&append(&store, vec![setting("x")])));
    disk.put_in(older.path());
    for _ in 0..3 {
        assert!(failed(&append(&store, vec![setting("x")])));
    }
    assert!(tail() == before);
    disk.put_in(right.path());
    assert_eq!(insist(&store, &setting("4")), [Seq(5)]);
    assert_eq!(events(&store), [created(), setting("1"), setting("2"), setting("3"), setting("4")]);
}
