//! What there is on the campus: departments, classes, rooms, terms, devices, people without their
//! names, and who may be found by which number.
//!
//! Promises: one item per id; `put` and `remove` keep the indexes right; before something is removed,
//! [`Campus::dependents`] says what still needs it.
//!
//! Refuses: attendance. What happened in a meeting is [`crate::session`]'s.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::code::{Code, KeyKind, PersonKey};
use crate::ids::{
    BatchId, ClassId, CourseId, DepartmentId, DeviceId, HolidayId, RoomId, SectionId, SlotId, StudentId,
    TeacherId, TermId, UserId,
};
use crate::people::{Student, Teacher, User};
use crate::roster::{Link, Rosters};
use crate::timetable::Slot;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    Fingerprint,
    Face,
    Iris,
    Palm,
    Card,
    Qr,
    Camera,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceStatus {
    Active,
    Inactive,
    Maintenance,
    /// Seen, but not yet approved by an admin.
    Pending,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub id: DeviceId,
    pub name: String,
    pub kind: DeviceKind,
    /// Where it hangs; a device without a room stands at a gate or in a hall.
    pub room: Option<RoomId>,
    pub dialect: String,
    pub status: DeviceStatus,
    pub endpoint: Option<String>,
    pub firmware: Option<String>,
}

impl Device {
    /// A disabled device is disconnected and its scans are not taken.
    pub fn may_scan(&self) -> bool {
        self.status == DeviceStatus::Active
    }
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

        /// Everything there is, by id.
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct Campus {
            $(pub $table: BTreeMap<$id, $item>,)+
            pub rosters: Rosters,
            pub people: PeopleIndex,
        }

        impl Campus {
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

    /// The student that this id means today: itself, or the one it was merged into.
    pub fn today(&self, student: StudentId) -> StudentId {
        let mut current = student;
        // A merge is only made into a student that is not itself merged away, so this ends.
        while let Some(next) = self.merged.get(&current) {
            current = *next;
        }
        current
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

    /// `from` is the same person as `into`: memberships, numbers and mappings move over.
    pub fn merge(&mut self, from: StudentId, into: StudentId) {
        let (from, into) = (self.people.today(from), self.people.today(into));
        if from == into {
            return;
        }
        self.people.by_device.values_mut().filter(|id| **id == from).for_each(|id| *id = into);
        if let Some(gone) = self.students.remove(&from) {
            self.people.remove(&gone);
            if let Some(kept) = self.students.get_mut(&into) {
                kept.former_codes.extend(gone.former_codes.iter().chain([&gone.code]));
                kept.cards.extend(&gone.cards);
                self.people.add(kept);
            }
        }
        self.rosters.merge(from, into);
        self.people.merged.insert(from, into);
    }

    /// What would lose its footing if `id` were removed; empty means it may go.
    pub fn dependents(&self, id: &ItemId) -> Vec<ItemId> {
        let mut needs = Vec::new();
        self.items_needing(id, &mut needs);
        for (link, _) in self.rosters.links() {
            match (id, link) {
                (ItemId::Section(gone), Link::ClassSection(class, section)) if *gone == section => {
                    needs.push(ItemId::Class(class));
                }
                (ItemId::Section(gone), Link::SectionStudent(section, student)) if *gone == section => {
                    needs.push(ItemId::Student(student));
                }
                (ItemId::Class(gone), Link::ClassStudent(class, student)) if *gone == class => {
                    needs.push(ItemId::Student(student));
                }
                _ => {}
            }
        }
        needs.sort();
        needs.dedup();
        needs
    }

    fn items_needing(&self, id: &ItemId, needs: &mut Vec<ItemId>) {
        let classes = self.classes.values().filter(|class| match id {
            ItemId::Course(gone) => class.course == *gone,
            ItemId::Teacher(gone) => class.is_taught_by(*gone),
            ItemId::Term(gone) => class.term == Some(*gone),
            ItemId::Room(gone) => class.room == Some(*gone),
            _ => false,
        });
        needs.extend(classes.map(|class| ItemId::Class(class.id)));
        let slots = self.slots.values().filter(|slot| match id {
            ItemId::Class(gone) => slot.class == *gone,
            ItemId::Room(gone) => slot.room == Some(*gone),
            ItemId::Teacher(gone) => slot.teacher == Some(*gone),
            _ => false,
        });
        needs.extend(slots.map(|slot| ItemId::Slot(slot.id)));
        match id {
            ItemId::Department(gone) => {
                let batches = self.batches.values().filter(|batch| batch.department == *gone);
                needs.extend(batches.map(|batch| ItemId::Batch(batch.id)));
                let teachers = self.teachers.values().filter(|t| t.department == Some(*gone));
                needs.extend(teachers.map(|teacher| ItemId::Teacher(teacher.id)));
            }
            ItemId::Batch(gone) => {
                let sections = self.sections.values().filter(|section| section.batch == Some(*gone));
                needs.extend(sections.map(|section| ItemId::Section(section.id)));
            }
            ItemId::Room(gone) => {
                let devices = self.devices.values().filter(|device| device.room == Some(*gone));
                needs.extend(devices.map(|device| ItemId::Device(device.id.clone())));
            }
            _ => {}
        }
    }
}
