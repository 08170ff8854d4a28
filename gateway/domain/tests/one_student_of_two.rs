//! Two students who turn out to be one keep everything of both; one who is erased is found no more.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a set-up that breaks should fail loudly")]

mod common;

use std::collections::BTreeSet;

use common::*;
use rollcall_domain::Refusal;
use rollcall_domain::campus::{Item, ItemId};
use rollcall_domain::code::{Code, KeyKind};
use rollcall_domain::decide::requests::ask_correction;
use rollcall_domain::event::{CampusEvent, Event, RequestEvent, SessionEvent};
use rollcall_domain::ids::*;
use rollcall_domain::mark::Mark;
use rollcall_domain::people::{Person, PersonName, Role, StudentDetails, User};
use rollcall_domain::requests::{RequestStatus, SelfMark};
use rollcall_domain::roster::Days;
use rollcall_domain::scan::{Claim, Outcome, Unmatched};

/// Ann under another number, with a card; enrolled in CLASS too.
const TWIN: StudentId = StudentId(7);

fn with_twin() -> World {
    let mut w = World::new();
    w.add_student(TWIN, "S7", &["C7"]);
    w.enrol(CLASS, TWIN, Days::ALWAYS);
    w
}

fn today() -> Days {
    Days::new(day("2026-03-02"), day("2026-03-02"))
}

fn details(code: &str, cards: &[&str]) -> StudentDetails {
    StudentDetails {
        code: Code::parse(code).unwrap(),
        name: PersonName::from_whole("A Student").unwrap(),
        email: None,
        phone: None,
        cards: cards.iter().map(|card| (*card).to_owned()).collect(),
    }
}

fn key(text: &str) -> rollcall_domain::code::PersonKey {
    Claim::of(text, &pseudonyms()).key(KeyKind::DevicePerson)
}

fn user(student: StudentId) -> User {
    User {
        id: UserId(1),
        username: pseudonyms().key(KeyKind::Username, "u"),
        role: Role::Student,
        teacher: None,
        student: Some(student),
        permissions: BTreeSet::new(),
        active: true,
    }
}

#[test]
fn the_earlier_of_two_arrivals_counts_and_the_old_record_is_emptied() {
    let mut w = with_twin();
    let s = w.open_class(CLASS);
    w.at("09:02").scan("room", "S7");
    w.at("09:20").scan("room", "S1");
    assert_eq!(w.shown(s, ANN), "late biometric 09:20");
    w.merge(TWIN, ANN).unwrap();
    assert_eq!((w.shown(s, ANN).as_str(), w.version(s, ANN)), ("present biometric 09:02", 2));
    assert_eq!((w.shown(s, TWIN).as_str(), w.version(s, TWIN)), ("nothing", 2));
}

#[test]
fn who_had_no_record_takes_over_the_whole_of_the_others() {
    let mut w = with_twin();
    let s = w.open_class(CLASS);
    w.at("09:00").scan("room", "S7");
    w.at("09:04").scan_out("room", "S7");
    w.merge(TWIN, ANN).unwrap();
    assert_eq!(w.shown(s, ANN), "absent biometric 09:00 left_early");
}

#[test]
fn what_people_and_pages_said_of_either_counts_for_the_one_that_stays() {
    let mut w = with_twin();
    let s = w.open_class(CLASS);
    w.at("09:01").tap(s, TWIN).unwrap();
    w.at("09:20").scan("room", "S1");
    w.merge(TWIN, ANN).unwrap();
    assert_eq!(w.shown(s, ANN), "present qr 09:01");

    let mut w = with_twin();
    let s = w.open_class(CLASS);
    let (captured_at, request) = (w.time("09:01"), SelfMarkId(1));
    w.session_event(s, SessionEvent::MarkedSelf { student: TWIN, captured_at, request });
    w.merge(TWIN, ANN).unwrap();
    assert_eq!(w.shown(s, ANN), "present self 09:01");

    let mut w = with_twin();
    let s = w.open_class(CLASS);
    w.at("09:10").mark(s, TWIN, Mark::Permission).unwrap();
    w.at("09:05").mark(s, ANN, Mark::Absent).unwrap();
    w.merge(TWIN, ANN).unwrap();
    assert!(w.shown(s, ANN).starts_with("permission manual 09:10"), "{}", w.shown(s, ANN));
}

#[test]
fn leave_and_automatic_absence_move_along() {
    let mut w = with_twin();
    let s = w.open_class(CLASS);
    w.grant_leave(TWIN, today());
    w.at("10:00").close(s).unwrap();
    w.merge(TWIN, ANN).unwrap();
    assert_eq!(w.shown(s, ANN), "excused leave");

    let mut w = World::new();
    w.add_student(TWIN, "S7", &[]);
    w.enrol(CLASS, TWIN, Days::ALWAYS);
    let s = w.open_class(CLASS);
    w.at("10:00").close(s).unwrap();
    w.add_student(StudentId(8), "S8", &[]);
    w.merge(TWIN, StudentId(8)).unwrap();
    assert_eq!(w.shown(s, StudentId(8)), "absent auto");
    assert_eq!(w.state.tally(StudentId(8), CLASS, Days::ALWAYS).held(), 1);
    assert_eq!(w.state.tally(TWIN, CLASS, Days::ALWAYS).held(), 0);
}

#[test]
fn the_old_code_card_and_id_number_find_the_one_that_stays() {
    let mut w = with_twin();
    w.merge(TWIN, ANN).unwrap();
    w.open_class(CLASS);
    for number in ["S7", "C7", "7"] {
        let outcome = w.at("09:01").scan("room", number);
        assert!(!matches!(outcome, Outcome::Unmatched(_)), "{number}: {outcome:?}");
    }
    assert!(!w.state.campus.students.contains_key(&TWIN));
    assert_eq!(w.state.campus.people.today(TWIN), ANN);
    assert_eq!(w.state.campus.people.merged_into(ANN), [TWIN]);
}

#[test]
fn the_old_numbers_stay_over_a_second_merge_and_a_change_of_details() {
    let mut w = with_twin();
    w.merge(TWIN, BEN).unwrap();
    w.merge(BEN, ANN).unwrap();
    let edited = w.state.campus.students[&ANN].edited(&details("S1b", &["C1"]), &pseudonyms());
    w.put(Item::Student(edited));
    let found =
        |kind, text: &str| w.state.campus.people.by_number(kind, pseudonyms().key(kind, text)).to_vec();
    for (kind, text) in [
        (KeyKind::Code, "S7"),
        (KeyKind::Number, "7"),
        (KeyKind::Code, "S2"),
        (KeyKind::Number, "2"),
        (KeyKind::Code, "S1b"),
        (KeyKind::Number, "1"),
        (KeyKind::Card, "C1"),
    ] {
        assert_eq!(found(kind, text), [ANN], "{kind:?} {text}");
    }
    assert_eq!(found(KeyKind::Code, "S1"), []);
    assert_eq!(w.state.campus.people.today(TWIN), ANN);
    assert_eq!(w.state.campus.people.merged_into(ANN), [BEN, TWIN]);
}

#[test]
fn a_change_of_details_keeps_what_is_not_among_them() {
    let mut w = World::new();
    let mut ann = w.state.campus.students[&ANN].clone();
    (ann.year, ann.provisional) = (Some(3), true);
    w.put(Item::Student(ann.clone()));
    let edited = ann.edited(&details("S1b", &[]), &pseudonyms());
    assert_eq!((edited.id, edited.year, edited.provisional), (ANN, Some(3), true));
    assert_eq!(edited.number, ann.number);
    assert_ne!(edited.code, ann.code);
}

#[test]
fn sign_ins_mappings_memberships_and_consents_move_along() {
    let mut w = World::new();
    w.add_student(TWIN, "S7", &[]);
    w.enrol(OTHER_CLASS, TWIN, Days::ALWAYS);
    w.put(Item::User(user(TWIN)));
    w.campus(CampusEvent::PersonMapped { device: device("room"), key: key("4711"), student: TWIN });
    w.campus(CampusEvent::ConsentGiven { student: TWIN, given: true });
    w.campus(CampusEvent::TemplateStored { student: TWIN, present: true });
    w.merge(TWIN, ANN).unwrap();
    let state = &w.state;
    assert_eq!(state.campus.users[&UserId(1)].student, Some(ANN));
    assert_eq!(state.campus.people.by_device(&device("room"), key("4711")), Some(ANN));
    assert!(state.campus.rosters.attends(OTHER_CLASS, ANN, day("2026-03-02")));
    assert_eq!(
        (&state.office.consents, &state.office.templates),
        (&BTreeSet::from([ANN]), &BTreeSet::from([ANN]))
    );
}

#[test]
fn requests_that_wait_are_the_ones_of_who_stays() {
    let mut w = with_twin();
    let s = w.open_class(CLASS);
    w.at("10:00").close(s).unwrap();
    let leave = w.grant_leave(TWIN, today());
    let wish = (TWIN, Mark::Present);
    w.append(ask_correction(w.session(s), &w.context(), CorrectionId(1), wish, []).unwrap());
    let record = RecordId { session: s, student: TWIN };
    let (captured_at, status) = (w.now, RequestStatus::Pending);
    let asked = SelfMark { id: SelfMarkId(1), record, captured_at, status };
    w.append(Event::Request(RequestEvent::SelfMarkAsked(asked)));
    w.merge(TWIN, ANN).unwrap();
    assert_eq!(w.state.office.leaves[&leave].student, ANN);
    assert_eq!(w.state.office.corrections[&CorrectionId(1)].record.student, ANN);
    assert_eq!(w.state.office.self_marks[&SelfMarkId(1)].record.student, ANN);
}

#[test]
fn a_merge_with_somebody_unknown_changes_nothing() {
    let mut w = with_twin();
    let s = w.open_class(CLASS);
    w.at("09:01").scan("room", "S1");
    let nobody = StudentId(99);
    let missing = Err(Refusal::Missing(ItemId::Student(nobody)));
    assert_eq!((w.merge(ANN, nobody), w.merge(nobody, ANN)), (missing.clone(), missing));
    let before = w.state.campus.clone();
    for (from, into) in [(ANN, nobody), (nobody, ANN), (ANN, ANN)] {
        w.campus(CampusEvent::Merged { from, into });
    }
    assert_eq!(w.state.campus, before);
    assert_eq!(w.shown(s, ANN), "present biometric 09:01");
}

#[test]
fn a_merge_with_oneself_writes_nothing() {
    let mut w = with_twin();
    let before = w.log.len();
    w.merge(ANN, ANN).unwrap();
    assert_eq!(w.log.len(), before);
}

#[test]
fn a_session_told_to_merge_a_student_with_itself_keeps_the_record() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:01").scan("room", "S1");
    w.session_event(s, SessionEvent::StudentMerged { from: ANN, into: ANN });
    assert_eq!((w.shown(s, ANN).as_str(), w.version(s, ANN)), ("present biometric 09:01", 1));
}

/// Ann with everything by which somebody could be found.
fn known_in_every_way() -> World {
    let mut w = World::new();
    let ann = w.state.campus.students[&ANN].edited(&details("S1", &["C1"]), &pseudonyms());
    w.put(Item::Student(ann));
    w.campus(CampusEvent::PersonMapped { device: device("room"), key: key("4711"), student: ANN });
    w.campus(CampusEvent::ConsentGiven { student: ANN, given: true });
    w.campus(CampusEvent::TemplateStored { student: ANN, present: true });
    w
}

#[test]
fn who_was_erased_is_found_by_nothing_and_belongs_to_nothing() {
    let mut w = known_in_every_way();
    let s = w.open_class(CLASS);
    for number in ["S1", "C1", "1", "4711"] {
        assert!(!matches!(w.at("09:01").scan("room", number), Outcome::Unmatched(_)), "{number}");
    }
    w.append(Event::Erased(Person::Student(ANN)));
    for number in ["S1", "C1", "1", "4711"] {
        let outcome = w.at("09:02").scan("room", number);
        assert_eq!(outcome, Outcome::Unmatched(Unmatched::UnknownStudent), "{number}");
    }
    let state = &w.state;
    assert!(!state.campus.students.contains_key(&ANN));
    assert_eq!(state.campus.people.by_device(&device("room"), key("4711")), None);
    assert_eq!(state.campus.rosters.on(CLASS, day("2026-03-02")), BTreeSet::from([BEN]));
    assert!(state.office.consents.is_empty() && state.office.templates.is_empty());
    // The mark stays, under an id that means nobody.
    assert_eq!(w.shown(s, ANN), "present biometric 09:01");
}

#[test]
fn the_number_of_who_was_erased_is_free_and_the_id_is_not_given_again() {
    let mut w = known_in_every_way();
    let next = w.state.next_number(StudentId::PREFIX);
    w.append(Event::Erased(Person::Student(CAT)));
    assert_eq!(w.state.next_number(StudentId::PREFIX), next);
    w.append(Event::Erased(Person::Student(ANN)));
    w.add_student(TWIN, "S1", &["C1"]);
    w.enrol(CLASS, TWIN, Days::ALWAYS);
    let s = w.open_class(CLASS);
    w.at("09:01").scan("room", "C1");
    assert_eq!(w.shown(s, TWIN), "present biometric 09:01");
}

#[test]
fn a_teacher_and_a_user_who_were_erased_are_gone_and_nobody_else() {
    let mut w = World::new();
    w.put(Item::User(user(ANN)));
    w.append(Event::Erased(Person::User(UserId(1))));
    assert!(w.state.campus.users.is_empty());
    assert!(w.state.campus.students.contains_key(&ANN));
    w.append(Event::Erased(Person::Teacher(TeacherId(1))));
    assert!(w.state.campus.teachers.is_empty());
}

#[test]
fn a_consent_that_is_taken_back_and_a_template_that_is_deleted_are_gone() {
    let mut w = known_in_every_way();
    w.campus(CampusEvent::ConsentGiven { student: ANN, given: false });
    assert!(w.state.office.consents.is_empty() && w.state.office.templates.contains(&ANN));
    w.campus(CampusEvent::TemplateStored { student: ANN, present: false });
    assert!(w.state.office.templates.is_empty());
}

#[test]
fn a_merge_opens_what_disagrees_between_the_two() {
    let mut w = with_twin();
    let s = w.open_class(CLASS);
    w.at("09:20").scan("room", "S1");
    w.at("09:30").mark(s, TWIN, Mark::Absent).unwrap();
    w.merge(TWIN, ANN).unwrap();
    assert_eq!(w.shown(s, ANN), "absent manual 09:30 !late biometric");
}

#[test]
fn the_card_of_who_was_merged_is_known_after_the_details_are_edited() {
    let mut w = with_twin();
    w.merge(TWIN, ANN).unwrap();
    let edited = w.state.campus.students[&ANN].edited(&details("S1", &["C1"]), &pseudonyms());
    w.put(Item::Student(edited));
    let s = w.open_class(CLASS);
    w.at("09:01").scan("room", "C7");
    assert_eq!(w.shown(s, ANN), "present biometric 09:01");
}
