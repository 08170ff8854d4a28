//! The ledger keeps what it answered, once, in order, and notices when it was changed from outside.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::sync::mpsc::channel;

use common::{KEY, TestClock, append, append_as, open, setting};
use redb::{Database, ReadableDatabase as _, TableDefinition};
use rollcall_domain::code::Pseudonyms;
use rollcall_domain::ids::{DeviceId, Seq, SessionId};
use rollcall_domain::scan::DedupKey;
use rollcall_store::{Append, Appended, ChainKey, Expect, Store, StoreError};
use tempfile::tempdir;

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

fn key(id: &str) -> DedupKey {
    DedupKey::of_id(&DeviceId::parse("gate").unwrap(), id, &Pseudonyms::new([1; 32]))
}

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
    store.views().read(|state| assert_eq!(state.settings["sessions.late_after_minutes"], "7"));
    assert_eq!(seqs(&append(&store, vec![setting("8")])), [4]);
}

#[test]
fn a_dedup_key_is_written_once_also_within_one_batch_and_after_opening_again() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let (sender, receiver) = channel();
    for _ in 0..3 {
        let sender = sender.clone();
        let append = Append::new(Vec::new(), move |appended| sender.send(appended).unwrap());
        let events = vec![rollcall_domain::event::NewEvent {
            by: rollcall_domain::event::Actor::Cli,
            event: setting("5"),
            personal: Vec::new(),
        }];
        store.append(Append { dedup: Some(key("a")), events, ..append }).unwrap_or_else(|_| panic!());
    }
    let answers: Vec<Appended> = receiver.iter().take(3).collect();
    assert_eq!(seqs(&answers[0]), [1]);
    for again in &answers[1..] {
        assert!(matches!(again, Appended::Already(entry) if entry.seq == Seq(1)), "{again:?}");
    }
    assert_eq!(store.entries(Seq(1), 10).unwrap().len(), 1);
}

#[test]
fn an_append_decided_by_an_older_state_is_stale() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let expect = |version| Some(Expect { session: SessionId(1), version });
    assert!(matches!(append_as(&store, vec![setting("5")], None, expect(4)), Appended::Stale));
    assert!(matches!(append_as(&store, vec![setting("5")], None, expect(0)), Appended::Committed(_)));
    assert_eq!(store.entries(Seq(1), 10).unwrap().len(), 1);
}

#[test]
fn the_views_can_be_waited_for() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let seq = seqs(&append(&store, vec![setting("9")]))[0];
    let mut seen = store.views().watch();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.views().wait_for(Seq(seq)));
    assert!(*seen.borrow_and_update() >= Seq(seq));
    store.views().read(|state| assert_eq!(state.settings["sessions.late_after_minutes"], "9"));
}

/// Changes the stored bytes of an entry, as somebody with a hex editor would.
fn tamper(folder: &std::path::Path, seq: u64, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let database = Database::open(folder.join("ledger.redb")).unwrap();
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

fn refusal(folder: &std::path::Path, key: ChainKey) -> StoreError {
    match Store::open(folder, key, TestClock::shared(), Box::new(|_| {})) {
        Ok(_) => panic!("a broken ledger was opened"),
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
    assert!(matches!(refusal(foreign.path(), ChainKey([4; 32])), StoreError::Chain { seq: 1 }));
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
