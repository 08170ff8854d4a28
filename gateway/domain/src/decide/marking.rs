//! Marks made by people: one by one, in bulk, uploaded after being offline, by the office; and what
//! becomes of disagreements.
//!
//! Promises: only who is enrolled is marked, only in a state that allows it, and with a reason where a
//! device's or a QR's mark is overruled after closing or a locked meeting is changed; writing what
//! stands already writes nothing.
//!
//! Refuses: knowing who the person is. The edge has checked that they may.

use std::collections::BTreeMap;

use crate::decide::Context;
use crate::event::{PersonMark, SessionEvent};
use crate::ids::{CorrectionId, Seq, StudentId};
use crate::mark::{Mark, Rank, Source};
use crate::moment::Moment;
use crate::permission::{Action, in_state};
use crate::record::{PersonClaim, Standing};
use crate::refusal::Refusal;
use crate::scan::DedupKey;
use crate::session::{Session, SessionStatus};

/// A mark that a person asks for, looking at the register as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    pub student: StudentId,
    pub mark: Mark,
    /// A reason was given (the text itself goes to the register).
    pub with_reason: bool,
    /// A note was given; alone, it is worth an event.
    pub with_note: bool,
    /// Made by an admin, or in the name of the office.
    pub by_admin: bool,
}

/// In whose name something unusual is done, and whether they said why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Office {
    pub by_admin: bool,
    pub with_reason: bool,
}

/// A mark by hand. `Ok(None)`: it already is so.
pub fn mark(session: &Session, context: &Context<'_>, wish: &Wish) -> Result<Option<SessionEvent>, Refusal> {
    let status = session.meeting.status;
    let Some(standing) = session.standing(wish.student) else {
        first_mark_allowed(session, context, wish)?;
        return Ok(Some(by_person(wish.student, wish.mark, Source::Manual, context.now, None)));
    };
    in_state(Action::ChangeMark, status, wish.by_admin)?;
    if standing.mark == wish.mark && standing.source.rank() == Rank::Person {
        // Whoever writes what stands has looked at what disagrees.
        let record = session.records.get(&wish.student);
        if record.is_some_and(|record| record.disagreement(&session.meeting.timing).is_some()) {
            return Ok(Some(SessionEvent::ConflictSettled { student: wish.student }));
        }
        let noted = wish.with_note || wish.with_reason;
        return Ok(noted.then_some(SessionEvent::Noted { student: wish.student }));
    }
    if !wish.with_reason && reason_needed(status, Some(&standing)) {
        return Err(Refusal::ReasonNeeded);
    }
    Ok(Some(by_person(wish.student, wish.mark, Source::Manual, context.now, None)))
}

/// While open, whoever is enrolled; afterwards only the office, with a reason: a record was deleted, or
/// somebody was enrolled with effect from an earlier day.
fn first_mark_allowed(session: &Session, context: &Context<'_>, wish: &Wish) -> Result<(), Refusal> {
    let status = session.meeting.status;
    let by_office = wish.by_admin && status.is_held();
    if !by_office {
        in_state(Action::Mark, status, wish.by_admin)?;
    }
    if !context.attends(&session.meeting, wish.student) {
        return Err(Refusal::NotEnrolled);
    }
    if by_office && !wish.with_reason { Err(Refusal::ReasonNeeded) } else { Ok(()) }
}

/// After closing, a device's or a QR's mark is overruled only with a reason; a locked one always.
fn reason_needed(status: SessionStatus, standing: Option<&Standing>) -> bool {
    match status {
        SessionStatus::Locked => true,
        SessionStatus::Closed => {
            standing.is_some_and(|standing| matches!(standing.source.rank(), Rank::Device | Rank::Qr))
        }
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
    let (decided_at, sighted, dedup) = (now, true, None);
    SessionEvent::Marked(PersonMark { student, mark, source, decided_at, sighted, correction, dedup })
}

/// Many at once; each is answered for itself, in order. Of several wishes for one student the last is
/// carried out, and those before it write nothing.
pub fn bulk_mark(
    session: &Session,
    context: &Context<'_>,
    wishes: &[Wish],
) -> Vec<(StudentId, Result<Option<SessionEvent>, Refusal>)> {
    let last: BTreeMap<StudentId, usize> =
        wishes.iter().enumerate().map(|(index, wish)| (wish.student, index)).collect();
    let answer = |(index, wish): (usize, &Wish)| {
        let answer = mark(session, context, wish);
        let is_last = last.get(&wish.student) == Some(&index);
        (wish.student, answer.map(|event| event.filter(|_| is_last)))
    };
    wishes.iter().enumerate().map(answer).collect()
}

/// A mark that a teacher made while offline and uploads now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upload {
    pub student: StudentId,
    pub mark: Mark,
    pub captured_at: Moment,
    /// The same for every retransmission; the ledger answers those.
    pub dedup: Option<DedupKey>,
    pub with_reason: bool,
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
    let made_in_time = meeting.status != SessionStatus::Locked && meeting.was_open(decided_at);
    let overruled = session.standing(upload.student);
    if !made_in_time && !upload.with_reason && reason_needed(meeting.status, overruled.as_ref()) {
        return Err(Refusal::ReasonNeeded);
    }
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
        dedup: upload.dedup,
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
    wish: (StudentId, Keep),
    office: &Office,
) -> Result<SessionEvent, Refusal> {
    let (student, keep) = wish;
    let status = session.meeting.status;
    in_state(Action::ResolveConflict, status, office.by_admin)?;
    let record = session.records.get(&student).ok_or(Refusal::NoRecord)?;
    let disagreement = record.disagreement(&session.meeting.timing).ok_or(Refusal::NoConflict)?;
    match keep {
        Keep::Existing => Ok(SessionEvent::ConflictSettled { student }),
        Keep::Incoming if status == SessionStatus::Locked && !office.with_reason => {
            Err(Refusal::ReasonNeeded)
        }
        Keep::Incoming => Ok(by_person(student, disagreement.incoming, Source::Manual, context.now, None)),
    }
}

/// Only an admin deletes.
pub fn delete(session: &Session, student: StudentId, with_reason: bool) -> Result<SessionEvent, Refusal> {
    let status = session.meeting.status;
    in_state(Action::DeleteRecord, status, true)?;
    session.standing(student).ok_or(Refusal::NoRecord)?;
    if status == SessionStatus::Locked && !with_reason {
        return Err(Refusal::ReasonNeeded);
    }
    Ok(SessionEvent::RecordDeleted { student })
}
