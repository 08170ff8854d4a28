//! The domain's decisions on a table of worked cases, scan by scan. The golden files beside this
//! one are the table: read them to see what Rollcall decides, change one only when a decision is meant to
//! change.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a case that cannot be set up should fail loudly"
)]

mod common;

use common::*;
use rollcall_domain::event::CampusEvent;
use rollcall_domain::ids::StudentId;
use rollcall_domain::roster::Days;
use rollcall_domain::scan::Direction;

const ARRIVALS: &[Case] = &[
    ("a scan before the start is present", |w| {
        w.open_class(CLASS);
        told(w.at("08:56").scan("room", "S1"))
    }),
    ("a scan exactly at the start is present", |w| {
        w.open_class(CLASS);
        told(w.at("09:00").scan("room", "S1"))
    }),
    ("a scan exactly at the end of the grace is present", |w| {
        w.open_class(CLASS);
        told(w.at("09:05").scan("room", "S1"))
    }),
    ("a second after the grace is late", |w| {
        w.open_class(CLASS);
        told(w.at("09:05:01").scan("room", "S1"))
    }),
    ("no grace: the start itself is present, a second later is late by 0 minutes", |w| {
        w.policy.rules.late_after_minutes = 0;
        w.open_class(CLASS);
        let first = told(w.at("09:00").scan("room", "S1"));
        format!("{first}; {}", told(w.at("09:00:01").scan("room", "S2")))
    }),
    ("a second scan is a duplicate and changes nothing", |w| {
        let s = w.open_class(CLASS);
        w.at("09:02").scan("room", "S1");
        let second = told(w.at("09:30").scan("room", "S1"));
        format!("{second}; shown {}", w.shown(s, ANN))
    }),
    ("late is not made present by scanning again", |w| {
        let s = w.open_class(CLASS);
        w.at("09:20").scan("room", "S1");
        let second = told(w.at("09:21").scan("room", "S1"));
        format!("{second}; shown {}", w.shown(s, ANN))
    }),
    ("an earlier scan that arrives later makes late present", |w| {
        let s = w.open_class(CLASS);
        w.at("09:20").scan("room", "S1");
        let early = w.time("09:01");
        let late = told(w.at("09:25").scan_made("room", "S1", early, None));
        format!("{late}; shown {}", w.shown(s, ANN))
    }),
    ("an unknown number marks nobody", |w| {
        w.open_class(CLASS);
        told(w.at("09:01").scan("room", "S999"))
    }),
    ("a student's number is found without regard to case", |w| {
        w.open_class(CLASS);
        told(w.at("09:01").scan("room", " s1 "))
    }),
    ("the number of the id itself is understood", |w| {
        w.open_class(CLASS);
        told(w.at("09:01").scan("room", "1"))
    }),
    ("a card comes before a code", |w| {
        w.add_student(StudentId(7), "S7", &["04:A2:3F"]);
        w.add_student(StudentId(8), "04A23F", &[]);
        w.enrol(CLASS, StudentId(7), Days::ALWAYS);
        let s = w.open_class(CLASS);
        let outcome = told(w.at("09:01").scan("room", "04-a2-3f"));
        format!("{outcome}; 7 shown {}, 8 shown {}", w.shown(s, StudentId(7)), w.shown(s, StudentId(8)))
    }),
    ("the device's own person number comes before everything", |w| {
        let key = rollcall_domain::scan::Claim::of("S2", &pseudonyms())
            .key(rollcall_domain::code::KeyKind::DevicePerson);
        w.campus(CampusEvent::PersonMapped { device: device("room"), key, student: ANN });
        let s = w.open_class(CLASS);
        w.at("09:01").scan("room", "S2");
        format!("Ann {}, Ben {}", w.shown(s, ANN), w.shown(s, BEN))
    }),
    ("a card that two students have is nobody's", |w| {
        w.add_student(StudentId(7), "S7", &["C9"]);
        w.add_student(StudentId(8), "S8", &["C9"]);
        w.open_class(CLASS);
        told(w.at("09:01").scan("room", "C9"))
    }),
    ("a student of another class is not taken in", |w| {
        w.open_class(CLASS);
        told(w.at("09:01").scan("room", "S3"))
    }),
    ("merged students are one: the old number marks the one that stayed", |w| {
        w.add_student(StudentId(7), "S7", &[]);
        w.campus(CampusEvent::Merged { from: StudentId(7), into: ANN });
        let s = w.open_class(CLASS);
        let outcome = told(w.at("09:01").scan("room", "S7"));
        format!("{outcome}; shown {}", w.shown(s, ANN))
    }),
];

#[test]
fn arrivals() {
    insta::assert_snapshot!(render(ARRIVALS));
}

fn face(w: &mut World, quality: Option<u16>) -> String {
    let s = w.open_class(CLASS);
    w.at("09:01");
    let scan = rollcall_domain::scan::Scan {
        device: device("room"),
        scan_id: None,
        dedup: rollcall_domain::scan::DedupKey::of_id(&device("room"), "q", &pseudonyms()),
        claim: rollcall_domain::scan::Claim::of("S1", &pseudonyms()),
        claimed_at: w.now,
        captured_at: w.now,
        received_at: w.now,
        clock_flagged: false,
        method: Some(rollcall_domain::scan::Method::Face),
        quality_milli: quality,
        direction: None,
    };
    let outcome = told(w.submit(scan));
    format!("{outcome}; shown {}", w.shown(s, ANN))
}

const QUALITY_AND_DIRECTION: &[Case] = &[
    ("a face of exactly the minimum quality counts", |w| face(w, Some(700))),
    ("a thousandth below it does not", |w| face(w, Some(699))),
    ("a face without a quality counts", |w| face(w, None)),
    ("with biometrics switched off no face counts", |w| {
        w.policy.biometric_enabled = false;
        face(w, Some(990))
    }),
    ("out before the minimum minutes is left early", |w| {
        let s = w.open_class(CLASS);
        w.at("09:00").scan("room", "S1");
        let out = told(w.at("09:09:59").scan_out("room", "S1"));
        format!("{out}; shown {}", w.shown(s, ANN))
    }),
    ("out exactly at the minimum minutes keeps the mark", |w| {
        let s = w.open_class(CLASS);
        w.at("09:00").scan("room", "S1");
        let out = told(w.at("09:10").scan_out("room", "S1"));
        format!("{out}; shown {}", w.shown(s, ANN))
    }),
    ("who left early and comes back is present again", |w| {
        let s = w.open_class(CLASS);
        w.at("09:00").scan("room", "S1");
        w.at("09:04").scan_out("room", "S1");
        let back = told(w.at("09:08").scan("room", "S1"));
        format!("{back}; shown {}", w.shown(s, ANN))
    }),
    ("out without having come in marks nothing", |w| {
        let s = w.open_class(CLASS);
        let out = told(w.at("09:30").scan_out("room", "S1"));
        format!("{out}; shown {}", w.shown(s, ANN))
    }),
    ("an out that arrives before its in is understood when the in arrives", |w| {
        let s = w.open_class(CLASS);
        w.at("09:04").scan_out("room", "S1");
        let came = w.time("09:00");
        let outcome = told(w.at("09:30").scan_made("room", "S1", came, Some(Direction::In)));
        format!("{outcome}; shown {}", w.shown(s, ANN))
    }),
];

#[test]
fn quality_and_direction() {
    insta::assert_snapshot!(render(QUALITY_AND_DIRECTION));
}

const WHICH_MEETING: &[Case] = &[
    ("no class open here", |w| told(w.at("12:00").scan("room", "S1"))),
    ("a scan in the window opens what nobody opened", |w| {
        let s = w.schedule(CLASS, "09:00", "10:00");
        let outcome = told(w.at("08:55").scan("room", "S1"));
        format!("{outcome}; session {}", w.session(s).meeting.status.word())
    }),
    ("a second before the window there is no class", |w| {
        w.schedule(CLASS, "09:00", "10:00");
        told(w.at("08:54:59").scan("room", "S1"))
    }),
    ("a bound device marks for its session, in whatever room it hangs", |w| {
        w.add_device("spare", Some(OTHER_ROOM));
        let s = w.open_class(CLASS);
        w.bind(s, "spare").unwrap();
        told(w.at("09:01").scan("spare", "S1"))
    }),
    ("a bound device does not fall through to another class", |w| {
        let s = w.open_class(CLASS);
        w.bind(s, "gate").unwrap();
        let other = w.at("08:00").schedule(OTHER_CLASS, "09:00", "10:00");
        w.at("08:55").open(other).unwrap();
        told(w.at("09:01").scan("gate", "S3"))
    }),
    ("a device bound elsewhere says where", |w| {
        let s = w.open_class(CLASS);
        w.bind(s, "gate").unwrap();
        let other = w.at("08:00").schedule(OTHER_CLASS, "09:00", "10:00");
        w.at("08:56").open(other).unwrap();
        said(w.bind(other, "gate"))
    }),
    ("at the gate, the one open class of the student", |w| {
        let s = w.open_class(CLASS);
        let outcome = told(w.at("09:01").scan("gate", "S1"));
        format!("{outcome}; shown {}", w.shown(s, ANN))
    }),
    ("at the gate, two open classes of the student are ambiguous", |w| {
        w.enrol(OTHER_CLASS, ANN, Days::ALWAYS);
        w.open_class(CLASS);
        let other = w.at("08:00").schedule(OTHER_CLASS, "09:00", "10:00");
        w.at("08:56").open(other).unwrap();
        told(w.at("09:01").scan("gate", "S1"))
    }),
    ("with require_binding an unbound device marks nobody", |w| {
        w.policy.require_binding = true;
        w.open_class(CLASS);
        told(w.at("09:01").scan("room", "S1"))
    }),
    ("two classes after each other in a room: each scan to the one it was made in", |w| {
        w.enrol(OTHER_CLASS, ANN, Days::ALWAYS);
        let first = w.open_class(CLASS);
        let plan_room = w.at("08:00").schedule(OTHER_CLASS, "10:00", "11:00");
        let mut moved = w.session(plan_room).meeting.clone();
        moved.room = Some(ROOM);
        w.session_event(
            plan_room,
            rollcall_domain::event::SessionEvent::Changed {
                teacher: moved.teacher,
                room: moved.room,
                date: moved.date,
                starts: moved.starts(),
                ends: moved.ends,
                by_hand: true,
            },
        );
        w.at("09:58").open(plan_room).unwrap();
        w.at("09:59").scan("room", "S1");
        w.at("10:01").scan("room", "S1");
        format!("first {}, second {}", w.shown(first, ANN), w.shown(plan_room, ANN))
    }),
    ("a locked session keeps the scan unmatched", |w| {
        let s = w.open_class(CLASS);
        w.at("10:00").close(s).unwrap();
        w.lock(s).unwrap();
        let made = w.time("09:01");
        told(w.at("11:00").scan_made("room", "S1", made, None))
    }),
];

#[test]
fn which_meeting() {
    insta::assert_snapshot!(render(WHICH_MEETING));
}
