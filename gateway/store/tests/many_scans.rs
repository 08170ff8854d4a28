//! Scans are known however many there are, also beyond what is held in memory, for as long as they must be.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::sync::Arc;

use common::damage::in_memory;
use common::{KEY, TestClock, append, append_as, at, open, queue, unmatched, wait_for};
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;
use rollcall_store::{Appended, Store, verify};

/// More than a run has, in commits that do not end where it does.
const MANY: usize = 70_000;
const AT_ONCE: usize = 9_999;

#[test]
fn a_scan_is_known_whether_it_is_recent_or_in_a_run_and_after_opening_again() {
    let folder = in_memory();
    let store = open(folder.path());
    let scans: Vec<_> = (0..MANY).map(|number| unmatched(&number.to_string())).collect();
    for some in scans.chunks(AT_ONCE) {
        append(&store, some.iter().map(|(event, _)| event.clone()).collect());
    }
    let last = Seq(MANY as u64);
    wait_for(&store, last);
    let before = store.views().now();
    let (new, new_key) = unmatched("new");
    assert_eq!(before.scan(new_key).unwrap(), None);
    append_as(&store, vec![new], Some(new_key), None);
    wait_for(&store, Seq(last.0 + 1));
    assert_eq!(before.scan(new_key).unwrap(), None, "shown before it was there");
    drop(before);
    drop(store);

    let store = open(folder.path());
    let now = store.views().now();
    for (seq, (_, key)) in (1..).zip(&scans) {
        assert_eq!(now.scan(*key).unwrap(), Some(Seq(seq)));
    }
    assert_eq!(now.scan(new_key).unwrap(), Some(Seq(last.0 + 1)));
    for number in [0, 65_535, 65_536, MANY - 1] {
        let (event, key) = scans[number].clone();
        let again = append_as(&store, vec![event], Some(key), None);
        assert!(matches!(&again, Appended::Already(entry) if entry.seq.0 == number as u64 + 1), "{again:?}");
    }
    assert!((0..10_000).all(|number| now.scan(unmatched(&format!("x{number}")).1).unwrap().is_none()));
    drop(now);
    drop(store);
    let scratch = in_memory();
    assert_eq!(verify(folder.path(), KEY, Some(scratch.path())).unwrap().difference, None);
}

/// Three runs, each of which takes more than 400 days.
const OF_YEARS: usize = 200_000;
/// With every look at the clock.
const STEP: i64 = 40 * 86_400_000;

#[test]
fn a_scan_of_years_ago_is_let_go_and_one_that_comes_with_its_id_is_stored() {
    let folder = in_memory();
    let clock = TestClock::stepping(STEP);
    let open = || Store::open(folder.path(), KEY, Arc::clone(&clock), Box::new(|_| {})).unwrap();
    let store = open();
    let scans: Vec<_> = (0..OF_YEARS).map(|number| unmatched(&number.to_string())).collect();
    for some in scans.chunks(AT_ONCE) {
        append(&store, some.iter().map(|(event, _)| event.clone()).collect());
    }
    let last = Seq(OF_YEARS as u64);
    wait_for(&store, last);
    let (old, young) = (scans[0].clone(), scans[OF_YEARS - 1].clone());
    assert_eq!(store.views().now().scan(old.1).unwrap(), None);
    assert_eq!(store.views().now().scan(young.1).unwrap(), Some(last));
    for next in [1, 2] {
        let again = append_as(&store, vec![young.0.clone()], Some(young.1), None);
        assert!(matches!(&again, Appended::Already(entry) if entry.seq == last), "{again:?}");
        let new = append_as(&store, vec![old.0.clone()], Some(old.1), None);
        match next {
            1 => assert!(matches!(&new, Appended::Committed(_)), "{new:?}"),
            _ => assert!(matches!(&new, Appended::Already(entry) if entry.seq.0 == last.0 + 1), "{new:?}"),
        }
    }
    drop(store);
    let store = open();
    assert_eq!(store.views().now().scan(old.1).unwrap(), Some(Seq(last.0 + 1)));
    assert_eq!(store.views().now().scan(scans[1].1).unwrap(), None);
    drop(store);
    let scratch = in_memory();
    assert_eq!(verify(folder.path(), KEY, Some(scratch.path())).unwrap().difference, None);
}

#[test]
fn scans_on_both_sides_of_a_checkpoint_are_what_they_would_be_without_one() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    let scans: Vec<_> = (0..MANY * 2).map(|number| unmatched(&number.to_string())).collect();
    for some in scans.chunks(AT_ONCE) {
        append(&store, some.iter().map(|(event, _)| event.clone()).collect());
    }
    clock.age(&store);
    let forgotten = MANY - 10_000;
    let (ledger, end) = (Moment::from_millis(4_000_000_000_000), Seq(forgotten as u64 + 1));
    assert_eq!(store.forget_older(ledger, at(), Some(end)).unwrap().unwrap().entries, forgotten as u64);
    // Those that are forgotten count as new, and are known again then; the others are known.
    let (again, known) = (scans[..5_000].iter(), &scans[MANY]);
    let queued: Vec<_> =
        again.clone().map(|(event, key)| queue(&store, vec![event.clone()], Some(*key), None)).collect();
    assert!(queued.into_iter().all(|answer| matches!(answer.recv().unwrap(), Appended::Committed(_))));
    let (event, key) = &scans[4_999];
    for expected in [known, &scans[4_999]] {
        let appended = append_as(&store, vec![expected.0.clone()], Some(expected.1), None);
        assert!(matches!(appended, Appended::Already(_)), "{appended:?}");
    }
    wait_for(&store, store.last());
    while store.is_forgetting() {
        std::thread::yield_now();
    }
    drop(store);
    let scratch = in_memory();
    assert_eq!(verify(folder.path(), KEY, Some(scratch.path())).unwrap().difference, None);
    std::fs::remove_file(folder.path().join("views.redb")).unwrap();
    let store = clock.open(folder.path());
    let now = store.views().now();
    assert!(again.clone().all(|(_, key)| now.scan(*key).unwrap().is_some()));
    assert!(scans[5_000..forgotten].iter().all(|(_, key)| now.scan(*key).unwrap().is_none()));
    assert!(scans[forgotten..].iter().all(|(_, key)| now.scan(*key).unwrap().is_some()));
    let appended = append_as(&store, vec![event.clone()], Some(*key), None);
    assert!(matches!(appended, Appended::Already(_)));
}
