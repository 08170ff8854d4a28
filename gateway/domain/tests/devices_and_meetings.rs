//! A device serves one meeting at a time, and a scan goes to the meeting it was made in.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a set-up that breaks should fail loudly")]

mod common;

use common::*;
use rollcall_domain::Refusal;
use rollcall_domain::decide::lifecycle::unbind;
use rollcall_domain::event::SessionEvent;
use rollcall_domain::ids::SessionId;
use rollcall_domain::roster::Days;
use rollcall_domain::scan::{Outcome, Unmatched};
use rollcall_domain::session::SessionStatus;

/// CLASS from nine to ten and OTHER_CLASS from ten to eleven; nothing is open.
fn two_hours(w: &mut World) -> (SessionId, SessionId) {
    (w.schedule(CLASS, "09:00", "10:00"), w.schedule(OTHER_CLASS, "10:00", "11:00"))
}

fn taken(held_by: SessionId) -> Result<(), Refusal> {
    Err(Refusal::DeviceTaken { device: device("gate"), held_by })
}

#[test]
fn a_scheduled_session_holds_its_device_against_one_at_the_same_time() {
    let mut w = World::new();
    let first = w.schedule(CLASS, "09:00", "10:00");
    w.bind(first, "gate").unwrap();
    let overlapping = w.schedule(OTHER_CLASS, "09:59", "11:00");
    assert_eq!(w.bind(overlapping, "gate"), taken(first));
    assert_eq!(w.session(overlapping).meeting.bound().count(), 0);
}

#[test]
fn a_scheduled_session_leaves_its_device_to_the_hours_before_and_after_it() {
    let mut w = World::new();
    let (first, second) = two_hours(&mut w);
    w.bind(second, "gate").unwrap();
    w.bind(first, "gate").unwrap();
    let third = w.schedule(CLASS, "11:00", "12:00");
    w.bind(third, "gate").unwrap();
    for id in [first, second, third] {
        assert_eq!(w.session(id).meeting.bound().count(), 1);
    }
}

#[test]
fn an_open_session_holds_its_device_whatever_the_hour() {
    let mut w = World::new();
    let (first, second) = two_hours(&mut w);
    w.open(first).unwrap();
    w.bind(first, "gate").unwrap();
    assert_eq!(w.bind(second, "gate"), taken(first));
    w.at("10:00").close(first).unwrap();
    assert_eq!(w.bind(second, "gate"), Ok(()));
}

#[test]
fn binding_twice_writes_once() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.bind(s, "gate").unwrap();
    let before = w.log.len();
    w.bind(s, "gate").unwrap();
    assert_eq!(w.log.len(), before);
}

#[test]
fn a_device_that_is_unbound_serves_the_session_no_longer() {
    let mut w = World::new();
    w.policy.require_binding = true;
    let s = w.open_class(CLASS);
    w.bind(s, "gate").unwrap();
    w.at("09:01").scan("gate", "S1");
    let unbound = unbind(w.at("09:10").session(s), &device("gate")).unwrap();
    assert_eq!(unbound, Some(SessionEvent::Unbound { device: device("gate") }));
    w.session_event(s, unbound.unwrap());
    assert_eq!(w.at("09:11").scan("gate", "S2"), Outcome::Unmatched(Unmatched::NotBound));
    // What it saw while it was bound still belongs there.
    let made = w.time("09:09");
    assert_ne!(w.scan_made("gate", "S2", made, None), Outcome::Unmatched(Unmatched::NotBound));
    assert_eq!((w.shown(s, ANN), w.shown(s, BEN)), (seen("present", "09:01"), seen("late", "09:09")));
}

fn seen(mark: &str, at: &str) -> String {
    format!("{mark} biometric {at}")
}

#[test]
fn unbinding_what_is_not_bound_writes_nothing() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    assert_eq!(unbind(w.session(s), &device("gate")), Ok(None));
    w.at("10:00").close(s).unwrap();
    assert_eq!(unbind(w.session(s), &device("gate")), Err(Refusal::WrongState(SessionStatus::Closed)));
}

#[test]
fn between_two_classes_a_terminal_bound_to_both_serves_each_students_own() {
    let mut w = World::new();
    w.enrol(OTHER_CLASS, BEN, Days::ALWAYS);
    let (first, second) = two_hours(&mut w);
    [first, second].into_iter().for_each(|id| w.bind(id, "gate").unwrap());
    [first, second].into_iter().for_each(|id| w.open(id).unwrap());
    // Cat is of the one that comes in, Ann of the one that leaves, Ben of both.
    w.at("09:57").scan("gate", "S3");
    w.at("09:58").scan("gate", "S2");
    w.at("10:02").scan("gate", "S2");
    w.at("10:03").scan("gate", "S1");
    assert_eq!((w.shown(first, ANN), w.shown(second, ANN)), (seen("late", "10:03"), "nothing".into()));
    assert_eq!(
        (w.shown(first, BEN), w.shown(second, BEN)),
        (seen("late", "09:58"), seen("present", "10:02"))
    );
    assert_eq!((w.shown(first, CAT), w.shown(second, CAT)), ("nothing".into(), seen("present", "09:57")));
}

#[test]
fn at_a_gate_the_class_whose_own_time_it_is_comes_first() {
    let mut w = World::new();
    w.enrol(OTHER_CLASS, ANN, Days::ALWAYS);
    let (first, second) = two_hours(&mut w);
    w.at("09:55").open(first).unwrap();
    w.open(second).unwrap();
    w.at("09:59").scan("gate", "S1");
    assert_eq!((w.shown(first, ANN), w.shown(second, ANN)), (seen("late", "09:59"), "nothing".into()));
    w.at("10:01").scan("gate", "S1");
    assert_eq!(w.shown(second, ANN), seen("present", "10:01"));
}

#[test]
fn at_a_gate_two_classes_whose_own_time_it_is_mark_nobody() {
    let mut w = World::new();
    w.enrol(OTHER_CLASS, ANN, Days::ALWAYS);
    let (first, second) = two_hours(&mut w);
    w.at("09:55").open(first).unwrap();
    w.open(second).unwrap();
    let outcome = w.at("10:00").scan("gate", "S1");
    assert_eq!(outcome, Outcome::Unmatched(Unmatched::AmbiguousSession));
}

#[test]
fn a_scan_at_a_gate_opens_the_one_class_that_is_due() {
    let mut w = World::new();
    let s = w.schedule(CLASS, "09:00", "10:00");
    assert_eq!(w.at("08:54:59").scan("gate", "S1"), Outcome::Unmatched(Unmatched::NoOpenSession));
    assert_eq!(w.at("08:55").scan("gate", "S1"), Outcome::Present);
    assert_eq!((w.status(s), w.shown(s, ANN)), (SessionStatus::Open, seen("present", "08:55")));
}

#[test]
fn a_scan_at_a_gate_opens_neither_of_two_classes_that_are_due() {
    let mut w = World::new();
    w.enrol(OTHER_CLASS, ANN, Days::ALWAYS);
    w.schedule(CLASS, "09:00", "10:00");
    w.schedule(OTHER_CLASS, "09:00", "10:00");
    assert_eq!(w.at("09:01").scan("gate", "S1"), Outcome::Unmatched(Unmatched::AmbiguousSession));
    assert!(w.state.meetings().all(|meeting| meeting.status == SessionStatus::Scheduled));
}

#[test]
fn at_a_gate_an_open_class_comes_before_one_that_is_due() {
    let mut w = World::new();
    w.enrol(OTHER_CLASS, ANN, Days::ALWAYS);
    let s = w.open_class(CLASS);
    let due = w.schedule(OTHER_CLASS, "09:00", "10:00");
    w.at("09:01").scan("gate", "S1");
    assert_eq!((w.shown(s, ANN), w.status(due)), (seen("present", "09:01"), SessionStatus::Scheduled));
}

#[test]
fn what_a_gate_saw_in_the_window_counts_although_the_class_was_opened_only_later() {
    let mut w = World::new();
    let s = w.schedule(CLASS, "09:00", "10:00");
    w.at("09:20").open(s).unwrap();
    let made = w.time("09:01");
    assert_eq!(w.at("09:30").scan_made("gate", "S1", made, None), Outcome::Present);
    assert_eq!(w.shown(s, ANN), seen("present", "09:01"));
}
