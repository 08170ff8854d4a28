//! Promise: campus and office, kept in parts, come back as they were, whatever happened in between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use jiff::civil::date;
use proptest::prelude::*;
use rollcall_domain::campus::{Class, Department, Device, DeviceKind, DeviceStatus, Item, ItemId, Section};
use rollcall_domain::code::{Code, PersonKey, Pseudonyms};
use rollcall_domain::event::{Actor, CampusEvent, Entry, Event, RequestEvent};
use rollcall_domain::ids::{
    ClassId, CourseId, DepartmentId, DeviceId, LeaveId, Name, SectionId, Seq, StudentId, TeacherId,
};
use rollcall_domain::moment::Moment;
use rollcall_domain::parts::{Change, Part, PartId, campus_changes, office_changes, restore};
use rollcall_domain::people::{PersonName, Student, StudentDetails};
use rollcall_domain::requests::{Leave, RequestStatus};
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::state::State;

fn code(prefix: &str, number: u64) -> Code {
    Code::parse(&format!("{prefix}{number}")).unwrap()
}

fn pseudonyms() -> Pseudonyms {
    Pseudonyms::new([1; 32])
}

fn key(number: u64) -> PersonKey {
    pseudonyms().hash(&[&number.to_le_bytes()])
}

fn student(number: u64, code_number: u64) -> Item {
    let details = StudentDetails {
        code: code("S", code_number),
        name: PersonName::new("First", "Last").unwrap(),
        email: None,
        phone: None,
        cards: vec![],
    };
    Item::Student(Student::new(StudentId(number), &details, &pseudonyms()))
}

fn item(kind: u8, number: u64, variant: u64) -> Item {
    match kind {
        0 | 1 => student(number, variant),
        2 => Item::Class(Class {
            id: ClassId(number),
            code: code("K", number),
            name: None,
            course: CourseId(1),
            teacher: TeacherId(variant),
            co_teachers: vec![],
            term: None,
            room: None,
        }),
        3 => Item::Section(Section {
            id: SectionId(number),
            batch: None,
            code: code("SEC", number),
            name: format!("section {variant}"),
        }),
        4 => Item::Device(device(number, variant)),
        _ => {
            let name = format!("department {variant}");
            Item::Department(Department { id: DepartmentId(number), code: code("D", number), name })
        }
    }
}

fn device(number: u64, variant: u64) -> Device {
    Device {
        id: device_id(number),
        name: format!("device {variant}"),
        kind: DeviceKind::Face,
        room: None,
        dialect: Name::parse("native").unwrap(),
        status: DeviceStatus::Active,
        firmware: None,
    }
}

fn device_id(number: u64) -> DeviceId {
    DeviceId::parse(&format!("door-{number}")).unwrap()
}

fn link(kind: u8, group: u64, member: u64) -> Link {
    match kind {
        0 => Link::ClassStudent(ClassId(group), StudentId(member)),
        1 => Link::ClassSection(ClassId(group), SectionId(member)),
        _ => Link::SectionStudent(SectionId(group), StudentId(member)),
    }
}

fn removed(kind: u8, number: u64) -> ItemId {
    item(kind, number, number).id()
}

fn leave(number: u64, student: u64) -> Leave {
    Leave {
        id: LeaveId(number),
        student: StudentId(student),
        class: None,
        days: Days::ALWAYS,
        status: RequestStatus::Pending,
    }
}

fn campus(event: CampusEvent) -> Event {
    Event::Campus(event)
}

fn any_event() -> impl Strategy<Value = Event> {
    let number = || 1..5_u64;
    let day = || (1..28_i8).prop_map(|day| date(2026, 3, day));
    prop_oneof![
        4 => (0..6_u8, number(), number())
            .prop_map(|(kind, id, variant)| campus(CampusEvent::Put(Box::new(item(kind, id, variant))))),
        1 => (0..6_u8, number()).prop_map(|(kind, id)| campus(CampusEvent::Removed(removed(kind, id)))),
        3 => (0..3_u8, number(), number(), day(), day()).prop_map(|(kind, group, member, from, to)| {
            campus(CampusEvent::Joined { link: link(kind, group, member), days: Days::new(from, to) })
        }),
        1 => (0..3_u8, number(), number(), prop::option::of(day())).prop_map(|(kind, group, member, day)| {
            campus(CampusEvent::Left { link: link(kind, group, member), day })
        }),
        1 => (number(), number()).prop_map(|(from, into)| {
            campus(CampusEvent::Merged { from: StudentId(from), into: StudentId(into) })
        }),
        1 => (number(), number(), number()).prop_map(|(device, number, student)| {
            campus(CampusEvent::PersonMapped {
                device: device_id(device),
                key: key(number),
                student: StudentId(student),
            })
        }),
        1 => (number(), any::<bool>()).prop_map(|(student, given)| {
            campus(CampusEvent::ConsentGiven { student: StudentId(student), given })
        }),
        1 => (number(), any::<bool>()).prop_map(|(student, present)| {
            campus(CampusEvent::TemplateStored { student: StudentId(student), present })
        }),
        1 => (number(), number())
            .prop_map(|(id, student)| Event::Request(RequestEvent::LeaveAsked(leave(id, student)))),
        1 => (number(), any::<bool>()).prop_map(|(id, approved)| {
            Event::Request(RequestEvent::LeaveDecided { leave: LeaveId(id), approved })
        }),
        1 => (0..3_u8, prop::option::of("[a-z]{1,3}"))
            .prop_map(|(key, value)| Event::SettingChanged { key: format!("key{key}"), value }),
    ]
}

fn apply(state: &mut State, events: &[Event]) {
    for event in events {
        let seq = Seq(state.last.0 + 1);
        let (at, by, event) = (Moment::from_millis(0), Actor::Gateway, event.clone());
        state.apply(&Entry { seq, at, by, event });
    }
}

fn changes(old: &State, new: &State) -> Vec<Change> {
    let mut changes = campus_changes(&old.campus, &new.campus);
    changes.extend(office_changes(&old.office, &new.office));
    changes
}

/// What a keeper has who makes each change to what it had.
fn keep(kept: &mut BTreeMap<PartId, Part>, changes: Vec<Change>) {
    for change in changes {
        match change {
            Change::Put(part) => drop(kept.insert(part.id(), part)),
            Change::Gone(id) => assert!(kept.remove(&id).is_some(), "{id:?} was never kept"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_kept_in_parts_comes_back_as_it_was(
        first in prop::collection::vec(any_event(), 0..60),
        then in prop::collection::vec(any_event(), 0..20),
        more in prop::collection::vec(any_event(), 0..20),
    ) {
        let mut state = State::default();
        apply(&mut state, &first);
        let before = state.clone();
        apply(&mut state, &then);
        let mut kept = BTreeMap::new();
        keep(&mut kept, changes(&State::default(), &before));
        keep(&mut kept, changes(&before, &state));

        let (campus, office) = restore(kept.into_values());
        prop_assert_eq!(campus_changes(&campus, &state.campus), vec![]);
        prop_assert_eq!(&campus.people, &state.campus.people);
        prop_assert_eq!(&office, state.office.as_ref());

        // And goes on as it would have.
        let mut restored = State::default();
        (restored.campus, restored.office, restored.last) = (campus.into(), office.into(), state.last);
        apply(&mut restored, &more);
        apply(&mut state, &more);
        prop_assert_eq!(changes(&restored, &state), vec![]);
    }
}

#[test]
fn the_same_campus_has_no_changes() {
    let mut state = State::default();
    apply(&mut state, &[campus(CampusEvent::Put(Box::new(student(1, 1))))]);
    assert_eq!(changes(&state, &state.clone()), vec![]);
    assert_eq!(changes(&state, &State::default()).len(), changes(&State::default(), &state).len());
    assert_ne!(state.last, Seq(0));
}
