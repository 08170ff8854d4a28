//! Scans are known however many there are, also beyond what is held in memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::damage::in_memory;
use common::{KEY, append, append_as, open, unmatched, wait_for};
use rollcall_domain::ids::Seq;
use rollcall_store::{Appended, verify};

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
