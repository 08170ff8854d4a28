//! Evidence leaves the reserve of the disk to scans.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::damage::in_memory;
use common::{KEY, TestClock, append, at, gate, setting};
use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, StorageBackend};
use rollcall_store::evidence::{Item, ItemId, Kind, Limits, Loss, Subject};
use rollcall_store::{Appended, Disk, Place, Store, StoreError};
use tempfile::TempDir;

const MIN: u64 = 1 << 20;
const WIDE: Limits = Limits { days: 90, max_bytes: 1 << 30, keep_pictures: false };

/// A folder on a disk that is said to have so much room.
struct Room {
    folder: TempDir,
    free: AtomicU64,
}

impl Disk for Room {
    fn open(&self, builder: &Builder, file: &str, make: bool) -> Result<Database, DatabaseError> {
        if make { builder.create(self.path(file)) } else { builder.open(self.path(file)) }
    }

    fn raw(&self, file: &str, make: bool) -> io::Result<Box<dyn StorageBackend>> {
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).create(make).truncate(false).open(self.path(file))?;
        Ok(Box::new(FileBackend::new(file).map_err(io::Error::other)?))
    }

    fn has(&self, file: &str) -> io::Result<bool> {
        self.path(file).try_exists()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(file)).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })
    }

    fn free(&self) -> io::Result<u64> {
        Ok(self.free.load(Ordering::Relaxed))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn folder(&self) -> Option<&Path> {
        Some(self.folder.path())
    }
}

fn open() -> (Arc<Room>, Store) {
    let room = Arc::new(Room { folder: in_memory(), free: AtomicU64::new(u64::MAX) });
    let place = Place::on(Arc::<Room>::clone(&room)).keeping_free(MIN);
    let store = Store::open(place, KEY, TestClock::shared(), Box::new(|_| {})).unwrap();
    store.evidence().set_limits(WIDE);
    (room, store)
}

fn keep(store: &Store, bytes: &[u8], about: &[Subject]) {
    let (device, bytes) = (gate(), bytes.to_vec());
    store.evidence().keep(Item { at: at(), device, kind: Kind::Scan, about: about.to_vec(), bytes });
}

/// Returns once all that was handed over is dealt with.
fn settle(store: &Store) {
    while store.evidence().settle().is_err() {}
}

fn kept(store: &Store) -> usize {
    let until = at().plus(jiff::SignedDuration::from_hours(1));
    loop {
        // While the file is made smaller nobody can read it.
        match store.evidence().between(ItemId::first_at(at()), until, 99) {
            Err(StoreError::Down) => std::thread::yield_now(),
            kept => return kept.unwrap().len(),
        }
    }
}

#[test]
fn below_the_reserve_evidence_is_lost_and_counted_and_above_it_kept_again() {
    let (room, store) = open();
    keep(&store, b"one", &[]);
    settle(&store);
    room.free.store(MIN - 1, Ordering::Relaxed);
    for _ in 0..3 {
        keep(&store, b"lost", &[]);
    }
    settle(&store);
    assert_eq!((kept(&store), store.evidence().lost(Loss::NoRoom)), (1, 3));
    assert!(matches!(append(&store, vec![setting("1")]), Appended::Failed(_)));
    room.free.store(u64::MAX, Ordering::Relaxed);
    assert!(matches!(append(&store, vec![setting("2")]), Appended::Committed(_)));
    keep(&store, b"two", &[]);
    settle(&store);
    assert_eq!((kept(&store), store.evidence().lost(Loss::NoRoom)), (2, 3));
    assert_eq!(store.evidence().lost(Loss::Unavailable), 0);
}

#[test]
fn what_has_to_go_goes_also_on_a_disk_that_is_nearly_full() {
    let (room, store) = open();
    let scan = Subject::Event(rollcall_domain::ids::Seq(7));
    keep(&store, b"about it", &[scan]);
    keep(&store, b"about nothing", &[]);
    settle(&store);
    room.free.store(0, Ordering::Relaxed);
    assert_eq!(store.evidence().forget(scan).unwrap(), 1);
    assert_eq!(kept(&store), 1);
    store.evidence().set_limits(Limits { max_bytes: 0, ..WIDE });
    settle(&store);
    assert_eq!(kept(&store), 0);
}
