//! What a decided leave, correction or self-mark does to the meetings it touches.
//!
//! Promises: granted leave excuses in every meeting it covers, past and open, by the state table, and
//! in later ones when they open; a granted correction is a mark by a person; a granted self-mark counts
//! from the moment it was asked for.
//!
//! Refuses: deciding a request twice.

use crate::decide::{Context, marking};
use crate::event::{Event, RequestEvent, SessionEvent};
use crate::ids::{SelfMarkId, StudentId};
use crate::mark::{Mark, Source};
use crate::moment::days;
use crate::permission::{Action, in_state};
use crate::refusal::Refusal;
use crate::requests::{Correction, Leave, RequestStatus, SelfMark};
use crate::session::{Session, SessionStatus};

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

/// Asks for a correction of a mark in a meeting that is over.
pub fn ask_correction(
    session: &Session,
    context: &Context<'_>,
    correction: Correction,
) -> Result<Event, Refusal> {
    in_state(Action::AskCorrection, session.meeting.status, false)?;
    if !context.attends(&session.meeting, correction.record.student) {
        return Err(Refusal::NotEnrolled);
    }
    let allowed = context.policy.max_correction_days;
    if context.now > session.meeting.ends.plus(days(allowed)) {
        return Err(Refusal::TooLateToCorrect { days: allowed });
    }
    Ok(Event::Request(RequestEvent::CorrectionAsked(correction)))
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

/// Asks to be marked present by oneself, where that is allowed.
pub fn ask_self_mark(
    session: &Session,
    context: &Context<'_>,
    student: StudentId,
    id: SelfMarkId,
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
    let record = crate::ids::RecordId { session: meeting.id, student };
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

/// Leave that a student no longer needs is taken back from a meeting that is not locked.
pub fn withdraw_leave(session: &Session, leave: &Leave) -> Option<SessionEvent> {
    let holds = session.records.get(&leave.student).and_then(|record| record.leave()) == Some(leave.id);
    let touchable = session.meeting.status != SessionStatus::Locked;
    (holds && touchable).then_some(SessionEvent::LeaveWithdrawn { student: leave.student, leave: leave.id })
}
