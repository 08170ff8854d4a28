//! Scans that marked nobody find their place later, by themselves or because a person says so; and a scan
//! that is sent again is known again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a set-up that breaks should fail loudly")]

mod common;

use std::time::Duration;

use common::*;
use rollcall_domain::Refusal;
use rollcall_domain::campus::Item;
use rollcall_domain::clock_offset::Captured;
use rollcall_domain::code::{Code, KeyKind};
use rollcall_domain::decide::marking::Office;
use rollcall_domain::decide::unmatched::{assign, rematch};
use rollcall_domain::event::{CampusEvent, Event, SessionEvent};
use rollcall_domain::ids::{Seq, SessionId, StudentId, UserId};
use rollcall_domain::moment::{Moment, minutes};
use rollcall_domain::people::{PersonName, StudentDetails};
use rollcall_domain::roster::Days;
use rollcall_domain::scan::{Claim, DedupKey, Method, Outcome, RawScan, Scan, Unmatched};
use rollcall_domain::session::SessionStatus;

const TEACHER: Office = Office { by_admin: false, with_reason: true };

/// A scan of `who` at 09:02 that marked nobody.
fn kept(w: &mut World, who: &str) -> Seq {
    let outcome = w.at("09:02").scan("room", who);
    assert!(matches!(outcome, Outcome::Unmatched(_)), "{outcome:?}");
    w.state.last
}

fn give(
    w: &World,
    s: SessionId,
    seq: Seq,
    student: StudentId,
    office: &Office,
) -> Result<Vec<Event>, Refusal> {
    let scan = &w.state.unmatched[&seq].scan;
    assign(w.session(s), &w.context(), (seq, scan), student, office)
}

fn again(w: &mut World, seq: Seq) -> bool {
    let events = rematch(&w.state, &w.context(), seq);
    let found = events.is_some();
    w.append_all(events.unwrap_or_default());
    assert_eq!(w.state.unmatched.contains_key(&seq), !found);
    found
}

#[test]
fn a_teacher_says_whose_scan_it_was_also_after_closing() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let seq = kept(&mut w, "who");
    w.at("10:00").close(s).unwrap();
    let events = give(&w, s, seq, ANN, &TEACHER).unwrap();
    w.append_all(events);
    assert_eq!(w.shown(s, ANN), "present offline 09:02");
    assert!(w.state.unmatched.is_empty());
    let was = w.log.iter().find_map(|entry| match &entry.event {
        Event::Session(_, SessionEvent::Scanned(scanned)) => scanned.was_unmatched,
        _ => None,
    });
    assert_eq!(was, Some(seq));
}

#[test]
fn a_scan_is_given_to_a_locked_session_by_an_admin_who_says_why() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let seq = kept(&mut w, "who");
    w.at("10:00").close(s).unwrap();
    w.lock(s).unwrap();
    assert_eq!(give(&w, s, seq, ANN, &TEACHER), Err(Refusal::SessionLocked));
    let silent = Office { by_admin: true, with_reason: false };
    assert_eq!(give(&w, s, seq, ANN, &silent), Err(Refusal::ReasonNeeded));
    let admin = Office { by_admin: true, with_reason: true };
    let events = give(&w, s, seq, ANN, &admin).unwrap();
    w.append_all(events);
    assert_eq!(w.shown(s, ANN), "present offline 09:02");
}

#[test]
fn a_scan_is_given_only_to_who_is_in_the_class_and_to_a_session_that_was_held() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let seq = kept(&mut w, "who");
    assert_eq!(give(&w, s, seq, CAT, &TEACHER), Err(Refusal::NotEnrolled));
    let later = w.schedule(CLASS, "11:00", "12:00");
    let refused = give(&w, later, seq, ANN, &TEACHER);
    assert_eq!(refused, Err(Refusal::WrongState(SessionStatus::Scheduled)));
}

#[test]
fn after_an_enrolment_the_scan_finds_its_class() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let seq = kept(&mut w, "S3");
    assert!(!again(&mut w, seq));
    w.at("09:40").enrol(CLASS, CAT, Days::ALWAYS);
    assert!(again(&mut w, seq));
    assert_eq!(w.shown(s, CAT), "present biometric 09:02");
    // It is settled: there is nothing left to try.
    assert!(rematch(&w.state, &w.context(), seq).is_none());
}

#[test]
fn after_a_card_was_handed_out_the_scan_finds_its_student() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let seq = kept(&mut w, "04:A2:3F");
    let details = StudentDetails {
        code: Code::parse("S1").unwrap(),
        name: PersonName::from_whole("A Student").unwrap(),
        email: None,
        phone: None,
        cards: vec!["04a23f".to_owned()],
    };
    let student = w.state.campus.students[&ANN].edited(&details, &pseudonyms());
    w.put(Item::Student(student));
    assert!(again(&mut w, seq));
    assert_eq!(w.shown(s, ANN), "present biometric 09:02");
}

#[test]
fn after_a_person_number_was_mapped_the_scan_finds_its_student_until_it_is_unmapped() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let seq = kept(&mut w, "4711");
    let key = Claim::of("4711", &pseudonyms()).key(KeyKind::DevicePerson);
    w.campus(CampusEvent::PersonMapped { device: device("gate"), key, student: ANN });
    assert!(!again(&mut w, seq), "another device's numbers mean nothing here");
    w.campus(CampusEvent::PersonMapped { device: device("room"), key, student: ANN });
    w.campus(CampusEvent::PersonUnmapped { device: device("room"), key });
    assert!(!again(&mut w, seq));
    w.campus(CampusEvent::PersonMapped { device: device("room"), key, student: ANN });
    assert!(again(&mut w, seq));
    assert_eq!(w.shown(s, ANN), "present biometric 09:02");
}

#[test]
fn a_scan_that_finds_its_place_later_opens_nothing() {
    let mut w = World::new();
    let s = w.schedule(CLASS, "09:00", "10:00");
    let seq = kept(&mut w, "S7");
    w.add_student(StudentId(7), "S7", &[]);
    w.enrol(CLASS, StudentId(7), Days::ALWAYS);
    assert!(!again(&mut w, seq));
    assert_eq!(w.status(s), SessionStatus::Scheduled);
    // A person opens it, and now the scan has a place.
    w.at("09:10").open(s).unwrap();
    assert!(again(&mut w, seq));
    assert_eq!(w.shown(s, StudentId(7)), "present biometric 09:02");
}

fn by_face(w: &mut World, who: &str) -> Outcome {
    let made = w.now;
    let scan = Scan { method: Some(Method::Face), ..w.made("room", who, made, None) };
    w.submit(scan)
}

#[test]
fn faces_are_switched_off_for_one_session_at_a_time() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.session_event(s, SessionEvent::BiometricSet { enabled: false });
    let refused = by_face(w.at("09:01"), "S1");
    assert_eq!(refused, Outcome::Unmatched(Unmatched::BiometricDisabled));
    assert_eq!(
        told(refused),
        "unmatched low_quality: face and finger are switched off; please use your card"
    );
    assert_eq!(w.scan("room", "S1"), Outcome::Present);
    let other = w.schedule(OTHER_CLASS, "09:00", "10:00");
    w.open(other).unwrap();
    let made = w.now;
    let scan = Scan { method: Some(Method::Face), ..w.made("gate", "S3", made, None) };
    assert_eq!(w.submit(scan), Outcome::Present);
    w.session_event(s, SessionEvent::BiometricSet { enabled: true });
    assert_eq!(by_face(&mut w, "S2"), Outcome::Present);
}

#[test]
fn a_scan_that_is_sent_again_is_answered_as_before_and_not_stored_again() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let made = w.at("09:01").now;
    for who in ["S1", "S3"] {
        let scan = w.made("room", who, made, None);
        let first = w.submit(scan.clone());
        let (length, version) = (w.log.len(), w.version(s, ANN));
        w.now = w.now.plus(minutes(3));
        assert_eq!(w.submit(Scan { received_at: w.now, ..scan }), first);
        assert_eq!((w.log.len(), w.version(s, ANN)), (length, version));
    }
}

fn raw() -> RawScan {
    RawScan {
        device: device("room"),
        scan_id: None,
        claim: "S1".into(),
        claimed_at: Moment::from_millis(1_000),
        received_at: Moment::from_millis(2_000),
        received_after: Duration::from_secs(5),
        is_replay: false,
        method: Some(Method::Card),
        quality_milli: None,
        direction: None,
    }
}

fn dedup(raw: &RawScan) -> DedupKey {
    raw.scan(Captured { at: raw.claimed_at, flagged: false }, &pseudonyms()).dedup
}

#[test]
fn without_an_id_a_scan_is_known_by_who_where_and_when_the_device_said() {
    let first = raw();
    let retransmitted = RawScan {
        received_at: Moment::from_millis(90_000),
        received_after: Duration::from_secs(95),
        is_replay: true,
        ..raw()
    };
    assert_eq!(dedup(&first), dedup(&retransmitted));
    let corrected = first.scan(Captured { at: Moment::from_millis(7), flagged: true }, &pseudonyms());
    assert_eq!(dedup(&first), corrected.dedup);
    let others = [
        RawScan { device: device("gate"), ..raw() },
        RawScan { claim: "S2".into(), ..raw() },
        RawScan { claimed_at: Moment::from_millis(1_001), ..raw() },
        RawScan { scan_id: Some("1".into()), ..raw() },
    ];
    for other in others {
        assert_ne!(dedup(&first), dedup(&other), "{other:?}");
    }
}

#[test]
fn with_an_id_a_scan_is_known_by_its_device_and_that() {
    let with = |id: &str| RawScan { scan_id: Some(id.into()), ..raw() };
    let restamped = RawScan { claimed_at: Moment::from_millis(9_000), claim: "S2".into(), ..with("1") };
    assert_eq!(dedup(&with("1")), dedup(&restamped));
    assert_ne!(dedup(&with("1")), dedup(&with("2")));
    assert_ne!(dedup(&with("1")), dedup(&RawScan { device: device("gate"), ..with("1") }));
}

#[test]
fn an_upload_is_known_by_who_sends_it_and_its_own_id() {
    let of = |user, id| DedupKey::of_upload(UserId(user), id, &pseudonyms());
    assert_eq!(of(1, "a"), of(1, "a"));
    assert_ne!(of(1, "a"), of(2, "a"));
    assert_ne!(of(1, "a"), of(1, "b"));
    assert_ne!(of(1, "a"), DedupKey::of_id(&device("1"), "a", &pseudonyms()));
}

#[test]
fn what_the_device_said_is_kept_beside_what_was_made_of_it() {
    let raw = RawScan { scan_id: Some("x".into()), quality_milli: Some(930), ..raw() };
    let at = Moment::from_millis(1_500);
    let scan = raw.scan(Captured { at, flagged: true }, &pseudonyms());
    assert_eq!((scan.claimed_at, scan.captured_at, scan.received_at), (raw.claimed_at, at, raw.received_at));
    assert_eq!((scan.scan_id.as_deref(), scan.clock_flagged), (Some("x"), true));
    assert_eq!((scan.method, scan.quality_milli), (raw.method, raw.quality_milli));
    assert_eq!(scan.claim, Claim::of("S1", &pseudonyms()));
}
