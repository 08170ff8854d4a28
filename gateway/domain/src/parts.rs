//! The campus and the office in parts, for whoever keeps them between two starts.
//!
//! Promises: put together again, the parts give the same campus and the same office; what changed between
//! two states is found without anybody having said so, which is why no change can be forgotten.
//!
//! Refuses: sessions. They are kept one by one as they are.

use std::collections::BTreeMap;
use std::iter::Peekable;

use serde::{Deserialize, Serialize};

use crate::campus::{Campus, Item, ItemId};
use crate::code::PersonKey;
use crate::ids::{CorrectionId, DeviceId, LeaveId, SelfMarkId, StudentId};
use crate::office::Office;
use crate::requests::{Correction, Leave, SelfMark};
use crate::roster::{Link, Stays};

/// What a part is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PartId {
    Item(ItemId),
    Link(Link),
    Mapping(DeviceId, PersonKey),
    Merged(StudentId),
    Leave(LeaveId),
    Correction(CorrectionId),
    SelfMark(SelfMarkId),
    Setting(String),
    Consent(StudentId),
    Template(StudentId),
    Highest(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    Item(Item),
    Link(Link, Stays),
    /// The student that a device knows under a number of its own.
    Mapping(DeviceId, PersonKey, StudentId),
    /// The student that another one turned out to be.
    Merged(StudentId, StudentId),
    Leave(Leave),
    Correction(Correction),
    SelfMark(SelfMark),
    Setting(String, String),
    Consent(StudentId),
    Template(StudentId),
    Highest(String, u64),
}

impl Part {
    pub fn id(&self) -> PartId {
        match self {
            Part::Item(item) => PartId::Item(item.id()),
            Part::Link(link, _) => PartId::Link(*link),
            Part::Mapping(device, key, _) => PartId::Mapping(device.clone(), *key),
            Part::Merged(from, _) => PartId::Merged(*from),
            Part::Leave(leave) => PartId::Leave(leave.id),
            Part::Correction(correction) => PartId::Correction(correction.id),
            Part::SelfMark(asked) => PartId::SelfMark(asked.id),
            Part::Setting(key, _) => PartId::Setting(key.clone()),
            Part::Consent(student) => PartId::Consent(*student),
            Part::Template(student) => PartId::Template(*student),
            Part::Highest(prefix, _) => PartId::Highest(prefix.clone()),
        }
    }
}

/// A part that is there now, or is not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Put(Part),
    Gone(PartId),
}

/// The campus and the office that these parts make up.
pub fn restore(parts: impl IntoIterator<Item = Part>) -> (Campus, Office) {
    let (mut campus, mut office) = (Campus::default(), Office::default());
    for part in parts {
        match part {
            Part::Item(item) => campus.put(item),
            Part::Link(link, stays) => campus.rosters.put(link, stays),
            Part::Mapping(device, key, student) => campus.map_person(device, key, student),
            Part::Merged(from, into) => campus.people.put_merged(from, into),
            Part::Leave(leave) => drop(office.leaves.insert(leave.id, leave)),
            Part::Correction(asked) => drop(office.corrections.insert(asked.id, asked)),
            Part::SelfMark(asked) => drop(office.self_marks.insert(asked.id, asked)),
            Part::Setting(key, value) => office.set(&key, Some(&value)),
            Part::Consent(student) => office.consent(student, true),
            Part::Template(student) => office.template(student, true),
            Part::Highest(prefix, number) => office.used(&prefix, number),
        }
    }
    (campus, office)
}

/// What changed on the campus.
pub fn campus_changes(old: &Campus, new: &Campus) -> Vec<Change> {
    let mut changes = Vec::new();
    new.compare_items(old, &mut changes);
    let stays = |link, stays: &Stays| Part::Link(link, stays.clone());
    compare(old.rosters.links(), new.rosters.links(), PartId::Link, stays, &mut changes);
    let id = |(device, key)| PartId::Mapping(device, key);
    let mapping = |(device, key), student: &StudentId| Part::Mapping(device, key, *student);
    compare(old.people.mappings(), new.people.mappings(), id, mapping, &mut changes);
    let into = |from, into: &StudentId| Part::Merged(from, *into);
    compare(old.people.merges(), new.people.merges(), PartId::Merged, into, &mut changes);
    changes
}

/// What changed in the office.
pub fn office_changes(old: &Office, new: &Office) -> Vec<Change> {
    let mut changes = Vec::new();
    let leave = |_, leave: &Leave| Part::Leave(leave.clone());
    compare(all(&old.leaves), all(&new.leaves), PartId::Leave, leave, &mut changes);
    let correction = |_, asked: &Correction| Part::Correction(asked.clone());
    compare(all(&old.corrections), all(&new.corrections), PartId::Correction, correction, &mut changes);
    let self_mark = |_, asked: &SelfMark| Part::SelfMark(asked.clone());
    compare(all(&old.self_marks), all(&new.self_marks), PartId::SelfMark, self_mark, &mut changes);
    let setting = |key, value: &String| Part::Setting(key, value.clone());
    compare(all(&old.settings), all(&new.settings), PartId::Setting, setting, &mut changes);
    let members = |students: &std::collections::BTreeSet<StudentId>| {
        students.iter().map(|student| (*student, &())).collect::<Vec<_>>()
    };
    let consent = |student, _: &()| Part::Consent(student);
    compare(members(&old.consents), members(&new.consents), PartId::Consent, consent, &mut changes);
    let template = |student, _: &()| Part::Template(student);
    compare(members(&old.templates), members(&new.templates), PartId::Template, template, &mut changes);
    let highest = |prefix, number: &u64| Part::Highest(prefix, *number);
    compare(all(&old.highest), all(&new.highest), PartId::Highest, highest, &mut changes);
    changes
}

fn all<K: Clone, V>(table: &BTreeMap<K, V>) -> impl Iterator<Item = (K, &V)> {
    table.iter().map(|(key, value)| (key.clone(), value))
}

/// Walks two tables in the order of their keys, side by side.
pub(crate) fn compare<'a, K: Ord, V: PartialEq + 'a>(
    old: impl IntoIterator<Item = (K, &'a V)>,
    new: impl IntoIterator<Item = (K, &'a V)>,
    id: impl Fn(K) -> PartId,
    part: impl Fn(K, &V) -> Part,
    changes: &mut Vec<Change>,
) {
    let mut old = old.into_iter().peekable();
    for (key, value) in new {
        while let Some((gone, _)) = old.next_if(|(before, _)| *before < key) {
            changes.push(Change::Gone(id(gone)));
        }
        if !is_same(&mut old, &key, value) {
            changes.push(Change::Put(part(key, value)));
        }
    }
    changes.extend(old.map(|(gone, _)| Change::Gone(id(gone))));
}

/// Takes what had this key before, and tells whether it had the same value.
fn is_same<'a, K: Ord, V: PartialEq + 'a>(
    old: &mut Peekable<impl Iterator<Item = (K, &'a V)>>,
    key: &K,
    value: &V,
) -> bool {
    old.next_if(|(before, _)| before == key).is_some_and(|(_, before)| before == value)
}
