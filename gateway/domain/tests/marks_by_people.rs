//! Marks by people: when they need a reason, what is stored, and what is listed as a disagreement.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a set-up that breaks should fail loudly")]

mod common;

use common::*;
use rollcall_domain::Refusal;
use rollcall_domain::decide::marking::{
    Keep, Office, Upload, Uploaded, Wish, bulk_mark, delete, mark, resolve, upload,
};
use rollcall_domain::event::SessionEvent;
use rollcall_domain::ids::{SessionId, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::Moment;
use rollcall_domain::roster::Days;
use rollcall_domain::session::SessionStatus;

const TEACHER: Office = Office { by_admin: false, with_reason: false };
const ADMIN: Office = Office { by_admin: true, with_reason: false };
const ADMIN_SAYS_WHY: Office = Office { by_admin: true, with_reason: true };

fn offline(student: StudentId, mark: Mark, captured_at: Moment) -> Upload {
    Upload { student, mark, captured_at, dedup: None, with_reason: false, by_admin: false }
}

/// Ann came at 09:01, Ben did not; closed at 09:30.
fn closed(w: &mut World) -> SessionId {
    let s = w.open_class(CLASS);
    w.at("09:01").scan("room", "S1");
    w.at("09:30").close(s).unwrap();
    w.at("12:00");
    s
}

fn locked(w: &mut World) -> SessionId {
    let s = closed(w);
    w.lock(s).unwrap();
    s
}

#[test]
fn an_upload_decided_after_closing_overrules_a_device_only_with_a_reason() {
    let mut w = World::new();
    let s = closed(&mut w);
    let late = offline(ANN, Mark::Absent, w.time("09:30:01"));
    assert_eq!(upload(w.session(s), &w.context(), &late), Err(Refusal::ReasonNeeded));
    let said_why = Upload { with_reason: true, ..late };
    assert!(matches!(upload(w.session(s), &w.context(), &said_why), Ok(Uploaded::Conflict(_))));
    let in_time = offline(ANN, Mark::Absent, w.time("09:30"));
    assert!(matches!(upload(w.session(s), &w.context(), &in_time), Ok(Uploaded::Conflict(_))));
}

#[test]
fn an_upload_decided_after_closing_changes_an_automatic_absence_without_a_reason() {
    let mut w = World::new();
    let s = closed(&mut w);
    let decided = w.time("09:45");
    assert_eq!(w.upload(s, BEN, Mark::Permission, decided), Ok("applied"));
    assert_eq!(w.shown(s, BEN), "permission manual 09:45");
}

#[test]
fn an_upload_from_the_future_counts_as_made_now() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let ahead = w.at("09:10").time("09:50");
    w.upload(s, ANN, Mark::Present, ahead).unwrap();
    assert_eq!(w.shown(s, ANN), "present manual 09:10");
}

#[test]
fn an_upload_to_a_locked_session_is_an_admins_with_a_reason_also_if_made_in_time() {
    let mut w = World::new();
    let s = locked(&mut w);
    let teachers = Upload { with_reason: true, ..offline(BEN, Mark::Present, w.time("09:10")) };
    assert_eq!(upload(w.session(s), &w.context(), &teachers), Err(Refusal::SessionLocked));
    let bare = Upload { by_admin: true, with_reason: false, ..teachers };
    assert_eq!(upload(w.session(s), &w.context(), &bare), Err(Refusal::ReasonNeeded));
    let said_why = Upload { with_reason: true, ..bare };
    assert!(matches!(upload(w.session(s), &w.context(), &said_why), Ok(Uploaded::Applied(_))));
}

#[test]
fn an_upload_to_a_session_that_never_opened_or_for_a_stranger_is_refused() {
    let mut w = World::new();
    let s = w.schedule(CLASS, "09:00", "10:00");
    let decided = w.time("09:10");
    let refused = w.at("09:20").upload(s, ANN, Mark::Present, decided);
    assert_eq!(refused, Err(Refusal::SessionNotOpen(SessionStatus::Scheduled)));
    w.open(s).unwrap();
    assert_eq!(w.upload(s, CAT, Mark::Present, decided), Err(Refusal::NotEnrolled));
}

#[test]
fn taking_the_other_side_in_a_locked_session_needs_an_admin_and_a_reason() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:01").mark(s, ANN, Mark::Absent).unwrap();
    w.at("09:02").scan("room", "S1");
    w.at("10:00").close(s).unwrap();
    w.lock(s).unwrap();
    let answer = |keep, office: &Office| resolve(w.session(s), &w.context(), (ANN, keep), office);
    assert_eq!(answer(Keep::Incoming, &TEACHER), Err(Refusal::SessionLocked));
    assert_eq!(answer(Keep::Existing, &TEACHER), Err(Refusal::SessionLocked));
    assert_eq!(answer(Keep::Incoming, &ADMIN), Err(Refusal::ReasonNeeded));
    // Keeping what stands changes nothing.
    assert_eq!(answer(Keep::Existing, &ADMIN), Ok(SessionEvent::ConflictSettled { student: ANN }));
    let event = answer(Keep::Incoming, &ADMIN_SAYS_WHY).unwrap();
    w.session_event(s, event);
    assert_eq!(w.shown(s, ANN), "present manual 10:00");
}

#[test]
fn what_nobody_disputes_cannot_be_resolved() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let answer = |w: &World| resolve(w.session(s), &w.context(), (ANN, Keep::Existing), &TEACHER);
    assert_eq!(answer(&w), Err(Refusal::NoRecord));
    w.at("09:01").scan("room", "S1");
    assert_eq!(answer(&w), Err(Refusal::NoConflict));
}

#[test]
fn deleting_from_a_locked_session_needs_a_reason() {
    let mut w = World::new();
    let s = closed(&mut w);
    assert_eq!(delete(w.session(s), CAT, true), Err(Refusal::NoRecord));
    assert!(delete(w.session(s), ANN, false).is_ok());
    w.lock(s).unwrap();
    assert_eq!(delete(w.session(s), ANN, false), Err(Refusal::ReasonNeeded));
    assert_eq!(delete(w.session(s), ANN, true), Ok(SessionEvent::RecordDeleted { student: ANN }));
}

#[test]
fn who_is_scanned_again_after_a_deletion_is_marked_anew_and_the_version_grows() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:01").scan("room", "S1");
    w.delete(s, ANN).unwrap();
    assert_eq!((w.shown(s, ANN).as_str(), w.version(s, ANN)), ("nothing", 2));
    w.at("09:20").scan("room", "S1");
    assert_eq!((w.shown(s, ANN).as_str(), w.version(s, ANN)), ("late biometric 09:20", 3));
}

#[test]
fn who_has_no_mark_in_a_session_that_is_over_is_marked_by_the_office_with_a_reason() {
    for lock in [false, true] {
        let mut w = World::new();
        let s = closed(&mut w);
        w.enrol(CLASS, CAT, Days::ALWAYS);
        if lock {
            w.lock(s).unwrap();
        }
        let teacher = Wish { with_reason: true, ..wish(CAT, Mark::Present) };
        let status = w.status(s);
        assert_eq!(w.mark_as(s, teacher), Err(Refusal::SessionNotOpen(status)));
        let admin = Wish { by_admin: true, ..wish(CAT, Mark::Present) };
        assert_eq!(w.mark_as(s, admin), Err(Refusal::ReasonNeeded));
        w.mark_as(s, Wish { with_reason: true, ..admin }).unwrap();
        assert_eq!(w.shown(s, CAT), "present manual 12:00");
    }
}

#[test]
fn a_note_alone_is_stored_and_changes_no_mark() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:10").mark(s, ANN, Mark::Late).unwrap();
    let same = wish(ANN, Mark::Late);
    let noted = Ok(Some(SessionEvent::Noted { student: ANN }));
    assert_eq!(mark(w.session(s), &w.context(), &same), Ok(None));
    assert_eq!(mark(w.session(s), &w.context(), &Wish { with_note: true, ..same }), noted);
    assert_eq!(mark(w.session(s), &w.context(), &Wish { with_reason: true, ..same }), noted);
    w.at("09:20").mark_as(s, Wish { with_note: true, ..same }).unwrap();
    assert_eq!((w.shown(s, ANN).as_str(), w.version(s, ANN)), ("late manual 09:10", 1));
}

#[test]
fn confirming_what_a_device_said_makes_it_a_persons_mark() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:01").scan("room", "S1");
    w.at("09:10").mark(s, ANN, Mark::Present).unwrap();
    assert_eq!(w.shown(s, ANN), "present manual 09:10");
}

#[test]
fn of_many_wishes_each_is_answered_and_the_last_for_a_student_is_carried_out() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:10");
    let wishes =
        [wish(ANN, Mark::Absent), wish(CAT, Mark::Present), wish(BEN, Mark::Late), wish(ANN, Mark::Present)];
    let answers = bulk_mark(w.session(s), &w.context(), &wishes);
    let students: Vec<StudentId> = answers.iter().map(|(student, _)| *student).collect();
    assert_eq!(students, [ANN, CAT, BEN, ANN]);
    assert_eq!(answers[0].1, Ok(None));
    assert_eq!(answers[1].1, Err(Refusal::NotEnrolled));
    let events: Vec<SessionEvent> =
        answers.into_iter().filter_map(|(_, answer)| answer.ok().flatten()).collect();
    assert_eq!(events.len(), 2);
    events.into_iter().for_each(|event| w.session_event(s, event));
    assert_eq!(
        (w.shown(s, ANN), w.shown(s, BEN)),
        ("present manual 09:10".into(), "late manual 09:10".into())
    );
    assert_eq!(w.version(s, ANN), 1);
}

#[test]
fn leave_granted_after_a_persons_mark_is_listed_and_before_it_is_not() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let days = Days::new(day("2026-03-02"), day("2026-03-02"));
    w.at("09:05").mark(s, ANN, Mark::Absent).unwrap();
    w.at("09:10").grant_leave(ANN, days);
    assert_eq!(w.shown(s, ANN), "absent manual 09:05 !excused leave");
    w.grant_leave(BEN, days);
    w.at("09:15").mark(s, BEN, Mark::Absent).unwrap();
    assert_eq!(w.shown(s, BEN), "absent manual 09:15");
}

#[test]
fn a_scan_after_a_persons_mark_is_listed_until_it_is_settled_and_another_is_listed_again() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:05").mark(s, ANN, Mark::Absent).unwrap();
    w.at("09:20").scan("room", "S1");
    assert_eq!(w.shown(s, ANN), "absent manual 09:05 !late biometric");
    let settled = resolve(w.session(s), &w.context(), (ANN, Keep::Existing), &TEACHER).unwrap();
    w.session_event(s, settled);
    assert_eq!(w.shown(s, ANN), "absent manual 09:05");
    let early = w.time("09:02");
    w.at("09:30").scan_made("room", "S1", early, None);
    assert_eq!(w.shown(s, ANN), "absent manual 09:05 !present biometric");
}

#[test]
fn checking_out_early_after_a_persons_mark_is_listed() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:00").scan("room", "S1");
    w.at("09:02").mark(s, ANN, Mark::Present).unwrap();
    w.at("09:05").scan_out("room", "S1");
    assert_eq!(w.shown(s, ANN), "present manual 09:02 !absent biometric");
}

#[test]
fn of_what_disagrees_the_strongest_is_listed() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:05").mark(s, ANN, Mark::Absent).unwrap();
    w.at("09:06").tap(s, ANN).ok();
    w.grant_leave(ANN, Days::new(day("2026-03-02"), day("2026-03-02")));
    assert_eq!(w.shown(s, ANN), "absent manual 09:05 !excused leave");
    let decided = w.time("09:01");
    w.upload(s, ANN, Mark::Permission, decided).unwrap();
    assert_eq!(w.shown(s, ANN), "absent manual 09:05 !permission manual");
}

#[test]
fn writing_what_stands_settles_what_disagrees_with_it() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:01").mark(s, ANN, Mark::Absent).unwrap();
    w.at("09:02").scan("room", "S1");
    assert_eq!(w.shown(s, ANN), "absent manual 09:01 !present biometric");
    w.at("09:03").mark(s, ANN, Mark::Absent).unwrap();
    assert_eq!(w.shown(s, ANN), "absent manual 09:01");
}
