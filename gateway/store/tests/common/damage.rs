//! Files that are not as they were written.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use rollcall_domain::event::Event;

use super::{TestClock, WEEK, append, open, queue, setting};

pub const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
pub const PEOPLE: TableDefinition<'_, (u8, u64), &[u8]> = TableDefinition::new("people");
pub const PAGE: usize = 4_096;

/// Numbers that look like chance and are the same every time.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

pub fn ledger(folder: &Path) -> PathBuf {
    folder.join("ledger.redb")
}

/// Entries of every size: several to a page, and some that are larger than one.
pub fn many(count: usize) -> Vec<Event> {
    let long = |number: usize| if number % 40 == 7 { 9_000 } else { number % 60 };
    (1..=count).map(|number| setting(&format!("{number}:{}", "x".repeat(long(number))))).collect()
}

/// A ledger with these entries, in commits of several sizes, so that pages are written more than once.
pub fn fill(folder: &Path, events: &[Event]) {
    let store = open(folder);
    let (mut rest, mut size) = (events, 1);
    while !rest.is_empty() {
        let (now, later) = rest.split_at(size.min(rest.len()));
        append(&store, now.to_vec());
        (rest, size) = (later, size % 7 + 1);
    }
    let last = queue(&store, vec![], None, None);
    last.recv().unwrap();
    drop(store);
    forget_tail(folder);
}

/// The tail of a ledger that was closed still has copies of what was written last; salvage would find them.
pub fn forget_tail(folder: &Path) {
    fs::remove_file(folder.join("ledger.tail")).ok();
}

/// The stored bytes of every entry.
pub fn stored(folder: &Path) -> Vec<(u64, Vec<u8>)> {
    stored_in(&Database::open(ledger(folder)).unwrap())
}

/// The rows that they lie in, by their first.
pub fn rows(folder: &Path) -> Vec<(u64, Vec<u8>)> {
    rows_in(&Database::open(ledger(folder)).unwrap())
}

fn rows_in(database: &Database) -> Vec<(u64, Vec<u8>)> {
    let table = database.begin_read().unwrap().open_table(EVENTS).unwrap();
    let rows = table.iter().unwrap().map(Result::unwrap);
    rows.map(|(first, row)| (first.value(), row.value().to_vec())).collect()
}

fn stored_in(database: &Database) -> Vec<(u64, Vec<u8>)> {
    rows_in(database).iter().flat_map(|(first, row)| (*first..).zip(frames(row))).collect()
}

/// The entries of a row: each tells how long what it holds is.
fn frames(mut row: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !row.is_empty() {
        let length = u32::from_le_bytes(row[13..17].try_into().unwrap());
        let (frame, rest) = row.split_at(usize::try_from(length).unwrap() + 17 + 40);
        frames.push(frame.to_vec());
        row = rest;
    }
    frames
}

/// The ledger with a row for each entry, which is as good, so that one can be changed by itself.
pub fn apart(folder: &Path) -> Database {
    let database = Database::open(ledger(folder)).unwrap();
    let entries = stored_in(&database);
    let write = database.begin_write().unwrap();
    {
        let mut events = write.open_table(EVENTS).unwrap();
        for (seq, bytes) in entries {
            events.insert(seq, bytes.as_slice()).unwrap();
        }
    }
    write.commit().unwrap();
    forget_tail(folder);
    database
}

/// Changes the file as a failing disk would.
pub fn damage(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(ledger(folder)).unwrap();
    change(&mut bytes);
    fs::write(ledger(folder), bytes).unwrap();
    forget_tail(folder);
}

/// Where these bytes lie in the file; the last place, as that is where they were written last.
pub fn places(folder: &Path, bytes: &[u8]) -> Vec<usize> {
    let file = fs::read(ledger(folder)).unwrap();
    file.windows(bytes.len()).enumerate().filter(|(_, window)| *window == bytes).map(|(at, _)| at).collect()
}

/// A folder in memory, where there is one: thousands of small commits would wait for the disk otherwise.
pub fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The file as it is at one moment, although a thread may be at work on it: between two looks that are the
/// same, it was like that.
pub fn at_one_moment(path: &Path) -> Vec<u8> {
    loop {
        let look = fs::read(path).unwrap();
        if fs::read(path).unwrap() == look {
            return look;
        }
    }
}

/// A store of one meeting, whose views have a row that the ledger does not make.
pub fn with_a_row_too_many() -> tempfile::TempDir {
    const BY_DATE: TableDefinition<'_, (i32, u64), ()> = TableDefinition::new("by_date");
    let folder = in_memory();
    fill(folder.path(), &[super::created()]);
    let database = Database::open(folder.path().join("views.redb")).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(BY_DATE).unwrap().insert((20_260_301, 1), ()).unwrap();
    write.commit().unwrap();
    folder
}

/// So many entries, of which the last few were written when the others were old already, with a clock that shows so.
pub fn fill_long_ago(folder: &Path, count: usize) -> Arc<TestClock> {
    let clock = TestClock::of(1);
    fill(folder, &many(count - usize::try_from(WEEK).unwrap()));
    let store = clock.open(folder);
    clock.age(&store);
    drop(store);
    forget_tail(folder);
    clock
}
