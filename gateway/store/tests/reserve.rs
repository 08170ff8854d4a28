//! The store stops before the disk is full, and goes on when there is room.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::machine::Machine;
use common::{KEY, SESSION, TestClock, append, append_as, created, setting, step, unmatched, wait_for};
use rollcall_domain::event::{Event, How, SessionEvent};
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::{Clock, Health, HealthSource as _};
use rollcall_store::{Appended, Commit, Expect, Forgotten, Line, Place, Store, StoreError};
use tempfile::tempdir;

const MIN: u64 = 1 << 20;

fn open(machine: &Machine, min: u64, on_commit: impl Fn(Commit) + Send + 'static) -> Store {
    let place = machine.place().keeping_free(min).trying_again_after(Duration::from_millis(1));
    Store::open(place, KEY, TestClock::shared(), Box::new(on_commit)).unwrap()
}

fn committed(appended: &Appended) -> bool {
    matches!(appended, Appended::Committed(_))
}

#[test]
fn nothing_is_acknowledged_below_the_reserve_and_everything_again_when_there_is_room() {
    let machine = Machine::new(1);
    let store = open(&machine, MIN, |_| {});
    machine.set_free(MIN);
    assert!(committed(&append(&store, vec![setting("1")])));
    machine.set_free(MIN - 1);
    let before = machine.changes("ledger.redb");
    for _ in 0..3 {
        assert!(matches!(append(&store, vec![setting("2")]), Appended::Failed(_)));
        assert!(!store.is_up());
    }
    assert_eq!(machine.changes("ledger.redb"), before);
    // A little room is not enough: it would be gone with the next appends.
    machine.set_free(MIN);
    assert!(matches!(append(&store, vec![setting("2")]), Appended::Failed(_)));
    machine.set_free(2 * MIN);
    assert!(committed(&append(&store, vec![setting("3")])));
    assert!(store.is_up());
    wait_for(&store, Seq(2));
}

#[test]
fn a_disk_that_fills_up_is_told_of_before_anybody_writes_to_it() {
    let machine = Machine::new(1);
    let store = open(&machine, MIN, |_| {});
    assert_eq!(store.health(), Health::Good);
    machine.set_free(MIN - 1);
    let Health::Down { reason } = store.health() else { panic!("it is {:?}", store.health()) };
    assert!(reason.starts_with("1048575 bytes are free"), "{reason}");
    assert!(reason.ends_with("free some space"), "{reason}");
    machine.set_free(u64::MAX);
    assert_eq!(store.health(), Health::Good);
}

#[test]
fn without_a_reserve_the_disk_is_used_to_its_end() {
    let machine = Machine::new(1);
    let store = open(&machine, 0, |_| {});
    machine.set_free(0);
    assert!(committed(&append(&store, vec![setting("1")])));
}

#[test]
fn the_views_do_not_eat_the_reserve() {
    let machine = Machine::new(1);
    let full = machine.clone();
    let store = open(&machine, MIN, move |_| full.set_free(0));
    assert!(committed(&append(&store, vec![setting("1")])));
    let before = machine.changes("views.redb");
    assert!(!committed(&append(&store, vec![setting("2")])));
    assert_eq!(store.views().seen(), Seq(0));
    assert_eq!(machine.changes("views.redb"), before);
    machine.set_free(u64::MAX);
    wait_for(&store, Seq(1));
}

#[test]
fn a_store_can_be_opened_and_read_on_a_disk_that_is_nearly_full() {
    let machine = Machine::new(1);
    let full = machine.clone();
    let store = open(&machine, MIN, move |_| full.set_free(0));
    append(&store, vec![setting("1")]);
    drop(store);
    let store = open(&machine, MIN, |_| {});
    assert!(!store.is_up());
    assert_eq!(store.entries(Seq(1), 10).unwrap().len(), 1);
    assert_eq!(store.views().seen(), Seq(0));
    assert!(!committed(&append(&store, vec![setting("2")])));
    machine.set_free(u64::MAX);
    wait_for(&store, Seq(1));
    assert!(committed(&append(&store, vec![setting("3")])));
    wait_for(&store, Seq(2));
}

#[test]
fn what_the_views_had_no_room_for_is_known_all_the_same() {
    let machine = Machine::new(1);
    let full = machine.clone();
    let store = open(&machine, MIN, move |_| full.set_free(0));
    let (event, key) = unmatched("a");
    assert!(committed(&append_as(&store, vec![event.clone()], Some(key), None)));
    drop(store);
    // The writer asks for room with every append, the views after a minute.
    let place = machine.place().keeping_free(MIN).trying_again_after(Duration::from_secs(60));
    let store = Store::open(place, KEY, TestClock::shared(), Box::new(|_| {})).unwrap();
    machine.set_free(u64::MAX);
    let again = append_as(&store, vec![event], Some(key), None);
    assert!(matches!(&again, Appended::Already(entry) if entry.seq == Seq(1)), "{again:?}");
}

/// Opens it with views that ask for room every minute; the writer does with every append.
fn open_patiently(machine: &Machine, clock: &Arc<TestClock>) -> Store {
    let place = machine.place().keeping_free(MIN).trying_again_after(Duration::from_secs(60));
    let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(clock);
    Store::open(place, KEY, clock, Box::new(|_| {})).unwrap()
}

fn forget(store: &Store, clock: &TestClock) -> Result<Option<Forgotten>, StoreError> {
    clock.age(store);
    store.forget_older(Moment::from_millis(4_000_000_000_000), Moment::from_millis(0), None)
}

#[test]
fn what_a_checkpoint_has_is_known_although_there_is_no_room_for_views_of_it() {
    let (machine, clock) = (Machine::new(1), TestClock::of(1));
    let store = open_patiently(&machine, &clock);
    let lock = Event::Session(SESSION, SessionEvent::Locked { how: How::OnTime });
    append(&store, vec![created(), step(), lock]);
    assert_eq!(forget(&store, &clock).unwrap().unwrap().to, Seq(3));
    while store.is_forgetting() {
        std::thread::yield_now();
    }
    drop(store);
    machine.garble("views.redb", 0);
    machine.set_free(MIN - 1);
    let store = open_patiently(&machine, &clock);
    assert!(!store.is_up());
    assert_eq!(store.views().seen(), Seq(0));
    machine.set_free(u64::MAX);
    let expect = |version| Some(Expect { session: SESSION, version, line: Line::default() });
    for (version, is_current) in [(0, false), (2, false), (3, true)] {
        let appended = append_as(&store, vec![step()], None, expect(version));
        assert_eq!(committed(&appended), is_current, "{version}");
        assert_eq!(matches!(appended, Appended::Stale), !is_current, "{version}");
    }
    assert_eq!(store.views().seen(), Seq(0));
    drop(store);
    let store = open_patiently(&machine, &clock);
    wait_for(&store, store.last());
    assert_eq!(store.views().now().version(SESSION).unwrap(), 4);
}

#[test]
fn a_checkpoint_is_not_made_to_its_end_when_the_room_for_it_is_gone() {
    const SCRATCH: &str = "checkpoint.views.redb";
    let attempt = |fills_up: bool| {
        let (machine, clock) = (Machine::new(1), TestClock::of(1));
        let store = open_patiently(&machine, &clock);
        for _ in 0..8 {
            append(&store, (0..10_000).map(|number| unmatched(&number.to_string()).0).collect());
        }
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let mut most = 0;
                while !is_over.load(Ordering::Relaxed) {
                    most = most.max(machine.changes(SCRATCH));
                    if fills_up && most > 0 {
                        machine.set_free(0);
                    }
                    std::thread::yield_now();
                }
                most
            });
            let forgotten = forget(&store, &clock);
            is_over.store(true, Ordering::Relaxed);
            (forgotten.is_ok(), watching.join().unwrap())
        })
    };
    let (made, whole) = attempt(false);
    let (not_made, some) = attempt(true);
    assert!(made && !not_made && some < whole / 2, "{some} of {whole}");
}

#[test]
fn the_room_on_a_real_disk_is_asked_for() {
    let folder = tempdir().unwrap();
    let open = |min| {
        let place = Place::from(folder.path()).keeping_free(min);
        Store::open(place, KEY, TestClock::shared(), Box::new(|_| {})).unwrap()
    };
    assert!(open(1).is_up());
    assert!(!open(u64::MAX).is_up());
}
