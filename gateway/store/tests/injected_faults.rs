//! Whatever the disk refuses, and however often, nobody is told that something is written that is not, and
//! the store comes back without a restart.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails, and says how to repeat it"
)]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use common::history::History;
use common::machine::{Call, Fault, Machine, Wrong};
use common::random::Random;
use common::{
    KEY, SESSION, TestClock, append, append_as, created, number, queue, register, setting, step, unmatched,
    wait_for,
};
use rollcall_domain::ids::{Seq, UserId};
use rollcall_domain::ports::{Health, HealthSource as _};
use rollcall_store::{Append, Appended, Credential, Expect, Line, Place, Store, Stuck, verify_at};

/// Faults in the test command; `ROLLCALL_FAULTS` asks for more.
const FAULTS: u64 = 600;
const FAULTS_EACH: u64 = 12;
const FOR_EVER: u64 = u64::MAX;

fn place(machine: &Machine) -> Place {
    machine.place().trying_again_after(Duration::from_millis(1))
}

/// With a clock that makes every commit of the views a lasting one.
fn open(machine: &Machine) -> Store {
    Store::open(place(machine), KEY, TestClock::stepping(1_000), Box::new(|_| {})).unwrap()
}

fn any_fault(random: &mut Random, file: &'static str) -> Fault {
    let (call, soon) =
        random.one_of(&[(Call::Write, 40), (Call::Sync, 3), (Call::Length, 1), (Call::Read, 30)]);
    let wrong = match call {
        Call::Write | Call::Length => random.one_of(&[Wrong::Full, Wrong::Broken]),
        Call::Sync | Call::Read => Wrong::Broken,
    };
    Fault { file, call, wrong, after: random.below(soon), times: random.one_of(&[1, 1, 3, 20, FOR_EVER]) }
}

/// Rounds until one of them is written as if nothing had been.
fn insist(history: &mut History, store: &Store) {
    loop {
        history.failed = 0;
        history.round(store);
        if history.failed == 0 {
            return;
        }
    }
}

fn takes_credentials(store: &Store) -> bool {
    let (sender, receiver) = channel();
    let nobody = Credential::Password { user: UserId(999), hash: String::new() };
    let then = move |appended| sender.send(appended).unwrap();
    let append = Append { credentials: vec![nobody], ..Append::new(vec![], then) };
    store.append(append).is_ok() && matches!(receiver.recv(), Ok(Appended::Committed(_)))
}

/// One disk that fails in every way, and one store that lives through it; tells how often entries were forgotten.
fn live_through_faults(seed: u64) -> u64 {
    let mut history = History::new(seed);
    if history.random.chance(50) {
        history.machine.set_forgetful();
    }
    let mut store = history.open(place(&history.machine)).unwrap();
    for _ in 0..FAULTS_EACH {
        let file = history.random.one_of(&["ledger", "ledger.tail", "ledger.redb", "views"]);
        let fault = any_fault(&mut history.random, file);
        history.failed = 0;
        history.machine.plan(fault);
        let rounds = 1 + history.random.below(4);
        // Once at most, so that it is known which entries are of it although it may have failed.
        let forgets = history.random.below(6);
        for round in 0..rounds {
            history.round(&store);
            if round == forgets {
                let sessions = history.random.chance(50);
                history.forget(&store, sessions);
            }
        }
        if file == "views" {
            assert_eq!(history.failed, 0, "a fault of the views stopped an acknowledgement: {fault:?}");
            assert!(store.is_up(), "{fault:?}");
        }
        let stays_down = fault.times == FOR_EVER && matches!(fault.call, Call::Write | Call::Sync);
        assert!(!(history.failed > 0 && stays_down && store.is_up()), "up although {fault:?}");
        if history.random.chance(30) {
            history.machine.cut_power();
            drop(store);
            history.machine.power_on();
            store = history.open(place(&history.machine)).unwrap();
        } else {
            history.machine.heal();
            insist(&mut history, &store);
            // Whoever cannot read has the file opened again; and what failed in it may show only when something
            // is written there, and not into the tail.
            while store.entries(Seq(1), 1).is_err() || !takes_credentials(&store) {
                std::thread::yield_now();
            }
            assert!(store.is_up());
        }
        history.judge(&store);
        history.views_follow(&store);
    }
    drop(store);
    history.verify();
    history.forgot
}

#[test]
fn nobody_is_told_otherwise_whatever_the_disk_refuses() {
    if let Some(seed) = number("ROLLCALL_SEED") {
        live_through_faults(seed);
        return;
    }
    let faults = number("ROLLCALL_FAULTS").unwrap_or(FAULTS);
    let (next, forgot) = (AtomicU64::new(1), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed * FAULTS_EACH > faults {
                        return;
                    }
                    forgot.fetch_add(live_through_faults(seed), Ordering::Relaxed);
                }
            });
        }
    });
    let forgot = forgot.into_inner();
    assert!(forgot > faults / 50, "{forgot}");
}

fn views_fail_from_now_on(machine: &Machine) {
    for call in [Call::Write, Call::Length, Call::Sync] {
        machine.plan(Fault { file: "views", call, wrong: Wrong::Broken, after: 0, times: FOR_EVER });
    }
}

fn committed(appended: &Appended) -> bool {
    matches!(appended, Appended::Committed(_))
}

#[test]
fn views_that_turn_to_garbage_while_in_use_are_made_anew_and_readers_keep_what_they_have() {
    let machine = Machine::new(1);
    machine.set_forgetful();
    let store = open(&machine);
    let (event, key) = unmatched("a");
    append(&store, vec![setting("1"), created(), event.clone()]);
    wait_for(&store, Seq(3));
    machine.garble("views.redb", 4_096);
    views_fail_from_now_on(&machine);
    // What was seen can neither be read nor made anew, and yet it is known.
    assert!(
        matches!(append_as(&store, vec![event], Some(key), None), Appended::Already(e) if e.seq == Seq(3))
    );
    let expect = |version| Some(Expect { session: SESSION, version, line: Line::default() });
    assert!(matches!(append_as(&store, vec![step()], None, expect(2)), Appended::Stale));
    assert!(committed(&append_as(&store, vec![step()], None, expect(1))));
    assert!(committed(&append_as(&store, vec![step()], None, expect(2))));
    assert_eq!(store.views().seen(), Seq(3));
    assert_eq!(store.views().now().office.settings["sessions.late_after_minutes"], "1");
    machine.heal();
    wait_for(&store, Seq(5));
    assert_eq!(store.views().now().scan(key).unwrap(), Some(Seq(3)));
    assert_eq!(store.views().now().version(SESSION).unwrap(), 3);
    drop(store);
    let verified = verify_at(&machine.place(), KEY, Some(&Machine::new(0).place())).unwrap();
    assert_eq!(verified.difference, None);
}

#[test]
fn rows_that_only_readers_cannot_read_are_mended_although_nothing_is_written() {
    let machine = Machine::new(1);
    machine.set_forgetful();
    let store = open(&machine);
    let (event, key) = unmatched("a");
    append(&store, vec![event, created()]);
    wait_for(&store, Seq(2));
    machine.garble("views.redb", 4_096);
    assert!(store.views().now().session(SESSION).is_err());
    let found = (0..5_000_000).find_map(|_| store.views().now().session(SESSION).ok());
    assert!(found.flatten().is_some());
    assert_eq!(store.views().now().scan(key).unwrap(), Some(Seq(1)));
}

#[test]
fn nobody_waits_for_views_that_stand_still() {
    let machine = Machine::new(1);
    let store = open(&machine);
    views_fail_from_now_on(&machine);
    append(&store, vec![setting("1")]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(store.views().wait_for(Seq(1))), Err(Stuck));
    assert!(matches!(store.health(), Health::Impaired { .. }));
    machine.heal();
    wait_for(&store, Seq(1));
    assert_eq!(store.health(), Health::Good);
}

#[test]
fn what_was_shown_does_not_vanish_while_views_are_made_anew() {
    let machine = Machine::new(1);
    machine.set_forgetful();
    let store = open(&machine);
    append(&store, vec![created(), setting("1"), step()]);
    wait_for(&store, Seq(3));
    for round in 4..24 {
        machine.garble("views.redb", 4_096);
        let (event, key) = unmatched(&round.to_string());
        // It is looked for, in vain, where nothing can be read.
        assert!(committed(&append_as(&store, vec![event], Some(key), None)));
        assert!(store.views().seen() >= Seq(3));
        assert!(store.views().now().office.settings.contains_key("sessions.late_after_minutes"));
        wait_for(&store, Seq(round));
        assert_eq!(store.views().now().scan(key).unwrap(), Some(Seq(round)));
    }
    assert_eq!(store.views().now().version(SESSION).unwrap(), 2);
}

#[test]
fn what_the_writer_left_to_the_views_is_known_while_they_are_made_anew() {
    // More than the views take at once, so that they are half made for a while.
    const MANY: u64 = 20_000;
    let machine = Machine::new(1);
    machine.set_forgetful();
    let store = open(&machine);
    let (event, key) = unmatched("a");
    let others = (1..MANY).map(|_| setting("1"));
    assert!(committed(&append(&store, others.chain([event.clone()]).collect())));
    wait_for(&store, Seq(MANY));
    machine.garble("views.redb", 4_096);
    let again = || append_as(&store, vec![event.clone()], Some(key), None);
    let is_known = |appended| matches!(appended, Appended::Already(entry) if entry.seq == Seq(MANY));
    assert!(is_known(again()));
    assert!(committed(&append(&store, vec![setting("2")])));
    while store.views().seen() <= Seq(MANY) {
        assert!(store.views().seen() >= Seq(MANY));
        assert!(is_known(again()));
    }
    assert!(is_known(again()));
}

#[test]
fn a_store_whose_views_fail_can_be_closed() {
    let machine = Machine::new(1);
    let store = open(&machine);
    views_fail_from_now_on(&machine);
    for _ in 0..5 {
        assert!(committed(&append(&store, vec![setting("1")])));
    }
    store.close();
    machine.heal();
    assert_eq!(open(&machine).views().seen(), Seq(5));
}

#[test]
fn a_ledger_that_comes_back_is_up_although_the_views_are_not() {
    let machine = Machine::new(1);
    let store = open(&machine);
    views_fail_from_now_on(&machine);
    assert!(committed(&append(&store, vec![setting("1")])));
    let (event, key) = unmatched("a");
    assert!(committed(&append_as(&store, vec![event.clone()], Some(key), None)));
    machine.plan(Fault { file: "ledger.tail", call: Call::Sync, wrong: Wrong::Broken, after: 0, times: 1 });
    assert!(matches!(append(&store, vec![setting("2")]), Appended::Failed(_)));
    while !committed(&append(&store, vec![setting("3")])) {}
    assert!(store.is_up());
    let again = append_as(&store, vec![event], Some(key), None);
    assert!(matches!(again, Appended::Already(entry) if entry.seq == Seq(2)));
}

#[test]
fn a_store_that_holds_a_full_queue_when_the_disk_fails_answers_everyone() {
    let machine = Machine::new(1);
    let store = open(&machine);
    machine.plan(Fault { file: "ledger", call: Call::Sync, wrong: Wrong::Full, after: 0, times: FOR_EVER });
    let answers: Vec<_> = (0..1_000).map(|_| queue(&store, vec![setting("1")], None, None)).collect();
    let failed =
        answers.iter().filter(|answer| matches!(answer.recv().unwrap(), Appended::Failed(_))).count();
    assert!(failed > 0);
    assert_eq!(store.queued(), 0);
    assert!(!store.is_up());
}

#[test]
fn a_disk_that_can_be_read_and_not_filled_any_further_is_not_up() {
    let machine = Machine::new(1);
    let store = open(&machine);
    machine.plan(Fault { file: "ledger", call: Call::Length, wrong: Wrong::Full, after: 0, times: FOR_EVER });
    let long = setting(&"x".repeat(60_000));
    let fill = || (0..1_000).find(|_| !committed(&append(&store, vec![long.clone()])));
    let written = fill().unwrap();
    for _ in 0..3 {
        assert!(!store.is_up());
        assert!(!committed(&append(&store, vec![long.clone()])));
    }
    machine.heal();
    while !committed(&append(&store, vec![setting("1")])) {}
    assert!(store.is_up());
    let entries = store.entries(Seq(1), 2_000).unwrap().len();
    // A commit that could not be ended may have reached the disk all the same.
    assert!((written + 1..=written + 5).contains(&entries), "{entries} of {written}");
    assert_eq!(store.last(), Seq(entries as u64));
}

#[test]
fn views_that_failed_once_can_be_read_again_although_nothing_more_happens() {
    for seed in 0..30 {
        let machine = Machine::new(seed);
        let clock = TestClock::stepping(900);
        let store = Store::open(place(&machine), KEY, clock, Box::new(|_| {})).unwrap();
        let (event, key) = unmatched("a");
        // The rows are made to last, and the disk says that it failed.
        machine.plan(Fault { file: "views", call: Call::Sync, wrong: Wrong::Broken, after: 0, times: 1 });
        assert!(committed(&append_as(&store, vec![event], Some(key), None)));
        while machine.is_waiting() {
            std::thread::yield_now();
        }
        let readable = || store.views().now().scan(key).is_ok_and(|seq| seq == Some(Seq(1)));
        assert!((0..5_000_000).any(|_| readable()), "seed {seed}");
    }
}

#[test]
fn a_ledger_that_turns_to_garbage_while_in_use_acknowledges_nothing_and_answers_everyone() {
    for seed in 0..10 {
        let machine = Machine::new(seed);
        machine.set_forgetful();
        let store = open(&machine);
        append(&store, vec![setting("1"), created()]);
        wait_for(&store, Seq(2));
        machine.garble("ledger.redb", 4_096);
        for _ in 0..3 {
            // What needs more than the tail.
            let secret = Credential::Password { user: UserId(1), hash: "$argon2id$".to_owned() };
            assert!(matches!(register(&store, setting("2"), vec![], vec![secret]), Appended::Failed(_)));
            assert!(!store.is_up());
        }
        store.close();
    }
}

#[test]
fn a_disk_that_does_not_answer_is_told_of_while_it_does_not() {
    let machine = Machine::new(1);
    let store = open(&machine);
    assert!(committed(&append(&store, vec![setting("1")])));
    let down = || match store.health() {
        Health::Down { reason } => reason.contains("the disk has not answered for"),
        _ => false,
    };
    // However long nobody asks anything of it.
    assert!((0..1_000).all(|_| !down()));
    let held = machine.hold_syncs();
    let answer = queue(&store, vec![setting("2")], None, None);
    while !down() {
        std::thread::yield_now();
    }
    assert!(answer.try_recv().is_err());
    drop(held);
    assert!(committed(&answer.recv().unwrap()));
    assert!(!down());
}
