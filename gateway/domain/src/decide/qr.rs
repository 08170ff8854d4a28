//! What a student's tap at a QR page does.
//!
//! Promises: one mark per student and meeting, and one per browser, further ones flagged; a tap that disagrees with what a person or a device said
//! is kept and listed, and the student is told the mark that stands.
//!
//! Refuses: tokens, addresses and places. The edge has checked those.

use std::collections::BTreeSet;

use crate::campus::Item;
use crate::code::PersonKey;
use crate::decide::Context;
use crate::event::{CampusEvent, Event, QrFlag, SessionEvent};
use crate::ids::{Seq, StudentId};
use crate::mark::Mark;
use crate::moment::Moment;
use crate::people::Student;
use crate::permission::{Action, in_state};
use crate::record::PageClaim;
use crate::refusal::Refusal;
use crate::roster::{Days, Link};
use crate::session::{Session, SessionStatus};

/// A visit to the QR page, as the edge saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// When the page was asked for, with a token that was good then.
    pub captured_at: Moment,
    /// A keyed hash of the browser's cookie.
    pub browser: Option<PersonKey>,
    pub flags: BTreeSet<QrFlag>,
}

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

/// A tap by a student who was found. A browser that already marked somebody else here is flagged.
pub fn tap(session: &Session, context: &Context<'_>, student: StudentId, visit: Visit) -> Tap {
    let Visit { captured_at, browser, mut flags } = visit;
    let meeting = &session.meeting;
    // A slow sign-in still counts if the meeting was open when the page was asked for.
    let slow = meeting.status == SessionStatus::Closed && meeting.was_open(captured_at);
    if let (Err(refusal), false) = (in_state(Action::MarkByQr, meeting.status, false), slow) {
        return Tap::refused(refusal);
    }
    if !context.attends(meeting, student) {
        return Tap::refused(Refusal::NotEnrolled);
    }
    let other = browser.and_then(|browser| meeting.browsers.get(&browser)).filter(|first| **first != student);
    if other.is_some() {
        flags.insert(QrFlag::SameBrowser);
    }
    let known = session.records.get(&student).cloned().unwrap_or_default();
    let mut record = known.clone();
    record.tapped(PageClaim { at: captured_at, seq: Seq::NEXT });
    // Kept if it says anything new, though it be only an earlier time or one more sign against a mark.
    let event =
        (record != known).then_some(SessionEvent::MarkedByQr { student, captured_at, browser, flags });
    match (known.standing(&meeting.timing), record.standing(&meeting.timing)) {
        (Some(was), Some(now)) if was.mark == now.mark => {
            Tap { event, answer: Err(Refusal::AlreadyMarked(was.mark.word())) }
        }
        (_, Some(now)) => Tap { event, answer: Ok(now.mark) },
        (_, None) => Tap::refused(Refusal::NoRecord),
    }
}

/// Somebody whom nobody knows gave a name and a number. With `qr.enrol_unknown` they become a provisional
/// student (`student`, made by the caller with a fresh id), are enrolled from today, and are marked;
/// otherwise the teacher finds them listed.
pub fn stranger(
    session: &Session,
    context: &Context<'_>,
    student: Student,
    visit: Visit,
) -> Result<Vec<Event>, Refusal> {
    let meeting = &session.meeting;
    in_state(Action::MarkByQr, meeting.status, false)?;
    let Visit { captured_at, browser, mut flags } = visit;
    if !context.policy.qr_enrol_unknown {
        let listed = SessionEvent::StrangerAtQr { captured_at, browser };
        return Ok(vec![Event::Session(meeting.id, listed)]);
    }
    let id = student.id;
    flags.insert(QrFlag::NewPerson);
    if browser.is_some_and(|browser| meeting.browsers.contains_key(&browser)) {
        flags.insert(QrFlag::SameBrowser);
    }
    let student = Student { provisional: true, ..student };
    let link = Link::ClassStudent(meeting.class, id);
    let marked = SessionEvent::MarkedByQr { student: id, captured_at, browser, flags };
    Ok(vec![
        Event::Campus(CampusEvent::Put(Box::new(Item::Student(student)))),
        Event::Campus(CampusEvent::Joined { link, days: Days::starting(meeting.date) }),
        Event::Session(meeting.id, marked),
    ])
}
