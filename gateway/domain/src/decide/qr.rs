//! What a student's tap at a QR page does.
//!
//! Promises: one mark per student and meeting; a tap that disagrees with what a person or a device said
//! is kept and listed, and the student is told the mark that stands.
//!
//! Refuses: tokens, addresses and places. The edge has checked those.

use std::collections::BTreeSet;

use crate::decide::Context;
use crate::event::{QrFlag, SessionEvent};
use crate::ids::{Seq, StudentId};
use crate::mark::{Mark, Source};
use crate::moment::Moment;
use crate::permission::{Action, in_state};
use crate::record::PageClaim;
use crate::refusal::Refusal;
use crate::session::{Session, SessionStatus};

/// What to append, if anything, and what to tell the student.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tap {
    pub event: Option<SessionEvent>,
    pub answer: Result<Mark, Refusal>,
}

impl Tap {
    fn refused(refusal: Refusal) -> Self {
        Tap { event: None, answer: Err(refusal) }
    }
}

/// A tap whose token was good when the page was asked for, at `captured_at`.
pub fn tap(
    session: &Session,
    context: &Context<'_>,
    student: StudentId,
    captured_at: Moment,
    flags: BTreeSet<QrFlag>,
) -> Tap {
    let meeting = &session.meeting;
    // A slow sign-in still counts if the meeting was open when the page was asked for.
    let slow = meeting.status == SessionStatus::Closed && meeting.was_open(captured_at);
    if let (Err(refusal), false) = (in_state(Action::MarkByQr, meeting.status, false), slow) {
        return Tap::refused(refusal);
    }
    if !context.attends(meeting, student) {
        return Tap::refused(Refusal::NotEnrolled);
    }
    let mut record = session.records.get(&student).cloned().unwrap_or_default();
    let before = record.standing(&meeting.timing);
    let disagreed = record.disagreement(&meeting.timing);
    record.page(PageClaim { at: captured_at, source: Source::Qr, seq: Seq::NEXT });
    let after = record.standing(&meeting.timing);
    let changed = before.map(|s| s.mark) != after.map(|s| s.mark);
    let event = SessionEvent::MarkedByQr { student, captured_at, flags };
    match (before, after) {
        (_, Some(now)) if changed => Tap { event: Some(event), answer: Ok(now.mark) },
        (Some(was), _) => {
            let news = record.disagreement(&meeting.timing) != disagreed;
            Tap { event: news.then_some(event), answer: Err(Refusal::AlreadyMarked(was.mark.word())) }
        }
        (None, _) => Tap::refused(Refusal::NoRecord),
    }
}
