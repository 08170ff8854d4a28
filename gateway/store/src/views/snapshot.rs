//! The views as they were after one commit.
//!
//! Promises: everything read from one snapshot belongs together; reading waits for nobody, and nobody for
//! a reader.
//!
//! Refuses: being kept for long. It holds on to the rows that it shows, also to those since replaced.

use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::civil::Date;
use redb::ReadTransaction;
use rollcall_domain::campus::Campus;
use rollcall_domain::decide::Context;
use rollcall_domain::event::UnmatchedScan;
use rollcall_domain::ids::{ClassId, DeviceId, Name, RecordId, RoomId, Seq, SessionId, StudentId};
use rollcall_domain::moment::Moment;
use rollcall_domain::office::Office;
use rollcall_domain::percentage::Tally;
use rollcall_domain::policy::Policy;
use rollcall_domain::record::{Disagreement, Record};
use rollcall_domain::roster::Days;
use rollcall_domain::scan::DedupKey;
use rollcall_domain::session::{Meeting, Session};

use super::doubts::Doubts;
use super::near::{Near, days_around, first_day};
use super::rows::{Delivery, Place, records_of, session, value};
use super::scans::Scans;
use super::tables::{
    BY_CLASS, BY_DATE, BY_STUDENT, CONFLICTS, DELIVERIES, MEETINGS, RECORDS, SCANS, STATISTICS, UNMATCHED,
    day,
};
use crate::caught::caught;
use crate::error::StoreError;
use crate::ledger::Head;

pub struct Snapshot {
    pub campus: Arc<Campus>,
    pub office: Arc<Office>,
    pub(super) near: Arc<Near>,
    pub(super) place: Place,
    pub(super) read: ReadTransaction,
    pub(super) scans: Scans,
    pub(super) doubts: Doubts,
    pub(super) forgotten: Seq,
}

impl Snapshot {
    /// The last entry that is in it.
    pub fn last(&self) -> Seq {
        self.place.last
    }

    /// That entry and its link of the chain.
    pub(crate) fn head(&self) -> Head {
        self.place.head().unwrap_or(Head::START)
    }

    /// Entries up to here are forgotten.
    pub(crate) fn forgotten(&self) -> Seq {
        self.forgotten
    }

    /// When the latest entry was written.
    pub fn last_at(&self) -> Option<Moment> {
        self.place.last_at
    }

    /// What cannot be read is mended, whoever finds it.
    pub(super) fn look<T>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        caught(|| look(&self.read)).inspect_err(|error| self.doubts.raise(error))
    }

    pub fn context<'a>(&'a self, policy: &'a Policy, now: Moment) -> Context<'a> {
        Context { campus: &self.campus, leaves: &self.office.leaves, policy, now }
    }

    /// The next number for an id with this prefix.
    pub fn next_number(&self, prefix: &str) -> u64 {
        self.office.next_number(prefix)
    }

    /// Every open meeting, and those of the last weeks and of all days to come.
    pub fn meetings(&self) -> impl Iterator<Item = &Meeting> {
        self.near.all()
    }

    /// The meetings that a scan made `at` could belong to.
    ///
    /// # Errors
    /// It is so long ago that rows have to be read, and they cannot be.
    pub fn meetings_around(&self, at: Moment) -> Result<Vec<Arc<Meeting>>, StoreError> {
        let (from, to) = days_around(at);
        let held_from = self.place.last_at.map_or(from, first_day);
        if from >= held_from {
            return Ok(self.near.between(from, to).cloned().collect());
        }
        self.look(|read| {
            let table = read.open_table(BY_DATE)?;
            let mut found = Vec::new();
            for row in table.range((day(from), 0)..=(day(to), u64::MAX))? {
                let (_, id) = row?.0.value();
                found.extend(self.meeting(SessionId(id))?);
            }
            Ok(found)
        })
    }

    /// Those that a scan of a device can belong to, and perhaps more: for one in a room, few.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn meetings_of_device(
        &self,
        device: &DeviceId,
        room: Option<RoomId>,
        at: Moment,
    ) -> Result<Vec<Arc<Meeting>>, StoreError> {
        let days = days_around(at);
        let is_near = days.0 >= self.place.last_at.map_or(days.0, first_day);
        match room {
            Some(room) if is_near => Ok(self.near.of_device(device, room, days).cloned().collect()),
            _ => self.meetings_around(at),
        }
    }

    /// # Errors
    /// The rows cannot be read.
    pub fn meeting(&self, id: SessionId) -> Result<Option<Arc<Meeting>>, StoreError> {
        if let Some(meeting) = self.near.get(id) {
            return Ok(Some(Arc::clone(meeting)));
        }
        Ok(self.versioned(id)?.map(|(_, meeting)| Arc::new(meeting)))
    }

    fn versioned(&self, id: SessionId) -> Result<Option<(u64, Meeting)>, StoreError> {
        self.look(|read| {
            let table = read.open_table(MEETINGS)?;
            table.get(id.0)?.map(|row| value(row.value())).transpose()
        })
    }

    /// How many events of the session are in it; 0 if there is no such session.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn version(&self, id: SessionId) -> Result<u64, StoreError> {
        Ok(self.versioned(id)?.map_or(0, |(version, _)| version))
    }

    /// Whether the rows have this session.
    pub(super) fn has_session(&self, id: SessionId) -> Result<bool, StoreError> {
        self.look(|read| Ok(read.open_table(MEETINGS)?.get(id.0)?.is_some()))
    }

    /// A meeting with everyone's record.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.look(|read| {
            let meetings = read.open_table(MEETINGS)?;
            let Some(meeting) = meetings.get(id.0)? else { return Ok(None) };
            let records = read.open_table(RECORDS)?;
            let records = records.range(records_of(id))?.map(|row| {
                let (key, record) = row?;
                Ok((StudentId(key.value().1), record.value().to_vec()))
            });
            session(meeting.value(), records).map(Some)
        })
    }

    /// The sessions of a class on these days, in order.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn sessions_of(
        &self,
        class: ClassId,
        days: RangeInclusive<Date>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let range = (class.0, day(*days.start()), 0)..=(class.0, day(*days.end()), u64::MAX);
        self.look(|read| {
            let table = read.open_table(BY_CLASS)?;
            table.range(range)?.map(|row| Ok(SessionId(row?.0.value().2))).collect()
        })
    }

    /// The sessions of these days, in order.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn sessions_on(&self, days: RangeInclusive<Date>) -> Result<Vec<SessionId>, StoreError> {
        let range = (day(*days.start()), 0)..=(day(*days.end()), u64::MAX);
        self.look(|read| {
            let table = read.open_table(BY_DATE)?;
            table.range(range)?.map(|row| Ok(SessionId(row?.0.value().1))).collect()
        })
    }

    /// The sessions of these days in which something is written about the student, in order.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn sessions_with(
        &self,
        student: StudentId,
        days: RangeInclusive<Date>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let range = (student.0, day(*days.start()), 0)..=(student.0, day(*days.end()), u64::MAX);
        self.look(|read| {
            let table = read.open_table(BY_STUDENT)?;
            table.range(range)?.map(|row| Ok(SessionId(row?.0.value().2))).collect()
        })
    }

    /// The first event that has this scan or upload, unless that is so long ago that it was forgotten.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn scan(&self, key: DedupKey) -> Result<Option<Seq>, StoreError> {
        if !self.scans.perhaps(key) {
            return Ok(None);
        }
        let found = self.look(|read| self.scans.find(&read.open_table(SCANS)?, key, self.last()))?;
        Ok(found.filter(|seq| *seq > self.forgotten))
    }

    /// False if this scan or upload is surely not known.
    pub(crate) fn perhaps(&self, key: DedupKey) -> bool {
        self.scans.perhaps(key)
    }

    /// Scans that marked nobody and are not settled, from a sequence on.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn unmatched(&self, from: Seq, limit: usize) -> Result<Vec<(Seq, UnmatchedScan)>, StoreError> {
        self.look(|read| {
            let table = read.open_table(UNMATCHED)?;
            let found = table.range(from.0..=u64::MAX)?.take(limit).map(|row| {
                let (seq, kept) = row?;
                Ok((Seq(seq.value()), value(kept.value())?))
            });
            found.collect()
        })
    }

    /// Claims that disagree with a mark and that nobody has looked at, in the order of sessions.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn conflicts(&self) -> Result<Vec<(RecordId, Disagreement)>, StoreError> {
        self.look(|read| {
            let table = read.open_table(CONFLICTS)?;
            let found = table.range((0, 0)..=(u64::MAX, u64::MAX))?.map(|row| {
                let (key, conflict) = row?;
                let (session, student) = key.value();
                let id = RecordId { session: SessionId(session), student: StudentId(student) };
                Ok((id, value(conflict.value())?))
            });
            found.collect()
        })
    }

    /// The tallies of a class, of everyone who was ever of it while it was held.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn tallies(&self, class: ClassId) -> Result<Vec<(StudentId, Tally)>, StoreError> {
        self.look(|read| {
            let table = read.open_table(STATISTICS)?;
            let found = table.range((class.0, 0)..=(class.0, u64::MAX))?.map(|row| {
                let (key, tally) = row?;
                Ok((StudentId(key.value().1), value(tally.value())?))
            });
            found.collect()
        })
    }

    /// One student's marks in a class on some days, as [`State::tally`] counts them.
    ///
    /// [`State::tally`]: rollcall_domain::state::State::tally
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn tally(&self, student: StudentId, class: ClassId, days: Days) -> Result<Tally, StoreError> {
        self.look(|read| {
            let records = read.open_table(RECORDS)?;
            let mut tally = Tally::default();
            for id in self.sessions_of(class, days.range())? {
                let Some(meeting) = self.meeting(id)? else { continue };
                if meeting.status.is_held() && self.campus.rosters.attends(class, student, meeting.date) {
                    let row = records.get((id.0, student.0))?;
                    let record: Option<Record> = row.map(|row| value(row.value())).transpose()?;
                    tally.add(
                        record.and_then(|record| record.standing(&meeting.timing)).map(|found| found.mark),
                    );
                }
            }
            Ok(tally)
        })
    }

    /// What became of a record at a destination.
    ///
    /// # Errors
    /// The rows cannot be read.
    pub fn delivery(&self, destination: &Name, record: RecordId) -> Result<Option<Delivery>, StoreError> {
        self.look(|read| {
            let table = read.open_table(DELIVERIES)?;
            let row = table.get((destination.as_str(), record.session.0, record.student.0))?;
            row.map(|row| value(row.value())).transpose()
        })
    }
}
