//! From what was touched to rows, in one transaction.
//!
//! Promises: after it the rows say what the state says; what was not touched is not written.
//!
//! Refuses: committing.

use std::sync::Arc;

use redb::{Table, WriteTransaction};
use rollcall_domain::event::UpstreamEvent;
use rollcall_domain::ids::{Seq, SessionId, StudentId};
use rollcall_domain::moment::Moment;
use rollcall_domain::parts::{Change, Part, campus_changes, office_changes};
use rollcall_domain::session::{Session, SessionStatus};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::tables::{
    BY_CLASS, BY_DATE, BY_STUDENT, CONFLICTS, DELIVERIES, Day, MEETINGS, META, OPEN, PARTS, RECORDS,
    UNMATCHED, day,
};
use super::touched::TouchedSession;
use super::working::Working;
use super::{forget, statistics};
use crate::codec::Chain;
use crate::error::StoreError;
use crate::ledger::Head;

/// The format of the rows; views of another one are made anew. In those of format 1, tallies may be wrong;
/// in those up to 3, no keys are let go, and in those up to 4, nothing is forgotten.
const FORMAT: u32 = 5;
/// A row of [`META`]: how far the rows are.
pub(crate) const PLACE: &str = "place";
/// A row of [`META`], if there is something to say: up to where the ledger's entries are forgotten.
pub(crate) const FORGOTTEN: &str = "forgotten";
/// A row of [`META`]: how far campus and office are.
pub(crate) const PARTS_PLACE: &str = "parts";

/// How far the rows are, and in which ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    format: u32,
    pub(crate) last: Seq,
    pub(crate) last_at: Option<Moment>,
    chain: Chain,
}

impl Place {
    pub(crate) fn new(head: Head, last_at: Option<Moment>) -> Self {
        Place { format: FORMAT, last: head.last, last_at, chain: head.chain }
    }

    pub(crate) fn head(&self) -> Option<Head> {
        (self.format == FORMAT).then_some(Head { last: self.last, chain: self.chain })
    }
}

/// What became of a record at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub version: u32,
    /// It was given up; somebody may ask to try it again.
    pub dead: bool,
}

/// Writes everything that was touched, but for scans.
pub(crate) fn write(
    transaction: &WriteTransaction,
    working: &Working,
    place: &Place,
) -> Result<(), StoreError> {
    let mut meta = transaction.open_table(META)?;
    meta.insert(PLACE, bytes(place)?.as_slice())?;
    if working.state.forgotten > Seq(0) {
        meta.insert(FORGOTTEN, bytes(&working.state.forgotten)?.as_slice())?;
    }
    drop(meta);
    let mut unmatched = transaction.open_table(UNMATCHED)?;
    for seq in &working.touched.settled {
        unmatched.remove(seq.0)?;
    }
    for (seq, kept) in &working.state.unmatched {
        unmatched.insert(seq.0, bytes(kept)?.as_slice())?;
    }
    statistics::take_back(transaction, working)?;
    forget::sessions(transaction, &working.touched.gone)?;
    let mut rows = Sessions::open(transaction)?;
    for (id, touched) in &working.touched.sessions {
        if let Some(session) = working.state.sessions.get(id) {
            rows.write(session, touched)?;
        }
    }
    drop(rows);
    write_deliveries(transaction, &working.touched.answers)?;
    statistics::write(transaction, working)
}

/// Campus and office: all that changed since they were last written.
pub(crate) fn write_parts(
    transaction: &WriteTransaction,
    working: &Working,
    place: &Place,
) -> Result<(), StoreError> {
    transaction.open_table(META)?.insert(PARTS_PLACE, bytes(place)?.as_slice())?;
    let (campus, office) = &working.kept;
    let mut changes = Vec::new();
    if !Arc::ptr_eq(campus, &working.state.campus) {
        changes.extend(campus_changes(campus, &working.state.campus));
    }
    if !Arc::ptr_eq(office, &working.state.office) {
        changes.extend(office_changes(office, &working.state.office));
    }
    let mut table = transaction.open_table(PARTS)?;
    for change in changes {
        match change {
            Change::Put(part) => {
                table.insert(bytes(&part.id())?.as_slice(), bytes::<Part>(&part)?.as_slice())?;
            }
            Change::Gone(id) => {
                table.remove(bytes(&id)?.as_slice())?;
            }
        }
    }
    Ok(())
}

/// What a destination's answer says of its records.
fn write_deliveries(transaction: &WriteTransaction, events: &[UpstreamEvent]) -> Result<(), StoreError> {
    let mut table = transaction.open_table(DELIVERIES)?;
    for event in events {
        let (destination, records, dead) = match event {
            UpstreamEvent::Delivered { destination, records, .. } => (destination, records, Some(false)),
            UpstreamEvent::DeadLettered { destination, records } => (destination, records, Some(true)),
            UpstreamEvent::RetryAsked { destination, records } => (destination, records, None),
        };
        for record in records {
            let key = (destination.as_str(), record.record.session.0, record.record.student.0);
            match dead {
                Some(dead) => {
                    let delivery = bytes(&Delivery { version: record.version, dead })?;
                    table.insert(key, delivery.as_slice())?;
                }
                None => drop(table.remove(key)?),
            }
        }
    }
    Ok(())
}

/// The tables in which sessions lie.
struct Sessions<'t> {
    meetings: Table<'t, u64, &'static [u8]>,
    records: Table<'t, (u64, u64), &'static [u8]>,
    by_date: Table<'t, (Day, u64), ()>,
    by_class: Table<'t, (u64, Day, u64), ()>,
    by_student: Table<'t, (u64, Day, u64), ()>,
    open: Table<'t, u64, ()>,
    conflicts: Table<'t, (u64, u64), &'static [u8]>,
}

impl<'t> Sessions<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Sessions {
            meetings: transaction.open_table(MEETINGS)?,
            records: transaction.open_table(RECORDS)?,
            by_date: transaction.open_table(BY_DATE)?,
            by_class: transaction.open_table(BY_CLASS)?,
            by_student: transaction.open_table(BY_STUDENT)?,
            open: transaction.open_table(OPEN)?,
            conflicts: transaction.open_table(CONFLICTS)?,
        })
    }

    fn write(&mut self, session: &Session, touched: &TouchedSession) -> Result<(), StoreError> {
        let meeting = &session.meeting;
        let (id, today) = (meeting.id.0, day(meeting.date));
        self.meetings.insert(id, bytes(&(session.version, meeting))?.as_slice())?;
        let before = touched.before.as_ref();
        let moved = before.is_some_and(|before| before.date != meeting.date);
        if let Some(before) = before.filter(|_| moved) {
            let then = day(before.date);
            self.by_date.remove((then, id))?;
            self.by_class.remove((before.class.0, then, id))?;
            for student in session.records.keys() {
                self.by_student.remove((student.0, then, id))?;
            }
        }
        if moved || before.is_none() {
            self.by_date.insert((today, id), ())?;
            self.by_class.insert((meeting.class.0, today, id), ())?;
        }
        let is_open = meeting.status == SessionStatus::Open;
        if is_open {
            self.open.insert(id, ())?;
        } else if before.is_some_and(|before| before.open) {
            self.open.remove(id)?;
        }
        if touched.everyone || moved {
            let all: Vec<StudentId> = session.records.keys().copied().collect();
            all.into_iter().try_for_each(|student| self.write_record(session, student, today))
        } else {
            touched.students.iter().try_for_each(|student| self.write_record(session, *student, today))
        }
    }

    fn write_record(&mut self, session: &Session, student: StudentId, today: Day) -> Result<(), StoreError> {
        let Some(record) = session.records.get(&student) else { return Ok(()) };
        let key = (session.meeting.id.0, student.0);
        self.records.insert(key, bytes(record)?.as_slice())?;
        self.by_student.insert((student.0, today, session.meeting.id.0), ())?;
        match record.disagreement(&session.meeting.timing) {
            Some(conflict) => drop(self.conflicts.insert(key, bytes(&conflict)?.as_slice())?),
            None => drop(self.conflicts.remove(key)?),
        }
        Ok(())
    }
}

pub(crate) fn bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_allocvec(value).map_err(StoreError::Encode)
}

pub(crate) fn value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|_unreadable| StoreError::DamagedViews)
}

/// A session put together from its rows.
pub(crate) fn session(
    meeting: &[u8],
    records: impl Iterator<Item = Result<(StudentId, Vec<u8>), StoreError>>,
) -> Result<Session, StoreError> {
    let (version, meeting) = value(meeting)?;
    let records = records.map(|row| {
        let (student, bytes) = row?;
        Ok((student, value(&bytes)?))
    });
    Ok(Session { meeting, records: records.collect::<Result<_, StoreError>>()?, version })
}

/// The keys of a session's records.
pub(crate) fn records_of(id: SessionId) -> std::ops::RangeInclusive<(u64, u64)> {
    (id.0, 0)..=(id.0, u64::MAX)
}
