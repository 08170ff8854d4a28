//! Everything the ledger says, folded: the one place where an event becomes state.
//!
//! Promises: [`State::apply`] is a pure function of the entries in order; views, a session actor that
//! comes back, and the tests' reference model all go through it or through the parts it calls
//! ([`Campus`]'s methods, [`Session::apply`]); an entry that does not fit changes nothing and breaks
//! nothing.
//!
//! Refuses: deciding, and personal data. Names are in the register, beside the ledger.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::campus::{Campus, ItemId};
use crate::decide::Context;
use crate::event::{CampusEvent, Entry, Event, Origin, RequestEvent, SessionEvent, UnmatchedScan};
use crate::ids::{ClassId, CorrectionId, LeaveId, SelfMarkId, Seq, SessionId, StudentId};
use crate::moment::Moment;
use crate::numbering::Numbered;
use crate::people::Person;
use crate::percentage::Tally;
use crate::policy::Policy;
use crate::requests::{Correction, Leave, RequestStatus, SelfMark};
use crate::roster::Days;
use crate::scan::DedupKey;
use crate::session::{Meeting, Session, SessionStatus};
use crate::timetable::plan;

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
    /// The first event of every scan and every upload that is stored.
    pub scans: BTreeMap<DedupKey, Seq>,
    by_class: BTreeMap<ClassId, BTreeSet<SessionId>>,
    by_date: BTreeMap<Date, BTreeSet<SessionId>>,
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
            Event::Unmatched(kept) => {
                self.scans.entry(kept.scan.dedup).or_insert(entry.seq);
                self.unmatched.insert(entry.seq, kept.as_ref().clone());
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
            Event::Erased(Person::Student(student)) => self.remove(&ItemId::Student(*student)),
            Event::Erased(Person::Teacher(teacher)) => self.remove(&ItemId::Teacher(*teacher)),
            Event::Erased(Person::User(user)) => self.remove(&ItemId::User(*user)),
            // From now on the clock is as right as somebody said it was.
            Event::ClockConfirmed => self.last_at = Some(entry.at),
            // Facts about credentials, devices' secrets and destinations have state of their own in
            // the rooms that need it; nothing of the campus follows from them.
            Event::Account(_) | Event::Device(_) | Event::Upstream(_) => {}
        }
    }

    fn apply_campus(&mut self, event: &CampusEvent) {
        match event {
            CampusEvent::Put(item) => {
                self.used(numbered(&item.id()));
                self.campus.put(item.as_ref().clone());
            }
            CampusEvent::Removed(id) => self.remove(id),
            CampusEvent::Joined { link, days } => self.campus.rosters.join(*link, *days),
            CampusEvent::Left { link, day } => self.campus.rosters.leave(*link, *day),
            CampusEvent::Merged { from, into } => self.merge(*from, *into),
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

    fn remove(&mut self, id: &ItemId) {
        self.campus.remove(id);
        if let ItemId::Student(student) = id {
            self.consents.remove(student);
            self.templates.remove(student);
        }
    }

    /// Records move by events of their own, one for each session.
    fn merge(&mut self, from: StudentId, into: StudentId) {
        if from == into || !self.campus.students.contains_key(&into) {
            return;
        }
        self.campus.merge(from, into);
        for members in [&mut self.consents, &mut self.templates] {
            if members.remove(&from) {
                members.insert(into);
            }
        }
        self.leaves.values_mut().filter(|asked| asked.student == from).for_each(|asked| asked.student = into);
        let corrections = self.corrections.values_mut().map(|asked| &mut asked.record);
        let self_marks = self.self_marks.values_mut().map(|asked| &mut asked.record);
        let records = corrections.chain(self_marks).filter(|record| record.student == from);
        records.for_each(|record| record.student = into);
    }

    fn apply_session(&mut self, entry: &Entry, id: SessionId, event: &SessionEvent) {
        let dedup = match event {
            SessionEvent::Scanned(scanned) => Some(scanned.scan.dedup),
            SessionEvent::Marked(mark) => mark.dedup,
            _ => None,
        };
        if let Some(dedup) = dedup {
            self.scans.entry(dedup).or_insert(entry.seq);
        }
        self.fold_session(id, entry.seq, entry.at, event);
    }

    fn fold_session(&mut self, id: SessionId, seq: Seq, at: Moment, event: &SessionEvent) {
        let before = self.sessions.get(&id).map(|session| session.meeting.date);
        match self.sessions.get_mut(&id) {
            Some(session) => session.apply(seq, at, event),
            None => {
                let Some(session) = Session::create(id, at, event) else { return };
                self.used(Some((SessionId::PREFIX, id.0)));
                self.by_class.entry(session.meeting.class).or_default().insert(id);
                self.sessions.insert(id, session);
            }
        }
        let after = self.sessions.get(&id).map(|session| session.meeting.date);
        if let (true, Some(after)) = (before != after, after) {
            if let Some(of_day) = before.and_then(|before| self.by_date.get_mut(&before)) {
                of_day.remove(&id);
            }
            self.by_date.entry(after).or_default().insert(id);
        }
    }

    /// Takes a step that is decided and not yet written, on a copy that is thrown away.
    pub(crate) fn look_ahead(&mut self, id: SessionId, event: &SessionEvent, now: Moment) {
        self.fold_session(id, Seq::NEXT, now, event);
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

    pub fn sessions_of(&self, class: ClassId) -> impl Iterator<Item = &Session> {
        let ids = self.by_class.get(&class).into_iter().flatten();
        ids.filter_map(|id| self.sessions.get(id))
    }

    /// The meetings of the days around `at`: those that a scan made then could belong to.
    pub fn meetings_around(&self, at: Moment) -> impl Iterator<Item = &Meeting> {
        let day = at.date(&TimeZone::UTC);
        let (from, to) = (day.saturating_sub(2.days()), day.saturating_add(2.days()));
        let ids = self.by_date.range(from..=to).flat_map(|(_, ids)| ids);
        ids.filter_map(|id| self.sessions.get(id)).map(|session| &session.meeting)
    }

    /// The meetings of a class, as numbering goes by them, but for one.
    pub fn numbered(&self, class: ClassId, except: Option<SessionId>) -> Vec<Numbered> {
        let others = self.sessions_of(class).filter(|session| Some(session.meeting.id) != except);
        let meetings = others.map(|session| &session.meeting);
        meetings
            .map(|meeting| Numbered {
                term: meeting.term,
                number: meeting.number,
                starts: meeting.starts(),
                cancelled: meeting.cancelled.is_some(),
            })
            .collect()
    }

    /// One student's marks in a class on some days: meetings held while the student was of it. One for
    /// which nothing is written counts as missed.
    pub fn tally(&self, student: StudentId, class: ClassId, days: Days) -> Tally {
        let mut tally = Tally::default();
        for session in self.sessions_of(class).filter(|session| session.meeting.status.is_held()) {
            let date = session.meeting.date;
            if days.contains(date) && self.campus.rosters.attends(class, student, date) {
                tally.add(session.standing(student).map(|standing| standing.mark));
            }
        }
        tally
    }

    /// How many meetings of a class are still to come for a student on some days, both ends included: those
    /// that stand, and those of the timetable that have not been generated yet.
    pub fn remaining(&self, student: StudentId, class: ClassId, days: (Date, Date), zone: &TimeZone) -> u32 {
        let attends = |day: Date| self.campus.rosters.attends(class, student, day);
        let mut generated = BTreeSet::new();
        let mut count = 0_usize;
        for Session { meeting, .. } in self.sessions_of(class) {
            if let Origin::Timetable(key) = meeting.origin {
                generated.insert(key);
            }
            let to_come = matches!(meeting.status, SessionStatus::Scheduled | SessionStatus::Open);
            let in_range = (days.0..=days.1).contains(&meeting.date);
            count += usize::from(to_come && in_range && attends(meeting.date));
        }
        let planned = plan(&self.campus, days.0, days.1, zone);
        let later = planned.iter().filter(|(key, plan)| {
            let takes_place = !self.campus.is_holiday(plan.date) && attends(plan.date);
            plan.class == class && !generated.contains(key) && takes_place
        });
        u32::try_from(count + later.count()).unwrap_or(u32::MAX)
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
