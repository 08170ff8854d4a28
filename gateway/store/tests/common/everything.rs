//! One of everything that a checkpoint holds, but for keys in runs: of those there are too many.

use std::collections::BTreeSet;

use jiff::civil::time;
use rollcall_domain::campus::{
    Batch, Class, Course, Department, Device, DeviceKind, DeviceStatus, Holiday, Item, Place as Where, Room,
    Section, Term,
};
use rollcall_domain::code::{Code, KeyKind, PersonKey, Pseudonyms};
use rollcall_domain::event::{
    CampusEvent, Event, How, QrFlag, RecordVersion, RequestEvent, Scanned, SessionEvent, UpstreamEvent,
};
use rollcall_domain::ids::{
    BatchId, ClassId, CorrectionId, CourseId, DepartmentId, HolidayId, LeaveId, Name, RecordId, RoomId,
    SectionId, SelfMarkId, Seq, SessionId, SlotId, StudentId, TeacherId, TermId, UserId,
};
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::minutes;
use rollcall_domain::people::{Permission, Role, Student, Teacher, User};
use rollcall_domain::requests::{Correction, Leave, RequestStatus, SelfMark};
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::scan::Outcome;
use rollcall_domain::timetable::{Slot, SlotDay};

use super::happenings::{device, scan};
use super::meetings::{closed, created, day, marked, opened, starts};
use super::{setting, unmatched};

fn key(raw: &str) -> PersonKey {
    Pseudonyms::new([1; 32]).key(KeyKind::Card, raw)
}

fn code(raw: &str) -> Code {
    Code::parse(raw).unwrap()
}

fn student(id: u64) -> Item {
    let raw = id.to_string();
    Item::Student(Student {
        id: StudentId(id),
        code: key(&format!("S{id}")),
        number: key(&raw),
        former: vec![(KeyKind::Card, key("former"))],
        cards: vec![key("card")],
        year: Some(2026),
        provisional: id == 3,
    })
}

fn places() -> Vec<Item> {
    let name = "A name".to_owned();
    vec![
        Item::Department(Department { id: DepartmentId(1), code: code("D1"), name: name.clone() }),
        Item::Batch(Batch { id: BatchId(1), department: DepartmentId(1), name: name.clone() }),
        Item::Section(Section {
            id: SectionId(1),
            batch: Some(BatchId(1)),
            code: code("X1"),
            name: name.clone(),
        }),
        Item::Course(Course {
            id: CourseId(1),
            code: code("C1"),
            name: name.clone(),
            description: Some("What it is about".to_owned()),
        }),
        Item::Room(Room {
            id: RoomId(1),
            code: code("R1"),
            name: name.clone(),
            networks: vec!["10.0.0.0/8".to_owned()],
            place: Some(Where { latitude_micro: 23_780_000, longitude_micro: -90_400_000 }),
        }),
        Item::Term(Term {
            id: TermId(1),
            code: code("T1"),
            name: name.clone(),
            academic_year: Some("2026".to_owned()),
            semester: 1,
            starts: day(0),
            ends: day(20),
        }),
        Item::Holiday(Holiday { id: HolidayId(1), from: day(10), to: day(11), name }),
    ]
}

fn items() -> Vec<Item> {
    let mut items = places();
    items.extend([
        Item::Class(Class {
            id: ClassId(1),
            code: code("K1"),
            name: Some("A class".to_owned()),
            course: CourseId(1),
            teacher: TeacherId(1),
            co_teachers: vec![TeacherId(2)],
            term: Some(TermId(1)),
            room: Some(RoomId(1)),
        }),
        Item::Slot(Slot {
            id: SlotId(1),
            class: ClassId(1),
            weekday: SlotDay::try_from(1).unwrap(),
            starts: time(9, 0, 0, 0),
            ends: time(10, 0, 0, 0),
            room: Some(RoomId(1)),
            teacher: Some(TeacherId(2)),
            active: true,
            days: Days { from: Some(day(0)), to: Some(day(20)) },
        }),
        student(1),
        student(2),
        student(3),
        Item::Teacher(Teacher { id: TeacherId(1), code: key("T1"), department: Some(DepartmentId(1)) }),
        Item::User(User {
            id: UserId(1),
            username: key("ann"),
            role: Role::Teacher,
            teacher: Some(TeacherId(1)),
            student: Some(StudentId(1)),
            permissions: BTreeSet::from([Permission::ALL[0]]),
            active: true,
        }),
        Item::Device(Device {
            id: device(),
            name: "Gate".to_owned(),
            kind: DeviceKind::Card,
            room: Some(RoomId(1)),
            dialect: Name::parse("generic").unwrap(),
            status: DeviceStatus::Active,
            firmware: Some("1.0".to_owned()),
        }),
    ]);
    items
}

fn campus() -> Vec<Event> {
    let mut events: Vec<CampusEvent> =
        items().into_iter().map(|item| CampusEvent::Put(Box::new(item))).collect();
    let (class, section) = (ClassId(1), SectionId(1));
    let days = Days { from: Some(day(0)), to: None };
    events.extend([
        CampusEvent::Joined { link: Link::ClassStudent(class, StudentId(1)), days: Days::ALWAYS },
        CampusEvent::Joined { link: Link::ClassStudent(class, StudentId(2)), days },
        CampusEvent::Left { link: Link::ClassStudent(class, StudentId(2)), day: Some(day(9)) },
        CampusEvent::Joined { link: Link::ClassSection(class, section), days },
        CampusEvent::Joined { link: Link::SectionStudent(section, StudentId(3)), days },
        CampusEvent::PersonMapped { device: device(), key: key("7"), student: StudentId(1) },
        CampusEvent::Merged { from: StudentId(3), into: StudentId(2) },
        CampusEvent::ConsentGiven { student: StudentId(1), given: true },
        CampusEvent::TemplateStored { student: StudentId(1), present: true },
    ]);
    events.into_iter().map(Event::Campus).collect()
}

fn requests() -> Vec<Event> {
    let record = record();
    let status = RequestStatus::Pending;
    let events = [
        RequestEvent::LeaveAsked(Leave {
            id: LeaveId(1),
            student: StudentId(1),
            class: Some(ClassId(1)),
            days: Days { from: Some(day(0)), to: Some(day(1)) },
            status,
        }),
        RequestEvent::LeaveDecided { leave: LeaveId(1), approved: true },
        RequestEvent::CorrectionAsked(Correction {
            id: CorrectionId(1),
            record,
            mark: Mark::Late,
            asked_at: starts(day(1)),
            status,
        }),
        RequestEvent::SelfMarkAsked(SelfMark {
            id: SelfMarkId(1),
            record,
            captured_at: starts(day(1)),
            status,
        }),
    ];
    events.map(Event::Request).into()
}

fn record() -> RecordId {
    RecordId { session: SessionId(1), student: StudentId(1) }
}

/// A meeting in which everything was claimed by everybody.
fn meeting() -> Vec<Event> {
    let (at, student) = (starts(day(0)), StudentId(1));
    let seen = |number, student: StudentId, minute, outcome| {
        let at = at.plus(minutes(minute));
        let scan = scan(number, student.0, at);
        SessionEvent::Scanned(Box::new(Scanned {
            student,
            scan,
            outcome,
            late_upload: false,
            was_unmatched: Some(Seq(1)),
        }))
    };
    let browser = Some(key("browser"));
    let events = [
        created(1, 0),
        SessionEvent::Bound { device: device() },
        opened(&[1]),
        SessionEvent::QrStarted { from: at, until: at.plus(minutes(9)), rotate_seconds: 15 },
        seen(1, student, 1, Outcome::Present),
        seen(2, student, 50, Outcome::Out),
        seen(3, StudentId(2), 8, Outcome::Late { minutes: 3 }),
        SessionEvent::MarkedByQr {
            student,
            captured_at: at,
            browser,
            flags: BTreeSet::from([QrFlag::Poster]),
        },
        SessionEvent::StrangerAtQr { captured_at: at, browser },
        SessionEvent::MarkedSelf { student, captured_at: at, request: SelfMarkId(1) },
        SessionEvent::LeaveTaken { student, leave: LeaveId(1) },
        marked(1, Mark::Late, true),
        seen(4, student, 2, Outcome::Duplicate { mark: Mark::Late }),
        closed(&[4], &[]),
        SessionEvent::Locked { how: How::OnTime },
    ];
    events.into_iter().map(|event| Event::Session(SessionId(1), event)).collect()
}

fn answers() -> Vec<Event> {
    let name = |name| Name::parse(name).unwrap();
    let records = |version| vec![RecordVersion { record: record(), version }];
    let delivered =
        UpstreamEvent::Delivered { destination: name("portal"), low_water: Seq(1), records: records(2) };
    let dead = UpstreamEvent::DeadLettered { destination: name("firestore"), records: records(1) };
    vec![Event::Upstream(delivered), Event::Upstream(dead)]
}

/// All of it, in the order in which it can happen.
pub fn everything() -> Vec<Event> {
    let last = [unmatched("a").0, setting("5")];
    [campus(), requests(), meeting(), answers(), last.into()].concat()
}
