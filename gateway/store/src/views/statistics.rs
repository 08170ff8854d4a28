//! Every student's tally in every class.
//!
//! Promises: what [`State::tally`](rollcall_domain::state::State::tally) would count over all days, kept
//! up by the difference that each change makes, and each session that is forgotten; counted anew for a class whose
//! roster changed.
//!
//! Refuses: ranges of days and terms. Those are counted from the sessions themselves.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use redb::{ReadableTable, Table, WriteTransaction};
use rollcall_domain::campus::Campus;
use rollcall_domain::ids::{ClassId, SessionId, StudentId};
use rollcall_domain::percentage::Tally;
use rollcall_domain::session::Session;

use super::rows::{bytes, records_of, session, value};
use super::tables::{BY_CLASS, MEETINGS, RECORDS, STATISTICS};
use super::touched::{TouchedSession, mark};
use super::working::Working;
use crate::error::StoreError;

type Statistics<'t> = Table<'t, (u64, u64), &'static [u8]>;

/// To be called when the sessions' rows are written.
pub(crate) fn write(transaction: &WriteTransaction, working: &Working) -> Result<(), StoreError> {
    let mut table = transaction.open_table(STATISTICS)?;
    let stale = &working.touched.classes;
    let campus = &working.state.campus;
    let mut classes: BTreeSet<ClassId> = stale.some.clone();
    for (id, touched) in &working.touched.sessions {
        let Some(session) = working.state.sessions.get(id) else { continue };
        if stale.has(session.meeting.class) {
            classes.insert(session.meeting.class);
        } else {
            count_change(&mut table, campus, session, touched)?;
        }
    }
    if stale.all {
        classes.extend(campus.classes.keys());
        for row in table.range::<(u64, u64)>(..)? {
            classes.insert(ClassId(row?.0.value().0));
        }
    }
    for class in classes {
        count_anew(transaction, &mut table, campus, class)?;
    }
    Ok(())
}

/// To be called before the rows of forgotten sessions are removed.
pub(crate) fn take_back(transaction: &WriteTransaction, working: &Working) -> Result<(), StoreError> {
    let (gone, stale) = (&working.touched.gone, &working.touched.classes);
    if gone.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(STATISTICS)?;
    let (meetings, records) = (transaction.open_table(MEETINGS)?, transaction.open_table(RECORDS)?);
    for id in gone {
        let Some(session) = session_in(&meetings, &records, *id)? else { continue };
        let class = session.meeting.class;
        // Those are counted anew without it.
        if !session.meeting.status.is_held() || stale.has(class) {
            continue;
        }
        for student in working.state.campus.rosters.on(class, session.meeting.date) {
            let mut tally = tally_in(&table, class, student)?;
            tally.take_back(mark(&session, student));
            put(&mut table, class, student, tally)?;
        }
    }
    Ok(())
}

/// A session as its rows have it.
fn session_in(
    meetings: &impl ReadableTable<u64, &'static [u8]>,
    records: &impl ReadableTable<(u64, u64), &'static [u8]>,
    id: SessionId,
) -> Result<Option<Session>, StoreError> {
    let Some(meeting) = meetings.get(id.0)? else { return Ok(None) };
    let rows = records.range(records_of(id))?.map(|row| {
        let (key, record) = row?;
        Ok((StudentId(key.value().1), record.value().to_vec()))
    });
    session(meeting.value(), rows).map(Some)
}

fn count_change(
    table: &mut Statistics<'_>,
    campus: &Campus,
    session: &Session,
    touched: &TouchedSession,
) -> Result<(), StoreError> {
    let meeting = &session.meeting;
    let before = touched.before.as_ref().filter(|before| before.held);
    let held_now = meeting.status.is_held().then_some(meeting.date);
    let counted_on = |day: Date| {
        if touched.everyone {
            return campus.rosters.on(meeting.class, day);
        }
        let attends = |student: &StudentId| campus.rosters.attends(meeting.class, *student, day);
        touched.students.iter().copied().filter(attends).collect()
    };
    // It may have moved to a day on which others are of the class.
    let counted = before.map(|before| counted_on(before.date)).unwrap_or_default();
    let counts = held_now.map(counted_on).unwrap_or_default();
    for student in counted.union(&counts).copied() {
        let mut tally = tally_in(table, meeting.class, student)?;
        if let Some(before) = before.filter(|_| counted.contains(&student)) {
            tally.take_back(before.mark(student));
        }
        if counts.contains(&student) {
            tally.add(mark(session, student));
        }
        put(table, meeting.class, student, tally)?;
    }
    Ok(())
}

fn tally_in(table: &Statistics<'_>, class: ClassId, student: StudentId) -> Result<Tally, StoreError> {
    let row = table.get((class.0, student.0))?;
    row.map_or(Ok(Tally::default()), |row| value(row.value()))
}

fn put(
    table: &mut Statistics<'_>,
    class: ClassId,
    student: StudentId,
    tally: Tally,
) -> Result<(), StoreError> {
    if tally == Tally::default() {
        table.remove((class.0, student.0))?;
    } else {
        table.insert((class.0, student.0), bytes(&tally)?.as_slice())?;
    }
    Ok(())
}

fn count_anew(
    transaction: &WriteTransaction,
    table: &mut Statistics<'_>,
    campus: &Campus,
    class: ClassId,
) -> Result<(), StoreError> {
    let meetings = transaction.open_table(MEETINGS)?;
    let records = transaction.open_table(RECORDS)?;
    let mut tallies: BTreeMap<StudentId, Tally> = BTreeMap::new();
    let of_class = (class.0, i32::MIN, 0)..=(class.0, i32::MAX, u64::MAX);
    for row in transaction.open_table(BY_CLASS)?.range(of_class)? {
        let (_, _, id) = row?.0.value();
        let Some(session) = session_in(&meetings, &records, SessionId(id))? else { continue };
        if session.meeting.status.is_held() {
            for student in campus.rosters.on(class, session.meeting.date) {
                tallies.entry(student).or_default().add(mark(&session, student));
            }
        }
    }
    table.retain_in((class.0, 0)..=(class.0, u64::MAX), |_, _| false)?;
    tallies.into_iter().try_for_each(|(student, tally)| put(table, class, student, tally))
}
