//! One changed bit anywhere is found, and the entry named; looking changes nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use common::damage::{
    Chance, EVENTS, apart, at_one_moment, damage, fill, in_memory, ledger, many, places, rows, stored,
    with_a_row_too_many,
};
use common::{KEY, open};
use redb::Database;
use rollcall_domain::ids::Seq;
use rollcall_store::{Gap, Store, StoreError, verify, verify_each};

/// Puts bytes in a row's place, with pages that are in order.
fn put(folder: &Path, first: u64, bytes: &[u8]) {
    let database = Database::open(ledger(folder)).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(EVENTS).unwrap().insert(first, bytes).unwrap();
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
    let rows = rows(folder.path());
    for (entry, bit) in all.chain(some.collect::<Vec<_>>()) {
        let seq = &entries[entry].0;
        let (first, bytes) = &rows[rows.partition_point(|(first, _)| first <= seq) - 1];
        let before = usize::try_from(first - 1).unwrap()..entry;
        let at = entries[before].iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        let mut changed = bytes.clone();
        changed[at + bit / 8] ^= 1 << (bit % 8);
        put(folder.path(), *first, &changed);
        let error = verify(folder.path(), KEY, None).unwrap_err();
        let found = named(&error);
        // The link of an entry can be wrong itself, or what comes after it does not follow.
        assert!(found == *seq || found == 0 && bit / 8 == 4, "bit {bit} of {seq}: {error}");
        put(folder.path(), *first, bytes);
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
    for file in ["ledger.tail", "ledger.redb"] {
        fs::write(copy.path().join(file), at_one_moment(&folder.path().join(file))).unwrap();
    }
    let before = files(copy.path());
    assert_eq!(verify(copy.path(), KEY, None).unwrap().last, Seq(5));
    assert!(files(copy.path()) == before);
}

/// Everything that lies in the folder.
fn files(folder: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    files.map(|file| (file.file_name(), fs::read(file.path()).unwrap())).collect()
}

/// What verify says of the views in this folder, in which it changes nothing.
fn difference(folder: &Path, scratch: &Path) -> Option<String> {
    let before = files(folder);
    let verified = verify(folder, KEY, Some(scratch)).unwrap();
    assert!(files(folder) == before, "looking has changed a file");
    verified.difference
}

#[test]
fn views_that_are_in_order_or_behind_or_gone_do_not_differ() {
    let (folder, scratch) = (in_memory(), in_memory());
    fill(folder.path(), &many(30));
    assert_eq!(difference(folder.path(), scratch.path()), None);
    let views = folder.path().join("views.redb");
    let then = fs::read(&views).unwrap();
    fill(folder.path(), &many(20));
    fs::write(&views, then).unwrap();
    assert_eq!(difference(folder.path(), scratch.path()), None);
    fs::remove_file(views).unwrap();
    assert_eq!(difference(folder.path(), scratch.path()), None);
}

#[test]
fn views_that_were_not_closed_are_compared_all_the_same() {
    let (folder, copy) = (in_memory(), in_memory());
    let store = open(folder.path());
    common::append(&store, many(5));
    common::wait_for(&store, Seq(5));
    for file in ["ledger.redb", "views.redb"] {
        fs::write(copy.path().join(file), at_one_moment(&folder.path().join(file))).unwrap();
    }
    assert_eq!(difference(copy.path(), in_memory().path()), None);
}

#[test]
fn views_that_end_before_a_gap_of_the_ledger_or_after_it_do_not_differ() {
    let (folder, scratch) = (in_memory(), in_memory());
    let views = folder.path().join("views.redb");
    let events = many(60);
    fill(folder.path(), &events[..30]);
    let then = fs::read(&views).unwrap();
    fill(folder.path(), &events[30..]);
    for (_, bytes) in &stored(folder.path())[30..32] {
        let places = places(folder.path(), bytes);
        damage(folder.path(), |file| places.iter().for_each(|at| file[at + 8] ^= 1));
    }
    drop(open(folder.path()));
    let gaps = verify(folder.path(), KEY, None).unwrap().gaps;
    assert!(gaps.iter().any(|gap| gap.entries() >= 2));
    assert_eq!(difference(folder.path(), scratch.path()), None);
    let first = gaps.iter().map(|gap| gap.first.0).min().unwrap();
    assert!(first >= 31, "the views of then have seen what is lost");
    fs::write(&views, then).unwrap();
    assert_eq!(difference(folder.path(), scratch.path()), None);
}

#[test]
fn a_row_of_the_views_that_is_not_what_the_ledger_makes_it_is_named() {
    let folder = with_a_row_too_many();
    let found = difference(folder.path(), in_memory().path());
    assert_eq!(found.as_deref(), Some("by_date: (20260301, 1) should not be there"));
}

#[test]
fn views_of_another_ledger_are_named_as_such() {
    let (folder, other) = (in_memory(), in_memory());
    fill(folder.path(), &many(9));
    fill(other.path(), &[common::created()]);
    fs::copy(other.path().join("views.redb"), folder.path().join("views.redb")).unwrap();
    let found = difference(folder.path(), in_memory().path()).unwrap();
    assert!(found.contains("another ledger"), "{found}");
}

#[test]
fn damaged_views_are_a_difference_and_stay_as_they_are() {
    let (folder, scratch) = (in_memory(), in_memory());
    fill(folder.path(), &many(60));
    let views = folder.path().join("views.redb");
    let whole = fs::read(&views).unwrap();
    let mut chance = Chance(4);
    let flips = (0..200).map(|number| {
        let at = if number % 2 == 0 { chance.below(320) } else { chance.below(whole.len()) };
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << chance.below(8);
        bytes
    });
    let found = flips.filter(|bytes| {
        fs::write(&views, bytes).unwrap();
        difference(folder.path(), scratch.path()).is_some()
    });
    assert!(found.count() > 20);
    for damaged in [b"this was a database".as_slice(), &whole[..whole.len() / 2], &[0; 8_192]] {
        fs::write(&views, damaged).unwrap();
        let found = difference(folder.path(), scratch.path()).unwrap();
        assert!(found.contains("views.redb cannot be read"), "{found}");
    }
}

#[test]
fn every_entry_that_is_in_order_is_handed_out_on_the_way() {
    let folder = in_memory();
    fill(folder.path(), &many(30));
    let mut seen = Vec::new();
    let verified = verify_each(folder.path(), KEY, None, |entry| seen.push(entry)).unwrap();
    assert_eq!(verified.last, Seq(30));
    assert_eq!(seen, open(folder.path()).entries(Seq(1), 100).unwrap());
    drop(apart(folder.path()));
    let mut bytes = stored(folder.path())[20].1.clone();
    *bytes.last_mut().unwrap() ^= 1;
    put(folder.path(), 21, &bytes);
    let mut sound = 0;
    assert!(verify_each(folder.path(), KEY, None, |_| sound += 1).is_err());
    assert_eq!(sound, 20);
}
