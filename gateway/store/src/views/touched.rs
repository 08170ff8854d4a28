//! What the events since the last commit of the views touched, and how it stood before.
//!
//! Promises: everything whose rows may have to be written is found here.
//!
//! Refuses: knowing how it stands now.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rollcall_domain::campus::{Campus, ItemId};
use rollcall_domain::event::{CampusEvent, Event, PersonMark, RecordVersion, SessionEvent, UpstreamEvent};
use rollcall_domain::ids::{ClassId, Seq, SessionId, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_domain::people::Person;
use rollcall_domain::roster::Link;
use rollcall_domain::session::{Meeting, Session, SessionStatus};

use super::scans::Found;

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
    pub(crate) date: Date,
    pub(crate) open: bool,
    pub(crate) held: bool,
    /// Of those who are touched; of everyone who had a record, once everyone is.
    marks: BTreeMap<StudentId, Option<Mark>>,
}

/// Everything since the last commit.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) sessions: BTreeMap<SessionId, TouchedSession>,
    /// Unmatched scans that are settled.
    pub(crate) settled: Vec<Seq>,
    /// Keys of scans and uploads, in the order of events.
    pub(crate) scans: Vec<Found>,
    /// What destinations answered.
    pub(crate) answers: Vec<UpstreamEvent>,
    pub(crate) classes: StaleClasses,
    /// Sessions that were forgotten; one with the same id may have come to be since.
    pub(crate) gone: BTreeSet<SessionId>,
}

/// Classes whose roster changed, so that tallies have to be counted anew.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StaleClasses {
    pub(crate) all: bool,
    pub(crate) some: BTreeSet<ClassId>,
}

impl Touched {
    /// These sessions are forgotten. What came to be of them since the last commit never was.
    pub(crate) fn forget(&mut self, gone: BTreeSet<SessionId>) {
        for id in &gone {
            self.sessions.remove(id);
        }
        let is_kept = |record: &RecordVersion| !gone.contains(&record.record.session);
        for answer in &mut self.answers {
            match answer {
                UpstreamEvent::Delivered { records, .. }
                | UpstreamEvent::DeadLettered { records, .. }
                | UpstreamEvent::RetryAsked { records, .. } => records.retain(is_kept),
            }
        }
        self.gone.extend(gone);
    }
}

impl TouchedSession {
    /// To be called before the event is folded in.
    pub(crate) fn touch(&mut self, session: Option<&Session>, event: &SessionEvent) {
        let touched = students_of(event);
        if let (Some(before), Some(session)) = (&mut self.before, session)
            && before.held
            && !self.everyone
        {
            // From the moment when everyone is touched, whoever is not known here had no record.
            match &touched {
                None => session.records.keys().for_each(|student| before.remember(session, *student)),
                Some(students) => students.iter().for_each(|student| before.remember(session, *student)),
            }
        }
        match touched {
            None => self.everyone = true,
            Some(students) => self.students.extend(students),
        }
    }
}

impl Before {
    pub(crate) fn of(meeting: &Meeting) -> Self {
        Before {
            class: meeting.class,
            date: meeting.date,
            open: meeting.status == SessionStatus::Open,
            held: meeting.status.is_held(),
            marks: BTreeMap::new(),
        }
    }

    /// What was counted of somebody who is touched.
    pub(crate) fn mark(&self, student: StudentId) -> Option<Mark> {
        self.marks.get(&student).copied().flatten()
    }

    /// Whoever was touched before keeps the mark of then.
    fn remember(&mut self, session: &Session, student: StudentId) {
        self.marks.entry(student).or_insert_with(|| mark(session, student));
    }
}

pub(crate) fn mark(session: &Session, student: StudentId) -> Option<Mark> {
    session.standing(student).map(|standing| standing.mark)
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
            | Event::Erased(Person::Student(_)) => self.all = true,
            _ => {}
        }
    }
}
