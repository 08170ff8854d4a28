//! Everything the ledger says, folded: the one place where an event becomes state.
//!
//! Promises: [`State::apply`] is a pure function of the entries in order; views, a session actor that
//! comes back, and the tests' reference model all go through it or through the parts it calls
//! ([`Campus`]'s methods, [`Session::apply`]); an entry that does not fit changes nothing and breaks
//! nothing.
//!
//! Refuses: deciding, and personal data. Names are in the register, beside the ledger.

use std::collections::{BTreeMap, BTreeSet};

use crate::campus::{Campus, ItemId};
use crate::decide::Context;
use crate::event::{CampusEvent, Entry, Erased, Event, RequestEvent, SessionEvent};
use crate::ids::{ClassId, CorrectionId, LeaveId, SelfMarkId, Seq, SessionId, StudentId, TermId};
use crate::moment::Moment;
use crate::numbering::Numbered;
use crate::percentage::Tally;
use crate::policy::Policy;
use crate::requests::{Correction, Leave, RequestStatus, SelfMark};
use crate::scan::{DedupKey, Scan, Unmatched};
use crate::session::{Meeting, Session};

/// A scan that marked nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmatchedScan {
    pub scan: Scan,
    pub reason: Unmatched,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    pub campus: Campus,
    pub sessions: BTreeMap<SessionId, Session>,
    pub unmatched: BTreeMap<Seq, UnmatchedScan>,
    pub leaves: BTreeMap<LeaveId, Leave>,
    pub corrections: BTreeMap<CorrectionId, Correction>,
    pub self_marks: BTreeMap<SelfMarkId, SelfMark>,
    /// Settings that people changed, by key; the value as the settings file would write it.
    pub settings: BTreeMap<String, String>,
    pub consents: BTreeSet<StudentId>,
    pub templates: BTreeSet<StudentId>,
    /// The first event of every scan that is stored.
    pub scans: BTreeMap<DedupKey, Seq>,
    /// The highest number ever given to an id of each kind, so that none is given twice.
    highest: BTreeMap<&'static str, u64>,
    pub last: Seq,
    pub last_at: Option<Moment>,
}

impl State {
    pub fn apply(&mut self, entry: &Entry) {
        self.last = entry.seq;
        self.last_at = self.last_at.max(Some(entry.at));
        match &entry.event {
            Event::Campus(event) => self.apply_campus(event),
            Event::Session(id, event) => self.apply_session(entry, *id, event),
            Event::Unmatched { scan, reason } => {
                self.scans.entry(scan.dedup).or_insert(entry.seq);
                let kept = UnmatchedScan { scan: scan.as_ref().clone(), reason: *reason };
                self.unmatched.insert(entry.seq, kept);
            }
            Event::UnmatchedSettled { scan } => {
                self.unmatched.remove(scan);
            }
            Event::Request(event) => self.apply_request(event),
            Event::SettingChanged { key, value: Some(value) } => {
                self.settings.insert(key.clone(), value.clone());
            }
            Event::SettingChanged { key, value: None } => {
                self.settings.remove(key);
            }
            Event::Erased(Erased::Student(student)) => {
                self.campus.remove(&ItemId::Student(*student));
                self.consents.remove(student);
                self.templates.remove(student);
            }
            Event::Erased(Erased::Teacher(teacher)) => self.campus.remove(&ItemId::Teacher(*teacher)),
            Event::Erased(Erased::User(user)) => self.campus.remove(&ItemId::User(*user)),
            // Facts about credentials, devices' secrets and destinations have state of their own in
            // the rooms that need it; nothing of the campus follows from them.
            Event::Account(_) | Event::Device(_) | Event::Upstream(_) | Event::ClockConfirmed => {}
        }
    }

    fn apply_campus(&mut self, event: &CampusEvent) {
        match event {
            CampusEvent::Put(item) => {
                self.used(numbered(&item.id()));
                self.campus.put(item.as_ref().clone());
            }
            CampusEvent::Removed(id) => self.campus.remove(id),
            CampusEvent::Joined { link, days } => self.campus.rosters.join(*link, *days),
            CampusEvent::Left { link, day } => self.campus.rosters.leave(*link, *day),
            CampusEvent::Merged { from, into } => self.campus.merge(*from, *into),
            CampusEvent::PersonMapped { device, key, student } => {
                self.campus.map_person(device.clone(), *key, *student);
            }
            CampusEvent::PersonUnmapped { device, key } => self.campus.unmap_person(device.clone(), *key),
            CampusEvent::ConsentGiven { student, given } => set(&mut self.consents, *student, *given),
            CampusEvent::TemplateStored { student, present } => {
                set(&mut self.templates, *student, *present);
            }
        }
    }

    fn apply_session(&mut self, entry: &Entry, id: SessionId, event: &SessionEvent) {
        if let SessionEvent::Scanned(scanned) = event {
            self.scans.entry(scanned.scan.dedup).or_insert(entry.seq);
        }
        match self.sessions.get_mut(&id) {
            Some(session) => session.apply(entry.seq, entry.at, event),
            None => {
                self.used(Some((SessionId::PREFIX, id.0)));
                self.sessions.extend(Session::create(id, event).map(|session| (id, session)));
            }
        }
    }

    fn apply_request(&mut self, event: &RequestEvent) {
        match event {
            RequestEvent::LeaveAsked(leave) => {
                self.used(Some((LeaveId::PREFIX, leave.id.0)));
                self.leaves.insert(leave.id, leave.clone());
            }
            RequestEvent::CorrectionAsked(correction) => {
                self.used(Some((CorrectionId::PREFIX, correction.id.0)));
                self.corrections.insert(correction.id, correction.clone());
            }
            RequestEvent::SelfMarkAsked(asked) => {
                self.used(Some((SelfMarkId::PREFIX, asked.id.0)));
                self.self_marks.insert(asked.id, asked.clone());
            }
            RequestEvent::LeaveDecided { leave, approved } => {
                decide(self.leaves.get_mut(leave).map(|leave| &mut leave.status), *approved);
            }
            RequestEvent::CorrectionDecided { correction, approved } => {
                decide(self.corrections.get_mut(correction).map(|asked| &mut asked.status), *approved);
            }
            RequestEvent::SelfMarkDecided { request, approved } => {
                decide(self.self_marks.get_mut(request).map(|asked| &mut asked.status), *approved);
            }
        }
    }

    fn used(&mut self, id: Option<(&'static str, u64)>) {
        if let Some((kind, number)) = id {
            let highest = self.highest.entry(kind).or_default();
            *highest = number.max(*highest);
        }
    }

    /// The next number for an id with this prefix, such as [`StudentId::PREFIX`].
    pub fn next_number(&self, prefix: &str) -> u64 {
        self.highest.get(prefix).map_or(1, |highest| highest.saturating_add(1))
    }

    pub fn context<'a>(&'a self, policy: &'a Policy, now: Moment) -> Context<'a> {
        Context { campus: &self.campus, leaves: &self.leaves, policy, now }
    }

    pub fn meetings(&self) -> impl Iterator<Item = &Meeting> {
        self.sessions.values().map(|session| &session.meeting)
    }

    /// The meetings of a class in a term, as numbering goes by them: those in the term's days, or all
    /// if the class has none.
    pub fn numbered(&self, class: ClassId) -> Vec<Numbered> {
        let term = self.campus.classes.get(&class).and_then(|class| class.term);
        let of_class = self.meetings().filter(|meeting| meeting.class == class);
        of_class
            .filter(|meeting| self.in_term(term, meeting))
            .map(|meeting| Numbered {
                number: meeting.number,
                starts: meeting.starts(),
                cancelled: meeting.cancelled.is_some(),
            })
            .collect()
    }

    fn in_term(&self, term: Option<TermId>, meeting: &Meeting) -> bool {
        let term = term.and_then(|id| self.campus.terms.get(&id));
        term.is_none_or(|term| (term.starts..=term.ends).contains(&meeting.date))
    }

    /// One student's marks in a class: meetings held while the student was of it. One for which nothing
    /// is written counts as missed.
    pub fn tally(&self, student: StudentId, class: ClassId) -> Tally {
        let mut tally = Tally::default();
        for session in self.sessions.values().filter(|session| session.meeting.class == class) {
            let meeting = &session.meeting;
            let counts =
                meeting.status.is_held() && self.campus.rosters.attends(class, student, meeting.date);
            if counts {
                tally.add(session.standing(student).map(|standing| standing.mark));
            }
        }
        tally
    }
}

fn set(members: &mut BTreeSet<StudentId>, student: StudentId, is_in: bool) {
    if is_in {
        members.insert(student);
    } else {
        members.remove(&student);
    }
}

fn decide(status: Option<&mut RequestStatus>, approve: bool) {
    if let Some(status) = status {
        *status = status.decide(approve).unwrap_or(*status);
    }
}

fn numbered(id: &ItemId) -> Option<(&'static str, u64)> {
    use crate::ids;
    match id {
        ItemId::Department(id) => Some((ids::DepartmentId::PREFIX, id.0)),
        ItemId::Batch(id) => Some((ids::BatchId::PREFIX, id.0)),
        ItemId::Section(id) => Some((ids::SectionId::PREFIX, id.0)),
        ItemId::Course(id) => Some((ids::CourseId::PREFIX, id.0)),
        ItemId::Class(id) => Some((ids::ClassId::PREFIX, id.0)),
        ItemId::Room(id) => Some((ids::RoomId::PREFIX, id.0)),
        ItemId::Term(id) => Some((ids::TermId::PREFIX, id.0)),
        ItemId::Holiday(id) => Some((ids::HolidayId::PREFIX, id.0)),
        ItemId::Slot(id) => Some((ids::SlotId::PREFIX, id.0)),
        ItemId::Student(id) => Some((ids::StudentId::PREFIX, id.0)),
        ItemId::Teacher(id) => Some((ids::TeacherId::PREFIX, id.0)),
        ItemId::User(id) => Some((ids::UserId::PREFIX, id.0)),
        ItemId::Device(_) => None,
    }
}
