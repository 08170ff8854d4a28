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

use common::damage::{PAGE, damage, fill, in_memory, ledger, many, places, stored};
use common::{KEY, append, at, open, setting};
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;
use rollcall_store::{Appended, Gap, Store, StoreError, salvage, verify};

/// More than any entry is old.
const OLD: i64 = 4_000_000_000_000;

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
    let folder = in_memory();
    fill(folder.path(), &many(300));
    let store = open(folder.path());
    forget_to(&store, 101);
    forget_to(&store, 201);
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

#[test]
fn with_all_copies_of_a_checkpoint_damaged_nothing_is_made_of_the_rest() {
    for magic in [b"RCP1", b"RCF1"] {
        let folder = forgetful();
        let places = places(folder.path(), magic);
        damage(folder.path(), |bytes| places.iter().for_each(|at| bytes[*at + 30] ^= 1));
        let damaged = fs::read(ledger(folder.path())).unwrap();
        match salvage(folder.path(), KEY, at()) {
            // Nothing is left that says that anything was forgotten; then it is lost.
            Ok(salvaged) => {
                assert_eq!(magic, b"RCF1");
                assert!(salvaged.gaps.iter().map(Gap::entries).sum::<u64>() > 0);
            }
            Err(error) => {
                let expected =
                    matches!(error, StoreError::Checkpoint { .. } | StoreError::NothingProven { .. });
                assert!(expected, "{error}");
                assert!(fs::read(ledger(folder.path())).unwrap() == damaged);
            }
        }
    }
}

#[test]
fn a_gap_after_a_checkpoint_stays_named_and_one_before_it_is_forgotten() {
    let folder = in_memory();
    fill(folder.path(), &many(120));
    for seq in [41, 101] {
        let entry = stored(folder.path()).into_iter().find(|(at, _)| *at == seq).unwrap().1;
        let places = places(folder.path(), &entry);
        damage(folder.path(), |bytes| places.iter().for_each(|at| bytes[*at + 20] ^= 1));
        drop(open(folder.path()));
    }
    let store = open(folder.path());
    forget_to(&store, 101);
    assert_eq!(store.forgotten().unwrap().unwrap().entries, 99);
    drop(store);
    let verified = verify(folder.path(), KEY, None).unwrap();
    let gaps: Vec<_> = verified.gaps.iter().map(|gap| (gap.first.0, gap.last.0)).collect();
    assert_eq!((gaps, verified.forgotten.unwrap().to), (vec![(101, 101)], Seq(100)));
}
