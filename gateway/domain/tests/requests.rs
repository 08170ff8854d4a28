//! Leave, corrections and self-marks: who may ask, that a request is decided once, and what follows.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a set-up that breaks should fail loudly")]

mod common;

use common::*;
use rollcall_domain::Refusal;
use rollcall_domain::decide::requests::{
    ask_correction, ask_leave, ask_self_mark, decide_correction, decide_leave, decide_self_mark,
};
use rollcall_domain::event::{Event, SessionEvent};
use rollcall_domain::ids::{ClassId, CorrectionId, LeaveId, SelfMarkId, SessionId, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_domain::requests::{Leave, RequestStatus, SelfMark};
use rollcall_domain::roster::Days;
use rollcall_domain::session::{Session, SessionStatus};

const MONDAY: &str = "2026-03-02";

fn days(from: &str, to: &str) -> Days {
    Days::new(day(from), day(to))
}

fn asked(w: &World, class: Option<ClassId>, days: Days) -> Result<Event, Refusal> {
    ask_leave(&w.context(), LeaveId(1), ANN, class, days)
}

#[test]
fn leave_needs_a_first_and_a_last_day_in_this_order() {
    let w = World::new();
    let from = day(MONDAY);
    let backwards = days("2026-03-03", MONDAY);
    for wrong in [Days::ALWAYS, Days::starting(from), Days { from: None, to: Some(from) }, backwards] {
        assert_eq!(asked(&w, None, wrong), Err(Refusal::LeaveDays), "{wrong:?}");
    }
    assert!(asked(&w, None, days(MONDAY, MONDAY)).is_ok());
}

#[test]
fn leave_from_a_class_is_for_those_who_are_in_it() {
    let mut w = World::new();
    assert!(asked(&w, Some(CLASS), days(MONDAY, MONDAY)).is_ok());
    assert_eq!(asked(&w, Some(OTHER_CLASS), days(MONDAY, MONDAY)), Err(Refusal::NotEnrolled));
    w.enrol(OTHER_CLASS, ANN, Days::starting(day("2026-03-05")));
    assert_eq!(asked(&w, Some(OTHER_CLASS), days(MONDAY, "2026-03-04")), Err(Refusal::NotEnrolled));
    assert!(asked(&w, Some(OTHER_CLASS), days(MONDAY, "2026-03-05")).is_ok());
}

/// Asks for Ann's leave today and says which sessions a decision about it touches.
fn touched(w: &mut World, class: Option<ClassId>, by_admin: bool) -> Vec<SessionId> {
    let leave = Leave {
        id: LeaveId(1),
        student: ANN,
        class,
        days: days(MONDAY, MONDAY),
        status: RequestStatus::Pending,
    };
    let sessions: Vec<Session> = w.state.sessions.values().cloned().collect();
    let events = decide_leave(&leave, true, by_admin, &sessions, &w.context()).unwrap();
    let taken = |event: &Event| match event {
        Event::Session(id, SessionEvent::LeaveTaken { student: ANN, .. }) => Some(*id),
        _ => None,
    };
    events.iter().filter_map(taken).collect()
}

#[test]
fn granted_leave_excuses_at_once_where_the_state_allows_it() {
    let mut w = World::new();
    let times =
        [("09:00", "10:00"), ("10:00", "11:00"), ("11:00", "12:00"), ("12:00", "13:00"), ("13:00", "14:00")];
    let ids = times.map(|(starts, ends)| w.schedule(CLASS, starts, ends));
    let [open, closed, locked, cancelled, _scheduled] = ids;
    [open, closed, locked].into_iter().for_each(|id| w.open(id).unwrap());
    [closed, locked].into_iter().for_each(|id| w.close(id).unwrap());
    w.lock(locked).unwrap();
    w.cancel(cancelled).unwrap();
    assert_eq!(touched(&mut w, None, false), [open, closed]);
    assert_eq!(touched(&mut w, None, true), [open, closed, locked]);
}

#[test]
fn leave_from_one_class_touches_no_other_and_nobodys_but_the_students_own() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let other = w.schedule(OTHER_CLASS, "09:00", "10:00");
    w.open(other).unwrap();
    assert_eq!(touched(&mut w, Some(OTHER_CLASS), false), []);
    assert_eq!(touched(&mut w, None, false), [s]);
    w.enrol(OTHER_CLASS, ANN, Days::ALWAYS);
    assert_eq!(touched(&mut w, Some(OTHER_CLASS), false), [other]);
    w.grant_leave(ANN, days(MONDAY, MONDAY));
    assert_eq!(touched(&mut w, None, false), []);
}

#[test]
fn a_request_is_decided_once_and_a_refusal_excuses_nobody() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.append(asked(&w, None, days(MONDAY, MONDAY)).unwrap());
    let leave = w.state.office.leaves[&LeaveId(1)].clone();
    let events = decide_leave(&leave, false, true, [w.session(s)], &w.context()).unwrap();
    w.append_all(events);
    assert_eq!(w.shown(s, ANN), "nothing");
    let decided = w.state.office.leaves[&LeaveId(1)].clone();
    assert_eq!(decided.status, RequestStatus::Rejected);
    for approve in [true, false] {
        let again = decide_leave(&decided, approve, true, [w.session(s)], &w.context());
        assert_eq!(again, Err(Refusal::AlreadyDecided));
    }
    w.at("10:00").close(s).unwrap();
    assert_eq!(w.shown(s, ANN), "absent auto");
}

fn closed(w: &mut World) -> SessionId {
    let s = w.open_class(CLASS);
    w.at("10:00").close(s).unwrap();
    s
}

fn correction(w: &World, s: SessionId, student: StudentId) -> Result<Event, Refusal> {
    let id = CorrectionId(w.state.next_number(CorrectionId::PREFIX));
    let known = w.state.office.corrections.values();
    ask_correction(w.session(s), &w.context(), id, (student, Mark::Present), known)
}

#[test]
fn a_correction_is_asked_for_once_while_the_first_waits() {
    let mut w = World::new();
    let s = closed(&mut w);
    w.append(correction(&w, s, ANN).unwrap());
    assert_eq!(correction(&w, s, ANN), Err(Refusal::AlreadyAsked));
    assert!(correction(&w, s, BEN).is_ok());
    let first = w.state.office.corrections[&CorrectionId(1)].clone();
    let events = decide_correction(w.session(s), &w.context(), &first, false, false).unwrap();
    w.append_all(events);
    assert_eq!(w.shown(s, ANN), "absent auto");
    assert!(correction(&w, s, ANN).is_ok());
}

#[test]
fn a_correction_is_for_a_session_that_is_over_and_for_who_was_expected() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    assert_eq!(correction(&w, s, ANN), Err(Refusal::WrongState(SessionStatus::Open)));
    w.at("10:00").close(s).unwrap();
    assert_eq!(correction(&w, s, CAT), Err(Refusal::NotEnrolled));
}

#[test]
fn a_correction_is_decided_once_and_in_a_locked_session_granted_by_the_office_alone() {
    let mut w = World::new();
    let s = closed(&mut w);
    w.append(correction(&w, s, ANN).unwrap());
    w.lock(s).unwrap();
    let asked = w.state.office.corrections[&CorrectionId(1)].clone();
    let decide = |w: &World, approve, by_admin| {
        decide_correction(w.session(s), &w.context(), &asked, approve, by_admin)
    };
    assert_eq!(decide(&w, true, false), Err(Refusal::SessionLocked));
    let events = decide(&w, true, true).unwrap();
    w.append_all(events);
    assert_eq!(w.shown(s, ANN), "present correction 10:00");
    let decided = w.state.office.corrections[&CorrectionId(1)].clone();
    let again = decide_correction(w.session(s), &w.context(), &decided, false, true);
    assert_eq!(again, Err(Refusal::AlreadyDecided));
}

fn self_mark(w: &World, s: SessionId, student: StudentId) -> Result<Event, Refusal> {
    let id = SelfMarkId(w.state.next_number(SelfMarkId::PREFIX));
    ask_self_mark(w.session(s), &w.context(), id, student, w.state.office.self_marks.values())
}

fn marking_oneself_allowed() -> World {
    let mut w = World::new();
    w.policy.self_marking = true;
    w
}

#[test]
fn nobody_marks_themselves_where_that_is_switched_off() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    assert_eq!(self_mark(&w, s, ANN), Err(Refusal::SelfMarkingOff));
}

#[test]
fn one_asks_to_be_marked_while_the_session_is_open_and_once() {
    let mut w = marking_oneself_allowed();
    let s = w.schedule(CLASS, "09:00", "10:00");
    assert_eq!(self_mark(&w, s, ANN), Err(Refusal::SessionNotOpen(SessionStatus::Scheduled)));
    w.at("09:00").open(s).unwrap();
    assert_eq!(self_mark(&w, s, CAT), Err(Refusal::NotEnrolled));
    w.append(self_mark(&w, s, ANN).unwrap());
    assert_eq!(self_mark(&w, s, ANN), Err(Refusal::AlreadyAsked));
    assert!(self_mark(&w, s, BEN).is_ok());
    w.at("10:00").close(s).unwrap();
    assert_eq!(self_mark(&w, s, BEN), Err(Refusal::SessionNotOpen(SessionStatus::Closed)));
}

#[test]
fn who_is_marked_already_need_not_ask_but_who_is_absent_may() {
    let mut w = marking_oneself_allowed();
    let s = w.open_class(CLASS);
    w.at("09:01").scan("room", "S1");
    assert_eq!(self_mark(&w, s, ANN), Err(Refusal::AlreadyMarked("present")));
    w.mark(s, BEN, Mark::Absent).unwrap();
    assert!(self_mark(&w, s, BEN).is_ok());
}

/// Ann asked at 09:03.
fn waiting(w: &mut World) -> (SessionId, SelfMark) {
    let s = w.open_class(CLASS);
    w.at("09:03");
    w.append(self_mark(w, s, ANN).unwrap());
    (s, w.state.office.self_marks[&SelfMarkId(1)].clone())
}

#[test]
fn a_granted_self_mark_counts_from_when_it_was_asked_for() {
    let mut w = marking_oneself_allowed();
    let (s, asked) = waiting(&mut w);
    assert_eq!(w.shown(s, ANN), "nothing");
    w.at("10:00").close(s).unwrap();
    w.at("11:00");
    w.append_all(decide_self_mark(w.session(s), &asked, true, false).unwrap());
    assert_eq!(w.shown(s, ANN), "present self 09:03");
    let decided = w.state.office.self_marks[&SelfMarkId(1)].clone();
    assert_eq!(decided.status, RequestStatus::Approved);
    assert_eq!(decide_self_mark(w.session(s), &decided, true, false), Err(Refusal::AlreadyDecided));
}

#[test]
fn a_refused_self_mark_marks_nobody_and_one_may_ask_again() {
    let mut w = marking_oneself_allowed();
    let (s, asked) = waiting(&mut w);
    w.append_all(decide_self_mark(w.session(s), &asked, false, false).unwrap());
    assert_eq!(w.shown(s, ANN), "nothing");
    assert!(self_mark(&w, s, ANN).is_ok());
}

#[test]
fn in_a_locked_session_the_office_alone_grants_a_self_mark() {
    let mut w = marking_oneself_allowed();
    let (s, asked) = waiting(&mut w);
    w.at("10:00").close(s).unwrap();
    w.lock(s).unwrap();
    assert_eq!(decide_self_mark(w.session(s), &asked, true, false), Err(Refusal::SessionLocked));
    assert!(decide_self_mark(w.session(s), &asked, true, true).is_ok());
    // Saying no changes nothing in the session.
    assert!(decide_self_mark(w.session(s), &asked, false, false).is_ok());
}

#[test]
fn leave_from_a_class_may_reach_beyond_the_days_the_student_is_of_it() {
    let mut w = World::new();
    w.enrol(OTHER_CLASS, ANN, Days::new(day("2026-03-03"), day("2026-03-04")));
    let week = Days::new(day("2026-03-02"), day("2026-03-06"));
    assert!(ask_leave(&w.context(), LeaveId(1), ANN, Some(OTHER_CLASS), week).is_ok());
    let before = Days::new(day("2026-02-02"), day("2026-03-02"));
    assert!(ask_leave(&w.context(), LeaveId(1), ANN, Some(OTHER_CLASS), before).is_err());
}
