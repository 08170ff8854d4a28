//! What a scan means to the meeting it belongs to.
//!
//! Promises: every scan is answered and stored, whatever it means; a scan in the window of a meeting
//! that nobody opened opens it; a second scan of a student already marked changes no mark; one that
//! arrives after closing corrects an automatic absence and nothing a person wrote.
//!
//! Refuses: finding student and meeting. That is [`crate::matching`]'s.

use crate::decide::{Context, lifecycle};
use crate::event::{How, Scanned, SessionEvent};
use crate::ids::{Seq, StudentId};
use crate::mark::{Mark, MarkReason};
use crate::permission::{Action, in_state};
use crate::policy::Policy;
use crate::record::{Record, Standing, Timing};
use crate::scan::{Direction, Method, Outcome, Scan, Unmatched};
use crate::session::{Session, SessionStatus, see};

/// What a scan turned out to mean. Without events it is to be kept as unmatched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanDecision {
    pub events: Vec<SessionEvent>,
    pub outcome: Outcome,
}

impl ScanDecision {
    fn unmatched(reason: Unmatched) -> Self {
        ScanDecision { events: Vec::new(), outcome: Outcome::Unmatched(reason) }
    }
}

/// Whether the scan is good enough to be believed, before asking whom it means.
pub fn quality(scan: &Scan, policy: &Policy) -> Result<(), Unmatched> {
    if !scan.method.is_some_and(Method::is_biometric) {
        return Ok(());
    }
    if !policy.biometric_enabled {
        return Err(Unmatched::BiometricDisabled);
    }
    match scan.quality_milli {
        Some(quality) if quality < policy.min_quality_milli => Err(Unmatched::LowQuality),
        _ => Ok(()),
    }
}

/// Whether meetings may open by themselves now; not while the box's clock is in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoOpen {
    Allowed,
    ClockInDoubt,
}

/// What `scan` of `student` does to the session that [`crate::matching`] found.
pub fn scan(
    session: &Session,
    context: &Context<'_>,
    student: StudentId,
    scan: &Scan,
    was_unmatched: Option<Seq>,
    auto_open: AutoOpen,
) -> ScanDecision {
    let meeting = &session.meeting;
    if in_state(Action::SubmitScan, meeting.status, false).is_err() {
        let locked = meeting.status == SessionStatus::Locked;
        let reason = if locked { Unmatched::SessionLocked } else { Unmatched::NoOpenSession };
        return ScanDecision::unmatched(reason);
    }
    if !context.attends(meeting, student) {
        return ScanDecision::unmatched(Unmatched::NotEnrolled);
    }
    if !meeting.biometric && scan.method.is_some_and(Method::is_biometric) {
        return ScanDecision::unmatched(Unmatched::BiometricDisabled);
    }
    let mut events = Vec::new();
    if meeting.status == SessionStatus::Scheduled {
        let from = meeting.starts().minus(context.policy.open_before()).min(scan.captured_at);
        match lifecycle::open(session, context, from, How::ByScan) {
            Ok(opened) if auto_open == AutoOpen::Allowed => events.push(opened),
            _ => return ScanDecision::unmatched(Unmatched::NoOpenSession),
        }
    }
    let excused = events.iter().any(|event| opens_excusing(event, student));
    let (event, mut outcome) = stored(session, student, scan, was_unmatched);
    if excused {
        outcome = Outcome::Duplicate { mark: Mark::Excused };
    }
    events.push(SessionEvent::Scanned(Box::new(Scanned { outcome, ..event })));
    ScanDecision { events, outcome }
}

/// The scan as the session keeps it, whatever state that is in, and what it means there.
pub(crate) fn stored(
    session: &Session,
    student: StudentId,
    scan: &Scan,
    was_unmatched: Option<Seq>,
) -> (Scanned, Outcome) {
    let late_upload = matches!(session.meeting.status, SessionStatus::Closed | SessionStatus::Locked);
    let outcome = outcome(session, student, scan, late_upload);
    (Scanned { student, scan: scan.clone(), outcome, late_upload, was_unmatched }, outcome)
}

fn opens_excusing(event: &SessionEvent, student: StudentId) -> bool {
    matches!(event, SessionEvent::Opened { excused, .. } if excused.iter().any(|(id, _)| *id == student))
}

fn outcome(session: &Session, student: StudentId, scan: &Scan, late_upload: bool) -> Outcome {
    let timing = &session.meeting.timing;
    let mut record = session.records.get(&student).cloned().unwrap_or_default();
    let before = record.standing(timing);
    see(&mut record, Seq::NEXT, scan, late_upload);
    meaning(before, &record, timing, scan.direction)
}

fn meaning(
    before: Option<Standing>,
    record: &Record,
    timing: &Timing,
    direction: Option<Direction>,
) -> Outcome {
    let after = record.standing(timing);
    let left_early = |standing: &Standing| standing.reason == Some(MarkReason::LeftEarly);
    match (before, after) {
        (_, Some(now)) if left_early(&now) && !before.as_ref().is_some_and(left_early) => Outcome::LeftEarly,
        _ if direction == Some(Direction::Out) => Outcome::Out,
        (Some(was), Some(now)) if was.mark == now.mark => Outcome::Duplicate { mark: now.mark },
        (_, Some(Standing { mark: Mark::Present, .. })) => Outcome::Present,
        (_, Some(Standing { mark: Mark::Late, at, .. })) => {
            Outcome::Late { minutes: at.map_or(0, |arrival| timing.minutes_late(arrival)) }
        }
        (_, Some(other)) => Outcome::Duplicate { mark: other.mark },
        // Only a record without any claim has no mark, and this one has just been seen.
        (_, None) => Outcome::Out,
    }
}
