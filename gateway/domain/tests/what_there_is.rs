//! What there is on the campus: codes that are taken, names that lead nowhere, what depends on what, whose
//! something is, and what is still to come.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a set-up that breaks should fail loudly")]

mod common;

use std::collections::BTreeSet;

use common::*;
use jiff::civil::Date;
use rollcall_domain::Refusal;
use rollcall_domain::campus::{Batch, Class, Course, Department, Holiday, Item, ItemId, Room, Section, Term};
use rollcall_domain::code::{Code, KeyKind, PersonKey};
use rollcall_domain::decide::generate::generate;
use rollcall_domain::decide::roster;
use rollcall_domain::dependents::Dependent;
use rollcall_domain::event::CampusEvent;
use rollcall_domain::ids::*;
use rollcall_domain::mark::Mark;
use rollcall_domain::people::{Role, Teacher, User};
use rollcall_domain::permission::{
    Reach, reach_of_class, reach_of_leave, reach_of_meeting, reach_of_student,
};
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::timetable::{Slot, SlotDay};

const MONDAY: &str = "2026-03-02";
const STAND_IN: TeacherId = TeacherId(2);

fn code(text: &str) -> Code {
    Code::parse(text).unwrap()
}

fn key(text: &str) -> PersonKey {
    pseudonyms().key(KeyKind::Code, text)
}

fn department(id: u64, text: &str) -> Item {
    Item::Department(Department { id: DepartmentId(id), code: code(text), name: String::new() })
}

fn batch(id: u64, department: u64) -> Item {
    let (id, department) = (BatchId(id), DepartmentId(department));
    Item::Batch(Batch { id, department, name: String::new() })
}

fn section(id: u64, text: &str, batch: Option<u64>) -> Item {
    let (id, batch) = (SectionId(id), batch.map(BatchId));
    Item::Section(Section { id, batch, code: code(text), name: String::new() })
}

fn course(id: u64, text: &str) -> Item {
    Item::Course(Course { id: CourseId(id), code: code(text), name: String::new(), description: None })
}

fn room(id: u64, text: &str) -> Item {
    Item::Room(Room { id: RoomId(id), code: code(text), name: String::new(), networks: vec![], place: None })
}

fn term(id: u64, text: &str) -> Item {
    let (starts, ends) = (day(MONDAY), day("2026-06-30"));
    let (code, name) = (code(text), String::new());
    Item::Term(Term { id: TermId(id), code, name, academic_year: None, semester: 1, starts, ends })
}

fn class(id: u64, text: &str) -> Class {
    Class {
        id: ClassId(id),
        code: code(text),
        name: None,
        course: CourseId(1),
        teacher: TeacherId(1),
        co_teachers: vec![],
        term: None,
        room: None,
    }
}

fn teacher(id: u64, text: &str, department: Option<u64>) -> Item {
    Item::Teacher(Teacher { id: TeacherId(id), code: key(text), department: department.map(DepartmentId) })
}

fn user(id: u64, name: &str) -> User {
    User {
        id: UserId(id),
        username: key(name),
        role: Role::Teacher,
        teacher: None,
        student: None,
        permissions: BTreeSet::new(),
        active: true,
    }
}

fn slot(id: u64) -> Slot {
    Slot {
        id: SlotId(id),
        class: CLASS,
        weekday: SlotDay::try_from(1).unwrap(),
        starts: "09:00".parse().unwrap(),
        ends: "10:00".parse().unwrap(),
        room: None,
        teacher: None,
        active: true,
        days: Days::ALWAYS,
    }
}

/// One of each kind, each of which needs another where it can.
fn furnished() -> World {
    let mut w = World::new();
    w.put(department(1, "D1"));
    w.put(batch(1, 1));
    w.put(section(1, "A", Some(1)));
    w.put(term(1, "T1"));
    w.put(teacher(2, "T2", Some(1)));
    w.put(Item::User(User { teacher: Some(STAND_IN), student: Some(BEN), ..user(1, "u1") }));
    let own = w.state.campus.classes[&CLASS].clone();
    w.put(Item::Class(Class { term: Some(TermId(1)), co_teachers: vec![STAND_IN], ..own }));
    w.put(Item::Slot(Slot { room: Some(OTHER_ROOM), teacher: Some(STAND_IN), ..slot(1) }));
    w
}

fn student(id: u64, number: &str) -> Item {
    let mut w = World::new();
    w.add_student(StudentId(id), number, &[]);
    Item::Student(w.state.campus.students[&StudentId(id)].clone())
}

#[test]
fn no_two_things_of_a_kind_share_a_code() {
    let w = furnished();
    let rivals = [
        (department(9, "D1"), ItemId::Department(DepartmentId(1))),
        (section(9, "A", None), ItemId::Section(SectionId(1))),
        (course(9, "C1"), ItemId::Course(CourseId(1))),
        (Item::Class(class(9, "K1")), ItemId::Class(CLASS)),
        (room(9, "R1"), ItemId::Room(ROOM)),
        (term(9, "T1"), ItemId::Term(TermId(1))),
        (teacher(9, "t1", None), ItemId::Teacher(TeacherId(1))),
        (Item::User(user(9, "U1")), ItemId::User(UserId(1))),
        (student(9, "s1"), ItemId::Student(ANN)),
    ];
    for (item, rival) in rivals {
        assert_eq!(roster::put(&w.state, item.clone()), Err(Refusal::CodeTaken(rival)), "{item:?}");
    }
}

#[test]
fn a_thing_keeps_its_own_code_and_another_kind_may_have_the_same() {
    let w = furnished();
    for item in [department(1, "D1"), term(1, "T1"), student(1, "S1"), room(9, "D1"), batch(2, 1)] {
        assert!(roster::put(&w.state, item.clone()).is_ok(), "{item:?}");
    }
}

#[test]
fn the_former_number_of_a_student_is_taken_too() {
    let mut w = World::new();
    w.merge(BEN, ANN).unwrap();
    assert_eq!(w.state.campus.code_taken_by(&student(9, "S2")), Some(ItemId::Student(ANN)));
    assert_eq!(w.state.campus.code_taken_by(&student(1, "S2")), None);
}

#[test]
fn nothing_names_what_is_not_there() {
    let w = furnished();
    let (gone, own) = (99, class(9, "K9"));
    let missing = [
        (batch(9, gone), ItemId::Department(DepartmentId(gone))),
        (section(9, "B", Some(gone)), ItemId::Batch(BatchId(gone))),
        (teacher(9, "T9", Some(gone)), ItemId::Department(DepartmentId(gone))),
        (Item::Class(Class { course: CourseId(gone), ..own.clone() }), ItemId::Course(CourseId(gone))),
        (Item::Class(Class { teacher: TeacherId(gone), ..own.clone() }), ItemId::Teacher(TeacherId(gone))),
        (
            Item::Class(Class { co_teachers: vec![TeacherId(gone)], ..own.clone() }),
            ItemId::Teacher(TeacherId(gone)),
        ),
        (Item::Class(Class { term: Some(TermId(gone)), ..own.clone() }), ItemId::Term(TermId(gone))),
        (Item::Class(Class { room: Some(RoomId(gone)), ..own }), ItemId::Room(RoomId(gone))),
        (Item::Slot(Slot { class: ClassId(gone), ..slot(9) }), ItemId::Class(ClassId(gone))),
        (Item::Slot(Slot { room: Some(RoomId(gone)), ..slot(9) }), ItemId::Room(RoomId(gone))),
        (Item::Slot(Slot { teacher: Some(TeacherId(gone)), ..slot(9) }), ItemId::Teacher(TeacherId(gone))),
        (
            Item::User(User { teacher: Some(TeacherId(gone)), ..user(9, "u9") }),
            ItemId::Teacher(TeacherId(gone)),
        ),
        (
            Item::User(User { student: Some(StudentId(gone)), ..user(9, "u9") }),
            ItemId::Student(StudentId(gone)),
        ),
    ];
    for (item, name) in missing {
        assert_eq!(w.state.campus.missing(&item), std::slice::from_ref(&name), "{item:?}");
        assert_eq!(roster::put(&w.state, item), Err(Refusal::Missing(name)));
    }
    let mut device = w.state.campus.devices[&device("room")].clone();
    device.room = Some(RoomId(gone));
    assert_eq!(w.state.campus.missing(&Item::Device(device)), [ItemId::Room(RoomId(gone))]);
}

#[test]
fn what_names_only_what_is_there_may_be_put() {
    let w = furnished();
    let full =
        Class { co_teachers: vec![STAND_IN], term: Some(TermId(1)), room: Some(ROOM), ..class(9, "K9") };
    for item in [Item::Class(full), Item::User(user(9, "u9")), room(9, "R9"), section(9, "B", None)] {
        assert!(w.state.campus.missing(&item).is_empty());
        assert!(roster::put(&w.state, item).is_ok());
    }
}

#[test]
fn what_each_thing_is_needed_by_is_named() {
    let mut w = furnished();
    w.campus(CampusEvent::Joined { link: Link::ClassSection(CLASS, SectionId(1)), days: Days::ALWAYS });
    w.campus(CampusEvent::Joined { link: Link::SectionStudent(SectionId(1), CAT), days: Days::ALWAYS });
    let items = |id: ItemId| -> BTreeSet<ItemId> {
        let item = |needed| match needed {
            Dependent::Item(item) => Some(item),
            Dependent::Session(_) => None,
        };
        w.state.dependents(&id).into_iter().filter_map(item).collect()
    };
    let (k1, slot, user) = (ItemId::Class(CLASS), ItemId::Slot(SlotId(1)), ItemId::User(UserId(1)));
    let table = [
        (ItemId::Department(DepartmentId(1)), vec![ItemId::Batch(BatchId(1)), ItemId::Teacher(STAND_IN)]),
        (ItemId::Batch(BatchId(1)), vec![ItemId::Section(SectionId(1))]),
        (ItemId::Section(SectionId(1)), vec![k1.clone(), ItemId::Student(CAT)]),
        (ItemId::Course(CourseId(1)), vec![k1.clone(), ItemId::Class(OTHER_CLASS)]),
        (ItemId::Term(TermId(1)), vec![k1.clone()]),
        (ItemId::Teacher(STAND_IN), vec![k1.clone(), slot.clone(), user.clone()]),
        (ItemId::Room(OTHER_ROOM), vec![ItemId::Class(OTHER_CLASS), slot.clone()]),
        (ItemId::Room(ROOM), vec![k1.clone(), ItemId::Device(device("room"))]),
        (k1, vec![slot.clone(), ItemId::Student(ANN), ItemId::Student(BEN)]),
        (ItemId::Student(BEN), vec![user.clone()]),
        (slot, vec![]),
        (user, vec![]),
    ];
    for (id, needed) in table {
        assert_eq!(items(id.clone()), needed.into_iter().collect(), "{id}");
    }
}

#[test]
fn a_session_needs_all_that_it_was_held_with() {
    let mut w = furnished();
    let s = w.open_class(CLASS);
    w.bind(s, "gate").unwrap();
    w.at("09:01").scan("room", "S1");
    let needed = |id: ItemId| w.state.dependents(&id).contains(&Dependent::Session(s));
    let names = [
        ItemId::Class(CLASS),
        ItemId::Teacher(TeacherId(1)),
        ItemId::Room(ROOM),
        ItemId::Term(TermId(1)),
        ItemId::Student(ANN),
        ItemId::Device(device("gate")),
    ];
    names.into_iter().for_each(|id| assert!(needed(id.clone()), "{id}"));
    let others = [ItemId::Class(OTHER_CLASS), ItemId::Student(BEN), ItemId::Device(device("room"))];
    others.into_iter().for_each(|id| assert!(!needed(id.clone()), "{id}"));
    assert!(roster::remove(&w.state, &ItemId::Student(ANN)).is_err());
}

#[test]
fn a_name_is_up_to_32_small_letters_digits_and_two_signs() {
    for fine in ["a", "native", "zk_push-2", &"x".repeat(32)] {
        assert_eq!(Name::parse(fine).map(|name| name.to_string()).as_deref(), Ok(fine));
    }
    for wrong in ["", "Native", "a b", "a/b", "ä", "a.b", &"x".repeat(33)] {
        assert!(Name::parse(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_class_is_its_teachers_and_a_meeting_also_that_of_who_holds_it() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    let mut class = w.state.campus.classes[&CLASS].clone();
    let mut meeting = w.session(s).meeting.clone();
    let of = |id: u64| User { teacher: Some(TeacherId(id)), ..user(1, "u") };
    class.co_teachers = vec![TeacherId(2)];
    meeting.teacher = TeacherId(3);
    let reaches = |id| (reach_of_class(&of(id), &class), reach_of_meeting(&of(id), &class, &meeting));
    assert_eq!(reaches(1), (Reach::Own, Reach::Own));
    assert_eq!(reaches(2), (Reach::Own, Reach::Own));
    assert_eq!(reaches(3), (Reach::Other, Reach::Own));
    assert_eq!(reaches(4), (Reach::Other, Reach::Other));
    let nobody = user(1, "u");
    assert_eq!(reach_of_class(&nobody, &class), Reach::Other);
    assert_eq!(reach_of_meeting(&nobody, &class, &meeting), Reach::Other);
}

#[test]
fn a_students_matter_is_their_own_and_leave_from_all_classes_no_teachers() {
    let w = World::new();
    let class = &w.state.campus.classes[&CLASS];
    let ann = User { student: Some(ANN), role: Role::Student, ..user(1, "u") };
    assert_eq!(reach_of_student(&ann, ANN), Reach::Own);
    assert_eq!(reach_of_student(&ann, BEN), Reach::Other);
    assert_eq!(reach_of_student(&user(1, "u"), ANN), Reach::Other);
    let teacher = User { teacher: Some(TeacherId(1)), ..user(1, "u") };
    assert_eq!(reach_of_leave(&teacher, Some(class)), Reach::Own);
    assert_eq!(reach_of_leave(&teacher, None), Reach::Other);
    let other = User { teacher: Some(STAND_IN), ..teacher };
    assert_eq!(reach_of_leave(&other, Some(class)), Reach::Other);
}

/// Four Mondays planned, the first of which is generated.
fn four_mondays() -> World {
    let mut w = World::new();
    w.put(Item::Slot(slot(1)));
    let first = generate(&w.state, &w.policy, (day(MONDAY), day("2026-03-08")), &w.zone, w.now);
    w.append_all(first.events);
    assert_eq!(w.state.sessions.len(), 1);
    w
}

fn to_come(w: &World, student: StudentId) -> u32 {
    let days: (Date, Date) = (day(MONDAY), day("2026-03-29"));
    w.state.remaining(student, CLASS, days, &w.zone)
}

#[test]
fn what_is_to_come_is_what_stands_and_what_the_timetable_will_make() {
    let mut w = four_mondays();
    assert_eq!((to_come(&w, ANN), to_come(&w, CAT)), (4, 0));
    w.schedule(CLASS, "15:00", "16:00");
    w.schedule(OTHER_CLASS, "15:00", "16:00");
    w.put(Item::Slot(Slot { class: OTHER_CLASS, ..slot(2) }));
    assert_eq!(to_come(&w, ANN), 5);
    let (from, to) = (day("2026-03-16"), day("2026-03-17"));
    w.put(Item::Holiday(Holiday { id: HolidayId(1), from, to, name: "Break".into() }));
    assert_eq!(to_come(&w, ANN), 4);
    let link = Link::ClassStudent(CLASS, ANN);
    w.campus(CampusEvent::Left { link, day: Some(day("2026-03-23")) });
    assert_eq!((to_come(&w, ANN), to_come(&w, BEN)), (3, 4));
}

#[test]
fn what_was_held_or_cancelled_is_not_to_come() {
    let mut w = four_mondays();
    let first = SessionId(1);
    w.at("08:55").open(first).unwrap();
    assert_eq!(to_come(&w, ANN), 4);
    w.at("10:00").close(first).unwrap();
    assert_eq!(to_come(&w, ANN), 3);
    let mut w = four_mondays();
    w.cancel(first).unwrap();
    assert_eq!(to_come(&w, ANN), 3);
}

#[test]
fn the_numbers_of_a_class_are_its_own_and_the_cancelled_keep_theirs() {
    let mut w = World::new();
    let first = w.schedule(CLASS, "09:00", "10:00");
    let second = w.schedule(CLASS, "11:00", "12:00");
    w.schedule(OTHER_CLASS, "09:00", "10:00");
    w.cancel(first).unwrap();
    let all = w.state.numbered(CLASS, None);
    let shown: Vec<_> = all.iter().map(|m| (m.number, m.starts, m.cancelled)).collect();
    assert_eq!(shown, [(1, w.time("09:00"), true), (2, w.time("11:00"), false)]);
    let others = w.state.numbered(CLASS, Some(second));
    assert_eq!(others, &all[..1]);
    let third = w.schedule(CLASS, "13:00", "14:00");
    assert_eq!(w.session(third).meeting.number, 3);
}

#[test]
fn figures_count_what_was_held_while_the_student_was_of_the_class() {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:10").mark(s, ANN, Mark::Late).unwrap();
    let held = |w: &World, days| w.state.tally(ANN, CLASS, days).held();
    assert_eq!(held(&w, Days::ALWAYS), 0);
    w.at("10:00").close(s).unwrap();
    assert_eq!(w.state.tally(ANN, CLASS, Days::ALWAYS).late, 1);
    assert_eq!(held(&w, Days::starting(day("2026-03-03"))), 0);
    w.lock(s).unwrap();
    assert_eq!(held(&w, Days::new(day(MONDAY), day(MONDAY))), 1);
}
