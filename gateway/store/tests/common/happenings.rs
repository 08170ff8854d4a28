//! Whatever can happen to a few sessions and students, at random.

use proptest::prelude::*;
use rollcall_domain::code::Pseudonyms;
use rollcall_domain::event::{
    CampusEvent, Event, How, RecordVersion, RetentionEvent, Scanned, SessionEvent, UnmatchedScan,
    UpstreamEvent,
};
use rollcall_domain::ids::{ClassId, DeviceId, LeaveId, Name, RecordId, Seq, SessionId, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::Moment;
use rollcall_domain::people::Person;
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::scan::{Claim, DedupKey, Outcome, Scan, Unmatched};

use super::meetings::{changed, class, closed, created, day, marked, opened, starts};

pub const SESSIONS: u64 = 4;
pub const STUDENTS: u64 = 4;

pub fn device() -> DeviceId {
    DeviceId::parse("gate").unwrap()
}

pub fn scan(number: u64, student: u64, at: Moment) -> Scan {
    let pseudonyms = Pseudonyms::new([1; 32]);
    Scan {
        device: device(),
        scan_id: None,
        claim: Claim::of(&format!("S{student}"), &pseudonyms),
        claimed_at: at,
        received_at: at,
        captured_at: at,
        clock_flagged: false,
        method: None,
        quality_milli: None,
        direction: None,
        dedup: DedupKey::of_id(&device(), &number.to_string(), &pseudonyms),
    }
}

pub fn session_event() -> impl Strategy<Value = SessionEvent> {
    let student = || 1..=STUDENTS;
    let some = || prop::collection::vec(student(), 0..3);
    prop_oneof![
        2 => (1..3_u64, 0..6_u8).prop_map(|(class, day)| created(class, day)),
        2 => (0..6_u8).prop_map(changed),
        4 => some().prop_map(|excused| opened(&excused)),
        5 => (some(), some()).prop_map(|(absent, excused)| closed(&absent, &excused)),
        3 => Just(SessionEvent::Reopened),
        1 => Just(SessionEvent::Locked { how: How::OnTime }),
        1 => Just(SessionEvent::Cancelled { how: How::ByPerson }),
        1 => Just(SessionEvent::Reinstated),
        1 => Just(SessionEvent::Bound { device: device() }),
        6 => (student(), 0..40_u64, 0..90_i64).prop_map(|(student, number, after)| {
            let at = starts(day(0)).plus(jiff::SignedDuration::from_mins(after));
            SessionEvent::Scanned(Box::new(Scanned {
                student: StudentId(student),
                scan: scan(number, student, at),
                outcome: Outcome::Present,
                late_upload: after % 2 == 0,
                was_unmatched: None,
            }))
        }),
        4 => (student(), prop::sample::select(Mark::ALL.to_vec()), any::<bool>())
            .prop_map(|(student, mark, sighted)| marked(student, mark, sighted)),
        1 => student().prop_map(|student| SessionEvent::LeaveTaken {
            student: StudentId(student),
            leave: LeaveId(1),
        }),
        1 => student().prop_map(|student| SessionEvent::RecordDeleted { student: StudentId(student) }),
        1 => student().prop_map(|student| SessionEvent::ConflictSettled { student: StudentId(student) }),
        1 => (student(), student()).prop_map(|(from, into)| SessionEvent::StudentMerged {
            from: StudentId(from),
            into: StudentId(into),
        }),
    ]
}

pub fn any_answer() -> impl Strategy<Value = UpstreamEvent> {
    let portal = || Name::parse("portal").unwrap();
    let record = (1..=SESSIONS, 1..=STUDENTS, 1..3_u32).prop_map(|(session, student, version)| {
        let record = RecordId { session: SessionId(session), student: StudentId(student) };
        vec![RecordVersion { record, version }]
    });
    (record, 0..4_u8).prop_map(move |(records, kind)| match kind {
        0 => UpstreamEvent::DeadLettered { destination: portal(), records },
        1 => UpstreamEvent::RetryAsked { destination: portal(), records },
        2 => UpstreamEvent::Delivered { destination: portal(), low_water: Seq(0), records },
        _ => {
            let destination = Name::parse("mirror").unwrap();
            UpstreamEvent::Delivered { destination, low_water: Seq(0), records }
        }
    })
}

pub fn any_event() -> impl Strategy<Value = Event> {
    let link = || (1..3_u64, 1..=STUDENTS).prop_map(|(c, s)| Link::ClassStudent(ClassId(c), StudentId(s)));
    prop_oneof![
        30 => (1..=SESSIONS, session_event()).prop_map(|(id, event)| Event::Session(SessionId(id), event)),
        1 => (1..3_u64).prop_map(class),
        2 => (link(), 0..6_u8, 0..6_u8).prop_map(|(link, from, to)| {
            Event::Campus(CampusEvent::Joined { link, days: Days::new(day(from), day(to)) })
        }),
        1 => (link(), prop::option::of(0..6_u8)).prop_map(|(link, gone)| {
            Event::Campus(CampusEvent::Left { link, day: gone.map(day) })
        }),
        1 => (100..140_u64).prop_map(|number| Event::Unmatched(Box::new(UnmatchedScan {
            scan: scan(number, 1, starts(day(0))),
            reason: Unmatched::UnknownStudent,
            student: None,
            session: None,
        }))),
        1 => (1..80_u64).prop_map(|seq| Event::UnmatchedSettled { scan: Seq(seq) }),
        1 => (1..=STUDENTS).prop_map(|student| Event::Erased(Person::Student(StudentId(student)))),
        2 => Just(Event::ClockConfirmed),
        1 => (0..7_u8).prop_map(|day_after| {
            Event::Retention(RetentionEvent::Records { before: starts(day(day_after)) })
        }),
        1 => (1..80_u64).prop_map(|to| Event::Retention(RetentionEvent::Entries { to: Seq(to) })),
        2 => any_answer().prop_map(Event::Upstream),
    ]
}
