//! Whatever happens to the file of a ledger that was told to forget: no single page loses its checkpoint,
//! nothing that was forgotten comes back, and what is gone is named.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::damage::{PAGE, damage, fill, fill_long_ago, in_memory, ledger, many, places, stored};
use common::{KEY, TestClock, append, at, open, setting};
use redb::{Database, ReadableDatabase as _, TableDefinition};
use rollcall_domain::event::{Event, RetentionEvent};
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::Clock;
use rollcall_store::{Appended, Overwrite, Place, Store, StoreError, backup, restore, salvage, verify};

type Copies = TableDefinition<'static, (u64, u32), &'static [u8]>;

/// More than any entry is old.
const OLD: i64 = 4_000_000_000_000;
const ROW_MAGIC: &[u8] = b"RCF1";

fn forget_to(store: &Store, end: u64) {
    let (ledger, records) = (Moment::from_millis(OLD), Moment::from_millis(0));
    let forgotten = store.forget_older(ledger, records, Some(Seq(end))).unwrap().unwrap();
    assert_eq!(forgotten.to, Seq(end - 1));
    while store.is_forgetting() {
        std::thread::yield_now();
    }
}

/// Entries 201 to 301, and what they follow; twice, so that the first checkpoint's pages lie about.
fn forgetful() -> tempfile::TempDir {
    forgetful_to(&[101, 201])
}

fn forgetful_to(ends: &[u64]) -> tempfile::TempDir {
    let folder = in_memory();
    let store = fill_long_ago(folder.path(), 300).open(folder.path());
    ends.iter().for_each(|end| forget_to(&store, *end));
    drop(store);
    folder
}

/// Every entry is there with its own bytes, or named as lost, and none that was forgotten is.
fn agrees(folder: &Path, before: &[(u64, Vec<u8>)]) -> usize {
    let scratch = in_memory();
    let verified = verify(folder, KEY, Some(scratch.path())).unwrap();
    assert_eq!(verified.difference, None);
    assert_eq!(verified.forgotten.map(|forgotten| (forgotten.to, forgotten.entries)), Some((Seq(200), 200)));
    let lost: Vec<u64> = verified.gaps.iter().flat_map(|gap| gap.first.0..=gap.last.0).collect();
    let expected: Vec<_> = before.iter().filter(|(seq, _)| !lost.contains(seq)).cloned().collect();
    assert!(stored(folder) == expected, "lost: {lost:?}");
    lost.len()
}

#[test]
fn any_page_of_the_file_can_be_destroyed() {
    let original = forgetful();
    let (before, whole) = (stored(original.path()), fs::read(ledger(original.path())).unwrap());
    assert_eq!((before[0].0, before.len()), (201, 102));
    let keys: Vec<usize> = places(original.path(), b"RCK1").into_iter().map(|at| at / PAGE).collect();
    let mut destroyed = 0;
    for page in 0..whole.len() / PAGE {
        let range = page * PAGE..(page + 1) * PAGE;
        if keys.contains(&page) || whole[range.clone()].iter().all(|byte| *byte == 0) {
            continue;
        }
        let folder = in_memory();
        let mut bytes = whole.clone();
        bytes[range].fill(0xFF);
        fs::write(ledger(folder.path()), bytes).unwrap();
        fs::copy(original.path().join("views.redb"), folder.path().join("views.redb")).unwrap();
        let store = open(folder.path());
        let next = append(&store, vec![setting("after")]);
        assert!(matches!(next, Appended::Committed(entries) if entries[0].seq.0 == 303), "page {page}");
        drop(store);
        let mut before = before.clone();
        before.push(stored(folder.path()).pop().unwrap());
        assert!(agrees(folder.path(), &before) < 40, "page {page}");
        destroyed += 1;
    }
    assert!(destroyed > 20, "{destroyed}");
}

#[test]
fn what_was_forgotten_does_not_come_back_from_pages_that_lie_about() {
    let folder = forgetful();
    let before = stored(folder.path());
    damage(folder.path(), |bytes| bytes[..PAGE].fill(0));
    let salvaged = salvage(folder.path(), KEY, at()).unwrap();
    assert_eq!((salvaged.entries, salvaged.gaps.len()), (102, 0));
    assert_eq!(agrees(folder.path(), &before), 0);
    // And once more, of what was salvaged.
    damage(folder.path(), |bytes| bytes[..PAGE].fill(0));
    salvage(folder.path(), KEY, at()).unwrap();
    assert_eq!(agrees(folder.path(), &before), 0);
}

/// Refused, and left as it is.
fn is_refused(folder: &Path) {
    let damaged = fs::read(ledger(folder)).unwrap();
    let error = salvage(folder, KEY, at()).unwrap_err();
    assert!(matches!(error, StoreError::Checkpoint { .. }), "{error}");
    assert!(fs::read(ledger(folder)).unwrap() == damaged);
    let error = common::refusal(folder, KEY);
    assert!(matches!(error, StoreError::Checkpoint { .. }), "{error}");
}

#[test]
fn with_all_copies_of_a_checkpoint_damaged_nothing_is_made_of_the_rest() {
    for magic in [b"RCP1", b"RCF1"] {
        let folder = forgetful();
        let places = places(folder.path(), magic);
        damage(folder.path(), |bytes| {
            places.iter().for_each(|at| bytes[*at + 30] ^= 1);
            bytes[0] ^= 1;
        });
        is_refused(folder.path());
    }
}

#[test]
fn without_a_trace_of_a_checkpoint_an_entry_that_says_what_was_forgotten_is_enough() {
    let folder = forgetful();
    let places = [b"RCP1", b"RCF1"].map(|magic| places(folder.path(), magic)).concat();
    damage(folder.path(), |bytes| {
        places.iter().for_each(|at| bytes[*at..*at + PAGE / 2].fill(0));
        bytes[0] ^= 1;
    });
    is_refused(folder.path());
}

#[test]
fn a_checkpoint_from_before_does_not_stand_for_what_was_forgotten_later() {
    let folder = forgetful();
    let latest = [ROW_MAGIC, &[1], &200_u64.to_le_bytes()].concat();
    let places = places(folder.path(), &latest);
    damage(folder.path(), |bytes| {
        places.iter().for_each(|at| bytes[*at + 30] ^= 1);
        bytes[0] ^= 1;
    });
    is_refused(folder.path());
}

#[test]
fn any_two_pages_beside_each_other_can_be_destroyed() {
    let restored = in_memory();
    let (backed_up, file) = (forgetful_to(&[201]), restored.path().join("backup"));
    backup(backed_up.path(), KEY, &file, at()).unwrap();
    restore(&file, restored.path(), Some(&KEY.into()), Overwrite::Refuse, at()).unwrap();
    // With one checkpoint nothing of its pages is written again when it stands.
    for original in [forgetful_to(&[201]), forgetful_to(&[101, 201]), restored] {
        let (before, whole) = (stored(original.path()), fs::read(ledger(original.path())).unwrap());
        let keys: Vec<usize> = places(original.path(), b"RCK1").into_iter().map(|at| at / PAGE).collect();
        let rows = places(original.path(), ROW_MAGIC);
        let mut destroyed = 0;
        for page in 0..whole.len() / PAGE - 1 {
            let range = page * PAGE..(page + 2) * PAGE;
            let has_row = rows.iter().any(|at| range.contains(at));
            if !has_row || keys.contains(&page) || keys.contains(&(page + 1)) {
                continue;
            }
            let folder = in_memory();
            let mut bytes = whole.clone();
            bytes[range].fill(0xFF);
            fs::write(ledger(folder.path()), bytes).unwrap();
            salvage(folder.path(), KEY, at()).unwrap();
            assert!(agrees(folder.path(), &before) < 80, "page {page}");
            destroyed += 1;
        }
        assert!(destroyed > 2, "{destroyed}");
    }
}

#[test]
fn a_ledger_that_was_told_to_forget_and_still_has_everything_is_salvaged() {
    let folder = in_memory();
    fill(folder.path(), &many(120));
    let store = open(folder.path());
    append(&store, vec![Event::Retention(RetentionEvent::Entries { to: Seq(60) })]);
    drop(store);
    let before = stored(folder.path());
    damage(folder.path(), |bytes| bytes[..PAGE].fill(0));
    salvage(folder.path(), KEY, at()).unwrap();
    assert!(stored(folder.path()) == before);
    // After what it was told to forget, anything can be lost, and is named; before, nobody knows why it is not there.
    for (seq, is_made) in [(90, true), (30, false)] {
        let entry = before.iter().find(|(at, _)| *at == seq).unwrap().1.clone();
        let places = places(folder.path(), &entry);
        damage(folder.path(), |bytes| places.iter().for_each(|at| bytes[*at + 20] ^= 1));
        match salvage(folder.path(), KEY, at()) {
            Ok(salvaged) => assert_eq!((is_made, salvaged.gaps.len()), (true, 1)),
            Err(error) => {
                assert!(!is_made && matches!(error, StoreError::Checkpoint { seq: 60 }), "{error}");
            }
        }
    }
}

#[test]
fn a_row_of_which_a_power_cut_left_one_copy_is_written_again() {
    const COPIES: [&str; 2] = ["checkpoint", "checkpoint_again"];
    for lacks in COPIES {
        let folder = forgetful();
        let database = Database::open(ledger(folder.path())).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(Copies::new(lacks)).unwrap().remove((200, 0)).unwrap();
        write.commit().unwrap();
        drop(database);
        assert!(matches!(verify(folder.path(), KEY, None), Err(StoreError::Checkpoint { seq: 200 })));
        let store = open(folder.path());
        while store.is_forgetting() {
            std::thread::yield_now();
        }
        drop(store);
        let read = Database::open(ledger(folder.path())).unwrap().begin_read().unwrap();
        let rows = COPIES.map(|copies| {
            let row = read.open_table(Copies::new(copies)).unwrap().get((200, 0)).unwrap().unwrap();
            row.value().to_vec()
        });
        assert!(rows[0] == rows[1]);
        assert_eq!(verify(folder.path(), KEY, None).unwrap().forgotten.unwrap().to, Seq(200));
    }
}

#[test]
fn a_gap_after_a_checkpoint_stays_named_and_one_before_it_is_forgotten() {
    let folder = in_memory();
    let clock = fill_long_ago(folder.path(), 120);
    for seq in [41, 101] {
        let entry = stored(folder.path()).into_iter().find(|(at, _)| *at == seq).unwrap().1;
        let places = places(folder.path(), &entry);
        damage(folder.path(), |bytes| places.iter().for_each(|at| bytes[*at + 20] ^= 1));
        drop(open(folder.path()));
    }
    let store = clock.open(folder.path());
    forget_to(&store, 101);
    assert_eq!(store.forgotten().unwrap().unwrap().entries, 99);
    drop(store);
    let verified = verify(folder.path(), KEY, None).unwrap();
    let gaps: Vec<_> = verified.gaps.iter().map(|gap| (gap.first.0, gap.last.0)).collect();
    assert_eq!((gaps, verified.forgotten.unwrap().to), (vec![(101, 101)], Seq(100)));
}

#[test]
fn taking_away_is_left_off_at_something_that_stays_and_tried_again_when_somebody_asks() {
    // The engine refuses a table that is of another type.
    const OTHER: TableDefinition<'_, u64, u64> = TableDefinition::new("texts_about");
    let folder = in_memory();
    let clock = fill_long_ago(folder.path(), 300);
    let open = || {
        let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(&clock);
        let place = Place::from(folder.path()).trying_again_after(Duration::from_millis(1));
        Store::open(place, KEY, clock, Box::new(|_| {})).unwrap()
    };
    let settle = |store: &Store| {
        while store.is_forgetting() {
            std::thread::yield_now();
        }
    };
    let store = open();
    forget_to(&store, 101);
    drop(store);
    let change = |change: &dyn Fn(&redb::WriteTransaction)| {
        let write = Database::open(ledger(folder.path())).unwrap().begin_write().unwrap();
        change(&write);
        write.commit().unwrap();
    };
    change(&|write| {
        drop(write.open_table(OTHER).unwrap());
        write.open_table(Copies::new("checkpoint")).unwrap().remove((100, 0)).unwrap();
    });
    // It begins by itself, as a row is lacking, and ends although not everything was looked through.
    let store = open();
    settle(&store);
    let again = store.forget_older(Moment::from_millis(OLD), Moment::from_millis(0), Some(Seq(201)));
    assert!(matches!(again, Err(StoreError::Down)), "{again:?}");
    assert!(!store.is_forgetting());
    while !matches!(append(&store, vec![setting("on")]), Appended::Committed(_)) {
        std::thread::yield_now();
    }
    drop(store);
    assert_eq!(stored(folder.path())[0].0, 101);
    change(&|write| assert!(write.delete_table(OTHER).unwrap()));
    let store = open();
    forget_to(&store, 201);
    drop(store);
    assert_eq!(stored(folder.path())[0].0, 201);
}
