//! Every student's tally in every class.
//!
//! Promises: what [`State::tally`](rollcall_domain::state::State::tally) would count over all days, kept
//! up by the difference that each change makes; counted anew for a class whose roster changed.
//!
//! Refuses: ranges of days and terms. Those are counted from the sessions themselves.

use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadableTable, Table, WriteTransaction};
use rollcall_domain::campus::Campus;
use rollcall_domain::ids::{ClassId, StudentId};
use rollcall_domain::percentage::Tally;
use rollcall_domain::session::{Meeting, Session};

use super::rows::{bytes, records_of, session, value};
use super::tables::{BY_CLASS, MEETINGS, RECORDS, STATISTICS};
use super::touched::{Before, TouchedSession};
use super::working::Working;
use crate::error::StoreError;

type Statistics<'t> = Table<'t, (u64, u64), &'static [u8]>;

/// To be called when the sessions' rows are written.
pub(crate) fn write(transaction: &WriteTransaction, working: &Working) -> Result<(), StoreError> {
    let mut table = transaction.open_table(STATISTICS)?;
    let stale = &working.touched.classes;
    let campus = &working.state.campus;
    for (id, touched) in &working.touched.sessions {
        let Some(session) = working.state.sessions.get(id) else { continue };
        if !stale.has(session.meeting.class) {
            count_change(&mut table, campus, session, touched)?;
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    let mut classes: BTreeSet<ClassId> = stale.some.clone();
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

fn count_change(
    table: &mut Statistics<'_>,
    campus: &Campus,
    session: &Session,
    touched: &TouchedSession,
) -> Result<(), StoreError> {
    let meeting = &session.meeting;
    let before = touched.before.as_ref();
    let (was_held, is_held) = (before.is_some_and(|before| before.held), meeting.status.is_held());
    if !was_held && !is_held {
        return Ok(());
    }
    let students: BTreeSet<StudentId> = if was_held && is_held && !touched.everyone {
        let attends = |student: &StudentId| campus.rosters.attends(meeting.class, *student, meeting.date);
        touched.students.iter().copied().filter(attends).collect()
    } else {
        campus.rosters.on(meeting.class, meeting.date)
    };
    for student in students {
        let mut tally = tally_in(table, meeting, student)?;
        if let Some(before) = before.filter(|_| was_held) {
            tally.take_back(mark_before(before, session, student));
        }
        if is_held {
            tally.add(session.standing(student).map(|standing| standing.mark));
        }
        put(table, meeting.class, student, tally)?;
    }
    Ok(())
}

/// Whoever was not touched has the mark still.
fn mark_before(
    before: &Before,
    session: &Session,
    student: StudentId,
) -> Option<rollcall_domain::mark::Mark> {
    let now = || session.standing(student).map(|standing| standing.mark);
    before.marks.get(&student).copied().unwrap_or_else(now)
}

fn tally_in(table: &Statistics<'_>, meeting: &Meeting, student: StudentId) -> Result<Tally, StoreError> {
    let row = table.get((meeting.class.0, student.0))?;
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
        let Some(meeting) = meetings.get(id)? else { continue };
        let rows = records.range(records_of(rollcall_domain::ids::SessionId(id)))?.map(|row| {
            let (key, record) = row?;
            Ok((StudentId(key.value().1), record.value().to_vec()))
        });
        let session = session(meeting.value(), rows)?;
        if session.meeting.status.is_held() {
            for student in campus.rosters.on(class, session.meeting.date) {
                let mark = session.standing(student).map(|standing| standing.mark);
                tallies.entry(student).or_default().add(mark);
            }
        }
    }
    table.retain_in((class.0, 0)..=(class.0, u64::MAX), |_, _| false)?;
    tallies.into_iter().try_for_each(|(student, tally)| put(table, class, student, tally))
}
