//! One changed bit anywhere is found, and the entry named; looking changes nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::fs;
use std::path::Path;

use common::damage::{Chance, EVENTS, damage, fill, in_memory, ledger, many, stored};
use common::{KEY, open};
use redb::Database;
use rollcall_domain::ids::Seq;
use rollcall_store::{Gap, Store, StoreError, verify};

/// Puts bytes in an entry's place, with pages that are in order.
fn put(folder: &Path, seq: u64, bytes: &[u8]) {
    let database = Database::open(ledger(folder)).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(EVENTS).unwrap().insert(seq, bytes).unwrap();
    write.commit().unwrap();
}

/// The entry that verify names.
fn named(error: &StoreError) -> u64 {
    match error {
        StoreError::Damaged { seq, .. } | StoreError::Chain { seq } => *seq,
        // A version that does not exist is refused as such.
        StoreError::Newer { .. } => 0,
        other => panic!("no entry is named: {other}"),
    }
}

#[test]
fn any_changed_bit_of_an_entry_is_found_and_the_entry_named() {
    let folder = in_memory();
    fill(folder.path(), &many(30));
    let entries = stored(folder.path());
    let mut chance = Chance(1);
    // Every bit of one entry, and some of others.
    let all = (0..entries[11].1.len() * 8).map(|bit| (11, bit));
    let some = (0..200).map(|_| {
        let entry = chance.below(entries.len());
        (entry, chance.below(entries[entry].1.len() * 8))
    });
    for (entry, bit) in all.chain(some.collect::<Vec<_>>()) {
        let (seq, bytes) = &entries[entry];
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        put(folder.path(), *seq, &changed);
        let error = verify(folder.path(), KEY, None).unwrap_err();
        let found = named(&error);
        // The link of an entry can be wrong itself, or what comes after it does not follow.
        assert!(found == *seq || found == 0 && bit / 8 == 4, "bit {bit} of {seq}: {error}");
        put(folder.path(), *seq, bytes);
    }
    assert_eq!(verify(folder.path(), KEY, None).unwrap().last, Seq(30));
}

#[test]
fn any_changed_bit_of_the_file_is_found_or_is_where_nothing_lies() {
    let folder = in_memory();
    fill(folder.path(), &many(200));
    let (entries, whole) = (stored(folder.path()), fs::read(ledger(folder.path())).unwrap());
    let mut chance = Chance(2);
    let (mut found, mut harmless) = (0, 0);
    for number in 0..1_000 {
        // The header, where most harm can be done, as often as everything else.
        let at = if number % 2 == 0 { chance.below(320) } else { chance.below(whole.len()) };
        let bit = chance.below(8);
        damage(folder.path(), |bytes| {
            bytes.clone_from(&whole);
            bytes[at] ^= 1 << bit;
        });
        let changed = fs::read(ledger(folder.path())).unwrap();
        match verify(folder.path(), KEY, None) {
            Err(_) => found += 1,
            Ok(verified) => {
                assert_eq!((verified.last, verified.gaps.len()), (Seq(200), 0), "bit {bit} at {at}");
                harmless += 1;
            }
        }
        assert!(fs::read(ledger(folder.path())).unwrap() == changed, "looking has changed the file");
    }
    damage(folder.path(), |bytes| *bytes = whole);
    assert_eq!(stored(folder.path()), entries);
    assert!(found > 200 && harmless > 60, "{found} found, {harmless} where nothing lies");
}

#[test]
fn a_store_opened_on_a_file_with_a_changed_bit_has_every_entry_or_says_which_are_gone() {
    let folder = in_memory();
    let events = many(120);
    fill(folder.path(), &events);
    let whole = fs::read(ledger(folder.path())).unwrap();
    let mut chance = Chance(3);
    for _ in 0..100 {
        let at = if chance.below(3) == 0 { chance.below(320) } else { chance.below(whole.len()) };
        let bit = chance.below(8);
        let other = in_memory();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << bit;
        fs::write(ledger(other.path()), bytes).unwrap();
        let store = open(other.path());
        let there = store.entries(Seq(1), 1_000).unwrap();
        drop(store);
        let verified = verify(other.path(), KEY, None).unwrap();
        let lost: u64 = verified.gaps.iter().map(Gap::entries).sum();
        assert_eq!(
            there.len() + usize::try_from(lost).unwrap(),
            120,
            "bit {bit} at {at}: {:?}",
            verified.gaps
        );
        for entry in there {
            assert_eq!(entry.event, events[usize::try_from(entry.seq.0).unwrap() - 1]);
        }
    }
}

#[test]
fn a_ledger_that_is_not_there_is_not_made() {
    let folder = in_memory();
    assert!(matches!(verify(folder.path(), KEY, None), Err(StoreError::Open { .. })));
    assert!(!Store::is_in(folder.path()));
}

#[test]
fn a_gateway_that_has_the_ledger_open_is_left_alone() {
    let folder = in_memory();
    let store = open(folder.path());
    assert!(matches!(verify(folder.path(), KEY, None), Err(StoreError::InUse { .. })));
    drop(store);
    assert_eq!(verify(folder.path(), KEY, None).unwrap().last, Seq(0));
}

#[test]
fn a_ledger_that_was_not_closed_is_verified_all_the_same() {
    let folder = in_memory();
    let store = open(folder.path());
    common::append(&store, many(5));
    let copy = in_memory();
    fs::copy(ledger(folder.path()), ledger(copy.path())).unwrap();
    let before = fs::read(ledger(copy.path())).unwrap();
    assert_eq!(verify(copy.path(), KEY, None).unwrap().last, Seq(5));
    assert!(fs::read(ledger(copy.path())).unwrap() == before);
}
