//! Every table of `views.redb`, with its key order and the range scan it serves.
//!
//! Promises: no other file defines a table of the views; [`each`] names them all, so that whoever
//! compares, counts or empties them misses none.

use jiff::civil::Date;
use redb::TableDefinition;

use super::scans::BlockId;

/// A calendar day as a number whose order is that of days: 20261121.
pub(crate) type Day = i32;

/// Name -> how far the views are, and of which ledger. Looked up one at a time.
pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// Part of campus or office ([`rollcall_domain::parts`]) -> the part: roster, accounts, devices, requests,
/// settings. By kind of part; read as a whole at the start, since all of it is held in memory.
pub(crate) const PARTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("parts");

/// Session -> its version and its meeting. In the order in which they were made.
pub(crate) const MEETINGS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("meetings");

/// (session, student) -> everything claimed about them there. By session: the register of a meeting.
pub(crate) const RECORDS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("records");

/// (day, session). By day: what is on, and what a scan made then could belong to.
pub(crate) const BY_DATE: TableDefinition<'_, (Day, u64), ()> = TableDefinition::new("by_date");

/// (class, day, session). By class, then day: a class's term, its numbering, its register.
pub(crate) const BY_CLASS: TableDefinition<'_, (u64, Day, u64), ()> = TableDefinition::new("by_class");

/// (student, day, session). By student, then day: one student's attendance.
pub(crate) const BY_STUDENT: TableDefinition<'_, (u64, Day, u64), ()> = TableDefinition::new("by_student");

/// Sessions that are open. All of them: they may be older than what is held in memory.
pub(crate) const OPEN: TableDefinition<'_, u64, ()> = TableDefinition::new("open");

/// Block of a run of keys ([`super::scans`]) -> keys of scans and uploads, with the events that have them.
/// Looked up one at a time; all of them at the start. By run: those that go together when they are old.
pub(crate) const SCANS: TableDefinition<'_, BlockId, &[u8]> = TableDefinition::new("scans");

/// Sequence -> the key of the scan or upload in that event, if it is in no run yet. All of them at the start.
pub(crate) const RECENT_SCANS: TableDefinition<'_, u64, [u8; 16]> = TableDefinition::new("recent_scans");

/// Sequence -> a scan that marked nobody and is not settled. In the order in which they came.
pub(crate) const UNMATCHED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("unmatched");

/// (session, student) -> a claim that disagrees with the mark and that nobody has looked at. By session;
/// all of them are the list of conflicts.
pub(crate) const CONFLICTS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("conflicts");

/// (class, student) -> the student's tally in the class. By class: who is at risk.
pub(crate) const STATISTICS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("statistics");

/// (destination, session, student) -> the record's version there, and whether it was given up. By
/// destination; one at a time: what a record's page says about it.
pub(crate) const DELIVERIES: TableDefinition<'_, (&str, u64, u64), &[u8]> =
    TableDefinition::new("deliveries");

/// Calls a macro with every table.
macro_rules! each {
    ($call:ident) => {
        $call!(
            META,
            PARTS,
            MEETINGS,
            RECORDS,
            BY_DATE,
            BY_CLASS,
            BY_STUDENT,
            OPEN,
            SCANS,
            RECENT_SCANS,
            UNMATCHED,
            CONFLICTS,
            STATISTICS,
            DELIVERIES
        )
    };
}
pub(crate) use each;

pub(crate) fn day(date: Date) -> Day {
    i32::from(date.year()) * 10_000 + i32::from(date.month()) * 100 + i32::from(date.day())
}
