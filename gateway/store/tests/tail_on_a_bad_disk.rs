//! A tail on a disk of which parts give and take nothing any more keeps nobody down, and nothing is lost.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::time::Duration;

use common::machine::{Call, Fault, Machine, Wrong};
use common::{KEY, TestClock, append, setting};
use rollcall_domain::event::Event;
use rollcall_domain::ids::Seq;
use rollcall_store::{Appended, Store};

const BLOCK: usize = 4_096;

fn open(machine: &Machine) -> Store {
    let place = machine.place().trying_again_after(Duration::from_millis(1));
    Store::open(place, KEY, TestClock::stepping(1), Box::new(|_| {})).unwrap()
}

/// A store with so many entries, each of which is a record of one block.
fn store_of(machine: &Machine, entries: usize) -> Store {
    let store = open(machine);
    for number in 1..=entries {
        assert!(committed(&append(&store, vec![setting(&number.to_string())])));
    }
    store
}

fn committed(appended: &Appended) -> bool {
    matches!(appended, Appended::Committed(_))
}

fn values(store: &Store) -> Vec<String> {
    let entries = store.entries(Seq(1), 1_000).unwrap();
    let value = |event| match event {
        Event::SettingChanged { value, .. } => value.unwrap(),
        other => panic!("{other:?}"),
    };
    entries.into_iter().map(|entry| value(entry.event)).collect()
}

/// It comes back by itself, with these entries and the one that is written then; also the next time.
fn comes_back_with(machine: &Machine, store: Store, expected: usize) {
    assert!((0..1_000).any(|_| committed(&append(&store, vec![setting("back")]))), "it stays down");
    let expected: Vec<_> =
        (1..=expected).map(|number| number.to_string()).chain(["back".to_owned()]).collect();
    assert_eq!(values(&store), expected);
    machine.cut_power();
    drop(store);
    machine.power_on();
    let store = open(machine);
    assert_eq!((values(&store), store.gaps().unwrap()), (expected, vec![]));
}

#[test]
fn a_block_that_gives_and_takes_nothing_is_left_to_a_tail_that_is_put_aside() {
    // The next record goes there; and there are two before and after it.
    for worn in [3..4, 2..6] {
        let machine = Machine::new(1);
        let store = store_of(&machine, 3);
        machine.wear_out("ledger.tail", worn.start * BLOCK..worn.end * BLOCK);
        assert!(!committed(&append(&store, vec![setting("x")])));
        comes_back_with(&machine, store, 3);
        assert!(machine.names().contains(&"ledger.tail.damaged".to_owned()));
    }
}

#[test]
fn what_was_moved_and_not_made_lasting_is_brought_in_although_the_tail_gives_nothing_of_it() {
    for entries in 1..8 {
        let machine = Machine::new(1);
        let store = store_of(&machine, entries);
        machine.wear_out("ledger.tail", 0..8 * BLOCK);
        assert!((0..8).any(|_| !committed(&append(&store, vec![setting("x")]))));
        comes_back_with(&machine, store, entries);
    }
}

#[test]
fn a_tail_that_cannot_even_be_opened_any_more_keeps_nobody_down() {
    let machine = Machine::new(1);
    let store = store_of(&machine, 3);
    let fault = |call, times| Fault { file: "ledger.tail", call, wrong: Wrong::Broken, after: 0, times };
    machine.plan(fault(Call::Write, 1));
    machine.plan(fault(Call::Read, u64::MAX));
    assert!(!committed(&append(&store, vec![setting("x")])));
    comes_back_with(&machine, store, 3);
}
