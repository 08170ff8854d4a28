//! What is said to be backed up can be brought back, whatever became of the file that it was made of; else
//! it is said what is damaged, and there is no backup.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc::channel;

use common::damage::{Chance, PEOPLE, damage, fill, fill_long_ago, in_memory, ledger, many, places, stored};
use common::{KEY, append, at, news, open, setting};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use rollcall_domain::code::Code;
use rollcall_domain::ids::{Seq, StudentId};
use rollcall_domain::moment::Moment;
use rollcall_domain::people::{PersonName, Personal, StudentDetails};
use rollcall_store::{Append, Appended, Backup, Overwrite, StoreError, Upgrade, backup, restore, verify};
use tempfile::TempDir;

/// How many bytes are changed of each ledger.
const CHANGES: usize = 150;

/// Changes bytes where they lie, so that whoever has the file open has it, too.
fn change(folder: &Path, places: &[usize]) {
    let file = OpenOptions::new().read(true).write(true).open(ledger(folder)).unwrap();
    for place in places {
        let (mut byte, place) = ([0], u64::try_from(*place).unwrap());
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[byte[0] ^ 0x20], place).unwrap();
    }
}

/// Where something in this entry lies.
fn within(folder: &Path, seq: u64) -> Vec<usize> {
    let (_, bytes) = stored(folder).into_iter().find(|(at, _)| *at == seq).unwrap();
    places(folder, &bytes).into_iter().map(|at| at + 20).collect()
}

fn plain() -> TempDir {
    let folder = in_memory();
    fill(folder.path(), &many(300));
    folder
}

/// It has lost entry 41.
fn salvaged() -> TempDir {
    let folder = plain();
    let places = within(folder.path(), 41);
    damage(folder.path(), |bytes| places.iter().for_each(|at| bytes[*at] ^= 1));
    drop(open(folder.path()));
    assert_eq!(verify(folder.path(), KEY, None).unwrap().gaps.len(), 1);
    folder
}

/// It begins with entry 101.
fn forgetful() -> TempDir {
    let folder = in_memory();
    let store = fill_long_ago(folder.path(), 300).open(folder.path());
    let (ledger, records) = (Moment::from_millis(4_000_000_000_000), Moment::from_millis(0));
    store.forget_older(ledger, records, Some(Seq(101))).unwrap().unwrap();
    while store.is_forgetting() {
        std::thread::yield_now();
    }
    drop(store);
    common::damage::forget_tail(folder.path());
    folder
}

/// Whether a backup was made; if so, it is brought back, and everything is in it that is said to be.
fn can_be_brought_back(made: Result<Backup, StoreError>, file: &Path, before: &[(u64, Vec<u8>)]) -> bool {
    let Ok(made) = made else {
        let left: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        return false;
    };
    let new = in_memory();
    let restored = restore(file, new.path(), Some(&KEY.into()), Overwrite::Refuse, at()).unwrap();
    assert_eq!(restored.backup, made);
    assert_eq!(verify(new.path(), KEY, None).unwrap().last, made.last);
    assert!(stored(new.path()) == before);
    true
}

#[test]
fn what_is_said_to_be_backed_up_can_be_brought_back_whichever_byte_is_wrong() {
    for (number, original) in [plain(), salvaged(), forgetful()].iter().enumerate() {
        let whole = fs::read(ledger(original.path())).unwrap();
        let (before, mut chance, mut good) = (stored(original.path()), Chance(3), 0);
        for _ in 0..CHANGES {
            let (place, folder, other) = (chance.below(whole.len()), in_memory(), in_memory());
            fs::write(ledger(folder.path()), &whole).unwrap();
            change(folder.path(), &[place]);
            let file = other.path().join("b");
            let made = backup(folder.path(), KEY, &file, at());
            good += usize::from(can_be_brought_back(made, &file, &before));
        }
        assert!(good > 0 && good < CHANGES, "ledger {number}: {good} of {CHANGES} are good");
    }
}

#[test]
fn a_damaged_entry_is_named_and_nothing_is_left_of_a_backup_of_it() {
    for original in [plain(), salvaged(), forgetful()] {
        let other = in_memory();
        change(original.path(), &within(original.path(), 201));
        let made = backup(original.path(), KEY, &other.path().join("b"), at());
        assert!(matches!(made, Err(StoreError::Damaged { seq: 201, .. })), "{made:?}");
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
        let begun = Upgrade::begin(original.path(), KEY, at());
        assert!(matches!(begun, Err(StoreError::Damaged { seq: 201, .. })), "{begun:?}");
        assert_eq!(Upgrade::unfinished(original.path()).unwrap(), None);
    }
}

/// More than is kept in memory of a file.
fn fill_long(folder: &Path) {
    let long = |number: usize| setting(&format!("{number}:{}", "x".repeat(20_000)));
    fill(folder, &(1..=900).map(long).collect::<Vec<_>>());
}

#[test]
fn a_row_of_keys_that_is_damaged_under_a_running_store_is_noticed() {
    let (folder, other) = (in_memory(), in_memory());
    fill_long(folder.path());
    let places: Vec<usize> = places(folder.path(), b"RCK1").into_iter().map(|at| at + 40).collect();
    let store = open(folder.path());
    change(folder.path(), &places);
    let made = store.backup(&other.path().join("b"), at());
    assert!(matches!(made, Err(StoreError::Keys)), "{made:?}");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
}

#[test]
fn a_running_store_names_it_too_and_goes_on() {
    let (folder, other) = (in_memory(), in_memory());
    fill_long(folder.path());
    let places = within(folder.path(), 101);
    let store = open(folder.path());
    change(folder.path(), &places);
    let made = store.backup(&other.path().join("b"), at());
    assert!(matches!(made, Err(StoreError::Damaged { seq: 101, .. })), "{made:?}");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
    assert!(matches!(append(&store, vec![setting("on")]), Appended::Committed(_)));
}

#[test]
fn pages_on_which_no_entry_lies_are_looked_at_where_no_gateway_runs() {
    let (folder, other) = (plain(), in_memory());
    let store = open(folder.path());
    let mut events = news(vec![setting("of somebody")]);
    let details = StudentDetails {
        code: Code::parse("S1").unwrap(),
        name: PersonName::from_whole("Some One").unwrap(),
        email: None,
        phone: None,
        cards: vec![],
    };
    events[0].personal = vec![Personal::Student(StudentId(1), details)];
    let (sender, receiver) = channel();
    assert!(store.append(Append::new(events, move |appended| sender.send(appended).unwrap())).is_ok());
    receiver.recv().unwrap();
    drop(store);
    let row = {
        let read = Database::open(ledger(folder.path())).unwrap().begin_read().unwrap();
        let table = read.open_table(PEOPLE).unwrap();
        let (_, row) = table.first().unwrap().unwrap();
        row.value().to_vec()
    };
    change(folder.path(), &places(folder.path(), &row));
    let made = backup(folder.path(), KEY, &other.path().join("b"), at());
    assert!(matches!(made, Err(StoreError::Broken { .. })), "{made:?}");
}

/// Changes the first part of the checkpoint in one of the tables that it lies in, in sound pages.
fn change_part(folder: &Path, table: &str) {
    let database = Database::open(ledger(folder)).unwrap();
    let write = database.begin_write().unwrap();
    {
        let table: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new(table);
        let mut table = write.open_table(table).unwrap();
        let mut part = table.get((100, 1)).unwrap().unwrap().value().to_vec();
        part[40] ^= 1;
        table.insert((100, 1), part.as_slice()).unwrap();
    }
    write.commit().unwrap();
}

#[test]
fn one_copy_of_a_checkpoint_is_enough_and_a_backup_has_both_again() {
    let (folder, other) = (forgetful(), in_memory());
    let (before, file) = (stored(folder.path()), other.path().join("b"));
    change_part(folder.path(), "checkpoint");
    assert!(verify(folder.path(), KEY, None).is_err());
    assert!(can_be_brought_back(backup(folder.path(), KEY, &file, at()), &file, &before));
    fs::remove_file(&file).unwrap();
    change_part(folder.path(), "checkpoint_again");
    let made = backup(folder.path(), KEY, &file, at());
    assert!(matches!(made, Err(StoreError::Checkpoint { seq: 100 })), "{made:?}");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
}
