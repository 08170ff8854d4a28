//! What the events since the last commit of the views touched, and how it stood before.
//!
//! Promises: everything whose rows may have to be written is found here.
//!
//! Refuses: knowing how it stands now.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_domain::campus::{Campus, ItemId};
use rollcall_domain::event::{CampusEvent, Event, PersonMark, SessionEvent, UpstreamEvent};
use rollcall_domain::ids::{ClassId, Seq, SessionId, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_domain::roster::Link;
use rollcall_domain::session::Session;

/// One session.
#[derive(Debug, Default)]
pub(crate) struct TouchedSession {
    /// As it was on disk; nothing if it was not there.
    pub(crate) before: Option<Before>,
    /// Something happened that may change everyone's record.
    pub(crate) everyone: bool,
    pub(crate) students: BTreeSet<StudentId>,
}

/// What rows about a session depend on besides its meeting and its records.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) class: ClassId,
    pub(crate) day: i32,
    pub(crate) open: bool,
    pub(crate) held: bool,
    /// Of those who are touched.
    pub(crate) marks: BTreeMap<StudentId, Option<Mark>>,
}

/// Everything since the last commit.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) sessions: BTreeMap<SessionId, TouchedSession>,
    /// Unmatched scans that are settled.
    pub(crate) settled: Vec<Seq>,
    /// What destinations answered.
    pub(crate) answers: Vec<UpstreamEvent>,
    pub(crate) classes: StaleClasses,
}

/// Classes whose roster changed, so that tallies have to be counted anew.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StaleClasses {
    pub(crate) all: bool,
    pub(crate) some: BTreeSet<ClassId>,
}

impl TouchedSession {
    /// To be called before the event is folded in.
    pub(crate) fn touch(&mut self, session: Option<&Session>, event: &SessionEvent) {
        match students_of(event) {
            None => self.everyone = true,
            Some(students) => self.students.extend(students),
        }
        let (Some(before), Some(session)) = (&mut self.before, session) else { return };
        if before.held {
            let touched = if self.everyone {
                session.records.keys().copied().collect::<Vec<_>>()
            } else {
                self.students.iter().copied().collect()
            };
            for student in touched {
                let mark = || session.standing(student).map(|standing| standing.mark);
                before.marks.entry(student).or_insert_with(mark);
            }
        }
    }
}

/// Whose records an event may change; nothing if it may be everyone's.
fn students_of(event: &SessionEvent) -> Option<Vec<StudentId>> {
    match event {
        SessionEvent::Scanned(scanned) => Some(vec![scanned.student]),
        SessionEvent::Marked(PersonMark { student, .. })
        | SessionEvent::MarkedByQr { student, .. }
        | SessionEvent::MarkedSelf { student, .. }
        | SessionEvent::LeaveTaken { student, .. }
        | SessionEvent::ConflictSettled { student }
        | SessionEvent::RecordDeleted { student } => Some(vec![*student]),
        SessionEvent::StudentMerged { from, into } => Some(vec![*from, *into]),
        SessionEvent::Locked { .. }
        | SessionEvent::Cancelled { .. }
        | SessionEvent::Reinstated
        | SessionEvent::Bound { .. }
        | SessionEvent::Unbound { .. }
        | SessionEvent::QrStarted { .. }
        | SessionEvent::StrangerAtQr { .. }
        | SessionEvent::StrangerSettled { .. }
        | SessionEvent::Noted { .. }
        | SessionEvent::BiometricSet { .. } => Some(vec![]),
        SessionEvent::Created { .. }
        | SessionEvent::Changed { .. }
        | SessionEvent::Opened { .. }
        | SessionEvent::Closed { .. }
        | SessionEvent::Reopened => None,
    }
}

impl StaleClasses {
    pub(crate) fn is_empty(&self) -> bool {
        !self.all && self.some.is_empty()
    }

    pub(crate) fn has(&self, class: ClassId) -> bool {
        self.all || self.some.contains(&class)
    }

    /// To be called before the event is folded in.
    pub(crate) fn touch(&mut self, campus: &Campus, event: &Event) {
        match event {
            Event::Campus(CampusEvent::Joined { link, .. } | CampusEvent::Left { link, .. }) => match link {
                Link::ClassStudent(class, _) | Link::ClassSection(class, _) => {
                    self.some.insert(*class);
                }
                Link::SectionStudent(section, _) => {
                    self.some.extend(campus.rosters.classes_of_section(*section));
                }
            },
            Event::Campus(
                CampusEvent::Merged { .. }
                | CampusEvent::Removed(ItemId::Student(_) | ItemId::Class(_) | ItemId::Section(_)),
            )
            | Event::Erased(_) => self.all = true,
            _ => {}
        }
    }
}
