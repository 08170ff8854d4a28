//! Who belongs to what, and from when to when.
//!
//! Promises: membership is by calendar day, both ends included; joining twice is joining once;
//! a class's students are those enrolled in it and those of the sections that attend it; a student
//! may leave and come back.
//!
//! Refuses: names. This holds ids and dates only.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::ids::{ClassId, SectionId, StudentId};

/// Calendar days from `from` to `to`, both included; an end that is not there is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Days {
    pub from: Option<Date>,
    pub to: Option<Date>,
}

impl Days {
    pub const ALWAYS: Days = Days { from: None, to: None };

    pub fn new(from: Date, to: Date) -> Self {
        Days { from: Some(from), to: Some(to) }
    }

    pub fn starting(from: Date) -> Self {
        Days { from: Some(from), to: None }
    }

    pub fn contains(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }

    /// All of them; an end that is open is the end of all days.
    pub fn range(&self) -> RangeInclusive<Date> {
        self.from.unwrap_or(Date::MIN)..=self.to.unwrap_or(Date::MAX)
    }

    pub fn is_empty(&self) -> bool {
        matches!((self.from, self.to), (Some(from), Some(to)) if from > to)
    }

    /// Whether the two share a day or follow each other without one between.
    fn touches(&self, other: &Days) -> bool {
        let reaches = |to: Option<Date>, from: Option<Date>| match (to, from) {
            (Some(to), Some(from)) => to.tomorrow().map_or(true, |next| next >= from),
            _ => true,
        };
        reaches(self.to, other.from) && reaches(other.to, self.from)
    }

    fn join(&self, other: &Days) -> Days {
        Days {
            from: self.from.zip(other.from).map(|(a, b)| a.min(b)),
            to: self.to.zip(other.to).map(|(a, b)| a.max(b)),
        }
    }

    /// What is left when the days from `day` on are cut off.
    fn until_before(&self, day: Date) -> Option<Days> {
        let last = day.yesterday().ok()?;
        let cut = Days { from: self.from, to: Some(self.to.map_or(last, |to| to.min(last))) };
        (!cut.is_empty()).then_some(cut)
    }
}

/// Days during which something belonged to a group, in order and never touching.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stays(Vec<Days>);

impl Stays {
    pub fn contains(&self, day: Date) -> bool {
        self.0.iter().any(|days| days.contains(day))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Days> {
        self.0.iter()
    }

    fn add(&mut self, days: Days) {
        if days.is_empty() {
            return;
        }
        let (touching, apart): (Vec<_>, Vec<_>) = self.0.drain(..).partition(|old| old.touches(&days));
        self.0 = apart;
        self.0.push(touching.iter().fold(days, |sum, old| sum.join(old)));
        self.0.sort();
    }

    fn end_before(&mut self, day: Date) {
        self.0 = self.0.iter().filter_map(|days| days.until_before(day)).collect();
    }
}

/// What joins or leaves what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Link {
    /// A student is enrolled in a class.
    ClassStudent(ClassId, StudentId),
    /// A section attends a class.
    ClassSection(ClassId, SectionId),
    /// A student is of a section.
    SectionStudent(SectionId, StudentId),
}

/// All memberships of the campus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rosters {
    classes: BTreeMap<ClassId, BTreeMap<StudentId, Stays>>,
    class_sections: BTreeMap<ClassId, BTreeMap<SectionId, Stays>>,
    sections: BTreeMap<SectionId, BTreeMap<StudentId, Stays>>,
}

impl Rosters {
    pub fn join(&mut self, link: Link, days: Days) {
        self.stays(link).add(days);
    }

    /// The member is gone from `day` on; `None`: as if it had never been one.
    pub fn leave(&mut self, link: Link, day: Option<Date>) {
        match day {
            Some(day) => self.stays(link).end_before(day),
            None => self.stays(link).0.clear(),
        }
    }

    pub(crate) fn put(&mut self, link: Link, stays: Stays) {
        *self.stays(link) = stays;
    }

    fn stays(&mut self, link: Link) -> &mut Stays {
        match link {
            Link::ClassStudent(class, student) => {
                self.classes.entry(class).or_default().entry(student).or_default()
            }
            Link::ClassSection(class, section) => {
                self.class_sections.entry(class).or_default().entry(section).or_default()
            }
            Link::SectionStudent(section, student) => {
                self.sections.entry(section).or_default().entry(student).or_default()
            }
        }
    }

    /// Whether the student is of the class on that day, by enrolment or through a section.
    pub fn attends(&self, class: ClassId, student: StudentId, day: Date) -> bool {
        let direct = self.classes.get(&class).and_then(|members| members.get(&student));
        direct.is_some_and(|stays| stays.contains(day))
            || self.sections_on(class, day).any(|section| self.in_section(section, student, day))
    }

    /// Everyone who is of the class on that day.
    pub fn on(&self, class: ClassId, day: Date) -> BTreeSet<StudentId> {
        let direct = self.classes.get(&class).into_iter().flatten();
        let through = self.sections_on(class, day).filter_map(|id| self.sections.get(&id)).flatten();
        direct.chain(through).filter(|(_, stays)| stays.contains(day)).map(|(id, _)| *id).collect()
    }

    /// The classes the student is of on that day.
    pub fn classes_of(&self, student: StudentId, day: Date) -> BTreeSet<ClassId> {
        let known: BTreeSet<ClassId> =
            self.classes.keys().chain(self.class_sections.keys()).copied().collect();
        known.into_iter().filter(|class| self.attends(*class, student, day)).collect()
    }

    pub fn sections_on(&self, class: ClassId, day: Date) -> impl Iterator<Item = SectionId> + '_ {
        let links = self.class_sections.get(&class).into_iter().flatten();
        links.filter(move |(_, stays)| stays.contains(day)).map(|(id, _)| *id)
    }

    /// The classes that the section attends, on whatever day.
    pub fn classes_of_section(&self, section: SectionId) -> impl Iterator<Item = ClassId> + '_ {
        self.class_sections.iter().filter(move |(_, of)| of.contains_key(&section)).map(|(class, _)| *class)
    }

    pub fn in_section(&self, section: SectionId, student: StudentId, day: Date) -> bool {
        let stays = self.sections.get(&section).and_then(|members| members.get(&student));
        stays.is_some_and(|stays| stays.contains(day))
    }

    /// Every link that stands, for exports and for "what depends on this".
    pub fn links(&self) -> impl Iterator<Item = (Link, &Stays)> {
        let flat = |class: &ClassId| *class;
        let direct = self.classes.iter().flat_map(move |(class, members)| {
            members.iter().map(move |(id, stays)| (Link::ClassStudent(flat(class), *id), stays))
        });
        let attached = self.class_sections.iter().flat_map(move |(class, sections)| {
            sections.iter().map(move |(id, stays)| (Link::ClassSection(flat(class), *id), stays))
        });
        let fixed = self.sections.iter().flat_map(|(section, members)| {
            members.iter().map(move |(id, stays)| (Link::SectionStudent(*section, *id), stays))
        });
        direct.chain(attached).chain(fixed).filter(|(_, stays)| !stays.0.is_empty())
    }

    /// Everything `from` belongs to now belongs to `into` instead.
    pub fn merge(&mut self, from: StudentId, into: StudentId) {
        for members in self.classes.values_mut().chain(self.sections.values_mut()) {
            let moved = members.remove(&from).unwrap_or_default();
            for days in moved.0 {
                members.entry(into).or_default().add(days);
            }
        }
    }

    pub fn forget_student(&mut self, student: StudentId) {
        for members in self.classes.values_mut().chain(self.sections.values_mut()) {
            members.remove(&student);
        }
    }

    pub fn forget_class(&mut self, class: ClassId) {
        self.classes.remove(&class);
        self.class_sections.remove(&class);
    }

    pub fn forget_section(&mut self, section: SectionId) {
        self.sections.remove(&section);
        self.class_sections.values_mut().for_each(|sections| {
            sections.remove(&section);
        });
    }
}
