//! Marks made by people: one by one, in bulk, uploaded after being offline, by the office; and what
//! becomes of disagreements.
//!
//! Promises: only who is enrolled is marked, only in a state that allows it, and with a reason where a
//! device's or a QR's mark is overruled after closing or a locked meeting is changed; writing what
//! stands already writes nothing.
//!
//! Refuses: knowing who the person is. The edge has checked that they may.

use crate::decide::Context;
use crate::event::{PersonMark, SessionEvent};
use crate::ids::{CorrectionId, Seq, StudentId};
use crate::mark::{Mark, Rank, Source};
use crate::moment::Moment;
use crate::permission::{Action, in_state};
use crate::record::{PersonClaim, Standing};
use crate::refusal::Refusal;
use crate::session::{Session, SessionStatus};

/// A mark that a person asks for, looking at the register as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    pub student: StudentId,
    pub mark: Mark,
    /// A reason was given (the text itself goes to the register).
    pub with_reason: bool,
    /// Made by an admin, or in the name of the office.
    pub by_admin: bool,
}

/// A mark by hand. `Ok(None)`: it already is so.
pub fn mark(session: &Session, context: &Context<'_>, wish: &Wish) -> Result<Option<SessionEvent>, Refusal> {
    let status = session.meeting.status;
    match session.standing(wish.student) {
        Some(standing) => {
            in_state(Action::ChangeMark, status, wish.by_admin)?;
            if standing.mark == wish.mark && standing.source.rank() == Rank::Person {
                return Ok(None);
            }
            if !wish.with_reason && reason_needed(status, &standing) {
                return Err(Refusal::ReasonNeeded);
            }
        }
        None => {
            in_state(Action::Mark, status, wish.by_admin)?;
            if !context.attends(&session.meeting, wish.student) {
                return Err(Refusal::NotEnrolled);
            }
        }
    }
    Ok(Some(by_person(wish.student, wish.mark, Source::Manual, context.now, None)))
}

/// After closing, a device's or a QR's mark is overruled only with a reason; a locked one always.
fn reason_needed(status: SessionStatus, standing: &Standing) -> bool {
    match status {
        SessionStatus::Locked => true,
        SessionStatus::Closed => matches!(standing.source.rank(), Rank::Device | Rank::Qr),
        _ => false,
    }
}

pub(crate) fn by_person(
    student: StudentId,
    mark: Mark,
    source: Source,
    now: Moment,
    correction: Option<CorrectionId>,
) -> SessionEvent {
    SessionEvent::Marked(PersonMark { student, mark, source, decided_at: now, sighted: true, correction })
}

/// Many at once; each is answered for itself, and a student asked for twice gets the last wish.
pub fn bulk_mark(
    session: &Session,
    context: &Context<'_>,
    wishes: &[Wish],
) -> Vec<(StudentId, Result<Option<SessionEvent>, Refusal>)> {
    let last_of =
        |index: usize, wish: &Wish| !wishes.iter().skip(index + 1).any(|later| later.student == wish.student);
    wishes
        .iter()
        .enumerate()
        .filter(|(index, wish)| last_of(*index, wish))
        .map(|(_, wish)| (wish.student, mark(session, context, wish)))
        .collect()
}

/// A mark that a teacher made while offline and uploads now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upload {
    pub student: StudentId,
    pub mark: Mark,
    pub captured_at: Moment,
    pub by_admin: bool,
}

/// What became of an upload; it is stored unless it is known already. One that agrees with what stands
/// is stored too, since it may prevail over a third that is still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uploaded {
    Applied(SessionEvent),
    Duplicate,
    /// Stored; something else that is known disagrees, and a person should look.
    Conflict(SessionEvent),
}

pub fn upload(session: &Session, context: &Context<'_>, upload: &Upload) -> Result<Uploaded, Refusal> {
    let meeting = &session.meeting;
    in_state(Action::ChangeMark, meeting.status, upload.by_admin).map_err(|refusal| match refusal {
        Refusal::SessionLocked => refusal,
        _ => Refusal::SessionNotOpen(meeting.status),
    })?;
    if !context.attends(meeting, upload.student) {
        return Err(Refusal::NotEnrolled);
    }
    let decided_at = upload.captured_at.min(context.now);
    let before = session.records.get(&upload.student).cloned().unwrap_or_default();
    let mut record = before.clone();
    record.person(PersonClaim {
        decided_at,
        mark: upload.mark,
        source: Source::Manual,
        sighted: false,
        seq: Seq::NEXT,
    });
    if record == before {
        return Ok(Uploaded::Duplicate);
    }
    let event = SessionEvent::Marked(PersonMark {
        student: upload.student,
        mark: upload.mark,
        source: Source::Manual,
        decided_at,
        sighted: false,
        correction: None,
    });
    Ok(if record.disagreement(&meeting.timing).is_some() {
        Uploaded::Conflict(event)
    } else {
        Uploaded::Applied(event)
    })
}

/// Which side of a disagreement a person chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Existing,
    Incoming,
}

pub fn resolve(
    session: &Session,
    context: &Context<'_>,
    student: StudentId,
    keep: Keep,
    by_admin: bool,
) -> Result<SessionEvent, Refusal> {
    in_state(Action::ResolveConflict, session.meeting.status, by_admin)?;
    let record = session.records.get(&student).ok_or(Refusal::NoRecord)?;
    let disagreement = record.disagreement(&session.meeting.timing).ok_or(Refusal::NoConflict)?;
    Ok(match keep {
        Keep::Existing => SessionEvent::ConflictSettled { student },
        Keep::Incoming => by_person(student, disagreement.incoming, Source::Manual, context.now, None),
    })
}

/// Only an admin deletes.
pub fn delete(session: &Session, student: StudentId) -> Result<SessionEvent, Refusal> {
    in_state(Action::DeleteRecord, session.meeting.status, true)?;
    session.standing(student).ok_or(Refusal::NoRecord)?;
    Ok(SessionEvent::RecordDeleted { student })
}
