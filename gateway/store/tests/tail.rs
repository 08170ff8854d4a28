//! What lies in the tail of a ledger that was not closed is in the ledger, or is named as lost.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::fs;
use std::path::Path;

use common::damage::{PAGE, at_one_moment, fill, in_memory, ledger, many};
use common::{KEY, append, at, open, refusal, register, setting, wait_for};
use rollcall_domain::event::Event;
use rollcall_domain::ids::{Seq, UserId};
use rollcall_store::{Appended, Credential, Gap, Overwrite, Store, StoreError, backup, restore, verify};
use tempfile::TempDir;

const FILES: [&str; 3] = ["ledger.tail", "ledger.redb", "views.redb"];

/// What a gateway leaves that is killed now.
fn killed(store: &Store, folder: &Path) -> TempDir {
    wait_for(store, store.last());
    let left = in_memory();
    for file in FILES {
        fs::write(left.path().join(file), at_one_moment(&folder.join(file))).unwrap();
    }
    left
}

/// Killed after so many commits of one entry each, the first of which are in the ledger's file already.
fn killed_after(commits: usize) -> TempDir {
    let folder = in_memory();
    let store = open(folder.path());
    append(&store, vec![setting("before")]);
    drop(store);
    let store = open(folder.path());
    (1..=commits).for_each(|number| drop(append(&store, vec![setting(&number.to_string())])));
    killed(&store, folder.path())
}

fn tail(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("ledger.tail")).unwrap()
}

/// Changes the byte at `at` of the record with this number.
fn damage(folder: &Path, record: usize, at: usize) {
    let mut bytes = tail(folder);
    bytes[record * PAGE + at] ^= 1;
    fs::write(folder.join("ledger.tail"), bytes).unwrap();
}

fn values(store: &Store) -> Vec<String> {
    let entries = store.entries(Seq(1), 100).unwrap();
    let value = |event| match event {
        Event::SettingChanged { value, .. } => value.unwrap(),
        other => panic!("{other:?}"),
    };
    entries.into_iter().map(|entry| value(entry.event)).collect()
}

#[test]
fn a_gateway_that_is_killed_has_everything_the_next_time() {
    let folder = killed_after(5);
    assert_eq!(verify(folder.path(), KEY, None).unwrap().last, Seq(6));
    let store = open(folder.path());
    assert_eq!(values(&store), ["before", "1", "2", "3", "4", "5"]);
    append(&store, vec![setting("after")]);
    let again = killed(&store, folder.path());
    assert_eq!(values(&open(again.path())), ["before", "1", "2", "3", "4", "5", "after"]);
}

#[test]
fn to_look_at_a_tail_does_not_change_it() {
    let folder = killed_after(3);
    let files = || FILES.map(|file| fs::read(folder.path().join(file)).unwrap());
    let before = files();
    assert_eq!(verify(folder.path(), KEY, None).unwrap().last, Seq(4));
    let other = in_memory();
    let made = backup(folder.path(), KEY, &other.path().join("b"), at()).unwrap();
    assert_eq!((made.last, made.entries), (Seq(4), 4));
    assert!(files() == before);
}

#[test]
fn an_entry_of_the_tail_that_is_damaged_is_named_and_the_others_are_kept() {
    // In its payload, in its header, and in the header of its record.
    for place in [110, 80, 20] {
        let folder = killed_after(5);
        damage(folder.path(), 2, place);
        let found = verify(folder.path(), KEY, None).unwrap_err();
        assert!(matches!(found, StoreError::Damaged { seq: 4, .. } | StoreError::Hole { seq: 4 }), "{found}");
        let store = open(folder.path());
        let gaps = store.gaps().unwrap();
        // Only its record's header, and the entry itself is intact.
        if place == 20 {
            assert_eq!((gaps.len(), values(&store).len()), (0, 6));
            continue;
        }
        assert!(matches!(gaps[..], [Gap { first: Seq(4), last: Seq(4), .. }]), "{gaps:?}");
        assert_eq!(values(&store), ["before", "1", "2", "4", "5"]);
        drop(store);
        assert_eq!(verify(folder.path(), KEY, None).unwrap().gaps.len(), 1);
    }
}

#[test]
fn the_last_entry_of_the_tail_is_missed_if_the_views_had_seen_it() {
    let folder = in_memory();
    let store = open(folder.path());
    (1..=4).for_each(|number| drop(append(&store, vec![setting(&number.to_string())])));
    let left = killed(&store, folder.path());
    drop(store);
    damage(left.path(), 3, 110);
    // Nobody was told of it, as far as can be seen: the power may have gone while it was written.
    let torn = in_memory();
    for file in ["ledger.tail", "ledger.redb"] {
        fs::copy(left.path().join(file), torn.path().join(file)).unwrap();
    }
    assert_eq!(open(torn.path()).last(), Seq(3));
    // Those that were closed have seen it.
    fs::copy(folder.path().join("views.redb"), left.path().join("views.redb")).unwrap();
    let found = verify(left.path(), KEY, None).unwrap_err();
    assert!(matches!(found, StoreError::Damaged { seq: 4, .. }), "{found}");
    let found = backup(left.path(), KEY, &left.path().join("b"), at()).unwrap_err();
    assert!(matches!(found, StoreError::Damaged { seq: 4, .. }), "{found}");
    let store = open(left.path());
    assert!(matches!(store.gaps().unwrap()[..], [Gap { first: Seq(4), last: Seq(4), .. }]));
    let next = append(&store, vec![setting("5")]);
    assert!(matches!(next, Appended::Committed(entries) if entries[0].seq == Seq(5)));
}

#[test]
fn a_tail_that_was_cut_short_or_is_gone_counts_as_far_as_it_goes() {
    for records in 0..=3 {
        let folder = killed_after(3);
        fs::remove_file(folder.path().join("views.redb")).unwrap();
        fs::write(folder.path().join("ledger.tail"), &tail(folder.path())[..records * PAGE]).unwrap();
        let store = open(folder.path());
        assert_eq!(store.last(), Seq(u64::try_from(records).unwrap() + 1));
        append(&store, vec![setting("after")]);
        let again = killed(&store, folder.path());
        assert_eq!(values(&open(again.path())).len(), records + 2);
    }
}

#[test]
fn the_tail_of_another_ledger_is_kept_and_left_out() {
    let folder = killed_after(3);
    let before = tail(folder.path());
    // It begins after the end of this one, at it, or before it.
    for entries in [0, 1, 3, 9] {
        let other = in_memory();
        let store = open(other.path());
        (0..entries).for_each(|_| drop(append(&store, vec![setting("other")])));
        drop(store);
        for name in ["ledger.tail.foreign", "ledger.tail.foreign-1"] {
            fs::write(other.path().join("ledger.tail"), &before).unwrap();
            let verified = verify(other.path(), KEY, None).unwrap();
            assert_eq!((verified.last, verified.is_tail_foreign), (Seq(entries), true));
            let file = other.path().join("b");
            assert!(backup(other.path(), KEY, &file, at()).unwrap().is_tail_foreign);
            fs::remove_file(file).unwrap();
            let store = open(other.path());
            assert_eq!(
                (values(&store), store.gaps().unwrap()),
                (vec!["other".to_owned(); usize::try_from(entries).unwrap()], vec![])
            );
            assert!(fs::read(other.path().join(name)).unwrap() == before);
        }
    }
}

#[test]
fn salvage_takes_nothing_from_the_tail_of_another_ledger() {
    let (folder, other) = (killed_after(9), in_memory());
    let store = open(other.path());
    (0..3).for_each(|_| drop(append(&store, vec![setting("other")])));
    drop(store);
    fs::copy(folder.path().join("ledger.tail"), other.path().join("ledger.tail")).unwrap();
    let mut bytes = fs::read(ledger(other.path())).unwrap();
    bytes[..PAGE].fill(0);
    fs::write(ledger(other.path()), bytes).unwrap();
    assert_eq!(values(&open(other.path())), ["other"; 3]);
}

#[test]
fn a_block_that_came_back_as_zeros_is_named_if_the_views_had_seen_what_was_in_it() {
    let folder = in_memory();
    let store = open(folder.path());
    append(&store, vec![setting("1")]);
    drop(store);
    let store = open(folder.path());
    // Something goes into the ledger's file, so that it has to be closed.
    let secret = Credential::Password { user: UserId(1), hash: "$argon2id$".to_owned() };
    register(&store, setting("2"), vec![], vec![secret]);
    append(&store, vec![setting("3")]);
    let left = killed(&store, folder.path());
    drop(store);
    fs::copy(folder.path().join("views.redb"), left.path().join("views.redb")).unwrap();
    fs::write(left.path().join("ledger.tail"), vec![0; 8 << 20]).unwrap();
    let found = verify(left.path(), KEY, None).unwrap_err();
    assert!(matches!(found, StoreError::Damaged { seq: 3, .. }), "{found}");
    let store = open(left.path());
    assert!(matches!(store.gaps().unwrap()[..], [Gap { first: Seq(3), last: Seq(3), .. }]));
}

#[test]
fn a_ledger_that_is_replaced_is_set_aside_whole() {
    let folder = killed_after(3);
    let (kept, new) = (in_memory(), in_memory());
    let store = open(new.path());
    append(&store, vec![setting("new")]);
    drop(store);
    let file = kept.path().join("b");
    backup(new.path(), KEY, &file, at()).unwrap();
    let restored = restore(&file, folder.path(), Some(&KEY.into()), Overwrite::SetAside, at()).unwrap();
    assert_eq!(values(&open(folder.path())), ["new"]);
    let back = in_memory();
    fs::copy(restored.set_aside.unwrap(), ledger(back.path())).unwrap();
    assert_eq!(values(&open(back.path())), ["before", "1", "2", "3"]);
}

#[test]
fn what_is_damaged_in_the_ledger_and_still_in_the_tail_is_not_lost() {
    let folder = in_memory();
    let store = open(folder.path());
    (1..=40).for_each(|number| drop(append(&store, vec![setting(&number.to_string())])));
    drop(store);
    let file = ledger(folder.path());
    let mut bytes = fs::read(&file).unwrap();
    for page in bytes.chunks_mut(PAGE).filter(|page| page.windows(4).any(|four| four == b"RCL1")) {
        page.fill(0xFF);
    }
    fs::write(&file, bytes).unwrap();
    let store = open(folder.path());
    assert_eq!((store.gaps().unwrap().len(), values(&store).len()), (0, 40));
}

#[test]
fn no_ledger_is_begun_where_one_is_gone_that_had_entries() {
    let folder = killed_after(3);
    fs::remove_file(ledger(folder.path())).unwrap();
    let files =
        |of: &[&str]| of.iter().map(|file| fs::read(folder.path().join(file)).unwrap()).collect::<Vec<_>>();
    let mut beside = vec!["views.redb", "ledger.tail"];
    while let Some(next) = beside.first().copied() {
        let before = files(&beside);
        let error = refusal(folder.path(), KEY);
        assert!(matches!(&error, StoreError::Gone { beside, .. } if beside.ends_with(next)), "{error}");
        assert!(files(&beside) == before && !ledger(folder.path()).exists());
        fs::remove_file(folder.path().join(next)).unwrap();
        beside.remove(0);
    }
    assert_eq!(open(folder.path()).last(), Seq(0));
}

#[test]
fn a_tail_without_its_ledger_and_without_an_entry_is_kept() {
    let folder = in_memory();
    fs::write(folder.path().join("ledger.tail"), [7; 3 * PAGE]).unwrap();
    append(&open(folder.path()), vec![setting("1")]);
    assert!(fs::read(folder.path().join("ledger.tail.foreign")).unwrap() == [7; 3 * PAGE]);
}

#[test]
fn what_is_damaged_is_set_aside_as_it_is() {
    for in_the_tail in [true, false] {
        let before = in_memory();
        fill(before.path(), &many(300));
        let store = open(before.path());
        (1..=3).for_each(|number| drop(append(&store, vec![setting(&number.to_string())])));
        let folder = killed(&store, before.path());
        if in_the_tail {
            damage(folder.path(), 0, 110);
        } else {
            // But for the last entry, which is looked at first.
            let mut bytes = fs::read(ledger(folder.path())).unwrap();
            let has = |page: &[u8], what: &[u8]| page.windows(what.len()).any(|bytes| bytes == what);
            for page in bytes.chunks_mut(PAGE).filter(|page| has(page, b"RCL1") && !has(page, b"300:")) {
                page[100..140].fill(0xFF);
            }
            fs::write(ledger(folder.path()), bytes).unwrap();
        }
        let before = (fs::read(ledger(folder.path())).unwrap(), tail(folder.path()));
        let (new, kept) = (in_memory(), in_memory());
        append(&open(new.path()), vec![setting("new")]);
        let file = kept.path().join("b");
        backup(new.path(), KEY, &file, at()).unwrap();
        let restored = restore(&file, folder.path(), Some(&KEY.into()), Overwrite::SetAside, at()).unwrap();
        let aside = restored.set_aside.unwrap();
        assert!((fs::read(&aside).unwrap(), fs::read(aside.with_extension("tail")).unwrap()) == before);
        assert_eq!(values(&open(folder.path())), ["new"]);
    }
}
