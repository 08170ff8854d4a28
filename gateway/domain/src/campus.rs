//! What there is on the campus: departments, classes, rooms, terms, devices, people without their
//! names, and who may be found by which number.
//!
//! Promises: one item per id; `put` and `remove` keep the indexes right; whether a code is taken or a name
//! leads nowhere can be asked before something is put.
//!
//! Refuses: attendance. What happened in a meeting is [`crate::session`]'s.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::code::{Code, KeyKind, PersonKey};
use crate::ids::{
    BatchId, ClassId, CourseId, DepartmentId, DeviceId, HolidayId, RoomId, SectionId, SlotId, StudentId,
    TeacherId, TermId, UserId,
};
use crate::parts::{Change, Part, PartId, compare};
use crate::people::{Student, Teacher, User};
use crate::roster::Rosters;
use crate::timetable::Slot;

pub use crate::device::{Device, DeviceKind, DeviceStatus};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Department {
    pub id: DepartmentId,
    pub code: Code,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    pub id: BatchId,
    pub department: DepartmentId,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    pub id: SectionId,
    pub batch: Option<BatchId>,
    pub code: Code,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    pub id: CourseId,
    pub code: Code,
    pub name: String,
    pub description: Option<String>,
}

/// One offering of a course to students by teachers in a term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    pub id: ClassId,
    pub code: Code,
    pub name: Option<String>,
    pub course: CourseId,
    pub teacher: TeacherId,
    /// Those who teach it too; they reach it as its teacher does.
    pub co_teachers: Vec<TeacherId>,
    pub term: Option<TermId>,
    pub room: Option<RoomId>,
}

impl Class {
    pub fn is_taught_by(&self, teacher: TeacherId) -> bool {
        self.teacher == teacher || self.co_teachers.contains(&teacher)
    }
}

/// A place on the globe, in millionths of a degree, so that equal places are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub latitude_micro: i32,
    pub longitude_micro: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    pub id: RoomId,
    pub code: Code,
    pub name: String,
    /// Networks in CIDR form from which a phone counts as being in the room.
    pub networks: Vec<String>,
    pub place: Option<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    pub id: TermId,
    pub code: Code,
    pub name: String,
    pub academic_year: Option<String>,
    pub semester: u8,
    pub starts: Date,
    pub ends: Date,
}

/// Days without classes, both ends included; what is scheduled then is cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holiday {
    pub id: HolidayId,
    pub from: Date,
    pub to: Date,
    pub name: String,
}

macro_rules! items {
    ($($kind:ident($item:ty, $id:ty) $table:ident),+ $(,)?) => {
        /// Anything of the campus that can be put or removed as a whole.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Item { $($kind($item)),+ }

        /// The name of an [`Item`].
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum ItemId { $($kind($id)),+ }

        impl Item {
            pub fn id(&self) -> ItemId {
                match self { $(Item::$kind(item) => ItemId::$kind(item.id.clone())),+ }
            }
        }

        impl fmt::Display for ItemId {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(ItemId::$kind(id) => id.fmt(f)),+ }
            }
        }

        /// Everything there is, by id.
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct Campus {
            $(pub $table: BTreeMap<$id, $item>,)+
            pub rosters: Rosters,
            pub people: PeopleIndex,
        }

        impl Campus {
            pub fn has(&self, id: &ItemId) -> bool {
                match id { $(ItemId::$kind(id) => self.$table.contains_key(id)),+ }
            }

            /// What became of the items of another campus.
            pub(crate) fn compare_items(&self, old: &Campus, changes: &mut Vec<Change>) {
                $(compare(
                    old.$table.iter().map(|(id, item)| (id.clone(), item)),
                    self.$table.iter().map(|(id, item)| (id.clone(), item)),
                    |id| PartId::Item(ItemId::$kind(id)),
                    |_, item| Part::Item(Item::$kind(item.clone())),
                    changes,
                );)+
            }

            fn put_in_table(&mut self, item: Item) {
                match item { $(Item::$kind(item) => { self.$table.insert(item.id.clone(), item); })+ }
            }

            fn remove_from_table(&mut self, id: &ItemId) {
                match id { $(ItemId::$kind(id) => { self.$table.remove(id); })+ }
            }
        }
    };
}

items! {
    Department(Department, DepartmentId) departments,
    Batch(Batch, BatchId) batches,
    Section(Section, SectionId) sections,
    Course(Course, CourseId) courses,
    Class(Class, ClassId) classes,
    Room(Room, RoomId) rooms,
    Term(Term, TermId) terms,
    Holiday(Holiday, HolidayId) holidays,
    Slot(Slot, SlotId) slots,
    Student(Student, StudentId) students,
    Teacher(Teacher, TeacherId) teachers,
    User(User, UserId) users,
    Device(Device, DeviceId) devices,
}

/// Who may be found by which number. A number that two students have finds both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeopleIndex {
    by_number: BTreeMap<(KeyKind, PersonKey), Vec<StudentId>>,
    by_device: BTreeMap<(DeviceId, PersonKey), StudentId>,
    merged: BTreeMap<StudentId, StudentId>,
}

impl PeopleIndex {
    pub fn by_number(&self, kind: KeyKind, key: PersonKey) -> &[StudentId] {
        self.by_number.get(&(kind, key)).map_or(&[], Vec::as_slice)
    }

    pub fn by_device(&self, device: &DeviceId, key: PersonKey) -> Option<StudentId> {
        self.by_device.get(&(device.clone(), key)).copied()
    }

    /// The ids of those who turned out to be this student.
    pub fn merged_into(&self, student: StudentId) -> Vec<StudentId> {
        self.merged.keys().copied().filter(|id| *id != student && self.today(*id) == student).collect()
    }

    /// The student that this id means today: itself, or the one it was merged into.
    pub fn today(&self, student: StudentId) -> StudentId {
        let mut current = student;
        // A merge is only made into a student that is not itself merged away, so this ends.
        while let Some(next) = self.merged.get(&current) {
            current = *next;
        }
        current
    }

    pub(crate) fn mappings(&self) -> impl Iterator<Item = ((DeviceId, PersonKey), &StudentId)> {
        self.by_device.iter().map(|(key, student)| (key.clone(), student))
    }

    pub(crate) fn merges(&self) -> impl Iterator<Item = (StudentId, &StudentId)> {
        self.merged.iter().map(|(from, into)| (*from, into))
    }

    pub(crate) fn put_merged(&mut self, from: StudentId, into: StudentId) {
        self.merged.insert(from, into);
    }

    fn add(&mut self, student: &Student) {
        for number in student.numbers() {
            let found = self.by_number.entry(number).or_default();
            if !found.contains(&student.id) {
                found.push(student.id);
                found.sort_unstable();
            }
        }
    }

    fn remove(&mut self, student: &Student) {
        for number in student.numbers() {
            if let Some(found) = self.by_number.get_mut(&number) {
                found.retain(|id| *id != student.id);
            }
            if self.by_number(number.0, number.1).is_empty() {
                self.by_number.remove(&number);
            }
        }
    }
}

impl Campus {
    pub fn put(&mut self, item: Item) {
        if let Item::Student(student) = &item {
            if let Some(before) = self.students.get(&student.id) {
                self.people.remove(before);
            }
            self.people.add(student);
        }
        self.put_in_table(item);
    }

    pub fn remove(&mut self, id: &ItemId) {
        match id {
            ItemId::Student(student) => self.forget_student(*student),
            ItemId::Class(class) => self.rosters.forget_class(*class),
            ItemId::Section(section) => self.rosters.forget_section(*section),
            ItemId::Device(device) => self.people.by_device.retain(|(id, _), _| id != device),
            _ => {}
        }
        self.remove_from_table(id);
    }

    fn forget_student(&mut self, student: StudentId) {
        if let Some(gone) = self.students.get(&student) {
            self.people.remove(gone);
        }
        self.people.by_device.retain(|_, mapped| *mapped != student);
        self.rosters.forget_student(student);
    }

    /// The device knows this student under a number of its own.
    pub fn map_person(&mut self, device: DeviceId, key: PersonKey, student: StudentId) {
        self.people.by_device.insert((device, key), student);
    }

    pub fn unmap_person(&mut self, device: DeviceId, key: PersonKey) {
        self.people.by_device.remove(&(device, key));
    }

    /// `from` is the same person as `into`: memberships, numbers, sign-ins and mappings move over. Nothing
    /// happens if one of them is not known.
    pub(crate) fn merge(&mut self, from: StudentId, into: StudentId) {
        if from == into || !self.students.contains_key(&into) {
            return;
        }
        let Some(gone) = self.students.remove(&from) else { return };
        self.people.remove(&gone);
        if let Some(kept) = self.students.get_mut(&into) {
            kept.former.extend([(KeyKind::Code, gone.code), (KeyKind::Number, gone.number)]);
            kept.former.extend(&gone.former);
            kept.former.extend(gone.cards.iter().map(|card| (KeyKind::Card, *card)));
            self.people.add(kept);
        }
        self.people.by_device.values_mut().filter(|id| **id == from).for_each(|id| *id = into);
        for user in self.users.values_mut().filter(|user| user.student == Some(from)) {
            user.student = Some(into);
        }
        self.rosters.merge(from, into);
        self.people.merged.insert(from, into);
    }

    /// Who already has the code that `item` would have.
    pub fn code_taken_by(&self, item: &Item) -> Option<ItemId> {
        let rivals: Vec<ItemId> = match item {
            Item::Department(new) => same(&self.departments, |old| old.code == new.code, ItemId::Department),
            Item::Section(new) => same(&self.sections, |old| old.code == new.code, ItemId::Section),
            Item::Course(new) => same(&self.courses, |old| old.code == new.code, ItemId::Course),
            Item::Class(new) => same(&self.classes, |old| old.code == new.code, ItemId::Class),
            Item::Room(new) => same(&self.rooms, |old| old.code == new.code, ItemId::Room),
            Item::Term(new) => same(&self.terms, |old| old.code == new.code, ItemId::Term),
            Item::Teacher(new) => same(&self.teachers, |old| old.code == new.code, ItemId::Teacher),
            Item::User(new) => same(&self.users, |old| old.username == new.username, ItemId::User),
            Item::Student(new) => {
                let found = self.people.by_number(KeyKind::Code, new.code);
                found.iter().map(|id| ItemId::Student(*id)).collect()
            }
            Item::Batch(_) | Item::Holiday(_) | Item::Slot(_) | Item::Device(_) => Vec::new(),
        };
        rivals.into_iter().find(|rival| *rival != item.id())
    }

    /// What `item` names and is not there.
    pub fn missing(&self, item: &Item) -> Vec<ItemId> {
        let mut names: Vec<Option<ItemId>> = Vec::new();
        match item {
            Item::Batch(batch) => names.push(Some(ItemId::Department(batch.department))),
            Item::Section(section) => names.push(section.batch.map(ItemId::Batch)),
            Item::Class(class) => {
                names.push(Some(ItemId::Course(class.course)));
                names.extend(
                    class.co_teachers.iter().chain([&class.teacher]).map(|t| Some(ItemId::Teacher(*t))),
                );
                names.extend([class.term.map(ItemId::Term), class.room.map(ItemId::Room)]);
            }
            Item::Slot(slot) => {
                names.push(Some(ItemId::Class(slot.class)));
                names.extend([slot.room.map(ItemId::Room), slot.teacher.map(ItemId::Teacher)]);
            }
            Item::Teacher(teacher) => names.push(teacher.department.map(ItemId::Department)),
            Item::User(user) => {
                names.extend([user.teacher.map(ItemId::Teacher), user.student.map(ItemId::Student)]);
            }
            Item::Device(device) => names.push(device.room.map(ItemId::Room)),
            Item::Department(_)
            | Item::Course(_)
            | Item::Room(_)
            | Item::Term(_)
            | Item::Holiday(_)
            | Item::Student(_) => {}
        }
        names.into_iter().flatten().filter(|name| !self.has(name)).collect()
    }

    pub fn is_holiday(&self, day: Date) -> bool {
        self.holidays.values().any(|holiday| (holiday.from..=holiday.to).contains(&day))
    }
}

/// The ids of those in a table that fit.
fn same<K: Copy + Ord, T>(
    table: &BTreeMap<K, T>,
    fits: impl Fn(&T) -> bool,
    name: impl Fn(K) -> ItemId,
) -> Vec<ItemId> {
    table.iter().filter(|(_, item)| fits(item)).map(|(id, _)| name(*id)).collect()
}
