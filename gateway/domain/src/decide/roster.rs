//! Changing what there is: people, classes, rooms, the timetable.
//!
//! Promises: no two things of a kind share a code, nothing names what is not there, nothing goes while
//! something depends on it, and two students who turn out to be one keep every mark of both.
//!
//! Refuses: names. Those go to the register beside the events.

use std::collections::BTreeSet;

use crate::campus::{Item, ItemId};
use crate::dependents::Dependent;
use crate::event::{CampusEvent, Event, SessionEvent};
use crate::ids::StudentId;
use crate::refusal::Refusal;
use crate::state::State;

/// Puts something new, or in place of what had its id.
pub fn put(state: &State, item: Item) -> Result<Event, Refusal> {
    let campus = &state.campus;
    if let Some(rival) = campus.code_taken_by(&item) {
        return Err(Refusal::CodeTaken(rival));
    }
    if let Some(missing) = campus.missing(&item).into_iter().next() {
        return Err(Refusal::Missing(missing));
    }
    if let Item::Slot(slot) = &item
        && campus.slots.get(&slot.id).is_some_and(|old| old.class != slot.class)
    {
        return Err(Refusal::SlotKeepsClass);
    }
    Ok(Event::Campus(CampusEvent::Put(Box::new(item))))
}

/// Removes something that nothing depends on; otherwise says what does.
pub fn remove(state: &State, id: &ItemId) -> Result<Event, BTreeSet<Dependent>> {
    let dependents = state.dependents(id);
    if dependents.is_empty() { Ok(Event::Campus(CampusEvent::Removed(id.clone()))) } else { Err(dependents) }
}

/// `from` is the same person as `into`, whose every meeting takes over the claims made about `from`.
pub fn merge(state: &State, from: StudentId, into: StudentId) -> Result<Vec<Event>, Refusal> {
    for student in [from, into] {
        if !state.campus.students.contains_key(&student) {
            return Err(Refusal::Missing(ItemId::Student(student)));
        }
    }
    if from == into {
        return Ok(Vec::new());
    }
    let known = state.sessions.values().filter(|session| session.records.contains_key(&from));
    let moved =
        known.map(|session| Event::Session(session.meeting.id, SessionEvent::StudentMerged { from, into }));
    Ok([Event::Campus(CampusEvent::Merged { from, into })].into_iter().chain(moved).collect())
}
