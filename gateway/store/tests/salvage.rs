//! Whatever happens to the file, every entry that is intact is kept, and what is gone is named.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::fs;
use std::path::Path;

use common::damage::{Chance, PAGE, PEOPLE, damage, fill, in_memory, ledger, many, places, stored};
use common::{KEY, TestClock, append, append_as, at, news, open, setting, unmatched};
use redb::{Database, ReadableDatabase as _};
use rollcall_domain::code::Code;
use rollcall_domain::ids::{Seq, StudentId};
use rollcall_domain::people::{PersonName, Personal, StudentDetails};
use rollcall_store::{Append, Appended, Gap, Keyring, RootKey, Store, StoreError, salvage, verify};

fn lost(gaps: &[Gap]) -> Vec<u64> {
    gaps.iter().flat_map(|gap| gap.first.0..=gap.last.0).collect()
}

/// Every entry is there with its own bytes, or named as lost, and verify agrees.
fn agrees(folder: &Path, before: &[(u64, Vec<u8>)]) -> Vec<u64> {
    let verified = verify(folder, KEY, None).unwrap();
    let (after, lost) = (stored(folder), lost(&verified.gaps));
    let expected: Vec<_> = before.iter().filter(|(seq, _)| !lost.contains(seq)).cloned().collect();
    assert!(after == expected, "lost: {lost:?}");
    lost
}

#[test]
fn any_page_of_the_file_can_be_destroyed() {
    let original = in_memory();
    fill(original.path(), &many(300));
    let (before, whole) = (stored(original.path()), fs::read(ledger(original.path())).unwrap());
    let (mut harmless, mut with_loss) = (0, 0);
    let [page_of_keys] = places(original.path(), b"RCK1")[..] else { panic!("the row of keys lies once") };
    let page_of_keys = page_of_keys / PAGE;
    for page in 0..whole.len() / PAGE {
        let range = page * PAGE..(page + 1) * PAGE;
        if whole[range.clone()].iter().all(|byte| *byte == 0) {
            continue;
        }
        let folder = in_memory();
        let mut bytes = whole.clone();
        bytes[range].fill(0xFF);
        fs::write(ledger(folder.path()), bytes).unwrap();
        // They know what the end of the ledger was.
        fs::copy(original.path().join("views.redb"), folder.path().join("views.redb")).unwrap();
        if page == page_of_keys {
            // What entries mean is kept there; a ledger made anew would recognise nobody.
            refused(folder.path(), &KEY, |error| matches!(error, StoreError::Keys));
            continue;
        }
        let store = open(folder.path());
        let next = append(&store, vec![setting("after")]);
        assert!(matches!(next, Appended::Committed(entries) if entries[0].seq.0 == 301));
        drop(store);
        let mut before = before.clone();
        before.push(stored(folder.path()).pop().unwrap());
        let lost = agrees(folder.path(), &before);
        // A page holds at most so many of the smallest entries.
        assert!(lost.len() < 40, "page {page}: {lost:?}");
        *(if lost.is_empty() { &mut harmless } else { &mut with_loss }) += 1;
    }
    assert!(harmless > 10 && with_loss > 5, "{harmless} without loss, {with_loss} with");
}

#[test]
fn most_of_the_file_can_be_destroyed() {
    let original = in_memory();
    fill(original.path(), &many(300));
    let (before, whole) = (stored(original.path()), fs::read(ledger(original.path())).unwrap());
    let mut chance = Chance(4);
    for _ in 0..20 {
        let folder = in_memory();
        let mut bytes = whole.clone();
        for _ in 0..6 {
            let start = chance.below(bytes.len());
            let end = (start + chance.below(40_000)).min(bytes.len());
            bytes[start..end].fill(0xAA);
        }
        bytes.truncate(whole.len() - chance.below(whole.len() / 3));
        fs::write(ledger(folder.path()), bytes).unwrap();
        match salvage(folder.path(), KEY, at()) {
            Ok(salvaged) => {
                let last = stored(folder.path()).last().unwrap().0;
                agrees(folder.path(), &before[..usize::try_from(last).unwrap()]);
                assert!(salvaged.set_aside.exists());
            }
            Err(error) => {
                assert!(matches!(error, StoreError::NothingProven { .. } | StoreError::Keys), "{error}");
            }
        }
    }
}

#[test]
fn the_damaged_file_is_kept_and_a_second_one_does_not_take_its_name() {
    let folder = in_memory();
    fill(folder.path(), &many(20));
    damage(folder.path(), |bytes| bytes[..PAGE].fill(0));
    let damaged = fs::read(ledger(folder.path())).unwrap();
    let first = salvage(folder.path(), KEY, at()).unwrap();
    assert!(fs::read(&first.set_aside).unwrap() == damaged);
    let second = salvage(folder.path(), KEY, at()).unwrap();
    assert_ne!(first.set_aside, second.set_aside);
    assert!(fs::read(&first.set_aside).unwrap() == damaged);
    assert_eq!((first.entries, first.gaps.len()), (20, 0));
}

fn student(number: u64) -> StudentDetails {
    let name = PersonName::from_whole(&format!("Student {number}")).unwrap();
    StudentDetails {
        code: Code::parse(&format!("S{number}")).unwrap(),
        name,
        email: None,
        phone: None,
        cards: vec![],
    }
}

fn with_people(store: &Store, people: u64) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut events = news(many(50));
    events[0].personal = (1..=people).map(|id| Personal::Student(StudentId(id), student(id))).collect();
    let append = Append::new(events, move |appended| sender.send(appended).unwrap());
    assert!(store.append(append).is_ok());
    receiver.recv().unwrap();
}

#[test]
fn the_register_comes_along_also_from_a_file_that_was_not_closed() {
    for closed in [true, false] {
        let original = in_memory();
        let store = open(original.path());
        with_people(&store, 500);
        if closed {
            store.close();
        }
        let copy = in_memory();
        fs::copy(ledger(original.path()), ledger(copy.path())).unwrap();
        store.close();
        fs::copy(original.path().join("views.redb"), copy.path().join("views.redb")).unwrap();
        let before = stored(original.path());
        // All pages with this entry: the tree that leads to it can then be proven no more.
        let places = places(copy.path(), &before[30].1);
        damage(copy.path(), |bytes| places.iter().for_each(|at| bytes[*at] ^= 1));
        let store = open(copy.path());
        for id in 1..=500 {
            assert_eq!(store.register().student(StudentId(id)).unwrap(), Some(student(id)));
        }
        drop(store);
        assert_eq!(agrees(copy.path(), &before), [31]);
    }
}

#[test]
fn rows_of_the_register_on_other_pages_survive_a_destroyed_one() {
    let folder = in_memory();
    let store = open(folder.path());
    with_people(&store, 500);
    drop(store);
    let database = Database::open(ledger(folder.path())).unwrap();
    let people = database.begin_read().unwrap().open_table(PEOPLE).unwrap();
    let sealed = people.get((1, 250)).unwrap().unwrap().value().to_vec();
    drop((people, database));
    let row = *places(folder.path(), &sealed).last().unwrap();
    damage(folder.path(), |bytes| bytes[row / PAGE * PAGE..][..PAGE].fill(0));
    let salvaged = salvage(folder.path(), KEY, at()).unwrap();
    assert_eq!(salvaged.rows + salvaged.rows_lost, 500);
    assert!(salvaged.rows > 300 && salvaged.rows_lost > 0, "{salvaged:?}");
    let store = open(folder.path());
    let register = store.register();
    let there = (1..=500).filter(|id| register.student(StudentId(*id)).unwrap() == Some(student(*id)));
    assert_eq!(u64::try_from(there.count()).unwrap(), salvaged.rows);
}

#[test]
fn what_was_lost_before_stays_named_when_more_is_lost() {
    let folder = in_memory();
    fill(folder.path(), &many(100));
    let mut before = stored(folder.path());
    for (round, seq) in [(1, 40_usize), (2, 60), (3, 41)] {
        let places = places(folder.path(), &before.iter().find(|(at, _)| *at == seq as u64).unwrap().1);
        damage(folder.path(), |bytes| places.iter().for_each(|at| bytes[*at + 20] ^= 1));
        drop(open(folder.path()));
        assert_eq!(agrees(folder.path(), &before).len(), round);
    }
    before.retain(|(seq, _)| ![40, 41, 60].contains(seq));
    assert_eq!(stored(folder.path()), before);
}

#[test]
fn a_sequence_that_the_views_have_seen_is_not_given_out_again() {
    let folder = in_memory();
    let store = open(folder.path());
    for event in many(30) {
        append(&store, vec![event]);
    }
    drop(store);
    let before = stored(folder.path());
    for (_, bytes) in &before[25..] {
        let places = places(folder.path(), bytes);
        damage(folder.path(), |file| places.iter().for_each(|at| file[*at] ^= 1));
    }
    let store = open(folder.path());
    assert_eq!(store.last(), Seq(30));
    assert_eq!(store.views().seen(), Seq(30));
    assert!(
        matches!(append(&store, vec![setting("next")]), Appended::Committed(new) if new[0].seq == Seq(31))
    );
    drop(store);
    let store = open(folder.path());
    assert_eq!((store.last(), store.entries(Seq(26), 9).unwrap().len()), (Seq(31), 1));
    drop(store);
    let scratch = in_memory();
    let verified = verify(folder.path(), KEY, Some(scratch.path())).unwrap();
    assert_eq!((lost(&verified.gaps), verified.difference), ((26..=30).collect(), None));
}

/// Opening and salvaging both refuse, and the file stays as it is.
fn refused(folder: &Path, key: &RootKey, expected: impl Fn(&StoreError) -> bool) {
    let before = fs::read(ledger(folder)).unwrap();
    let opened = Store::open(folder, key.clone(), TestClock::shared(), Box::new(|_| {}));
    let Err(error) = opened else { panic!("it was opened") };
    assert!(expected(&error), "{error}");
    let error = salvage(folder, key.clone(), at()).unwrap_err();
    assert!(expected(&error) || matches!(error, StoreError::NothingProven { .. }), "{error}");
    assert!(fs::read(ledger(folder)).unwrap() == before);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(files.filter(|name| name.contains("damaged")).count() == 0);
}

#[test]
fn a_damaged_ledger_of_another_key_is_refused_and_left_as_it_is() {
    let folder = in_memory();
    fill(folder.path(), &many(20));
    damage(folder.path(), |bytes| bytes[0] ^= 1);
    refused(folder.path(), &RootKey::new([4; 32]), |error| matches!(error, StoreError::OtherKey { .. }));
}

#[test]
fn a_whole_ledger_of_another_key_is_refused_and_not_salvaged() {
    let folder = in_memory();
    fill(folder.path(), &many(20));
    fs::remove_file(folder.path().join("views.redb")).unwrap();
    let opened = Store::open(folder.path(), RootKey::new([4; 32]), TestClock::shared(), Box::new(|_| {}));
    assert!(matches!(opened, Err(StoreError::OtherKey { .. })));
    assert_eq!(stored(folder.path()).len(), 20);
}

#[test]
fn a_ledger_that_another_process_has_is_refused() {
    let folder = in_memory();
    let store = open(folder.path());
    append(&store, many(20));
    assert!(matches!(salvage(folder.path(), KEY, at()), Err(StoreError::InUse { .. })));
    let second = Store::open(folder.path(), KEY, TestClock::shared(), Box::new(|_| {}));
    assert!(matches!(second, Err(StoreError::InUse { .. })));
    drop(store);
    assert_eq!(stored(folder.path()).len(), 20);
}

#[test]
fn a_file_that_is_no_ledger_is_refused() {
    let folder = in_memory();
    fs::write(ledger(folder.path()), b"this was a database once, or never").unwrap();
    refused(folder.path(), &KEY, |error| matches!(error, StoreError::Keys));
}

#[test]
fn a_salvage_that_was_cut_short_is_begun_again() {
    let folder = in_memory();
    fill(folder.path(), &many(20));
    damage(folder.path(), |bytes| bytes[0] ^= 1);
    fs::write(folder.path().join("ledger.salvaging.redb"), b"half of one").unwrap();
    assert_eq!(salvage(folder.path(), KEY, at()).unwrap().entries, 20);
    assert!(!folder.path().join("ledger.salvaging.redb").exists());
}

#[test]
fn damaged_views_are_never_shown_but_made_anew() {
    let folder = in_memory();
    fill(folder.path(), &many(60));
    let views = folder.path().join("views.redb");
    let whole = fs::read(&views).unwrap();
    let mut chance = Chance(6);
    for _ in 0..60 {
        let mut bytes = whole.clone();
        let at = chance.below(bytes.len());
        bytes[at] ^= 1 << chance.below(8);
        fs::write(&views, bytes).unwrap();
        let store = open(folder.path());
        assert_eq!(store.views().seen(), Seq(60));
        drop(store);
        let scratch = in_memory();
        assert_eq!(verify(folder.path(), KEY, Some(scratch.path())).unwrap().difference, None, "at {at}");
    }
}

#[test]
fn a_scan_that_was_lost_is_taken_again_although_the_views_had_seen_it() {
    let folder = in_memory();
    let scans: Vec<_> = (0..300).map(|number| unmatched(&number.to_string())).collect();
    let store = open(folder.path());
    for (event, key) in &scans {
        append_as(&store, vec![event.clone()], Some(*key), None);
    }
    drop(store);
    // On a page in the middle, so that the ledger still ends where the views did.
    let (_, bytes) = &stored(folder.path())[100];
    let at = *places(folder.path(), bytes).last().unwrap() / PAGE * PAGE;
    damage(folder.path(), |file| file[at..at + PAGE].fill(0xA5));

    let store = open(folder.path());
    let gone = lost(&store.gaps().unwrap());
    assert!((1..300).contains(&gone.len()), "{gone:?}");
    for (seq, (event, key)) in (1..).zip(&scans) {
        match append_as(&store, vec![event.clone()], Some(*key), None) {
            Appended::Committed(_) => assert!(gone.contains(&seq), "{seq} was there"),
            Appended::Already(entry) => assert_eq!(entry.seq, Seq(seq)),
            other => panic!("{seq}: {other:?}"),
        }
    }
    drop(store);
    let scratch = in_memory();
    assert_eq!(verify(folder.path(), KEY, Some(scratch.path())).unwrap().difference, None);
    assert!(!folder.path().join("views.redb.damaged-ledger").exists());
}

#[test]
fn a_ledger_whose_key_was_replaced_is_salvaged_with_the_new_key_alone() {
    const NEW: RootKey = RootKey::new([4; 32]);
    let folder = in_memory();
    fill(folder.path(), &many(30));
    let open_with = |keys: Keyring| Store::open(folder.path(), keys, TestClock::shared(), Box::new(|_| {}));
    let store = open_with(Keyring::new(NEW).replacing(KEY)).unwrap();
    append(&store, many(30));
    drop(store);
    let before = stored(folder.path());
    // No page leads anywhere any more: the row of keys is searched for, like everything else.
    damage(folder.path(), |bytes| bytes[..PAGE].fill(0));
    let salvaged = salvage(folder.path(), NEW, at()).unwrap();
    assert_eq!((salvaged.entries, salvaged.gaps.len()), (60, 0));
    assert_eq!(stored(folder.path()), before);
    assert!(matches!(open_with(KEY.into()), Err(StoreError::OtherKey { .. })));
    assert_eq!(open_with(NEW.into()).unwrap().last(), Seq(60));
    assert_eq!(verify(folder.path(), NEW, None).unwrap().last, Seq(60));
}

#[test]
fn a_ledger_that_lost_its_end_twice_goes_on_after_both_and_under_another_key() {
    let folder = in_memory();
    fill(folder.path(), &many(30));
    for round in [31, 32] {
        // The views know how far it went.
        let (last, bytes) = stored(folder.path()).pop().unwrap();
        let places = places(folder.path(), &bytes);
        damage(folder.path(), |file| places.iter().for_each(|at| file[*at] ^= 1));
        let store = open(folder.path());
        assert!(last < round && store.last() == Seq(round - 1));
        if round == 31 {
            append(&store, vec![setting("lost next")]);
        }
    }
    drop(open(folder.path()));
    let keys = Keyring::new(RootKey::new([4; 32])).replacing(KEY);
    let store = Store::open(folder.path(), keys.clone(), TestClock::shared(), Box::new(|_| {})).unwrap();
    let next = append(&store, vec![setting("on")]);
    assert!(matches!(next, Appended::Committed(new) if new[0].seq == Seq(32)));
    drop(store);
    let verified = verify(folder.path(), keys, None).unwrap();
    assert_eq!((lost(&verified.gaps), verified.last), (vec![30, 31], Seq(32)));
}
