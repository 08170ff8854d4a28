//! The ledger keeps what it answered, once, in order, and notices when it was changed from outside.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::sync::Arc;
use std::sync::mpsc::channel;

use common::damage::{EVENTS, apart};
use common::{
    KEY, SESSION, TestClock, append, append_as, created, news, open, queue, setting, step, unmatched,
    wait_for,
};
use redb::ReadableDatabase as _;
use rollcall_domain::ids::Seq;
use rollcall_store::{Append, Appended, Expect, Line, RootKey, Store, StoreError, verify};
use tempfile::tempdir;

fn seqs(appended: &Appended) -> Vec<u64> {
    match appended {
        Appended::Committed(entries) => entries.iter().map(|entry| entry.seq.0).collect(),
        other => panic!("not committed: {other:?}"),
    }
}

#[test]
fn what_was_answered_is_there_after_opening_again() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    assert_eq!(seqs(&append(&store, vec![setting("5")])), [1]);
    assert_eq!(seqs(&append(&store, vec![setting("6"), setting("7")])), [2, 3]);
    drop(store);
    let store = open(folder.path());
    let values: Vec<_> = store.entries(Seq(1), 10).unwrap().into_iter().map(|entry| entry.event).collect();
    assert_eq!(values, [setting("5"), setting("6"), setting("7")]);
    assert_eq!(store.views().seen(), Seq(3));
    assert_eq!(store.views().now().office.settings["sessions.late_after_minutes"], "7");
    assert_eq!(seqs(&append(&store, vec![setting("8")])), [4]);
}

#[test]
fn a_dedup_key_is_written_once_also_within_one_batch_and_after_opening_again() {
    let folder = tempdir().unwrap();
    let mut store = open(folder.path());
    let (event, key) = unmatched("a");
    let again = |store: &Store| queue(store, vec![event.clone()], Some(key), None);
    let answers: Vec<_> = (0..3).map(|_| again(&store)).collect();
    let mut answers = answers.into_iter().map(|answer| answer.recv().unwrap());
    assert_eq!(seqs(&answers.next().unwrap()), [1]);
    for repeated in answers {
        assert!(matches!(repeated, Appended::Already(entry) if entry.seq == Seq(1)));
    }
    drop(store);
    store = open(folder.path());
    assert!(matches!(again(&store).recv().unwrap(), Appended::Already(entry) if entry.seq == Seq(1)));
    assert_eq!(store.entries(Seq(1), 10).unwrap().len(), 1);
}

fn expect(version: u64, line: &Line) -> Option<Expect> {
    Some(Expect { session: SESSION, version, line: line.clone() })
}

#[test]
fn an_append_decided_by_an_older_state_is_stale_also_after_opening_again() {
    let folder = tempdir().unwrap();
    let mut store = open(folder.path());
    append(&store, vec![created(), step()]);
    for version in [1, 3] {
        let appended = append_as(&store, vec![step()], None, expect(version, &Line::default()));
        assert!(matches!(appended, Appended::Stale));
    }
    drop(store);
    store = open(folder.path());
    assert!(matches!(append_as(&store, vec![step()], None, expect(1, &Line::default())), Appended::Stale));
    assert_eq!(seqs(&append_as(&store, vec![step()], None, expect(2, &Line::default()))), [3]);
    assert_eq!(store.entries(Seq(1), 10).unwrap().len(), 3);
}

#[test]
fn what_was_decided_after_something_that_was_not_written_is_stale_whatever_its_version() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    append(&store, vec![created()]);
    let line = Line::default();
    // Somebody else was faster by one event, which brings the session to the version that the second of
    // these decisions expects.
    let other = queue(&store, vec![step()], None, expect(1, &Line::default()));
    let first = queue(&store, vec![step()], None, expect(1, &line));
    let second = queue(&store, vec![step()], None, expect(2, &line));
    assert_eq!(seqs(&other.recv().unwrap()), [2]);
    assert!(matches!(first.recv().unwrap(), Appended::Stale));
    assert!(matches!(second.recv().unwrap(), Appended::Stale));
    assert_eq!(seqs(&append_as(&store, vec![step()], None, expect(2, &Line::default()))), [3]);
}

#[test]
fn what_was_decided_after_a_scan_that_was_there_already_is_stale() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let (event, key) = unmatched("a");
    append(&store, vec![created(), event.clone()]);
    let line = Line::default();
    assert!(matches!(append_as(&store, vec![event], Some(key), expect(1, &line)), Appended::Already(_)));
    assert!(matches!(append_as(&store, vec![step()], None, expect(1, &line)), Appended::Stale));
}

#[test]
fn a_completion_that_panics_stops_nobody_elses() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let panics = Append::new(news(vec![setting("5")]), |_| panic!("this panic is meant"));
    assert!(store.append(panics).is_ok());
    assert_eq!(seqs(&append(&store, vec![setting("6")])), [2]);
}

#[test]
fn closing_finishes_what_is_queued_and_frees_the_file_for_another() {
    let folder = tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let held = Arc::clone(&store);
    let answers: Vec<_> = (0..100).map(|_| queue(&store, vec![setting("5")], None, None)).collect();
    store.close();
    let written: Vec<u64> = answers.iter().map(|answer| seqs(&answer.try_recv().unwrap())[0]).collect();
    assert_eq!(written, (1..=100).collect::<Vec<_>>());
    assert!(held.append(Append::new(news(vec![setting("6")]), |_| {})).is_err());
    assert!(!held.is_up());
    assert_eq!(open(folder.path()).entries(Seq(1), 1_000).unwrap().len(), 100);
}

#[test]
fn a_completion_may_be_the_last_to_let_go_of_the_store() {
    let folder = tempdir().unwrap();
    let store = Arc::new(open(folder.path()));
    let held = Arc::clone(&store);
    let (go, wait) = channel::<()>();
    let (done, finished) = channel();
    let then = move |_| {
        wait.recv().unwrap();
        drop(held);
        done.send(()).unwrap();
    };
    assert!(store.append(Append::new(news(vec![setting("5")]), then)).is_ok());
    drop(store);
    go.send(()).unwrap();
    assert_eq!(finished.recv(), Ok(()));
}

#[test]
fn the_views_can_be_waited_for() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let seq = seqs(&append(&store, vec![setting("9")]))[0];
    let mut seen = store.views().watch();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.views().wait_for(Seq(seq))).unwrap();
    assert!(seen.borrow_and_update().seen >= Seq(seq));
    assert_eq!(store.views().now().office.settings["sessions.late_after_minutes"], "9");
}

/// Changes the stored bytes of an entry, as somebody with a hex editor would.
fn tamper(folder: &std::path::Path, seq: u64, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let database = apart(folder);
    let before = {
        let read = database.begin_read().unwrap();
        read.open_table(EVENTS).unwrap().get(seq).unwrap().unwrap().value().to_vec()
    };
    let write = database.begin_write().unwrap();
    match change(before) {
        Some(bytes) => drop(write.open_table(EVENTS).unwrap().insert(seq, bytes.as_slice()).unwrap()),
        None => drop(write.open_table(EVENTS).unwrap().remove(seq).unwrap()),
    }
    write.commit().unwrap();
}

fn three_entries() -> tempfile::TempDir {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    for value in ["1", "2", "3"] {
        append(&store, vec![setting(value)]);
    }
    folder
}

fn refusal(folder: &std::path::Path, key: RootKey) -> StoreError {
    match verify(folder, key, None) {
        Ok(_) => panic!("a broken ledger passed"),
        Err(error) => error,
    }
}

#[test]
fn a_changed_entry_a_missing_entry_and_another_key_are_noticed() {
    let changed = three_entries();
    tamper(changed.path(), 2, |mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Some(bytes)
    });
    assert!(matches!(refusal(changed.path(), KEY), StoreError::Damaged { seq: 2, .. }));

    let missing = three_entries();
    tamper(missing.path(), 2, |_| None);
    assert!(matches!(refusal(missing.path(), KEY), StoreError::Hole { seq: 2 }));

    let foreign = three_entries();
    let other = RootKey::new([4; 32]);
    let wanted = KEY.fingerprint();
    assert!(
        matches!(refusal(foreign.path(), other), StoreError::OtherKey { wanted: told } if told == wanted)
    );
}

#[test]
fn an_entry_put_in_place_of_another_breaks_the_chain() {
    let folder = three_entries();
    let other = tempdir().unwrap();
    let store = open(other.path());
    append(&store, vec![setting("1")]);
    append(&store, vec![setting("forged")]);
    drop(store);
    let mut forged = Vec::new();
    tamper(other.path(), 2, |bytes| {
        forged.clone_from(&bytes);
        Some(bytes)
    });
    tamper(folder.path(), 2, |_| Some(forged));
    // It was made with the right key, but what comes after it does not follow.
    assert!(matches!(refusal(folder.path(), KEY), StoreError::Chain { seq: 3 | 2 }));
}

#[test]
fn whoever_is_told_of_commits_can_panic_without_harm() {
    let folder = tempdir().unwrap();
    let store =
        Store::open(folder.path(), KEY, TestClock::shared(), Box::new(|_| panic!("on purpose"))).unwrap();
    for number in 1..=3 {
        assert!(matches!(append(&store, vec![setting("1")]), Appended::Committed(_)));
        wait_for(&store, Seq(number));
    }
    assert!(store.is_up());
    store.close();
    assert!(!store.is_up());
}
