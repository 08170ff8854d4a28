//! What would lose its footing if something were removed.
//!
//! Promises: an empty answer means it may go; otherwise the answer names what is in the way.

use std::collections::BTreeSet;

use crate::campus::{Campus, ItemId};
use crate::ids::SessionId;
use crate::roster::Link;
use crate::session::{Meeting, Session};
use crate::state::State;

/// Something that needs what is to be removed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependent {
    Item(ItemId),
    Session(SessionId),
}

impl State {
    /// What depends on `id`.
    pub fn dependents(&self, id: &ItemId) -> BTreeSet<Dependent> {
        let items = items_needing(&self.campus, id).into_iter().chain(links_needing(&self.campus, id));
        let sessions = self.sessions.values().filter(|session| needs(session, id));
        let sessions = sessions.map(|session| Dependent::Session(session.meeting.id));
        items.map(Dependent::Item).chain(sessions).collect()
    }
}

fn needs(session: &Session, id: &ItemId) -> bool {
    let meeting: &Meeting = &session.meeting;
    match id {
        ItemId::Class(gone) => meeting.class == *gone,
        ItemId::Teacher(gone) => meeting.teacher == *gone,
        ItemId::Room(gone) => meeting.room == Some(*gone),
        ItemId::Term(gone) => meeting.term == Some(*gone),
        ItemId::Student(gone) => session.records.contains_key(gone),
        ItemId::Device(gone) => meeting.bound().any(|bound| bound == gone),
        _ => false,
    }
}

fn links_needing(campus: &Campus, id: &ItemId) -> Vec<ItemId> {
    let other = |link: Link| match (id, link) {
        (ItemId::Section(gone), Link::ClassSection(class, section)) if *gone == section => {
            Some(ItemId::Class(class))
        }
        (ItemId::Section(gone), Link::SectionStudent(section, student)) if *gone == section => {
            Some(ItemId::Student(student))
        }
        (ItemId::Class(gone), Link::ClassStudent(class, student)) if *gone == class => {
            Some(ItemId::Student(student))
        }
        _ => None,
    };
    campus.rosters.links().filter_map(|(link, _)| other(link)).collect()
}

fn items_needing(campus: &Campus, id: &ItemId) -> Vec<ItemId> {
    let classes = campus.classes.values().filter(|class| match id {
        ItemId::Course(gone) => class.course == *gone,
        ItemId::Teacher(gone) => class.is_taught_by(*gone),
        ItemId::Term(gone) => class.term == Some(*gone),
        ItemId::Room(gone) => class.room == Some(*gone),
        _ => false,
    });
    let slots = campus.slots.values().filter(|slot| match id {
        ItemId::Class(gone) => slot.class == *gone,
        ItemId::Room(gone) => slot.room == Some(*gone),
        ItemId::Teacher(gone) => slot.teacher == Some(*gone),
        _ => false,
    });
    let users = campus.users.values().filter(|user| match id {
        ItemId::Teacher(gone) => user.teacher == Some(*gone),
        ItemId::Student(gone) => user.student == Some(*gone),
        _ => false,
    });
    let teachers = campus.teachers.values().filter(|teacher| match id {
        ItemId::Department(gone) => teacher.department == Some(*gone),
        _ => false,
    });
    let batches = campus.batches.values().filter(|batch| match id {
        ItemId::Department(gone) => batch.department == *gone,
        _ => false,
    });
    let sections = campus.sections.values().filter(|section| match id {
        ItemId::Batch(gone) => section.batch == Some(*gone),
        _ => false,
    });
    let devices = campus.devices.values().filter(|device| match id {
        ItemId::Room(gone) => device.room == Some(*gone),
        _ => false,
    });
    let classes = classes.map(|class| ItemId::Class(class.id));
    let others = slots.map(|slot| ItemId::Slot(slot.id)).chain(users.map(|user| ItemId::User(user.id)));
    let groups = batches.map(|b| ItemId::Batch(b.id)).chain(sections.map(|s| ItemId::Section(s.id)));
    let people = teachers.map(|teacher| ItemId::Teacher(teacher.id));
    let devices = devices.map(|device| ItemId::Device(device.id.clone()));
    classes.chain(others).chain(groups).chain(people).chain(devices).collect()
}
