//! Which student a scan means, and which meeting it belongs to.
//!
//! Promises: everything is asked as of the moment the scan was *captured*, so an upload after an outage
//! lands where it would have landed live; the first rule that fits decides; what is ambiguous is nobody.
//!
//! Refuses: what the scan does there. That is [`crate::decide::scan`]'s.

use crate::campus::{Campus, Device};
use crate::code::KeyKind;
use crate::ids::{SessionId, StudentId};
use crate::moment::Moment;
use crate::policy::Policy;
use crate::scan::{Claim, Scan, Unmatched};
use crate::session::{Meeting, SessionStatus};

/// The device's own person number, then a card, then a code, then the number of our own id.
pub fn student(campus: &Campus, device: &Device, claim: &Claim) -> Result<StudentId, Unmatched> {
    if let Some(found) = campus.people.by_device(&device.id, claim.key(KeyKind::DevicePerson)) {
        return Ok(campus.people.today(found));
    }
    for kind in [KeyKind::Card, KeyKind::Code, KeyKind::Number] {
        match campus.people.by_number(kind, claim.key(kind)) {
            [] => {}
            [one] => return Ok(*one),
            _ => return Err(Unmatched::AmbiguousStudent),
        }
    }
    Err(Unmatched::UnknownStudent)
}

/// What is asked of the campus when a scan looks for its meeting.
pub struct Search<'a> {
    pub campus: &'a Campus,
    pub policy: &'a Policy,
    pub device: &'a Device,
    pub student: StudentId,
    pub at: Moment,
}

impl<'a> Search<'a> {
    pub fn new(campus: &'a Campus, policy: &'a Policy, device: &'a Device, of: (StudentId, &Scan)) -> Self {
        Search { campus, policy, device, student: of.0, at: of.1.captured_at }
    }

    /// The meeting among those that could hold the moment (more may be handed in; they do not fit).
    pub fn meeting<'m>(
        &self,
        meetings: impl IntoIterator<Item = &'m Meeting>,
    ) -> Result<SessionId, Unmatched> {
        let live = meetings.into_iter().filter(|meeting| meeting.status != SessionStatus::Cancelled);
        // Most meetings are elsewhere, which is quickly seen, and every scan comes by here.
        let reached = live.filter(|meeting| self.is_here(meeting) || self.is_bound(meeting));
        let mut near: Vec<&Meeting> =
            reached.filter(|meeting| meeting.was_open(self.at) || self.is_due(meeting)).collect();
        // The one whose own time it is comes first, then the one that began last.
        near.sort_by_key(|m| (!self.is_in_own_time(m), std::cmp::Reverse(m.starts()), m.id));
        let (open, due): (Vec<&Meeting>, Vec<&Meeting>) =
            near.into_iter().partition(|meeting| meeting.was_open(self.at));

        let bound = open.iter().chain(&due).filter(|meeting| self.is_bound(meeting)).copied();
        let mut bound = bound.peekable();
        if bound.peek().is_some() {
            return self.first_attended(bound);
        }
        if self.policy.require_binding {
            return Err(Unmatched::NotBound);
        }
        match self.device.room {
            // Nothing is bound, so everything that is left is here.
            Some(_) => self.first_attended(open.into_iter().chain(due)),
            None => self.only_attended(&open).or_else(|reason| match reason {
                Unmatched::NoOpenSession => self.only_attended(&due),
                _ => Err(reason),
            }),
        }
    }

    /// In the device's room; for a device without one, that is everywhere.
    fn is_here(&self, meeting: &Meeting) -> bool {
        self.device.room.is_none() || meeting.room == self.device.room
    }

    fn is_bound(&self, meeting: &Meeting) -> bool {
        meeting.was_bound(&self.device.id, self.at)
    }

    fn attends(&self, meeting: &Meeting) -> bool {
        self.campus.rosters.attends(meeting.class, self.student, meeting.date)
    }

    fn first_attended<'m>(&self, found: impl Iterator<Item = &'m Meeting>) -> Result<SessionId, Unmatched> {
        let mut reason = Unmatched::NoOpenSession;
        for meeting in found {
            if self.attends(meeting) {
                return Ok(meeting.id);
            }
            reason = Unmatched::NotEnrolled;
        }
        Err(reason)
    }

    /// At a gate there is no room to tell meetings apart, so there must be just one, or just one whose own
    /// time it is.
    fn only_attended(&self, found: &[&Meeting]) -> Result<SessionId, Unmatched> {
        let attended: Vec<&&Meeting> = found.iter().filter(|meeting| self.attends(meeting)).collect();
        let in_own_time = attended.iter().filter(|meeting| self.is_in_own_time(meeting)).count();
        match attended.as_slice() {
            [] => Err(Unmatched::NoOpenSession),
            [one] => Ok(one.id),
            // In order: the one whose own time it is comes first.
            [first, ..] if in_own_time == 1 => Ok(first.id),
            _ => Err(Unmatched::AmbiguousSession),
        }
    }

    /// Scheduled then, in its window, although nobody had opened it.
    fn is_due(&self, meeting: &Meeting) -> bool {
        let from = meeting.starts().minus(self.policy.open_before());
        let until = meeting.ends.plus(self.policy.close_after());
        meeting.was_still_scheduled(self.at) && from <= self.at && self.at <= until
    }

    fn is_in_own_time(&self, meeting: &Meeting) -> bool {
        meeting.starts() <= self.at && self.at <= meeting.ends
    }
}
