//! What becomes of scans that marked nobody: they find their place later, or a person gives them one.
//!
//! Promises: a scan that finds its place means there what it would have meant at once; a person may also
//! give one to a locked session if they may change that.
//!
//! Refuses: trying by itself. Whoever changes roster, binding, timetable or cards asks.

use crate::campus::Campus;
use crate::decide::scan::{AutoOpen, quality, scan, stored};
use crate::decide::{Context, marking};
use crate::event::{Event, SessionEvent, UnmatchedScan};
use crate::ids::{Seq, SessionId, StudentId};
use crate::matching::{self, Search};
use crate::permission::{Action, in_state};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::scan::{Scan, Unmatched};
use crate::session::{Meeting, Session, SessionStatus};
use crate::state::State;

/// Whom a scan means and where it belongs, or why it marks nobody, with what was found on the way.
pub fn place<'m>(
    campus: &Campus,
    policy: &Policy,
    scan: &Scan,
    meetings: impl IntoIterator<Item = &'m Meeting>,
) -> Result<(StudentId, SessionId), Box<UnmatchedScan>> {
    let lost =
        |reason, student| Box::new(UnmatchedScan { scan: scan.clone(), reason, student, session: None });
    quality(scan, policy).map_err(|reason| lost(reason, None))?;
    let device = campus.devices.get(&scan.device).ok_or_else(|| lost(Unmatched::NotBound, None))?;
    let student = matching::student(campus, device, &scan.claim).map_err(|reason| lost(reason, None))?;
    let search = Search::new(campus, policy, device, (student, scan));
    let session = search.meeting(meetings).map_err(|reason| lost(reason, Some(student)))?;
    Ok((student, session))
}

/// Tries an unmatched scan again; nothing if it still fits nowhere.
pub fn rematch(state: &State, context: &Context<'_>, unmatched: Seq) -> Option<Vec<Event>> {
    let kept = state.unmatched.get(&unmatched)?;
    let meetings = state.meetings_around(kept.scan.captured_at);
    let (student, id) = place(context.campus, context.policy, &kept.scan, meetings).ok()?;
    let session = state.sessions.get(&id)?;
    // Opening something by itself is for live scans.
    let auto_open = AutoOpen::ClockInDoubt;
    let decision = scan(session, context, student, &kept.scan, Some(unmatched), auto_open);
    let found = decision.events.into_iter().map(|event| Event::Session(id, event));
    let events: Vec<Event> = found.chain([Event::UnmatchedSettled { scan: unmatched }]).collect();
    (events.len() > 1).then_some(events)
}

/// A person says whose scan it was, and where.
pub fn assign(
    session: &Session,
    context: &Context<'_>,
    kept: (Seq, &Scan),
    student: StudentId,
    wish: &marking::Office,
) -> Result<Vec<Event>, Refusal> {
    let (seq, scan) = kept;
    let status = session.meeting.status;
    in_state(Action::AssignUnmatched, status, wish.by_admin)?;
    if !context.attends(&session.meeting, student) {
        return Err(Refusal::NotEnrolled);
    }
    if status == SessionStatus::Locked && !wish.with_reason {
        return Err(Refusal::ReasonNeeded);
    }
    let (scanned, _) = stored(session, student, scan, Some(seq));
    let event = SessionEvent::Scanned(Box::new(scanned));
    Ok(vec![Event::Session(session.meeting.id, event), Event::UnmatchedSettled { scan: seq }])
}
