//! Whenever the power is cut, what was answered is on the disk, once, in its order, and nothing else is.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails, and says how to repeat it"
)]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use common::history::History;
use common::machine::{Call, Fault, Wrong};
use common::number;
use common::random::Random;
use rollcall_store::Store;

/// In the test command; `ROLLCALL_CUTS` asks for more.
const CUTS: u64 = 2_100;
/// Power cuts that one disk lives through.
const CUTS_EACH: u64 = 15;

/// The power is cut at some call to come.
fn any_cut(random: &mut Random) -> Fault {
    let file = random.one_of(&["ledger", "ledger.tail", "ledger.tail", "views"]);
    let (call, soon) =
        random.one_of(&[(Call::Write, 60), (Call::Write, 12), (Call::Sync, 4), (Call::Length, 2)]);
    Fault { file, call, wrong: Wrong::PowerCut, after: random.below(soon), times: 1 }
}

/// Opens the store, again and again if the power is cut meanwhile.
fn open(history: &mut History, cuts: &mut u64) -> Store {
    loop {
        if history.random.chance(15) {
            let cut = any_cut(&mut history.random);
            history.machine.plan(cut);
        }
        match history.open(history.machine.place()) {
            Ok(store) => {
                return store;
            }
            Err(error) => {
                assert!(!history.machine.is_on(), "{error}");
                *cuts += 1;
                history.machine.power_on();
            }
        }
    }
}

/// One disk, from its first power cut to its last; tells how many there were, and how often entries were forgotten.
fn live_through_power_cuts(seed: u64) -> (u64, u64) {
    let mut history = History::new(seed);
    let mut cuts = 0;
    while cuts < CUTS_EACH {
        let store = open(&mut history, &mut cuts);
        // What an earlier life left is taken away, or the power is cut at that.
        while store.is_forgetting() && history.machine.is_on() {
            std::thread::yield_now();
        }
        if history.machine.is_on() {
            history.judge(&store);
            history.views_agree(&store);
            if history.random.chance(80) {
                let cut = any_cut(&mut history.random);
                history.machine.plan(cut);
            }
        }
        for _ in 0..history.random.below(6) {
            let begun = history.begin(&store);
            if history.random.chance(5) {
                history.machine.cut_power();
            }
            history.end(begun);
            if history.machine.is_on() && history.random.chance(25) {
                let sessions = history.random.chance(30);
                assert!(history.forget(&store, sessions) || !history.machine.is_on());
            }
        }
        assert!(history.failed == 0 || !history.machine.is_on(), "failed although nothing was wrong");
        history.machine.cut_power();
        drop(store);
        history.failed = 0;
        cuts += 1;
        history.machine.power_on();
        if history.random.chance(10) {
            history.is_whole();
        }
    }
    let store = history.open(history.machine.place()).unwrap();
    history.judge(&store);
    history.views_agree(&store);
    drop(store);
    history.verify();
    (cuts, history.forgot)
}

#[test]
fn nothing_that_was_answered_is_lost_or_doubled_by_a_power_cut() {
    if let Some(seed) = number("ROLLCALL_SEED") {
        live_through_power_cuts(seed);
        return;
    }
    let cuts = number("ROLLCALL_CUTS").unwrap_or(CUTS);
    let first = number("ROLLCALL_FIRST_SEED").unwrap_or(1);
    let (next, done, forgot) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while done.load(Ordering::Relaxed) < cuts {
                    let (lived, forgotten) = live_through_power_cuts(next.fetch_add(1, Ordering::Relaxed));
                    done.fetch_add(lived, Ordering::Relaxed);
                    forgot.fetch_add(forgotten, Ordering::Relaxed);
                }
            });
        }
    });
    let forgot = forgot.into_inner();
    eprintln!(
        "{} power cuts on {} disks, {forgot} times entries were forgotten",
        done.load(Ordering::Relaxed),
        next.load(Ordering::Relaxed) - first
    );
    assert!(forgot > cuts / 50, "{forgot}");
}
