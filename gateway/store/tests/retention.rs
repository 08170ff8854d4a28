//! What is too old is forgotten, the rest can still be verified, and views made anew are what they were.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use common::damage::{EVENTS, apart, damage, in_memory, ledger, rows as rows_of, stored};
use common::meetings::{changed, class, closed, created, day, joined, marked, opened, starts};
use common::old::{campus, never, of, settle, whenever, whole};
use common::{
    KEY, TestClock, append, append_as, at, kept_from, note, register, setting, student, unmatched, wait_for,
};
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableHandle as _,
};
use rollcall_domain::event::{CampusEvent, Event, How, SessionEvent, UpstreamEvent};
use rollcall_domain::ids::{ClassId, Name, Seq, SessionId, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::minutes;
use rollcall_domain::people::{Person, Personal};
use rollcall_domain::ports::Clock;
use rollcall_domain::roster::Days;
use rollcall_store::{
    Appended, Export, Holder, Keyring, Overwrite, RootKey, Span, Store, StoreError, backup, restore, salvage,
    verify,
};

/// Forgets entries up to, but not including, `end`, and returns when they are gone.
fn forget_to(store: &Store, end: u64) -> Seq {
    let forgotten = store.forget_older(whenever(), never(), Some(Seq(end))).unwrap().unwrap();
    settle(store);
    forgotten.to
}

fn rows(folder: &Path) -> BTreeMap<String, u64> {
    let database = Database::open(ledger(folder)).unwrap();
    let read = database.begin_read().unwrap();
    let tables = read.list_tables().unwrap();
    tables
        .map(|table| (table.name().to_owned(), read.open_untyped_table(table).unwrap().len().unwrap()))
        .collect()
}

#[test]
fn entries_are_forgotten_and_the_rest_is_verified_from_there_on() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    campus(&store, &clock);
    let before = stored_in(&store);
    // The fourth meeting is open, and begins with entry 22.
    let forgotten = store.forget_older(whenever(), never(), None).unwrap().unwrap();
    assert_eq!((forgotten.to, forgotten.entries), (Seq(21), 21));
    let held_up = store.held_up().unwrap();
    assert_eq!((held_up.seq, held_up.by), (Seq(22), Holder::Session(SessionId(4))));
    settle(&store);
    assert_eq!(store.forgotten().unwrap(), Some(forgotten));
    assert_eq!(stored_in(&store)[..4], before[21..25]);
    assert_eq!(store.entries(Seq(0), 1).unwrap()[0].seq, Seq(22));
    assert!(matches!(store.entry(Seq(21)), Err(StoreError::Forgotten { seq: 21 })));
    assert!(matches!(append(&store, vec![setting("on")]), Appended::Committed(_)));
    drop(store);
    assert_eq!(stored(folder.path())[0].0, 22);
    assert_eq!(whole(folder.path()), Some(Seq(21)));
    // Views made anew begin with the checkpoint.
    fs::remove_file(folder.path().join("views.redb")).unwrap();
    let store = clock.open(folder.path());
    let now = store.views().now();
    assert_eq!(now.session(SessionId(2)).unwrap().unwrap().records.len(), 2);
    assert_eq!(now.tallies(ClassId(1)).unwrap().len(), 2);
    drop((now, store));
    assert_eq!(whole(folder.path()), Some(Seq(21)));
}

fn stored_in(store: &Store) -> Vec<Event> {
    store.entries(Seq(1), 10_000).unwrap().into_iter().map(|entry| entry.event).collect()
}

#[test]
fn what_a_destination_or_an_unlocked_meeting_needs_stays() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    campus(&store, &clock);
    assert_eq!(forget_to(&store, 5), Seq(4));
    append(&store, vec![of(2, SessionEvent::Reopened)]);
    append(&store, vec![of(2, closed(&[], &[]))]);
    append(&store, vec![of(1, marked(2, Mark::Late, true))]);
    wait_for(&store, store.last());
    // Nothing of it changes as long as somebody needs it.
    assert_eq!(store.forget_older(whenever(), never(), Some(Seq(5))).unwrap().unwrap().to, Seq(4));
    let held_up = store.held_up().unwrap();
    assert_eq!((held_up.seq, held_up.by), (Seq(5), Holder::Reader));
    assert_eq!(store.forget_older(never(), never(), None).unwrap().unwrap().to, Seq(4));
    assert_eq!(store.held_up(), None);
    drop(store);
    assert_eq!(whole(folder.path()), Some(Seq(4)));
}

#[test]
fn a_second_checkpoint_takes_the_place_of_the_first() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    campus(&store, &clock);
    for end in [3, 8, 9, 20] {
        assert_eq!(forget_to(&store, end), Seq(end - 1));
        assert_eq!(store.forgotten().unwrap().unwrap().entries, end - 1);
    }
    drop(store);
    // One part and one row.
    let rows = rows(folder.path());
    assert_eq!((rows["checkpoint"], rows["checkpoint_again"]), (2, 2));
    assert_eq!(whole(folder.path()), Some(Seq(19)));
    fs::remove_file(folder.path().join("views.redb")).unwrap();
    drop(clock.open(folder.path()));
    assert_eq!(whole(folder.path()), Some(Seq(19)));
}

#[test]
fn records_go_with_their_age_from_the_views_and_from_the_checkpoint() {
    let folder = in_memory();
    let clock = TestClock::of(300);
    let store = clock.open(folder.path());
    campus(&store, &clock);
    let before = starts(day(2));
    let forgotten = store.forget_older(whenever(), kept_from(before), None).unwrap().unwrap();
    assert_eq!(forgotten.to, Seq(21));
    settle(&store);
    let now = store.views().now();
    for (session, kept) in [(1, false), (2, false), (3, true), (4, true)] {
        assert_eq!(now.session(SessionId(session)).unwrap().is_some(), kept, "{session}");
    }
    assert!(now.unmatched(Seq(0), 9).unwrap().is_empty());
    assert_eq!(now.tallies(ClassId(1)).unwrap()[0].1.held(), 1);
    drop(now);
    drop(store);
    assert_eq!(whole(folder.path()), Some(Seq(21)));
    // What is said of them later changes nothing, however the views came to be.
    let store = clock.open(folder.path());
    append(&store, vec![of(1, marked(2, Mark::Late, true)), of(3, marked(2, Mark::Late, true))]);
    wait_for(&store, store.last());
    drop(store);
    fs::remove_file(folder.path().join("views.redb")).unwrap();
    let store = clock.open(folder.path());
    assert!(store.views().now().session(SessionId(1)).unwrap().is_none());
    assert!(store.views().now().session(SessionId(3)).unwrap().is_some());
    drop(store);
    assert_eq!(whole(folder.path()), Some(Seq(21)));
}

#[test]
fn meetings_that_came_to_be_changed_after_the_checkpoint_are_what_they_were() {
    let folder = in_memory();
    let clock = TestClock::of(300);
    let store = clock.open(folder.path());
    campus(&store, &clock);
    append(&store, vec![of(1, changed(4)), of(2, changed(0))]);
    append(
        &store,
        vec![Event::Campus(CampusEvent::Left {
            link: rollcall_domain::roster::Link::ClassStudent(ClassId(1), StudentId(2)),
            day: Some(day(1)),
        })],
    );
    wait_for(&store, store.last());
    for before in [day(0), day(1), day(3), day(5)] {
        store.forget_older(whenever(), kept_from(starts(before).plus(minutes(90))), None).unwrap().unwrap();
        settle(&store);
    }
    drop(store);
    assert_eq!(whole(folder.path()), Some(Seq(21)));
}

#[test]
fn a_scan_whose_first_entry_is_forgotten_counts_as_new_once() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    let (event, key) = unmatched("a");
    let send = |store: &Store| append_as(store, vec![event.clone()], Some(key), None);
    assert!(matches!(send(&store), Appended::Committed(_)));
    assert!(matches!(send(&store), Appended::Already(_)));
    append(&store, vec![setting("1")]);
    clock.age(&store);
    assert_eq!(forget_to(&store, 3), Seq(2));
    assert!(matches!(send(&store), Appended::Committed(_)));
    assert!(matches!(send(&store), Appended::Already(again) if again.seq > Seq(2)));
    drop(store);
    let store = clock.open(folder.path());
    assert!(matches!(send(&store), Appended::Already(_)));
    drop(store);
    assert_eq!(whole(folder.path()), Some(Seq(2)));
}

#[test]
fn texts_go_with_their_entries_and_others_stay() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    let ann = Person::Student(StudentId(1));
    let details = Personal::Student(StudentId(1), student("Ann"));
    register(&store, setting("1"), vec![details, note(Some(ann), "old")], vec![]);
    register(&store, setting("2"), vec![note(None, "old")], vec![]);
    register(&store, setting("3"), vec![note(Some(ann), "new")], vec![]);
    clock.age(&store);
    forget_to(&store, 3);
    let kept = store.register();
    assert_eq!(kept.texts_about(ann, Seq(0), 9).unwrap().len(), 1);
    assert!(kept.texts(Seq(2)).unwrap().is_empty());
    assert_eq!(kept.student(StudentId(1)).unwrap(), Some(student("Ann")));
    drop((kept, store));
    let rows = rows(folder.path());
    assert_eq!((rows["texts"], rows["texts_about"]), (1, 1));
}

#[test]
fn an_export_begins_where_the_ledger_does() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    campus(&store, &clock);
    forget_to(&store, 10);
    let first = store.export(Span::ALL).next().unwrap().unwrap();
    assert_eq!(first.seq, Seq(10));
    drop(store);
    let mut export = Export::open(folder.path(), KEY, Span::ALL).unwrap();
    assert_eq!(export.next().unwrap().unwrap().seq, Seq(10));
}

#[test]
fn an_export_that_is_read_slowly_says_that_what_came_next_is_forgotten() {
    const MANY: u64 = 3_000;
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    append(&store, (0..MANY).map(|_| setting("1")).collect());
    clock.age(&store);
    let (mut slow, mut just_in_time) = (store.export(Span::ALL), store.export(Span::ALL));
    assert_eq!(slow.next().unwrap().unwrap().seq, Seq(1));
    assert_eq!(just_in_time.by_ref().take(2_047).last().unwrap().unwrap().seq, Seq(2_047));
    forget_to(&store, 2_049);
    let read: Vec<_> = slow.collect();
    let (last, read) = read.split_last().unwrap();
    assert!(read.iter().all(Result::is_ok));
    assert_eq!(read.len(), 1_023);
    assert!(matches!(last, Err(StoreError::Forgotten { seq: 1_025 })), "{last:?}");
    let all = just_in_time.all(|entry| entry.is_ok());
    assert!(all);
}

#[test]
fn the_receipt_that_tells_where_a_destination_is_stays() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    let receipt = |low_water| {
        let (destination, low_water, records) = (Name::parse("portal").unwrap(), Seq(low_water), vec![]);
        Event::Upstream(UpstreamEvent::Delivered { destination, low_water, records })
    };
    append(&store, vec![setting("1"), receipt(1), setting("2"), setting("3"), receipt(3), setting("4")]);
    clock.age(&store);
    assert_eq!(forget_to(&store, 3 + 1), Seq(3));
    assert!(stored_in(&store).contains(&receipt(3)));
}

#[test]
fn a_backup_brings_the_checkpoint_back() {
    let (folder, new, clock) = (in_memory(), in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    campus(&store, &clock);
    forget_to(&store, 12);
    drop(store);
    let target = folder.path().join("campus.rollcall-backup");
    backup(folder.path(), KEY, &target, at()).unwrap();
    restore(&target, new.path(), Some(&KEY.into()), Overwrite::Refuse, at()).unwrap();
    assert_eq!(verify(new.path(), KEY, None).unwrap(), verify(folder.path(), KEY, None).unwrap());
    fs::copy(folder.path().join("views.redb"), new.path().join("views.redb")).unwrap();
    assert_eq!(whole(new.path()), Some(Seq(11)));
}

#[test]
fn a_checkpoint_that_somebody_changed_is_refused() {
    const CHECKPOINT: redb::TableDefinition<'_, (u64, u32), &[u8]> = redb::TableDefinition::new("checkpoint");
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    campus(&store, &clock);
    forget_to(&store, 12);
    drop(store);
    for (number, offset) in [(0, 14), (0, 120), (1, 40)] {
        let change = || {
            let database = Database::open(ledger(folder.path())).unwrap();
            let write = database.begin_write().unwrap();
            let mut table = write.open_table(CHECKPOINT).unwrap();
            let mut bytes = table.get((11, number)).unwrap().unwrap().value().to_vec();
            bytes[offset] ^= 1;
            table.insert((11, number), bytes.as_slice()).unwrap();
            drop(table);
            write.commit().unwrap();
        };
        change();
        let error = verify(folder.path(), KEY, None).unwrap_err();
        assert!(
            matches!(error, StoreError::Checkpoint { seq: 11 } | StoreError::Chain { seq: 11 }),
            "{error}"
        );
        change();
        whole(folder.path());
    }
}

#[test]
fn of_two_copies_of_a_row_the_one_that_who_has_the_key_sealed_counts() {
    const CHECKPOINT: redb::TableDefinition<'_, (u64, u32), &[u8]> = redb::TableDefinition::new("checkpoint");
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    campus(&store, &clock);
    forget_to(&store, 12);
    drop(store);
    let database = Database::open(ledger(folder.path())).unwrap();
    let write = database.begin_write().unwrap();
    let mut table = write.open_table(CHECKPOINT).unwrap();
    let mut bytes = table.get((11, 0)).unwrap().unwrap().value().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    table.insert((11, 0), bytes.as_slice()).unwrap();
    drop(table);
    write.commit().unwrap();
    drop(database);
    assert!(matches!(verify(folder.path(), KEY, None), Err(StoreError::Checkpoint { seq: 11 })));
    let (new, target) = (in_memory(), folder.path().join("campus.rollcall-backup"));
    backup(folder.path(), KEY, &target, at()).unwrap();
    restore(&target, new.path(), Some(&KEY.into()), Overwrite::Refuse, at()).unwrap();
    assert_eq!(whole(new.path()), Some(Seq(11)));
    fs::remove_file(folder.path().join("views.redb")).unwrap();
    let store = clock.open(folder.path());
    assert_eq!(store.forgotten().unwrap().map(|forgotten| forgotten.to), Some(Seq(11)));
    assert!(store.views().now().session(SessionId(1)).unwrap().is_some());
    // The other copy is made what this one is.
    settle(&store);
    drop(store);
    assert_eq!(whole(folder.path()), Some(Seq(11)));
}

#[test]
fn a_ledger_whose_first_entries_were_just_taken_out_is_refused() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    campus(&store, &clock);
    drop(store);
    let database = apart(folder.path());
    let write = database.begin_write().unwrap();
    write.open_table(EVENTS).unwrap().retain_in(..=5, |_, _| false).unwrap();
    write.commit().unwrap();
    drop(database);
    assert!(matches!(verify(folder.path(), KEY, None), Err(StoreError::Hole { seq: 1 })));
    drop(salvage(folder.path(), KEY, at()));
}

#[test]
fn appends_go_on_meanwhile_and_a_store_that_is_closed_meanwhile_goes_on_forgetting_when_opened() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    for round in 1..=20_u64 {
        let store = clock.open(folder.path());
        append(&store, (0..300).map(|number| setting(&format!("{number}"))).collect());
        clock.age(&store);
        let (began, begun) = channel();
        std::thread::scope(|scope| {
            let forgetting = scope.spawn(|| {
                began.send(()).unwrap();
                store.forget_older(whenever(), never(), Some(Seq(round * 200)))
            });
            begun.recv().unwrap();
            for number in 0..round {
                assert!(matches!(append(&store, vec![setting(&number.to_string())]), Appended::Committed(_)));
            }
            store.close();
            // It came in time, or is told that it did not.
            match forgetting.join().unwrap() {
                Ok(forgotten) => assert_eq!(forgotten.unwrap().to, Seq(round * 200 - 1)),
                Err(error) => assert!(!matches!(error, StoreError::Panicked), "{error}"),
            }
        });
        drop(store);
        let scratch = in_memory();
        let verified = verify(folder.path(), KEY, Some(scratch.path())).unwrap();
        assert_eq!(verified.difference, None);
    }
    let store = clock.open(folder.path());
    let forgotten = store.forget_older(whenever(), never(), Some(Seq(4_000))).unwrap().unwrap();
    settle(&store);
    assert_eq!((forgotten.to, forgotten.entries), (Seq(3_999), 3_999));
    drop(store);
    assert_eq!(stored(folder.path())[0].0, 4_000);
    assert!(!folder.path().join("checkpoint.views.redb").exists());
}

#[test]
fn a_root_key_can_be_replaced_before_and_after_a_checkpoint() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    campus(&store, &clock);
    forget_to(&store, 5);
    drop(store);
    let keys = Keyring::new(RootKey::new([4; 32])).replacing(KEY);
    for end in [9, 21] {
        let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(&clock);
        let store = Store::open(folder.path(), keys.clone(), clock, Box::new(|_| {})).unwrap();
        while store.is_resealing() {
            std::thread::yield_now();
        }
        assert_eq!(forget_to(&store, end), Seq(end - 1));
    }
    let verified = verify(folder.path(), RootKey::new([4; 32]), Some(in_memory().path())).unwrap();
    assert_eq!((verified.difference, verified.forgotten.unwrap().to), (None, Seq(20)));
    damage(folder.path(), |bytes| bytes[0] ^= 1);
    salvage(folder.path(), keys.clone(), at()).unwrap();
    assert_eq!(verify(folder.path(), keys, None).unwrap().forgotten.unwrap().to, Seq(20));
}

#[test]
fn an_open_store_is_verified_although_entries_are_forgotten_meanwhile() {
    const MANY: u64 = 40_000;
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    append(&store, (0..MANY).map(|_| setting("1")).collect());
    clock.age(&store);
    let scratch = in_memory();
    let (mut rounds, mut last) = (0, 0);
    // Once while the chain is walked, and once while the views are made anew.
    let mut watch = |done: u64, all: u64| {
        if rounds == 0 || rounds == 1 && done > all / 2 {
            rounds += 1;
            let end = if rounds == 1 { 30_000 } else { store.last().0 + 1 };
            clock.age(&store);
            last = end - 1;
            assert_eq!(forget_to(&store, end), Seq(end - 1));
        }
        ControlFlow::Continue(())
    };
    let verified = store.verify(Some(scratch.path()), &mut watch).unwrap();
    assert_eq!((verified.difference, rounds), (None, 2));
    drop(store);
    assert_eq!(whole(folder.path()), Some(Seq(last)));
}

#[test]
fn a_row_that_holds_what_goes_and_what_stays_is_divided() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    append(&store, (0..30).map(|number| setting(&number.to_string())).collect());
    clock.age(&store);
    let before = stored_in(&store);
    assert_eq!(forget_to(&store, 11), Seq(10));
    assert_eq!(stored_in(&store)[..27], before[10..]);
    drop(store);
    let (rows, entries) = (rows_of(folder.path()), stored(folder.path()));
    assert_eq!((rows[0].0, entries[0].0), (11, 11));
    assert!(rows.len() < 5, "{rows:?}");
    assert_eq!(whole(folder.path()), Some(Seq(10)));
}

#[test]
fn many_records_go_in_pieces_and_their_tallies_with_them() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    append(&store, vec![class(1), joined(1, 1, Days::ALWAYS), joined(1, 2, Days::ALWAYS)]);
    let count = 1_500;
    for session in 1..=count {
        let day = u8::try_from(session % 20).unwrap();
        let absent: &[u64] = if session % 2 == 0 { &[2] } else { &[] };
        append(&store, vec![of(session, created(1, day)), of(session, opened(&[]))]);
        append(&store, vec![of(session, marked(1, Mark::Present, true)), of(session, closed(absent, &[]))]);
        append(&store, vec![of(session, SessionEvent::Locked { how: How::OnTime })]);
    }
    append(&store, (0..3_000).map(|number| unmatched(&number.to_string()).0).collect());
    clock.age(&store);
    let before = store.last();
    store.forget_older(never(), kept_from(starts(day(19))), None).unwrap();
    let told = store.entries(Seq(before.0 + 1), 99).unwrap();
    assert!((3..6).contains(&told.len()), "{told:?}");
    let now = store.views().now();
    assert!(now.unmatched(Seq(0), 1).unwrap().is_empty());
    let kept = u64::try_from((1..=count).filter(|session| session % 20 == 19).count()).unwrap();
    let tallies = now.tallies(ClassId(1)).unwrap();
    assert!(tallies.iter().all(|(_, tally)| tally.held() == kept), "{tallies:?}");
    drop(now);
    drop(store);
    assert_eq!(whole(folder.path()), None);
}
