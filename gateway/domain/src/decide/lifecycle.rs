//! Opening, closing, reopening, locking, cancelling; binding devices; showing the QR code.
//!
//! Promises: closing writes absent for everyone enrolled of whom nothing is known; who is on leave is
//! excused from the start; no two meetings of a class begin at once; a device is bound to one meeting at a
//! time, where "time" is that of the meetings themselves: while one class leaves and the next comes in, a
//! terminal serves both.
//!
//! Refuses: deciding when. The scheduler asks [`crate::decide::due`].

use crate::decide::Context;
use crate::event::{How, Origin, SessionEvent};
use crate::ids::{DeviceId, SessionId};
use crate::moment::{Moment, minutes};
use crate::numbering::{Numbered, next_number, start_is_free};
use crate::permission::{Action, in_state};
use crate::refusal::Refusal;
use crate::session::{Meeting, QrPeriod, Session, SessionStatus};
use crate::timetable::Plan;

/// A new meeting of a class that has `existing` ones; it is numbered in the class's term.
pub fn create(
    plan: Plan,
    origin: Origin,
    existing: &[Numbered],
    context: &Context<'_>,
) -> Result<SessionEvent, Refusal> {
    if plan.ends <= plan.starts {
        return Err(Refusal::EndsBeforeStart);
    }
    let term = context.campus.classes.get(&plan.class).and_then(|class| class.term);
    let number = next_number(existing, term, plan.starts, context.policy.max_per_term)?;
    Ok(SessionEvent::Created { plan, term, number, origin, rules: context.policy.rules })
}

/// A change of time, place or teacher; `others` are the class's other meetings.
pub fn edit(
    session: &Session,
    plan: Plan,
    by_hand: bool,
    others: &[Numbered],
) -> Result<SessionEvent, Refusal> {
    in_state(Action::EditSession, session.meeting.status, false)?;
    change(plan, by_hand, others)
}

fn change(plan: Plan, by_hand: bool, others: &[Numbered]) -> Result<SessionEvent, Refusal> {
    if plan.ends <= plan.starts {
        return Err(Refusal::EndsBeforeStart);
    }
    start_is_free(others, plan.starts)?;
    // A meeting stays with its class.
    let Plan { teacher, room, date, starts, ends, class: _ } = plan;
    Ok(SessionEvent::Changed { teacher, room, date, starts, ends, by_hand })
}

/// Counts as open from `from` on, which lies in the past when the gateway catches up.
pub fn open(
    session: &Session,
    context: &Context<'_>,
    from: Moment,
    how: How,
) -> Result<SessionEvent, Refusal> {
    in_state(Action::OpenSession, session.meeting.status, false)?;
    let excused = context.on_leave(&session.meeting);
    Ok(SessionEvent::Opened { from, how, rules: context.policy.rules, excused })
}

pub fn close(
    session: &Session,
    context: &Context<'_>,
    from: Moment,
    how: How,
) -> Result<SessionEvent, Refusal> {
    let meeting = &session.meeting;
    in_state(Action::CloseSession, meeting.status, false)?;
    let unexcused = |student: &_| session.records.get(student).is_none_or(|r| r.leave().is_none());
    let excused: Vec<_> =
        context.on_leave(meeting).into_iter().filter(|(student, _)| unexcused(student)).collect();
    let known = |student: &_| {
        session.standing(*student).is_some() || excused.iter().any(|(excused, _)| excused == student)
    };
    let absent = context.roster(meeting).into_iter().filter(|student| !known(student)).collect();
    Ok(SessionEvent::Closed { from, how, absent, excused })
}

/// Open again; absences that closing wrote and nobody touched since are withdrawn, and devices that
/// closing let go are bound again unless one of `others` holds them now.
pub fn reopen(session: &Session, others: &[Meeting]) -> Result<Vec<SessionEvent>, Refusal> {
    let meeting = &session.meeting;
    in_state(Action::ReopenSession, meeting.status, false)?;
    let closed_at = meeting.closed_at();
    let let_go = meeting.bindings.iter().filter(|(_, span)| span.until.is_some() && span.until == closed_at);
    let free = let_go.filter(|(device, _)| holder(device, meeting, others).is_none());
    let bound = free.map(|(device, _)| SessionEvent::Bound { device: device.clone() });
    Ok([SessionEvent::Reopened].into_iter().chain(bound).collect())
}

pub fn lock(session: &Session, how: How) -> Result<SessionEvent, Refusal> {
    // Who may lock by hand is the permission table's; the gateway itself may.
    in_state(Action::LockSession, session.meeting.status, true)?;
    Ok(SessionEvent::Locked { how })
}

pub fn cancel(session: &Session, how: How) -> Result<SessionEvent, Refusal> {
    in_state(Action::CancelSession, session.meeting.status, false)?;
    Ok(SessionEvent::Cancelled { how })
}

/// Takes place after all, as planned now; `others` are the class's other meetings.
pub fn reinstate(session: &Session, plan: Plan, others: &[Numbered]) -> Result<Vec<SessionEvent>, Refusal> {
    in_state(Action::ReinstateSession, session.meeting.status, true)?;
    let by_hand = session.meeting.by_hand;
    let moved = (plan != session.meeting.plan()).then(|| change(plan, by_hand, others)).transpose()?;
    start_is_free(others, plan.starts)?;
    Ok([SessionEvent::Reinstated].into_iter().chain(moved).collect())
}

/// Binds a device; `others` are the meetings that are open or scheduled. One that is open holds its
/// devices, and so does one that is to take place at the same time as this. Nothing to do if the device
/// is bound here already.
pub fn bind<'m>(
    session: &Session,
    device: &DeviceId,
    others: impl IntoIterator<Item = &'m Meeting>,
) -> Result<Option<SessionEvent>, Refusal> {
    in_state(Action::BindDevice, session.meeting.status, false)?;
    if session.meeting.bound().any(|bound| bound == device) {
        return Ok(None);
    }
    match holder(device, &session.meeting, others) {
        Some(held_by) => Err(Refusal::DeviceTaken { device: device.clone(), held_by }),
        None => Ok(Some(SessionEvent::Bound { device: device.clone() })),
    }
}

fn holder<'m>(
    device: &DeviceId,
    wanted_by: &Meeting,
    others: impl IntoIterator<Item = &'m Meeting>,
) -> Option<SessionId> {
    let overlaps = |other: &Meeting| other.starts() < wanted_by.ends && wanted_by.starts() < other.ends;
    let holds = |other: &&Meeting| match other.status {
        SessionStatus::Open => true,
        SessionStatus::Scheduled => overlaps(other),
        _ => false,
    };
    let bound = |other: &&Meeting| other.bound().any(|bound| bound == device);
    let mut rivals = others.into_iter().filter(|other| other.id != wanted_by.id);
    rivals.find(|other| holds(other) && bound(other)).map(|other| other.id)
}

pub fn unbind(session: &Session, device: &DeviceId) -> Result<Option<SessionEvent>, Refusal> {
    in_state(Action::BindDevice, session.meeting.status, false)?;
    let bound = session.meeting.bound().any(|bound| bound == device);
    Ok(bound.then(|| SessionEvent::Unbound { device: device.clone() }))
}

/// Starts a period of showing QR codes, or answers with the one that is running (no event then).
pub fn show_qr(
    session: &Session,
    context: &Context<'_>,
) -> Result<(QrPeriod, Option<SessionEvent>), Refusal> {
    in_state(Action::ShowQr, session.meeting.status, false)?;
    if let Some(running) = session.meeting.qr.filter(|period| context.now < period.until) {
        return Ok((running, None));
    }
    let from = context.now;
    let until = from.plus(minutes(context.policy.qr_session_minutes));
    let rotate_seconds = context.policy.qr_rotate_seconds;
    let event = SessionEvent::QrStarted { from, until, rotate_seconds };
    Ok((QrPeriod { from, until, rotate_seconds }, Some(event)))
}
