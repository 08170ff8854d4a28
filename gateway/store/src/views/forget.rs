//! What is not kept any longer goes from the rows.
//!
//! Promises: of a session that is forgotten no row is left, in whichever table; what was counted of it is its
//! caller's to take back before.
//!
//! Refuses: deciding what is old. The ledger says so, and the domain's fold what it means.

use std::collections::BTreeSet;

use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use redb::{ReadableTable as _, WriteTransaction};
use rollcall_domain::event::UnmatchedScan;
use rollcall_domain::ids::{Seq, SessionId};
use rollcall_domain::moment::Moment;
use rollcall_domain::session::Meeting;

use super::rows::{records_of, value};
use super::snapshot::Snapshot;
use super::tables::{
    BY_CLASS, BY_DATE, BY_STUDENT, CONFLICTS, DELIVERIES, MEETINGS, OPEN, RECORDS, UNMATCHED, day,
};
use crate::error::StoreError;

/// Removes every row about these sessions.
pub(super) fn sessions(transaction: &WriteTransaction, gone: &BTreeSet<SessionId>) -> Result<(), StoreError> {
    if gone.is_empty() {
        return Ok(());
    }
    let mut meetings = transaction.open_table(MEETINGS)?;
    let mut records = transaction.open_table(RECORDS)?;
    let mut by_date = transaction.open_table(BY_DATE)?;
    let mut by_class = transaction.open_table(BY_CLASS)?;
    let mut by_student = transaction.open_table(BY_STUDENT)?;
    let mut open = transaction.open_table(OPEN)?;
    let mut conflicts = transaction.open_table(CONFLICTS)?;
    for id in gone {
        let Some(row) = meetings.remove(id.0)? else { continue };
        let (_, meeting): (u64, Meeting) = value(row.value())?;
        let then = day(meeting.date);
        by_date.remove((then, id.0))?;
        by_class.remove((meeting.class.0, then, id.0))?;
        open.remove(id.0)?;
        for row in records.extract_from_if(records_of(*id), |_, _| true)? {
            let (_, student) = row?.0.value();
            by_student.remove((student, then, id.0))?;
        }
        conflicts.retain_in(records_of(*id), |_, _| false)?;
    }
    deliveries(transaction, gone)
}

/// Removes what destinations said of them.
fn deliveries(transaction: &WriteTransaction, gone: &BTreeSet<SessionId>) -> Result<(), StoreError> {
    let mut table = transaction.open_table(DELIVERIES)?;
    let mut destination = table.first()?.map(|(key, _)| key.value().0.to_owned());
    while let Some(name) = destination {
        for id in gone {
            table.retain_in((name.as_str(), id.0, 0)..=(name.as_str(), id.0, u64::MAX), |_, _| false)?;
        }
        let after = (name.as_str(), u64::MAX, u64::MAX);
        destination = table
            .range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded))?
            .next()
            .transpose()?
            .map(|(key, _)| key.value().0.to_owned());
    }
    Ok(())
}

impl Snapshot {
    /// The meetings that are not kept when only what ended from this time on is, with their ends.
    pub(crate) fn sessions_before(&self, time: Moment) -> Result<Vec<(SessionId, Moment)>, StoreError> {
        // Any zone's day, and some for a meeting that crosses midnight.
        let last = time.date(&TimeZone::UTC).saturating_add(2.days());
        self.look(|read| {
            let meetings = read.open_table(MEETINGS)?;
            let mut found = Vec::new();
            for row in read.open_table(BY_DATE)?.range(..=(day(last), u64::MAX))? {
                let (_, id) = row?.0.value();
                let Some(row) = meetings.get(id)? else { continue };
                let (_, meeting): (u64, Meeting) = value(row.value())?;
                if meeting.is_before(time) {
                    found.push((meeting.id, meeting.ends));
                }
            }
            Ok(found)
        })
    }

    /// The unmatched scans that are not kept when only what was received from this time on is, with when they
    /// were.
    pub(crate) fn unmatched_before(&self, time: Moment) -> Result<Vec<(Seq, Moment)>, StoreError> {
        self.look(|read| {
            let mut found = Vec::new();
            for row in read.open_table(UNMATCHED)?.iter()? {
                let (seq, kept) = row?;
                let kept: UnmatchedScan = value(kept.value())?;
                if kept.scan.received_at < time {
                    found.push((Seq(seq.value()), kept.scan.received_at));
                }
            }
            Ok(found)
        })
    }

    /// Times up to this one that part what is not kept then into pieces of so many meetings and scans, or some
    /// more of the same time; none if everything is kept.
    pub(crate) fn pieces_before(&self, time: Moment, most: usize) -> Result<Vec<Moment>, StoreError> {
        let sessions = self.sessions_before(time)?.into_iter().map(|(_, ends)| ends.millis());
        let scans = self.unmatched_before(time)?.into_iter().map(|(_, received)| received.millis());
        let mut times: Vec<i64> = sessions.chain(scans).collect();
        times.sort_unstable();
        let ends = times.chunks(most).filter_map(<[i64]>::last);
        let mut pieces: Vec<Moment> = ends.map(|last| Moment::from_millis(last.saturating_add(1))).collect();
        pieces.dedup();
        if let Some(last) = pieces.last_mut() {
            *last = time;
        }
        Ok(pieces)
    }
}
