//! One meeting of a class: its state, its bindings, and everyone's record.
//!
//! Promises: changes only by [`Session::apply`]; states follow each other only as they should; a locked meeting never leaves that state; a record's
//! version grows exactly when its standing mark changes; what was open or bound at a past moment can
//! still be asked.
//!
//! Refuses: deciding. Events come from [`crate::decide`].

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::code::PersonKey;
use crate::event::{How, Origin, PersonMark, Scanned, SessionEvent};
use crate::ids::{ClassId, DeviceId, LeaveId, RoomId, Seq, SessionId, StudentId, TeacherId, TermId};
use crate::moment::Moment;
use crate::record::{PageClaim, PersonClaim, Record, Seen, Standing, Timing};
use crate::scan::{Direction, Scan};
use crate::timetable::Plan;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    Scheduled,
    Open,
    Closed,
    Locked,
    Cancelled,
}

impl SessionStatus {
    pub fn word(self) -> &'static str {
        match self {
            SessionStatus::Scheduled => "scheduled",
            SessionStatus::Open => "open",
            SessionStatus::Closed => "closed",
            SessionStatus::Locked => "locked",
            SessionStatus::Cancelled => "cancelled",
        }
    }

    /// Whether it counts in percentages.
    pub fn is_held(self) -> bool {
        matches!(self, SessionStatus::Closed | SessionStatus::Locked)
    }

    /// Where each change of state leads; `None`: it does not apply here.
    fn after(self, event: &SessionEvent) -> Option<SessionStatus> {
        use SessionStatus as S;
        match (self, event) {
            (S::Scheduled, SessionEvent::Opened { .. }) | (S::Closed, SessionEvent::Reopened) => {
                Some(S::Open)
            }
            (S::Open, SessionEvent::Closed { .. }) => Some(S::Closed),
            (S::Closed, SessionEvent::Locked { .. }) => Some(S::Locked),
            (S::Scheduled | S::Open, SessionEvent::Cancelled { .. }) => Some(S::Cancelled),
            (S::Cancelled, SessionEvent::Reinstated) => Some(S::Scheduled),
            _ => None,
        }
    }
}

/// From when to when something held; without an end it still does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub from: Moment,
    pub until: Option<Moment>,
}

impl Span {
    /// Both ends included: what happens in the moment of closing still belongs to the meeting.
    pub fn contains(&self, at: Moment) -> bool {
        self.from <= at && self.until.is_none_or(|until| at <= until)
    }

    fn end(&mut self, at: Moment) {
        self.until.get_or_insert(at.max(self.from));
    }
}

/// A period in which a meeting shows its QR code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QrPeriod {
    pub from: Moment,
    pub until: Moment,
    pub rotate_seconds: u32,
}

/// Everything about a meeting but its records: what finding it goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meeting {
    pub id: SessionId,
    pub class: ClassId,
    pub teacher: TeacherId,
    pub room: Option<RoomId>,
    pub date: Date,
    pub ends: Moment,
    pub timing: Timing,
    /// The term it is numbered in.
    pub term: Option<TermId>,
    pub number: u32,
    pub origin: Origin,
    /// Whether faces and fingers count here.
    pub biometric: bool,
    /// A person set its time, place or teacher, so the timetable no longer moves it.
    pub by_hand: bool,
    pub status: SessionStatus,
    /// When the ledger last said so; later than the time it counts from if the gateway caught up.
    pub status_since: Moment,
    /// How it came to be cancelled.
    pub cancelled: Option<How>,
    pub auto_opened: bool,
    pub auto_closed: bool,
    pub open: Vec<Span>,
    pub bindings: Vec<(DeviceId, Span)>,
    pub qr: Option<QrPeriod>,
    /// Which browser marked whom at the QR page; the first counts.
    pub browsers: BTreeMap<PersonKey, StudentId>,
    /// Visits to the QR page by somebody whom nobody knew.
    pub strangers: BTreeMap<Seq, Moment>,
}

impl Meeting {
    pub fn starts(&self) -> Moment {
        self.timing.starts
    }

    /// Whether nothing of it is kept when only what ended from this time on is.
    pub fn is_before(&self, time: Moment) -> bool {
        self.ends < time && self.status != SessionStatus::Open
    }

    pub fn plan(&self) -> Plan {
        Plan {
            class: self.class,
            teacher: self.teacher,
            room: self.room,
            date: self.date,
            starts: self.starts(),
            ends: self.ends,
        }
    }

    pub fn was_open(&self, at: Moment) -> bool {
        self.open.iter().any(|span| span.contains(at))
    }

    pub fn was_bound(&self, device: &DeviceId, at: Moment) -> bool {
        self.bindings.iter().any(|(bound, span)| bound == device && span.contains(at))
    }

    /// The devices bound to it, now or once.
    pub fn ever_bound(&self) -> impl Iterator<Item = &DeviceId> {
        self.bindings.iter().map(|(device, _)| device)
    }

    /// The devices bound to it now.
    pub fn bound(&self) -> impl Iterator<Item = &DeviceId> {
        self.bindings.iter().filter(|(_, span)| span.until.is_none()).map(|(device, _)| device)
    }

    /// Whether `at` came before it was ever opened.
    pub fn was_still_scheduled(&self, at: Moment) -> bool {
        self.cancelled.is_none() && self.open.first().is_none_or(|span| at < span.from)
    }

    pub fn closed_at(&self) -> Option<Moment> {
        self.open.last().and_then(|span| span.until)
    }

    fn set_status(&mut self, status: SessionStatus, at: Moment) {
        self.status = status;
        if status == SessionStatus::Open {
            self.open.push(Span { from: at, until: None });
            return;
        }
        self.open.iter_mut().for_each(|span| span.end(at));
        self.bindings.iter_mut().for_each(|(_, span)| span.end(at));
        if let Some(qr) = &mut self.qr {
            qr.until = qr.until.min(at);
        }
    }
}

/// A meeting with everyone's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub meeting: Meeting,
    pub records: BTreeMap<StudentId, Record>,
    /// How many events have been applied; an append that expects another is stale.
    pub version: u64,
}

impl Session {
    /// A meeting begins with the event that creates it; `None` for any other.
    pub fn create(id: SessionId, at: Moment, event: &SessionEvent) -> Option<Session> {
        let SessionEvent::Created { plan, term, number, origin, rules } = event else { return None };
        let meeting = Meeting {
            id,
            class: plan.class,
            teacher: plan.teacher,
            room: plan.room,
            date: plan.date,
            ends: plan.ends,
            timing: Timing { starts: plan.starts, rules: *rules },
            term: *term,
            number: *number,
            origin: *origin,
            biometric: true,
            by_hand: false,
            status: SessionStatus::Scheduled,
            status_since: at,
            cancelled: None,
            auto_opened: false,
            auto_closed: false,
            open: Vec::new(),
            bindings: Vec::new(),
            qr: None,
            browsers: BTreeMap::new(),
            strangers: BTreeMap::new(),
        };
        Some(Session { meeting, records: BTreeMap::new(), version: 1 })
    }

    /// What the register shows of a student now.
    pub fn standing(&self, student: StudentId) -> Option<Standing> {
        self.records.get(&student).and_then(|record| record.standing(&self.meeting.timing))
    }

    /// Folds one event in. A change of state that does not fit changes nothing but the version, so that a
    /// reader of any ledger stays in step with its writer.
    pub fn apply(&mut self, seq: Seq, at: Moment, event: &SessionEvent) {
        self.version = self.version.saturating_add(1);
        match event {
            SessionEvent::Created { .. } => {}
            SessionEvent::Changed { teacher, room, date, starts, ends, by_hand } => {
                self.meeting.teacher = *teacher;
                self.meeting.room = *room;
                self.meeting.date = *date;
                self.meeting.ends = *ends;
                self.meeting.by_hand |= by_hand;
                self.retime(Timing { starts: *starts, ..self.meeting.timing }, |_| {});
            }
            SessionEvent::Bound { device } => {
                self.meeting.bindings.push((device.clone(), Span { from: at, until: None }));
            }
            SessionEvent::Unbound { device } => {
                let held = self.meeting.bindings.iter_mut().filter(|(bound, _)| bound == device);
                held.for_each(|(_, span)| span.end(at));
            }
            SessionEvent::QrStarted { from, until, rotate_seconds } => {
                let period = QrPeriod { from: *from, until: *until, rotate_seconds: *rotate_seconds };
                self.meeting.qr = Some(period);
            }
            SessionEvent::Opened { .. }
            | SessionEvent::Closed { .. }
            | SessionEvent::Reopened
            | SessionEvent::Locked { .. }
            | SessionEvent::Cancelled { .. }
            | SessionEvent::Reinstated => self.change_state(seq, at, event),
            _ => self.apply_to_record(seq, event),
        }
    }

    /// A new start, or other rules, move what counts as late, for those already marked too. Together with
    /// what else happens in the same event, a mark changes at most once.
    fn retime(&mut self, timing: Timing, and: impl FnOnce(&mut Session)) {
        let old = std::mem::replace(&mut self.meeting.timing, timing);
        let before: BTreeMap<StudentId, (Option<Standing>, u32)> = self
            .records
            .iter()
            .map(|(student, record)| (*student, (record.standing(&old), record.version)))
            .collect();
        and(self);
        for (student, record) in &mut self.records {
            let (standing, version) = before.get(student).copied().unwrap_or_default();
            let changed = record.standing(&timing) != standing;
            record.version = version.saturating_add(u32::from(changed));
        }
    }

    fn change_state(&mut self, seq: Seq, at: Moment, event: &SessionEvent) {
        let Some(next) = self.meeting.status.after(event) else { return };
        self.meeting.status_since = at;
        match event {
            SessionEvent::Opened { from, how, rules, excused } => {
                let timing = Timing { rules: *rules, ..self.meeting.timing };
                self.retime(timing, |session| session.excuse_all(seq, excused));
                self.meeting.auto_opened = how.is_automatic();
                self.meeting.set_status(next, *from);
            }
            SessionEvent::Closed { from, how, absent, excused } => {
                self.meeting.auto_closed = how.is_automatic();
                self.meeting.set_status(next, *from);
                self.excuse_all(seq, excused);
                absent.iter().for_each(|student| self.change(*student, |r| r.set_auto_absent(true)));
            }
            SessionEvent::Reopened => {
                self.meeting.set_status(next, at);
                let all: Vec<StudentId> = self.records.keys().copied().collect();
                all.into_iter().for_each(|student| self.change(student, |r| r.set_auto_absent(false)));
            }
            SessionEvent::Cancelled { how } => {
                self.meeting.cancelled = Some(*how);
                self.meeting.set_status(next, at);
            }
            SessionEvent::Reinstated => {
                self.meeting.cancelled = None;
                self.meeting.set_status(next, at);
            }
            _ => self.meeting.set_status(next, at),
        }
    }

    fn excuse_all(&mut self, seq: Seq, excused: &[(StudentId, LeaveId)]) {
        excused.iter().for_each(|(student, leave)| self.change(*student, |r| r.excuse(*leave, seq)));
    }

    fn apply_to_record(&mut self, seq: Seq, event: &SessionEvent) {
        match event {
            SessionEvent::Scanned(scanned) => self.scanned(seq, scanned),
            SessionEvent::MarkedByQr { student, captured_at, browser, .. } => {
                if let Some(browser) = browser {
                    self.meeting.browsers.entry(*browser).or_insert(*student);
                }
                self.change(*student, |record| record.tapped(PageClaim { at: *captured_at, seq }));
            }
            SessionEvent::MarkedSelf { student, captured_at, .. } => {
                self.change(*student, |record| record.said_so(PageClaim { at: *captured_at, seq }));
            }
            SessionEvent::Marked(PersonMark { student, mark, source, decided_at, sighted, .. }) => {
                let (mark, source, decided_at, sighted) = (*mark, *source, *decided_at, *sighted);
                self.change(*student, |r| r.person(PersonClaim { decided_at, mark, source, sighted, seq }));
            }
            SessionEvent::LeaveTaken { student, leave } => {
                self.change(*student, |record| record.excuse(*leave, seq));
            }
            SessionEvent::ConflictSettled { student } => {
                self.change(*student, |record| record.looked_at(seq));
            }
            SessionEvent::RecordDeleted { student } => self.change(*student, Record::clear),
            SessionEvent::StudentMerged { from, into } => self.merge(*from, *into),
            SessionEvent::StrangerAtQr { captured_at, .. } => {
                self.meeting.strangers.insert(seq, *captured_at);
            }
            SessionEvent::StrangerSettled { stranger } => {
                self.meeting.strangers.remove(stranger);
            }
            SessionEvent::BiometricSet { enabled } => self.meeting.biometric = *enabled,
            _ => {}
        }
    }

    fn scanned(&mut self, seq: Seq, scanned: &Scanned) {
        self.change(scanned.student, |record| see(record, seq, &scanned.scan, scanned.late_upload));
    }

    /// The record of one who turned out to be another; what is left of it only tells destinations so.
    fn merge(&mut self, from: StudentId, into: StudentId) {
        let Some(record) = self.records.get(&from).cloned().filter(|_| from != into) else { return };
        self.change(from, Record::clear);
        self.change(into, |kept| kept.absorb(record));
    }

    fn change(&mut self, student: StudentId, change: impl FnOnce(&mut Record)) {
        let timing = self.meeting.timing;
        let record = self.records.entry(student).or_default();
        let before = record.standing(&timing);
        change(record);
        if record.standing(&timing) != before {
            record.version = record.version.saturating_add(1);
        }
    }
}

/// What a scan adds to a record, for the fold and for a decision that looks ahead.
pub(crate) fn see(record: &mut Record, seq: Seq, scan: &Scan, late_upload: bool) {
    match scan.direction {
        Some(Direction::Out) => record.seen_out(scan.captured_at, seq),
        Some(Direction::In) | None => {
            let seen = Seen { at: scan.captured_at, device: scan.device.clone(), late_upload };
            record.seen_in(seen, seq);
        }
    }
}
