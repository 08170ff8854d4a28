//! Everything the ledger says, folded: the one place where an event becomes state.
//!
//! Promises: [`State::apply`] is a pure function of the entries in order; views, a session actor that
//! comes back, and the tests' reference model all go through it or through the parts it calls
//! ([`Campus`]'s methods, [`Session::apply`]); an entry that does not fit changes nothing and breaks
//! nothing; an entry changes at most the one session that [`Event::session`] names, so that a state which
//! holds only that one folds it as well.
//!
//! Refuses: deciding, and personal data. Names are in the register, beside the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::campus::{Campus, ItemId};
use crate::decide::Context;
use crate::event::{CampusEvent, Entry, Event, Origin, RetentionEvent, SessionEvent, UnmatchedScan};
use crate::ids::{ClassId, Seq, SessionId, StudentId};
use crate::moment::Moment;
use crate::numbering::Numbered;
use crate::office::Office;
use crate::people::Person;
use crate::percentage::Tally;
use crate::policy::Policy;
use crate::roster::Days;
use crate::scan::DedupKey;
use crate::session::{Meeting, Session, SessionStatus};
use crate::timetable::plan;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Shared with whoever looks at it: a change is made on a copy if somebody does.
    pub campus: Arc<Campus>,
    /// Shared like the campus.
    pub office: Arc<Office>,
    pub sessions: BTreeMap<SessionId, Session>,
    pub unmatched: BTreeMap<Seq, UnmatchedScan>,
    /// The first event of every scan and every upload that was stored; see [`State::scan`].
    pub scans: BTreeMap<DedupKey, Seq>,
    by_class: BTreeMap<ClassId, BTreeSet<SessionId>>,
    by_date: BTreeMap<Date, BTreeSet<SessionId>>,
    pub last: Seq,
    pub last_at: Option<Moment>,
    /// Entries up to here are forgotten.
    pub forgotten: Seq,
}

impl State {
    pub fn apply(&mut self, entry: &Entry) {
        self.last = entry.seq;
        self.last_at = self.last_at.max(Some(entry.at));
        match &entry.event {
            Event::Campus(event) => self.apply_campus(event),
            Event::Session(id, event) => self.apply_session(entry, *id, event),
            Event::Unmatched(kept) => {
                self.stored(kept.scan.dedup, entry.seq);
                self.unmatched.insert(entry.seq, kept.as_ref().clone());
            }
            Event::UnmatchedSettled { scan } => {
                self.unmatched.remove(scan);
            }
            Event::Request(event) => self.office_mut().request(event),
            Event::SettingChanged { key, value } => self.office_mut().set(key, value.as_deref()),
            Event::Erased(Person::Student(student)) => self.remove(&ItemId::Student(*student)),
            Event::Erased(Person::Teacher(teacher)) => self.remove(&ItemId::Teacher(*teacher)),
            Event::Erased(Person::User(user)) => self.remove(&ItemId::User(*user)),
            // From now on the clock is as right as somebody said it was.
            Event::ClockConfirmed => self.last_at = Some(entry.at),
            Event::Retention(RetentionEvent::Records { before }) => self.forget_records(*before),
            Event::Retention(RetentionEvent::Entries { to }) => self.forgotten = self.forgotten.max(*to),
            // Facts about credentials, devices' secrets and destinations have state of their own in
            // the rooms that need it; nothing of the campus follows from them.
            Event::Account(_) | Event::Device(_) | Event::Upstream(_) => {}
        }
    }

    /// The first event of a scan or an upload that is stored and not forgotten. Whoever forgets entries keeps them
    /// for as long as a scan must be known ([`crate::scan::KNOWN_DAYS`]).
    pub fn scan(&self, key: DedupKey) -> Option<Seq> {
        self.scans.get(&key).copied().filter(|seq| *seq > self.forgotten)
    }

    fn stored(&mut self, key: DedupKey, seq: Seq) {
        let first = self.scans.entry(key).or_insert(seq);
        if *first <= self.forgotten {
            *first = seq;
        }
    }

    fn forget_records(&mut self, before: Moment) {
        let old = self.sessions.values().filter(|session| session.meeting.is_before(before));
        let old: Vec<SessionId> = old.map(|session| session.meeting.id).collect();
        old.into_iter().for_each(|id| self.release(id));
        self.unmatched.retain(|_, kept| kept.scan.received_at >= before);
    }

    fn campus_mut(&mut self) -> &mut Campus {
        Arc::make_mut(&mut self.campus)
    }

    fn office_mut(&mut self) -> &mut Office {
        Arc::make_mut(&mut self.office)
    }

    fn apply_campus(&mut self, event: &CampusEvent) {
        match event {
            CampusEvent::Put(item) => {
                if let Some((kind, number)) = numbered(&item.id()) {
                    self.used(kind, number);
                }
                self.campus_mut().put(item.as_ref().clone());
            }
            CampusEvent::Removed(id) => self.remove(id),
            CampusEvent::Joined { link, days } => self.campus_mut().rosters.join(*link, *days),
            CampusEvent::Left { link, day } => self.campus_mut().rosters.leave(*link, *day),
            CampusEvent::Merged { from, into } => self.merge(*from, *into),
            CampusEvent::PersonMapped { device, key, student } => {
                self.campus_mut().map_person(device.clone(), *key, *student);
            }
            CampusEvent::PersonUnmapped { device, key } => {
                self.campus_mut().unmap_person(device.clone(), *key);
            }
            CampusEvent::ConsentGiven { student, given } => self.office_mut().consent(*student, *given),
            CampusEvent::TemplateStored { student, present } => {
                self.office_mut().template(*student, *present);
            }
        }
    }

    fn remove(&mut self, id: &ItemId) {
        self.campus_mut().remove(id);
        if let ItemId::Student(student) = id {
            self.office_mut().forget(*student);
        }
    }

    /// Records move by events of their own, one for each session.
    fn merge(&mut self, from: StudentId, into: StudentId) {
        if from != into && self.campus.students.contains_key(&into) {
            self.campus_mut().merge(from, into);
            self.office_mut().merge(from, into);
        }
    }

    fn apply_session(&mut self, entry: &Entry, id: SessionId, event: &SessionEvent) {
        let dedup = match event {
            SessionEvent::Scanned(scanned) => Some(scanned.scan.dedup),
            SessionEvent::Marked(mark) => mark.dedup,
            _ => None,
        };
        if let Some(dedup) = dedup {
            self.stored(dedup, entry.seq);
        }
        self.fold_session(id, entry.seq, entry.at, event);
    }

    fn fold_session(&mut self, id: SessionId, seq: Seq, at: Moment, event: &SessionEvent) {
        let before = self.sessions.get(&id).map(|session| session.meeting.date);
        match self.sessions.get_mut(&id) {
            Some(session) => session.apply(seq, at, event),
            None => {
                let Some(session) = Session::create(id, at, event) else { return };
                self.used(SessionId::PREFIX, id.0);
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

    /// Takes in a session that was folded before and kept elsewhere.
    pub fn hold(&mut self, session: Session) {
        let (id, meeting) = (session.meeting.id, &session.meeting);
        self.by_class.entry(meeting.class).or_default().insert(id);
        self.by_date.entry(meeting.date).or_default().insert(id);
        self.sessions.insert(id, session);
    }

    /// Lets go of a session that is kept elsewhere, or not at all any more.
    pub fn release(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        if let Some(ids) = self.by_class.get_mut(&session.meeting.class) {
            ids.remove(&id);
        }
        if let Some(ids) = self.by_date.get_mut(&session.meeting.date) {
            ids.remove(&id);
        }
    }

    /// Takes a step that is decided and not yet written, on a copy that is thrown away.
    pub(crate) fn look_ahead(&mut self, id: SessionId, event: &SessionEvent, now: Moment) {
        self.fold_session(id, Seq::NEXT, now, event);
    }

    /// Also when a state is put together that holds only some of the sessions.
    fn used(&mut self, kind: &'static str, number: u64) {
        if self.office.next_number(kind) <= number {
            self.office_mut().used(kind, number);
        }
    }

    /// The next number for an id with this prefix, such as [`StudentId::PREFIX`].
    pub fn next_number(&self, prefix: &str) -> u64 {
        self.office.next_number(prefix)
    }

    pub fn context<'a>(&'a self, policy: &'a Policy, now: Moment) -> Context<'a> {
        Context { campus: &self.campus, leaves: &self.office.leaves, policy, now }
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
