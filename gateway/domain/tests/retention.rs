//! What is too old is forgotten, and everything else stays as it was.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a set-up that breaks should fail loudly")]

mod common;

use common::*;
use rollcall_domain::event::{Event, RetentionEvent};
use rollcall_domain::ids::{ClassId, SessionId, StudentId};
use rollcall_domain::moment::Moment;
use rollcall_domain::roster::Days;
use rollcall_domain::scan::Outcome;

fn forget(w: &mut World, before: Moment) {
    w.append(Event::Retention(RetentionEvent::Records { before }));
}

fn held(w: &World, student: StudentId, class: ClassId) -> u64 {
    w.state.tally(student, class, Days::ALWAYS).held()
}

#[test]
fn meetings_that_ended_before_it_are_gone_from_every_list_but_open_ones() {
    let mut w = World::new();
    let closed = w.open_class(CLASS);
    w.at("09:01").scan("room", "S1");
    w.at("10:00").close(closed).unwrap();
    let open = w.open_class(OTHER_CLASS);
    let later = w.at("10:00").schedule(CLASS, "11:00", "12:00");
    assert_eq!(held(&w, ANN, CLASS), 1);
    let campus = w.state.campus.clone();
    let before = w.time("10:01");
    forget(&mut w, before);
    assert_eq!(w.state.sessions.keys().copied().collect::<Vec<_>>(), [open, later]);
    assert_eq!((held(&w, ANN, CLASS), w.state.sessions_of(CLASS).count()), (0, 1));
    assert!(w.state.meetings_around(w.time("09:00")).all(|meeting| meeting.id != closed));
    // Nothing else is, and no number is given twice.
    assert_eq!(w.state.campus, campus);
    assert!(w.state.next_number(SessionId::PREFIX) > later.0);
}

#[test]
fn what_is_said_of_a_forgotten_meeting_changes_nothing() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("10:00").close(s).unwrap();
    let deleted = rollcall_domain::event::SessionEvent::RecordDeleted { student: ANN };
    let before = w.time("10:01");
    forget(&mut w, before);
    let sessions = w.state.sessions.clone();
    w.session_event(s, deleted);
    assert_eq!(w.state.sessions, sessions);
}

#[test]
fn unmatched_scans_received_before_it_are_gone() {
    let mut w = World::new();
    assert!(matches!(w.at("09:02").scan("room", "who"), Outcome::Unmatched(_)));
    assert!(matches!(w.at("09:03").scan("room", "who else"), Outcome::Unmatched(_)));
    let (before, kept) = (w.time("09:03"), w.state.last);
    forget(&mut w, before);
    assert_eq!(w.state.unmatched.keys().copied().collect::<Vec<_>>(), [kept]);
}

#[test]
fn a_scan_whose_entry_is_forgotten_counts_as_new_and_is_then_known_again() {
    let mut w = World::new();
    w.at("09:02").scan("room", "who");
    let first = w.log.last().unwrap().clone();
    let key = *w.state.scans.keys().next().unwrap();
    assert_eq!(w.state.scan(key), Some(first.seq));
    w.append(Event::Retention(RetentionEvent::Entries { to: first.seq }));
    assert_eq!(w.state.scan(key), None);
    w.append(first.event);
    let again = w.state.last;
    w.append(w.log.last().unwrap().event.clone());
    assert_eq!(w.state.scan(key), Some(again));
}
