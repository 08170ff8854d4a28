//! What a decided leave, correction or self-mark does to the meetings it touches.
//!
//! Promises: granted leave excuses in every meeting it covers, past and open, by the state table, and
//! in later ones when they open; a granted correction is a mark by a person; a granted self-mark counts
//! from the moment it was asked for.
//!
//! Refuses: deciding a request twice.

use jiff::ToSpan as _;

use crate::decide::{Context, marking};
use crate::event::{Event, RequestEvent, SessionEvent};
use crate::ids::{ClassId, CorrectionId, LeaveId, RecordId, SelfMarkId, StudentId};
use crate::mark::{Mark, Source};
use crate::moment::days;
use crate::permission::{Action, in_state};
use crate::refusal::Refusal;
use crate::requests::{Correction, Leave, RequestStatus, SelfMark};
use crate::roster::Days;
use crate::session::Session;

/// Days of a leave that are looked at for whether the student is of the class on one of them.
const LONGEST_LEAVE: usize = 732;

/// Asks to be away, from whole days to whole days.
pub fn ask_leave(
    context: &Context<'_>,
    id: LeaveId,
    student: StudentId,
    class: Option<ClassId>,
    days: Days,
) -> Result<Event, Refusal> {
    let (Some(from), Some(to)) = (days.from, days.to) else { return Err(Refusal::LeaveDays) };
    if from > to {
        return Err(Refusal::LeaveDays);
    }
    let rosters = &context.campus.rosters;
    let mut days_of_leave = from.series(1.day()).take_while(|day| *day <= to).take(LONGEST_LEAVE);
    if class.is_some_and(|class| !days_of_leave.any(|day| rosters.attends(class, student, day))) {
        return Err(Refusal::NotEnrolled);
    }
    let status = RequestStatus::Pending;
    Ok(Event::Request(RequestEvent::LeaveAsked(Leave { id, student, class, days, status })))
}

/// Decides a leave; `sessions` are those of the student's classes in its days.
pub fn decide_leave<'s>(
    leave: &Leave,
    approve: bool,
    by_admin: bool,
    sessions: impl IntoIterator<Item = &'s Session>,
    context: &Context<'_>,
) -> Result<Vec<Event>, Refusal> {
    let status = leave.status.decide(approve)?;
    let mut events = vec![Event::Request(RequestEvent::LeaveDecided { leave: leave.id, approved: approve })];
    let granted = Leave { status, ..leave.clone() };
    for session in sessions.into_iter().filter(|session| takes_leave(session, &granted, by_admin, context)) {
        let taken = SessionEvent::LeaveTaken { student: leave.student, leave: leave.id };
        events.push(Event::Session(session.meeting.id, taken));
    }
    Ok(events)
}

fn takes_leave(session: &Session, leave: &Leave, by_admin: bool, context: &Context<'_>) -> bool {
    let meeting = &session.meeting;
    in_state(Action::DecideLeave, meeting.status, by_admin).is_ok()
        && leave.excuses(leave.student, meeting.class, meeting.date)
        && context.attends(meeting, leave.student)
        && session.records.get(&leave.student).is_none_or(|record| record.leave().is_none())
}

/// Asks for a correction of a mark in a meeting that is over; `known` are those asked for before.
pub fn ask_correction<'c>(
    session: &Session,
    context: &Context<'_>,
    id: CorrectionId,
    wish: (StudentId, Mark),
    known: impl IntoIterator<Item = &'c Correction>,
) -> Result<Event, Refusal> {
    let (student, mark) = wish;
    let meeting = &session.meeting;
    in_state(Action::AskCorrection, meeting.status, false)?;
    if !context.attends(meeting, student) {
        return Err(Refusal::NotEnrolled);
    }
    let allowed = context.policy.max_correction_days;
    if context.now > meeting.ends.plus(days(allowed)) {
        return Err(Refusal::TooLateToCorrect { days: allowed });
    }
    let record = RecordId { session: meeting.id, student };
    let waiting = |old: &&Correction| old.record == record && old.status == RequestStatus::Pending;
    if known.into_iter().any(|old| waiting(&old)) {
        return Err(Refusal::AlreadyAsked);
    }
    let (asked_at, status) = (context.now, RequestStatus::Pending);
    Ok(Event::Request(RequestEvent::CorrectionAsked(Correction { id, record, mark, asked_at, status })))
}

pub fn decide_correction(
    session: &Session,
    context: &Context<'_>,
    correction: &Correction,
    approve: bool,
    by_admin: bool,
) -> Result<Vec<Event>, Refusal> {
    correction.status.decide(approve)?;
    let mut events = vec![Event::Request(RequestEvent::CorrectionDecided {
        correction: correction.id,
        approved: approve,
    })];
    if approve {
        in_state(Action::DecideCorrection, session.meeting.status, by_admin)?;
        let (student, now) = (correction.record.student, context.now);
        let mark = marking::by_person(student, correction.mark, Source::Correction, now, Some(correction.id));
        events.push(Event::Session(session.meeting.id, mark));
    }
    Ok(events)
}

/// Asks to be marked present by oneself, where that is allowed; `known` are those asked for before.
pub fn ask_self_mark<'c>(
    session: &Session,
    context: &Context<'_>,
    id: SelfMarkId,
    student: StudentId,
    known: impl IntoIterator<Item = &'c SelfMark>,
) -> Result<Event, Refusal> {
    let meeting = &session.meeting;
    if !context.policy.self_marking {
        return Err(Refusal::SelfMarkingOff);
    }
    in_state(Action::AskSelfMark, meeting.status, false)?;
    if !context.attends(meeting, student) {
        return Err(Refusal::NotEnrolled);
    }
    if let Some(standing) = session.standing(student).filter(|standing| standing.mark != Mark::Absent) {
        return Err(Refusal::AlreadyMarked(standing.mark.word()));
    }
    let record = RecordId { session: meeting.id, student };
    if known.into_iter().any(|old| old.record == record && old.status == RequestStatus::Pending) {
        return Err(Refusal::AlreadyAsked);
    }
    let asked = SelfMark { id, record, captured_at: context.now, status: RequestStatus::Pending };
    Ok(Event::Request(RequestEvent::SelfMarkAsked(asked)))
}

pub fn decide_self_mark(
    session: &Session,
    asked: &SelfMark,
    approve: bool,
    by_admin: bool,
) -> Result<Vec<Event>, Refusal> {
    asked.status.decide(approve)?;
    let mut events =
        vec![Event::Request(RequestEvent::SelfMarkDecided { request: asked.id, approved: approve })];
    if approve {
        in_state(Action::DecideSelfMark, session.meeting.status, by_admin)?;
        let SelfMark { record, captured_at, .. } = asked;
        let marked = SessionEvent::MarkedSelf {
            student: record.student,
            captured_at: *captured_at,
            request: asked.id,
        };
        events.push(Event::Session(session.meeting.id, marked));
    }
    Ok(events)
}
