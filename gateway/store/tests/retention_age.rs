//! What is old is told from the ledger's own times, whatever a clock says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use common::damage::in_memory;
use common::old::{campus, never, settle, whenever, whole};
use common::{TestClock, append, append_as, setting, unmatched, wait_for};
use rollcall_domain::ids::{Seq, SessionId};
use rollcall_domain::moment::days;
use rollcall_domain::ports::Clock as _;
use rollcall_store::{Appended, Holder};

#[test]
fn a_clock_that_runs_ahead_makes_nothing_old() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    campus(&store, &clock);
    // All that was written so far would be old by it, entries and records; also when some are written by it, as
    // long as these are not of many days.
    clock.go_on(36_500);
    for day in 1..7 {
        let (before, wrong) = (store.last(), clock.now().minus(days(2_555)));
        assert_eq!(store.forget_older(wrong, wrong, None).unwrap(), None, "{day}");
        assert_eq!(store.last(), before, "{day}");
        append(&store, vec![setting("ahead")]);
        wait_for(&store, store.last());
        clock.go_on(1);
    }
    assert!(store.views().now().session(SessionId(1)).unwrap().is_some());
    drop(store);
    assert_eq!(whole(folder.path()), None);
}

#[test]
fn an_entry_written_while_the_clock_was_ahead_does_not_keep_those_after_it_for_ever() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    let write = |count: i32| {
        for _ in 0..count {
            append(&store, vec![setting("1")]);
            clock.go_on(1);
        }
        wait_for(&store, store.last());
    };
    write(10);
    clock.go_on(36_500);
    write(1);
    clock.go_back(36_501);
    write(9 + 397);
    // Nothing after the wrong one is old.
    let forgotten = store.forget_older(whenever(), never(), None).unwrap().unwrap();
    assert_eq!(forgotten.to, Seq(10));
    assert_eq!(store.held_up(), None);
    // So is something, but not of seven days.
    write(3);
    store.forget_older(whenever(), never(), None).unwrap();
    let held_up = store.held_up().unwrap();
    assert_eq!((held_up.seq, held_up.by), (Seq(11), Holder::Clock));
    write(1_594);
    let forgotten = store.forget_older(whenever(), never(), None).unwrap().unwrap();
    assert!((1_500..1_700).contains(&forgotten.to.0), "{forgotten:?}");
    assert_eq!((forgotten.entries, store.held_up()), (forgotten.to.0, None));
    settle(&store);
    drop(store);
    assert_eq!(whole(folder.path()), Some(forgotten.to));
}

#[test]
fn nothing_is_old_as_long_as_a_scan_must_be_known() {
    let (folder, clock) = (in_memory(), TestClock::of(1));
    let store = clock.open(folder.path());
    let (event, key) = unmatched("a");
    append_as(&store, vec![event.clone()], Some(key), None);
    // Each day something is written, for a year and its week.
    for _ in 0..400 {
        clock.go_on(1);
        append(&store, vec![setting("1")]);
    }
    wait_for(&store, store.last());
    // Whatever somebody takes for old.
    assert_eq!(store.forget_older(whenever(), never(), None).unwrap(), None);
    assert!(matches!(append_as(&store, vec![event.clone()], Some(key), None), Appended::Already(_)));
    for _ in 0..8 {
        clock.go_on(1);
        append(&store, vec![setting("1")]);
    }
    wait_for(&store, store.last());
    let forgotten = store.forget_older(whenever(), never(), None).unwrap().unwrap();
    assert!((1..4).contains(&forgotten.to.0), "{forgotten:?}");
    assert!(matches!(append_as(&store, vec![event], Some(key), None), Appended::Committed(_)));
}
