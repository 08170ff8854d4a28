//! What opening, closing, reopening, cancelling and locking write, what they end, and when they happen
//! by themselves.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a set-up that breaks should fail loudly")]

mod common;

use common::*;
use rollcall_domain::clock_offset::BoxClock;
use rollcall_domain::decide::lifecycle::show_qr;
use rollcall_domain::decide::scan::AutoOpen;
use rollcall_domain::event::{Event, How};
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::days;
use rollcall_domain::refusal::Refusal;
use rollcall_domain::roster::Days;
use rollcall_domain::session::SessionStatus;
use rollcall_domain::state::State;

fn today() -> Days {
    Days::new(day("2026-03-02"), day("2026-03-02"))
}

#[test]
fn who_has_leave_and_joined_the_class_while_it_was_open_is_excused_at_closing() {
    let mut w = World::new();
    w.grant_leave(CAT, today());
    let s = w.open_class(CLASS);
    w.at("09:10").enrol(CLASS, CAT, Days::ALWAYS);
    assert_eq!(w.shown(s, CAT), "nothing");
    w.at("10:00").close(s).unwrap();
    assert_eq!(w.shown(s, CAT), "excused leave");
    assert_eq!(w.shown(s, BEN), "absent auto");
}

#[test]
fn closing_ends_the_qr_period_and_the_bindings() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.bind(s, "gate").unwrap();
    w.at("09:55");
    let (period, started) = show_qr(w.session(s), &w.context()).unwrap();
    w.session_event(s, started.unwrap());
    assert_eq!(period.until, w.time("10:05"));
    w.at("10:00").close(s).unwrap();
    let meeting = &w.session(s).meeting;
    assert_eq!(meeting.qr.unwrap().until, w.time("10:00"));
    assert_eq!(meeting.bound().count(), 0);
    assert!(meeting.was_bound(&device("gate"), w.time("10:00")));
    assert!(!meeting.was_bound(&device("gate"), w.time("10:01")));
}

#[test]
fn a_qr_period_of_before_the_closing_does_not_run_on_after_reopening() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:55");
    let started = show_qr(w.session(s), &w.context()).unwrap().1;
    w.session_event(s, started.unwrap());
    w.at("09:57").close(s).unwrap();
    w.at("09:58").reopen(s).unwrap();
    let (period, started) = show_qr(w.session(s), &w.context()).unwrap();
    assert_eq!((period.from, started.is_some()), (w.time("09:58"), true));
}

#[test]
fn reopening_binds_the_devices_again_that_closing_let_go() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.bind(s, "gate").unwrap();
    w.bind(s, "room").unwrap();
    let unbound = rollcall_domain::decide::lifecycle::unbind(w.session(s), &device("room")).unwrap();
    w.at("09:30").session_event(s, unbound.unwrap());
    w.at("10:00").close(s).unwrap();
    w.at("10:05").reopen(s).unwrap();
    let bound: Vec<_> = w.session(s).meeting.bound().cloned().collect();
    assert_eq!(bound, [device("gate")]);
}

#[test]
fn reopening_leaves_a_device_to_the_session_that_holds_it_now() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.bind(s, "gate").unwrap();
    w.at("10:00").close(s).unwrap();
    let other = w.schedule(OTHER_CLASS, "10:00", "11:00");
    w.open(other).unwrap();
    w.bind(other, "gate").unwrap();
    w.at("10:05").reopen(s).unwrap();
    assert_eq!(w.session(s).meeting.bound().count(), 0);
    assert_eq!(w.session(other).meeting.bound().count(), 1);
}

#[test]
fn a_new_start_changes_late_to_present_and_the_version_with_it() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:01").scan("room", "S2");
    w.at("09:10").scan("room", "S1");
    assert_eq!((w.shown(s, ANN).as_str(), w.version(s, ANN)), ("late biometric 09:10", 1));
    w.begin_at(s, w.time("09:05")).unwrap();
    assert_eq!((w.shown(s, ANN).as_str(), w.version(s, ANN)), ("present biometric 09:10", 2));
    assert_eq!((w.shown(s, BEN).as_str(), w.version(s, BEN)), ("present biometric 09:01", 1));
}

#[test]
fn a_session_goes_by_the_rules_it_was_opened_with() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:10").scan("room", "S1");
    w.policy.rules.late_after_minutes = 30;
    w.at("09:11").scan("room", "S2");
    assert_eq!(w.shown(s, BEN), "late biometric 09:11");
    w.cancel(s).unwrap();
    w.reinstate(s).unwrap();
    assert_eq!(w.shown(s, ANN), "late biometric 09:10");
    w.open(s).unwrap();
    assert_eq!((w.shown(s, ANN).as_str(), w.version(s, ANN)), ("present biometric 09:10", 2));
}

#[test]
fn a_cancelled_session_that_is_reinstated_is_scheduled_again_under_its_number() {
    let mut w = World::new();
    let s = w.schedule(CLASS, "09:00", "10:00");
    assert_eq!(w.reinstate(s), Err(Refusal::WrongState(SessionStatus::Scheduled)));
    w.cancel(s).unwrap();
    assert_eq!(w.session(s).meeting.cancelled, Some(How::ByPerson));
    assert_eq!(told(w.at("09:00").scan("room", "S1")), told_no_class());
    w.reinstate(s).unwrap();
    let meeting = &w.session(s).meeting;
    assert_eq!((meeting.status, meeting.cancelled, meeting.number), (SessionStatus::Scheduled, None, 1));
    w.at("09:01").scan("room", "S1");
    assert_eq!((w.status(s), w.shown(s, ANN).as_str()), (SessionStatus::Open, "present biometric 09:01"));
}

fn told_no_class() -> String {
    "unmatched no_open_session: no class is open here now".to_owned()
}

#[test]
fn reinstating_with_another_plan_moves_the_session() {
    let mut w = World::new();
    let s = w.schedule(CLASS, "09:00", "10:00");
    w.cancel(s).unwrap();
    let mut plan = w.session(s).meeting.plan();
    plan.starts = w.time("09:30");
    let events = rollcall_domain::decide::lifecycle::reinstate(w.session(s), plan, &[]).unwrap();
    assert_eq!(events.len(), 2);
    events.into_iter().for_each(|event| w.session_event(s, event));
    assert_eq!((w.status(s), w.session(s).meeting.starts()), (SessionStatus::Scheduled, w.time("09:30")));
}

#[test]
fn a_lock_after_no_days_is_never_due() {
    let mut w = World::new();
    w.policy.auto_lock_after_days = 0;
    let s = w.open_class(CLASS);
    w.at("10:00").close(s).unwrap();
    w.now = w.now.plus(days(10_000));
    assert!(w.tick(BoxClock::Trusted).is_empty());
    assert_eq!(w.status(s), SessionStatus::Closed);
}

#[test]
fn the_days_until_the_lock_count_from_when_the_closing_was_written() {
    let mut w = World::new();
    w.schedule(CLASS, "09:00", "10:00");
    w.on("2026-03-20", "12:00");
    assert_eq!(w.tick(BoxClock::Trusted), ["Open CaughtUp", "Close CaughtUp"]);
    assert!(w.on("2026-03-27", "11:59:59").tick(BoxClock::Trusted).is_empty());
    assert_eq!(w.on("2026-03-27", "12:00").tick(BoxClock::Trusted), ["Lock OnTime"]);
}

#[test]
fn a_session_made_only_after_its_time_does_not_open_by_itself() {
    let mut w = World::new();
    let s = w.at("10:00:01").schedule(CLASS, "09:00", "10:00");
    assert!(w.at("12:00").tick(BoxClock::Trusted).is_empty());
    assert_eq!(w.status(s), SessionStatus::Scheduled);
    let just = w.at("10:00").schedule(OTHER_CLASS, "09:00", "10:00");
    assert!(!w.at("12:00").tick(BoxClock::Trusted).is_empty());
    assert_eq!(w.status(just), SessionStatus::Closed);
}

#[test]
fn a_session_reinstated_only_after_its_time_does_not_open_by_itself() {
    let mut w = World::new();
    let s = w.schedule(CLASS, "09:00", "10:00");
    w.cancel(s).unwrap();
    w.at("11:00").reinstate(s).unwrap();
    assert!(w.at("12:00").tick(BoxClock::Trusted).is_empty());
    assert_eq!(w.shown(s, ANN), "nothing");
}

#[test]
fn a_scan_opens_nothing_while_the_clock_is_in_doubt() {
    let mut w = World::new();
    let s = w.schedule(CLASS, "09:00", "10:00");
    let made = w.at("09:00").now;
    let scan = w.made("room", "S1", made, None);
    let outcome = w.submit_with(scan, AutoOpen::ClockInDoubt);
    assert_eq!(told(outcome), told_no_class());
    assert_eq!((w.status(s), w.state.unmatched.len()), (SessionStatus::Scheduled, 1));
}

#[test]
fn a_session_that_is_open_takes_scans_also_while_the_clock_is_in_doubt() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let made = w.at("09:00").now;
    let scan = w.made("room", "S1", made, None);
    w.submit_with(scan, AutoOpen::ClockInDoubt);
    assert_eq!(w.shown(s, ANN), "present biometric 09:00");
}

#[test]
fn a_confirmed_clock_stays_confirmed_over_a_restart() {
    let mut w = World::new();
    let s = w.at("11:00").schedule(CLASS, "13:00", "14:00");
    w.at("09:30");
    assert!(BoxClock::at_start(w.now, restarted(&w).last_at).in_doubt());
    w.append(Event::ClockConfirmed);
    assert!(!BoxClock::at_start(w.now, restarted(&w).last_at).in_doubt());
    // And from then on what is written after it is what counts.
    w.at("09:40").cancel(s).unwrap();
    let early = w.time("09:39");
    assert!(BoxClock::at_start(early, restarted(&w).last_at).in_doubt());
}

fn restarted(w: &World) -> State {
    let mut state = State::default();
    w.log.iter().for_each(|entry| state.apply(entry));
    state
}

#[test]
fn what_a_person_wrote_before_a_cancellation_is_there_again_after_it() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:05").mark(s, ANN, Mark::Permission).unwrap();
    w.cancel(s).unwrap();
    w.reinstate(s).unwrap();
    assert_eq!(w.shown(s, ANN), "permission manual 09:05");
    assert_eq!(said(w.mark(s, BEN, Mark::Present)), "session_not_open: this session is scheduled, not open");
}
