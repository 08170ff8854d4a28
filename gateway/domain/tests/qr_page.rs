//! What a tap at the QR page does: for whom it counts, until when, and what makes it worth a look.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a set-up that breaks should fail loudly"
)]

mod common;

use std::collections::BTreeSet;

use common::*;
use rollcall_domain::Refusal;
use rollcall_domain::campus::Item;
use rollcall_domain::code::{Code, KeyKind, PersonKey};
use rollcall_domain::decide::lifecycle::show_qr;
use rollcall_domain::decide::qr::{Visit, stranger, tap};
use rollcall_domain::event::{CampusEvent, Event, QrFlag, SessionEvent};
use rollcall_domain::ids::{SessionId, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_domain::people::{PersonName, Student, StudentDetails};
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::session::SessionStatus;

const NEW: StudentId = StudentId(9);

fn browser(cookie: &str) -> Option<PersonKey> {
    Some(pseudonyms().key(KeyKind::Code, cookie))
}

fn visit(w: &World, cookie: &str) -> Visit {
    Visit { captured_at: w.now, browser: browser(cookie), flags: BTreeSet::from([QrFlag::NotSignedIn]) }
}

/// Taps now from a browser, and says with which flags that was stored.
fn flags_of(w: &mut World, s: SessionId, student: StudentId, cookie: &str) -> BTreeSet<QrFlag> {
    let visit = visit(w, cookie);
    let event = tap(w.session(s), &w.context(), student, visit).event.unwrap();
    w.session_event(s, event.clone());
    match event {
        SessionEvent::MarkedByQr { flags, .. } => flags,
        other => panic!("not a tap: {other:?}"),
    }
}

#[test]
fn a_slow_sign_in_still_counts_from_when_the_page_was_asked_for() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("10:00").close(s).unwrap();
    let asked = w.time("09:04");
    assert_eq!(w.at("10:01").tap_asked_at(s, ANN, asked), Ok(Mark::Present));
    assert_eq!(w.shown(s, ANN), "present qr 09:04");
    let moment_of_closing = w.time("10:00");
    assert_eq!(w.tap_asked_at(s, BEN, moment_of_closing), Ok(Mark::Late));
}

#[test]
fn a_page_asked_for_after_closing_marks_nobody() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("10:00").close(s).unwrap();
    assert_eq!(w.at("10:01").tap(s, ANN), Err(Refusal::SessionNotOpen(SessionStatus::Closed)));
    let before_opening = w.time("08:54");
    assert!(w.tap_asked_at(s, ANN, before_opening).is_err());
    assert_eq!(w.shown(s, ANN), "absent auto");
}

#[test]
fn a_slow_sign_in_is_too_slow_once_the_session_is_locked() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("10:00").close(s).unwrap();
    w.lock(s).unwrap();
    let asked = w.time("09:04");
    assert_eq!(w.tap_asked_at(s, ANN, asked), Err(Refusal::SessionLocked));
}

#[test]
fn a_tap_by_somebody_of_another_class_is_refused() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    assert_eq!(w.tap(s, CAT), Err(Refusal::NotEnrolled));
    assert_eq!(w.shown(s, CAT), "nothing");
}

#[test]
fn asked_again_the_running_period_is_shown_and_nothing_is_written() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let (period, started) = show_qr(w.session(s), &w.context()).unwrap();
    w.session_event(s, started.unwrap());
    // Also when settings have changed in the meantime.
    w.policy.qr_rotate_seconds = 30;
    w.at("09:04:59");
    assert_eq!(show_qr(w.session(s), &w.context()), Ok((period, None)));
    w.at("09:05");
    let (next, started) = show_qr(w.session(s), &w.context()).unwrap();
    assert!(started.is_some());
    assert_eq!((next.from, next.until, next.rotate_seconds), (w.now, w.time("09:15"), 30));
}

#[test]
fn a_session_that_is_not_open_shows_no_code() {
    let mut w = World::new();
    let s = w.schedule(CLASS, "09:00", "10:00");
    assert_eq!(show_qr(w.session(s), &w.context()), Err(Refusal::WrongState(SessionStatus::Scheduled)));
}

#[test]
fn a_browser_that_marks_a_second_student_is_flagged() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let plain = BTreeSet::from([QrFlag::NotSignedIn]);
    assert_eq!(flags_of(&mut w, s, ANN, "one"), plain);
    assert_eq!(flags_of(&mut w, s, BEN, "one"), BTreeSet::from([QrFlag::NotSignedIn, QrFlag::SameBrowser]));
    // Flagged, and marked all the same.
    assert_eq!(w.shown(s, BEN), "present qr 08:55");
}

#[test]
fn a_second_browser_and_a_second_session_are_not_flagged() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let plain = BTreeSet::from([QrFlag::NotSignedIn]);
    flags_of(&mut w, s, ANN, "one");
    assert_eq!(flags_of(&mut w, s, BEN, "two"), plain);
    let other = w.schedule(OTHER_CLASS, "09:00", "10:00");
    w.open(other).unwrap();
    assert_eq!(flags_of(&mut w, other, CAT, "one"), plain);
}

#[test]
fn a_browser_may_mark_its_own_student_again_also_after_another() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    flags_of(&mut w, s, ANN, "one");
    flags_of(&mut w, s, BEN, "one");
    w.at("09:01").mark(s, ANN, Mark::Absent).unwrap();
    // An earlier page of the same browser, which disagrees with the person and is therefore kept.
    let earlier = Visit { captured_at: w.time("08:50"), ..visit(&w, "one") };
    let event = tap(w.session(s), &w.context(), ANN, earlier).event.unwrap();
    let SessionEvent::MarkedByQr { flags, .. } = event else { panic!("{event:?}") };
    assert!(!flags.contains(&QrFlag::SameBrowser));
}

fn new_student() -> Student {
    let details = StudentDetails {
        code: Code::parse("S9").unwrap(),
        name: PersonName::from_whole("Dee Newcome").unwrap(),
        email: None,
        phone: None,
        cards: vec![],
    };
    Student::new(NEW, &details, &pseudonyms())
}

#[test]
fn a_stranger_is_listed_for_the_teacher_until_somebody_settles_it() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:02");
    let events = stranger(w.session(s), &w.context(), new_student(), visit(&w, "one")).unwrap();
    w.append_all(events);
    let seen: Vec<_> = w.session(s).meeting.strangers.clone().into_iter().collect();
    assert_eq!(seen, [(w.state.last, w.now)]);
    assert!(!w.state.campus.students.contains_key(&NEW));
    assert!(w.session(s).records.is_empty());
    w.session_event(s, SessionEvent::StrangerSettled { stranger: seen[0].0 });
    assert!(w.session(s).meeting.strangers.is_empty());
}

#[test]
fn a_stranger_is_taken_in_from_that_day_on_where_that_is_allowed() {
    let mut w = World::new();
    w.policy.qr_enrol_unknown = true;
    let s = w.open_class(CLASS);
    w.at("09:02");
    let events = stranger(w.session(s), &w.context(), new_student(), visit(&w, "one")).unwrap();
    let days = Days::starting(day("2026-03-02"));
    let link = Link::ClassStudent(CLASS, NEW);
    assert!(events.contains(&Event::Campus(CampusEvent::Joined { link, days })));
    let student = Student { provisional: true, ..new_student() };
    assert!(events.contains(&Event::Campus(CampusEvent::Put(Box::new(Item::Student(student))))));
    let flagged = |event: &Event| {
        matches!(event, Event::Session(_, SessionEvent::MarkedByQr { flags, .. })
            if flags.contains(&QrFlag::NewPerson) && flags.contains(&QrFlag::NotSignedIn))
    };
    assert!(events.iter().any(flagged));
    w.append_all(events);
    assert_eq!(w.shown(s, NEW), "present qr 09:02");
    assert!(!w.state.campus.rosters.attends(CLASS, NEW, day("2026-03-01")));
    assert!(w.state.campus.rosters.attends(CLASS, NEW, day("2026-03-03")));
    assert!(w.session(s).meeting.strangers.is_empty());
}

#[test]
fn a_stranger_finds_no_session_that_is_not_open() {
    let mut w = World::new();
    for enrol in [false, true] {
        w.policy.qr_enrol_unknown = enrol;
        let s = w.at("08:00").schedule(if enrol { CLASS } else { OTHER_CLASS }, "09:00", "10:00");
        let refused = stranger(w.session(s), &w.context(), new_student(), visit(&w, "one"));
        assert_eq!(refused, Err(Refusal::SessionNotOpen(SessionStatus::Scheduled)));
    }
}

#[test]
fn a_stranger_at_a_browser_that_marked_somebody_is_flagged() {
    let mut w = World::new();
    w.policy.qr_enrol_unknown = true;
    let s = w.open_class(CLASS);
    flags_of(&mut w, s, ANN, "one");
    let details = StudentDetails {
        code: Code::parse("S9").unwrap(),
        name: PersonName::from_whole("New Person").unwrap(),
        email: None,
        phone: None,
        cards: vec![],
    };
    let new = Student::new(NEW, &details, &pseudonyms());
    let events = stranger(w.session(s), &w.context(), new, visit(&w, "one")).unwrap();
    let Some(Event::Session(_, SessionEvent::MarkedByQr { flags, .. })) = events.last() else {
        panic!("not marked")
    };
    assert!(flags.contains(&QrFlag::SameBrowser) && flags.contains(&QrFlag::NewPerson));
}

#[test]
fn a_tap_asked_for_before_a_device_saw_the_student_gives_the_time() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:04").scan("room", "S1");
    let asked = Visit { captured_at: w.time("09:02"), ..visit(&w, "one") };
    let answer = tap(w.session(s), &w.context(), ANN, asked);
    w.session_event(s, answer.event.unwrap());
    assert_eq!(w.shown(s, ANN), "present qr 09:02");
}
