//! An open store is verified and backed up while it goes on; whoever asked may end it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::damage::{fill, in_memory, many, with_a_row_too_many};
use common::history::History;
use common::{append, at, open};
use rollcall_domain::ids::Seq;
use rollcall_store::{Extent, Place, Store, StoreError, Verified};

fn look(store: &Store, scratch: Option<&Path>) -> Result<Verified, StoreError> {
    store.verify(scratch, &mut |_, _| ControlFlow::Continue(()))
}

#[test]
fn views_that_follow_do_not_differ_whenever_they_are_looked_at() {
    for seed in 0..4 {
        let folder = in_memory();
        let mut history = History::new(seed);
        let store = history.open(Place::from(folder.path())).unwrap();
        for _ in 0..12 {
            let begun = history.begin(&store);
            let verified = look(&store, Some(in_memory().path())).unwrap();
            assert_eq!(verified.difference, None, "seed {seed}, up to {}", verified.last);
            history.end(begun);
        }
    }
}

#[test]
fn it_is_looked_at_while_appends_go_on() {
    let folder = in_memory();
    fill(folder.path(), &many(400));
    let (store, is_over) = (open(folder.path()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                append(&store, many(3));
            }
        });
        for _ in 0..10 {
            let before = store.last();
            let verified = look(&store, Some(in_memory().path())).unwrap();
            assert!(verified.last >= before);
            assert_eq!((verified.difference, verified.gaps), (None, vec![]));
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_was_looked_at_is_told_and_comes_to_all_there_is() {
    let folder = in_memory();
    fill(folder.path(), &many(60));
    let store = open(folder.path());
    for (scratch, all) in [(None, 60), (Some(in_memory()), 120)] {
        let mut told = Vec::new();
        let mut watch = |done, of| {
            told.push((done, of));
            ControlFlow::Continue(())
        };
        store.verify(scratch.as_ref().map(|folder| folder.path()), &mut watch).unwrap();
        assert_eq!(told.last(), Some(&(all, all)));
        assert!(told.is_sorted());
    }
}

#[test]
fn a_row_of_the_views_that_is_not_what_the_ledger_makes_it_is_named() {
    let folder = with_a_row_too_many();
    let store = open(folder.path());
    assert_eq!(look(&store, None).unwrap().difference, None);
    let found = look(&store, Some(in_memory().path())).unwrap().difference;
    assert_eq!(found.as_deref(), Some("by_date: (20260301, 1) should not be there"));
}

#[test]
fn whoever_asked_may_end_it_and_nothing_is_left() {
    let (folder, other) = (in_memory(), in_memory());
    // A backup is watched once in a megabyte.
    fill(folder.path(), &many(8_000));
    let store = open(folder.path());
    let ended = store.verify(Some(other.path()), &mut |_, _| ControlFlow::Break(()));
    assert!(matches!(ended, Err(StoreError::Ended)));
    let target = other.path().join("backup");
    let ended =
        store.backup_watched(&target, at(), Extent::Ledger, &mut |_| ControlFlow::Break(())).unwrap_err();
    assert!(ended.to_string().contains("it was ended before it was through"), "{ended}");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
    let mut told = 0;
    let mut watch = |bytes| {
        told = bytes;
        ControlFlow::Continue(())
    };
    store.backup_watched(&target, at(), Extent::Ledger, &mut watch).unwrap();
    assert!(told > 1 << 20 && told <= fs::metadata(&target).unwrap().len());
    assert_eq!(store.last(), Seq(8_000));
}
