//! A small campus in memory, driven only by the domain's own functions: what a gateway does, without
//! any of its machinery.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: each test file uses a part of it and may fail loudly"
)]

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rollcall_domain::Refusal;
use rollcall_domain::campus::{Class, Course, Device, DeviceKind, DeviceStatus, Item, Room};
use rollcall_domain::clock_offset::BoxClock;
use rollcall_domain::code::{Code, Pseudonyms};
use rollcall_domain::decide::{Context, due, lifecycle, marking, qr, requests, roster, scan, unmatched};
use rollcall_domain::event::{Actor, CampusEvent, Entry, Event, How, Origin, SessionEvent, UnmatchedScan};
use rollcall_domain::ids::*;
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::Moment;
use rollcall_domain::people::{PersonName, Student, StudentDetails, Teacher};
use rollcall_domain::policy::Policy;
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::scan::{Claim, DedupKey, Direction, Method, Outcome, Scan};
use rollcall_domain::session::{Meeting, Session, SessionStatus};
use rollcall_domain::state::State;
use rollcall_domain::timetable::Plan;

pub const CLASS: ClassId = ClassId(1);
pub const OTHER_CLASS: ClassId = ClassId(2);
pub const ROOM: RoomId = RoomId(1);
pub const OTHER_ROOM: RoomId = RoomId(2);
/// Enrolled in CLASS.
pub const ANN: StudentId = StudentId(1);
pub const BEN: StudentId = StudentId(2);
/// Enrolled in OTHER_CLASS only.
pub const CAT: StudentId = StudentId(3);

pub fn pseudonyms() -> Pseudonyms {
    Pseudonyms::new([9; 32])
}

pub fn day(text: &str) -> Date {
    text.parse().unwrap()
}

pub fn device(id: &str) -> DeviceId {
    DeviceId::parse(id).unwrap()
}

pub struct World {
    pub state: State,
    pub policy: Policy,
    pub zone: TimeZone,
    pub now: Moment,
    pub log: Vec<Entry>,
    scans: u64,
}

impl World {
    /// 2 March 2026, a Monday, 08:00; Ann and Ben are in CLASS, Cat in OTHER_CLASS; `room` hangs in
    /// ROOM, `gate` at the gate.
    pub fn new() -> Self {
        Self::in_zone("UTC", "2026-03-02")
    }

    pub fn in_zone(zone: &str, date: &str) -> Self {
        let zone = TimeZone::get(zone).unwrap();
        let now = Moment::from_civil(day(date).at(8, 0, 0, 0), &zone);
        let mut world = World {
            state: State::default(),
            policy: Policy::default(),
            zone,
            now,
            log: Vec::new(),
            scans: 0,
        };
        world.furnish();
        world
    }

    fn furnish(&mut self) {
        let code = |text: &str| Code::parse(text).unwrap();
        let key = |text| pseudonyms().key(rollcall_domain::code::KeyKind::Code, text);
        let teacher = TeacherId(1);
        self.put(Item::Teacher(Teacher { id: teacher, code: key("T1"), department: None }));
        self.put(Item::Course(Course {
            id: CourseId(1),
            code: code("C1"),
            name: "Course".into(),
            description: None,
        }));
        for (id, room) in [(CLASS, ROOM), (OTHER_CLASS, OTHER_ROOM)] {
            self.put(Item::Room(Room {
                id: room,
                code: code(&format!("R{}", room.0)),
                name: String::new(),
                networks: vec![],
                place: None,
            }));
            self.put(Item::Class(Class {
                id,
                code: code(&format!("K{}", id.0)),
                name: None,
                course: CourseId(1),
                teacher,
                co_teachers: vec![],
                term: None,
                room: Some(room),
            }));
        }
        for (student, class) in [(ANN, CLASS), (BEN, CLASS), (CAT, OTHER_CLASS)] {
            self.add_student(student, &format!("S{}", student.0), &[]);
            self.enrol(class, student, Days::ALWAYS);
        }
        self.add_device("room", Some(ROOM));
        self.add_device("gate", None);
    }

    pub fn add_student(&mut self, id: StudentId, code: &str, cards: &[&str]) {
        let details = StudentDetails {
            code: Code::parse(code).unwrap(),
            name: PersonName::from_whole("A Student").unwrap(),
            email: None,
            phone: None,
            cards: cards.iter().map(|card| (*card).to_owned()).collect(),
        };
        self.put(Item::Student(Student::new(id, &details, &pseudonyms())));
    }

    pub fn add_device(&mut self, id: &str, room: Option<RoomId>) {
        self.put(Item::Device(Device {
            id: device(id),
            name: id.to_owned(),
            kind: DeviceKind::Card,
            room,
            dialect: Name::parse("native").unwrap(),
            status: DeviceStatus::Active,
            firmware: None,
        }));
    }

    pub fn put(&mut self, item: Item) {
        self.campus(CampusEvent::Put(Box::new(item)));
    }

    pub fn campus(&mut self, event: CampusEvent) {
        self.append(Event::Campus(event));
    }

    pub fn enrol(&mut self, class: ClassId, student: StudentId, days: Days) {
        self.campus(CampusEvent::Joined { link: Link::ClassStudent(class, student), days });
    }

    pub fn append(&mut self, event: Event) {
        let seq = Seq(self.log.len() as u64 + 1);
        let entry = Entry { seq, at: self.now, by: Actor::Gateway, event };
        self.state.apply(&entry);
        self.log.push(entry);
    }

    pub fn append_all(&mut self, events: Vec<Event>) {
        events.into_iter().for_each(|event| self.append(event));
    }

    pub fn session_event(&mut self, id: SessionId, event: SessionEvent) {
        self.append(Event::Session(id, event));
    }

    /// Sets the clock to a wall-clock time on the day it is, such as "09:05" or "09:05:01".
    pub fn at(&mut self, time: &str) -> &mut Self {
        self.now = self.time(time);
        self
    }

    pub fn on(&mut self, date: &str, time: &str) -> &mut Self {
        self.now = Moment::from_civil(day(date).to_datetime(time.parse().unwrap()), &self.zone);
        self
    }

    pub fn time(&self, time: &str) -> Moment {
        Moment::from_civil(self.now.date(&self.zone).to_datetime(time.parse().unwrap()), &self.zone)
    }

    pub fn context(&self) -> Context<'_> {
        self.state.context(&self.policy, self.now)
    }

    pub fn session(&self, id: SessionId) -> &Session {
        &self.state.sessions[&id]
    }

    /// A meeting of `class` today.
    pub fn schedule(&mut self, class: ClassId, starts: &str, ends: &str) -> SessionId {
        let plan = Plan {
            class,
            teacher: TeacherId(1),
            room: self.state.campus.classes[&class].room,
            date: self.now.date(&self.zone),
            starts: self.time(starts),
            ends: self.time(ends),
        };
        let id = SessionId(self.state.next_number(SessionId::PREFIX));
        let created =
            lifecycle::create(plan, Origin::ByHand, &self.state.numbered(class, None), &self.context())
                .unwrap();
        self.session_event(id, created);
        id
    }

    /// A meeting of `class` from 09:00 to 10:00, opened at 08:55.
    pub fn open_class(&mut self, class: ClassId) -> SessionId {
        let id = self.schedule(class, "09:00", "10:00");
        self.at("08:55").open(id).unwrap();
        id
    }

    pub fn open(&mut self, id: SessionId) -> Result<(), Refusal> {
        let event = lifecycle::open(self.session(id), &self.context(), self.now, How::ByPerson)?;
        self.session_event(id, event);
        Ok(())
    }

    pub fn close(&mut self, id: SessionId) -> Result<(), Refusal> {
        let event = lifecycle::close(self.session(id), &self.context(), self.now, How::ByPerson)?;
        self.session_event(id, event);
        Ok(())
    }

    pub fn reopen(&mut self, id: SessionId) -> Result<(), Refusal> {
        let others: Vec<Meeting> = self.state.meetings().cloned().collect();
        let events = lifecycle::reopen(self.session(id), &others)?;
        events.into_iter().for_each(|event| self.session_event(id, event));
        Ok(())
    }

    pub fn lock(&mut self, id: SessionId) -> Result<(), Refusal> {
        let event = lifecycle::lock(self.session(id), How::ByPerson)?;
        self.session_event(id, event);
        Ok(())
    }

    pub fn cancel(&mut self, id: SessionId) -> Result<(), Refusal> {
        let event = lifecycle::cancel(self.session(id), How::ByPerson)?;
        self.session_event(id, event);
        Ok(())
    }

    pub fn reinstate(&mut self, id: SessionId) -> Result<(), Refusal> {
        let plan = self.session(id).meeting.plan();
        let others = self.state.numbered(plan.class, Some(id));
        let events = lifecycle::reinstate(self.session(id), plan, &others)?;
        events.into_iter().for_each(|event| self.session_event(id, event));
        Ok(())
    }

    /// Moves the start to `starts`; the end stays.
    pub fn begin_at(&mut self, id: SessionId, starts: Moment) -> Result<(), Refusal> {
        let plan = Plan { starts, ..self.session(id).meeting.plan() };
        let others = self.state.numbered(plan.class, Some(id));
        let event = lifecycle::edit(self.session(id), plan, true, &others)?;
        self.session_event(id, event);
        Ok(())
    }

    pub fn delete(&mut self, id: SessionId, student: StudentId) -> Result<(), Refusal> {
        let event = marking::delete(self.session(id), student, true)?;
        self.session_event(id, event);
        Ok(())
    }

    pub fn merge(&mut self, from: StudentId, into: StudentId) -> Result<(), Refusal> {
        let events = roster::merge(&self.state, from, into)?;
        self.append_all(events);
        Ok(())
    }

    pub fn version(&self, id: SessionId, student: StudentId) -> u32 {
        self.session(id).records.get(&student).map_or(0, |record| record.version)
    }

    pub fn status(&self, id: SessionId) -> SessionStatus {
        self.session(id).meeting.status
    }

    pub fn bind(&mut self, id: SessionId, name: &str) -> Result<(), Refusal> {
        let bound = lifecycle::bind(self.session(id), &device(name), self.state.meetings())?;
        bound.into_iter().for_each(|event| self.session_event(id, event));
        Ok(())
    }

    /// A scan made and received now.
    pub fn scan(&mut self, name: &str, who: &str) -> Outcome {
        self.scan_made(name, who, self.now, None)
    }

    pub fn scan_out(&mut self, name: &str, who: &str) -> Outcome {
        self.scan_made(name, who, self.now, Some(Direction::Out))
    }

    /// A scan made at `captured_at` that is received now.
    pub fn scan_made(
        &mut self,
        name: &str,
        who: &str,
        captured_at: Moment,
        direction: Option<Direction>,
    ) -> Outcome {
        let scan = self.made(name, who, captured_at, direction);
        self.submit(scan)
    }

    /// A scan by card that is received now, not handed in yet.
    pub fn made(&mut self, name: &str, who: &str, captured_at: Moment, direction: Option<Direction>) -> Scan {
        self.scans += 1;
        Scan {
            device: device(name),
            scan_id: None,
            dedup: DedupKey::of_id(&device(name), &self.scans.to_string(), &pseudonyms()),
            claim: Claim::of(who, &pseudonyms()),
            claimed_at: captured_at,
            captured_at,
            received_at: self.now,
            clock_flagged: false,
            method: Some(Method::Card),
            quality_milli: None,
            direction,
        }
    }

    /// The whole way of a scan: quality, student, meeting, meaning; one that was stored is only repeated.
    pub fn submit(&mut self, scan: Scan) -> Outcome {
        self.submit_with(scan, scan::AutoOpen::Allowed)
    }

    pub fn submit_with(&mut self, scan: Scan, auto_open: scan::AutoOpen) -> Outcome {
        if let Some(first) = self.state.scans.get(&scan.dedup) {
            return self.first_answer(*first);
        }
        let placed = unmatched::place(&self.state.campus, &self.policy, &scan, self.state.meetings());
        let (student, id) = match placed {
            Ok(found) => found,
            Err(kept) => return self.keep(*kept),
        };
        let decision = scan::scan(self.session(id), &self.context(), student, &scan, None, auto_open);
        if let Outcome::Unmatched(reason) = decision.outcome {
            return self.keep(UnmatchedScan { scan, reason, student: Some(student), session: Some(id) });
        }
        decision.events.into_iter().for_each(|event| self.session_event(id, event));
        decision.outcome
    }

    fn first_answer(&self, seq: Seq) -> Outcome {
        match self.log.iter().find(|entry| entry.seq == seq).map(|entry| &entry.event) {
            Some(Event::Session(_, SessionEvent::Scanned(scanned))) => scanned.outcome,
            Some(Event::Unmatched(kept)) => Outcome::Unmatched(kept.reason),
            other => panic!("{seq} is not a scan: {other:?}"),
        }
    }

    fn keep(&mut self, kept: UnmatchedScan) -> Outcome {
        let outcome = Outcome::Unmatched(kept.reason);
        self.append(Event::Unmatched(Box::new(kept)));
        outcome
    }

    pub fn mark(&mut self, id: SessionId, student: StudentId, mark: Mark) -> Result<(), Refusal> {
        self.mark_as(id, wish(student, mark))
    }

    pub fn mark_as(&mut self, id: SessionId, wish: marking::Wish) -> Result<(), Refusal> {
        let event = marking::mark(self.session(id), &self.context(), &wish)?;
        event.into_iter().for_each(|event| self.session_event(id, event));
        Ok(())
    }

    /// A teacher's mark made offline at `captured_at`, uploaded now: "applied", "duplicate", "conflict".
    pub fn upload(
        &mut self,
        id: SessionId,
        student: StudentId,
        mark: Mark,
        captured_at: Moment,
    ) -> Result<&'static str, Refusal> {
        let upload =
            marking::Upload { student, mark, captured_at, dedup: None, with_reason: false, by_admin: false };
        Ok(match marking::upload(self.session(id), &self.context(), &upload)? {
            marking::Uploaded::Applied(event) => {
                self.session_event(id, event);
                "applied"
            }
            marking::Uploaded::Duplicate => "duplicate",
            marking::Uploaded::Conflict(event) => {
                self.session_event(id, event);
                "conflict"
            }
        })
    }

    pub fn tap(&mut self, id: SessionId, student: StudentId) -> Result<Mark, Refusal> {
        self.tap_asked_at(id, student, self.now)
    }

    /// A tap now, at a page that was asked for at `captured_at`.
    pub fn tap_asked_at(
        &mut self,
        id: SessionId,
        student: StudentId,
        captured_at: Moment,
    ) -> Result<Mark, Refusal> {
        let visit = qr::Visit { captured_at, browser: None, flags: BTreeSet::new() };
        let tap = qr::tap(self.session(id), &self.context(), student, visit);
        tap.event.into_iter().for_each(|event| self.session_event(id, event));
        tap.answer
    }

    pub fn grant_leave(&mut self, student: StudentId, days: Days) -> LeaveId {
        let id = LeaveId(self.state.next_number(LeaveId::PREFIX));
        self.append(requests::ask_leave(&self.context(), id, student, None, days).unwrap());
        let asked = self.state.office.leaves[&id].clone();
        let sessions: Vec<Session> = self.state.sessions.values().cloned().collect();
        let events = requests::decide_leave(&asked, true, false, &sessions, &self.context()).unwrap();
        events.into_iter().for_each(|event| self.append(event));
        id
    }

    pub fn correct(&mut self, session: SessionId, student: StudentId, mark: Mark) -> Result<(), Refusal> {
        let id = CorrectionId(self.state.next_number(CorrectionId::PREFIX));
        let known = self.state.office.corrections.values();
        let event =
            requests::ask_correction(self.session(session), &self.context(), id, (student, mark), known)?;
        self.append(event);
        let asked = self.state.office.corrections[&id].clone();
        let events =
            requests::decide_correction(self.session(session), &self.context(), &asked, true, false)?;
        events.into_iter().for_each(|event| self.append(event));
        Ok(())
    }

    /// Does whatever is due by itself now, as the scheduler would.
    pub fn tick(&mut self, clock: BoxClock) -> Vec<String> {
        let mut done = Vec::new();
        while let Some((id, step, from, how)) = self.next_due(clock) {
            let event = match step {
                due::Step::Open => lifecycle::open(self.session(id), &self.context(), from, how),
                due::Step::Close => lifecycle::close(self.session(id), &self.context(), from, how),
                due::Step::Lock => lifecycle::lock(self.session(id), how),
            };
            self.session_event(id, event.unwrap());
            done.push(format!("{step:?} {how:?}"));
        }
        done
    }

    fn next_due(&self, clock: BoxClock) -> Option<(SessionId, due::Step, Moment, How)> {
        let dues = self.state.meetings().filter_map(|meeting: &Meeting| {
            let due = due::next(meeting, &self.policy)?;
            let how = due.now(self.now, clock)?;
            Some((meeting.id, due.step, due.at, how))
        });
        dues.min_by_key(|(id, _, from, _)| (*from, *id))
    }

    /// "present biometric 09:04", with "!mark source" behind it if something disagrees.
    pub fn shown(&self, id: SessionId, student: StudentId) -> String {
        let session = self.session(id);
        let Some(standing) = session.standing(student) else { return "nothing".to_owned() };
        let mut text = format!("{} {}", standing.mark.word(), standing.source.word());
        if let Some(at) = standing.at {
            text.push_str(&at.civil(&self.zone).strftime(" %H:%M").to_string());
        }
        if standing.reason.is_some() {
            text.push_str(" left_early");
        }
        let record = &session.records[&student];
        if let Some(other) = record.disagreement(&session.meeting.timing) {
            text.push_str(&format!(" !{} {}", other.incoming.word(), other.incoming_source.word()));
        }
        text
    }
}

/// A teacher's wish, without a reason.
pub fn wish(student: StudentId, mark: Mark) -> marking::Wish {
    marking::Wish { student, mark, with_reason: false, with_note: false, by_admin: false }
}

/// What a case is called, and what it comes to.
pub type Case = (&'static str, fn(&mut World) -> String);

pub fn told(outcome: Outcome) -> String {
    let status = format!("{:?}", outcome.status()).to_lowercase();
    match outcome {
        Outcome::Unmatched(reason) => format!("{status} {}: {}", reason.code(), outcome.message()),
        _ => format!("{status}: {}", outcome.message()),
    }
}

pub fn said<T>(answer: Result<T, Refusal>) -> String {
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(refusal) => format!("{}: {refusal}", refusal.code()),
    }
}

pub fn render(cases: &[Case]) -> String {
    let line = |(name, run): &Case| format!("{name}\n    {}\n", run(&mut World::new()));
    cases.iter().map(line).collect()
}
