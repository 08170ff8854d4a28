//! One student's record in one meeting: everything that was claimed, and the one mark that follows.
//!
//! Promises: the mark is a function of the *set* of claims, so the order in which uploads arrive does
//! not matter; a person prevails over leave, leave over being seen, being seen over nothing; the
//! earliest capture gives the time; what disagrees with the mark is never dropped but shown as a
//! [`Disagreement`] until a person has seen it.
//!
//! Refuses: deciding whether a claim may be made. That is [`crate::decide`]'s.
//!
//! Being seen by a device, at a QR page, or by saying so oneself are evidence of the same thing:
//! arriving. So a device that sees somebody who already checked in by QR changes nothing, and one that
//! turns out to have seen them earlier moves the time. A QR or self claim made *after* a device saw the
//! student is kept beside the record instead: the lower never moves the higher.

use serde::{Deserialize, Serialize};

use crate::ids::{DeviceId, LeaveId, Seq};
use crate::mark::{Mark, MarkReason, Rank, Source};
use crate::moment::{Moment, minutes};
use crate::policy::SessionRules;

/// More claims by people than this, and the oldest are forgotten; only a flood of uploads has so many.
const PERSON_CLAIMS: usize = 32;

/// When a meeting starts and what it goes by: what a time of arrival is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    pub starts: Moment,
    pub rules: SessionRules,
}

impl Timing {
    /// Present up to and including the grace period, late after it.
    pub fn mark_at(&self, arrival: Moment) -> Mark {
        let last = self.starts.plus(minutes(self.rules.late_after_minutes));
        if arrival <= last { Mark::Present } else { Mark::Late }
    }

    /// Whole minutes after the start; 0 if before.
    pub fn minutes_late(&self, arrival: Moment) -> u32 {
        u32::try_from(arrival.since(self.starts).as_mins().max(0)).unwrap_or(u32::MAX)
    }
}

/// A mark by a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PersonClaim {
    pub decided_at: Moment,
    pub mark: Mark,
    pub source: Source,
    /// Made in sight of what was known then, as on a page; `false` for an upload made offline.
    pub sighted: bool,
    pub seq: Seq,
}

/// What devices saw of the student.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Presence {
    pub first_in: Option<Seen>,
    pub last_in: Option<Moment>,
    pub last_out: Option<Moment>,
    /// The latest event that said the student was there.
    pub seq: Seq,
}

/// The sighting that gives the time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    pub at: Moment,
    pub device: DeviceId,
    /// It became known only after the meeting had closed.
    pub late_upload: bool,
}

/// A claim made at a QR page or by oneself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PageClaim {
    pub at: Moment,
    pub source: Source,
    pub seq: Seq,
}

/// The mark that all claims together give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub mark: Mark,
    pub source: Source,
    /// When the student arrived or the person decided; nothing for leave and automatic absence.
    pub at: Option<Moment>,
    pub reason: Option<MarkReason>,
}

/// A claim that says otherwise than the mark, and that no person has seen yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disagreement {
    pub kept: Mark,
    pub incoming: Mark,
    pub incoming_source: Source,
    pub at: Option<Moment>,
}

/// Everything claimed about one student in one meeting.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Record {
    /// In order of decision; the last one stands.
    persons: Vec<PersonClaim>,
    leave: Option<(LeaveId, Seq)>,
    presence: Presence,
    page: Option<PageClaim>,
    /// A QR or self claim made after something higher had already said the student was there.
    page_after: Option<PageClaim>,
    auto_absent: bool,
    /// Up to here a person has seen what there was.
    seen: Seq,
    /// Grows by one with every change of the standing mark; destinations go by it.
    pub version: u32,
}

impl Record {
    pub fn standing(&self, timing: &Timing) -> Option<Standing> {
        let none = |mark, source| Standing { mark, source, at: None, reason: None };
        self.person_standing()
            .or_else(|| self.leave.map(|_| none(Mark::Excused, Source::Leave)))
            .or_else(|| self.evidence(timing))
            .or_else(|| self.auto_absent.then(|| none(Mark::Absent, Source::Auto)))
    }

    /// The latest decision stands; its time is the earliest of the decisions that agree with it since
    /// the last one that did not.
    fn person_standing(&self) -> Option<Standing> {
        let last = self.persons.last()?;
        let agreeing = self.persons.iter().rev().take_while(|claim| claim.mark == last.mark);
        let at = agreeing.map(|claim| claim.decided_at).min();
        Some(Standing { mark: last.mark, source: last.source, at, reason: None })
    }

    /// What was seen of the student, by devices or at a page.
    fn evidence(&self, timing: &Timing) -> Option<Standing> {
        let device = self.presence.first_in.as_ref().map(|seen| {
            let source = if seen.late_upload { Source::Offline } else { Source::Biometric };
            (seen.at, source)
        });
        let page = self.page.map(|claim| (claim.at, claim.source));
        let (arrival, source) = match (device, page) {
            (Some(device), Some(page)) => {
                if page.0 < device.0 {
                    page
                } else {
                    device
                }
            }
            (one, other) => one.or(other)?,
        };
        let last_in = self.presence.last_in.map_or(arrival, |last| last.max(arrival));
        let too_soon =
            |out: Moment| out > last_in && out.since(arrival) < minutes(timing.rules.min_present_minutes);
        if self.presence.last_out.is_some_and(too_soon) {
            let source = device.map_or(Source::Biometric, |(_, source)| source);
            let reason = Some(MarkReason::LeftEarly);
            return Some(Standing { mark: Mark::Absent, source, at: Some(arrival), reason });
        }
        Some(Standing { mark: timing.mark_at(arrival), source, at: Some(arrival), reason: None })
    }

    /// The strongest claim that disagrees with the mark and that nobody has looked at.
    pub fn disagreement(&self, timing: &Timing) -> Option<Disagreement> {
        let kept = self.standing(timing)?;
        let mut claims: Vec<(Source, Mark, Option<Moment>, Seq)> = Vec::new();
        claims.extend(self.persons.iter().map(|c| (c.source, c.mark, Some(c.decided_at), c.seq)));
        if kept.source.rank() > Rank::Leave {
            claims.extend(self.leave.map(|(_, seq)| (Source::Leave, Mark::Excused, None, seq)));
        }
        if kept.source.rank() >= Rank::Leave {
            let newest = self.presence.seq.max(self.page.map_or(Seq(0), |page| page.seq));
            claims.extend(self.evidence(timing).map(|seen| (seen.source, seen.mark, seen.at, newest)));
        }
        let after =
            self.page_after.map(|page| (page.source, timing.mark_at(page.at), Some(page.at), page.seq));
        claims.extend(after);
        claims.retain(|(_, mark, _, seq)| *mark != kept.mark && *seq > self.seen);
        let strongest = claims.into_iter().max_by_key(|(source, mark, at, _)| (source.rank(), *at, *mark))?;
        let (incoming_source, incoming, at, _) = strongest;
        Some(Disagreement { kept: kept.mark, incoming, incoming_source, at })
    }

    /// Whether a device has said anything of this student here.
    pub fn seen_by_device(&self) -> bool {
        self.presence.first_in.is_some()
    }

    pub fn first_device(&self) -> Option<&DeviceId> {
        self.presence.first_in.as_ref().map(|seen| &seen.device)
    }

    pub fn leave(&self) -> Option<LeaveId> {
        self.leave.map(|(leave, _)| leave)
    }

    pub(crate) fn person(&mut self, claim: PersonClaim) {
        if claim.sighted {
            self.persons.clear();
            self.seen = claim.seq;
        }
        let known = |old: &PersonClaim| (old.decided_at, old.mark) == (claim.decided_at, claim.mark);
        if self.persons.iter().any(known) {
            return;
        }
        self.persons.push(claim);
        self.persons.sort_by_key(|claim| (claim.decided_at, claim.mark));
        if self.persons.len() > PERSON_CLAIMS {
            self.persons.remove(0);
        }
    }

    pub(crate) fn seen_in(&mut self, seen: Seen, seq: Seq) {
        self.presence.seq = self.presence.seq.max(seq);
        self.presence.last_in = self.presence.last_in.max(Some(seen.at));
        let first = self.presence.first_in.take();
        self.presence.first_in = Some(match first {
            Some(first) if (first.at, &first.device) <= (seen.at, &seen.device) => first,
            _ => seen,
        });
    }

    pub(crate) fn seen_out(&mut self, at: Moment) {
        self.presence.last_out = self.presence.last_out.max(Some(at));
    }

    pub(crate) fn page(&mut self, claim: PageClaim) {
        let known =
            if self.seen_by_device() { Some(Rank::Device) } else { self.page.map(|p| p.source.rank()) };
        let lower = known.is_some_and(|rank| claim.source.rank() < rank);
        let slot = if lower { &mut self.page_after } else { &mut self.page };
        if slot.is_none_or(|old| claim.at < old.at) {
            *slot = Some(claim);
        }
    }

    pub(crate) fn excuse(&mut self, leave: LeaveId, seq: Seq) {
        self.leave = Some((leave, seq));
    }

    pub(crate) fn withdraw_leave(&mut self, leave: LeaveId) {
        if self.leave.is_some_and(|(id, _)| id == leave) {
            self.leave = None;
        }
    }

    pub(crate) fn set_auto_absent(&mut self, absent: bool) {
        self.auto_absent = absent;
    }

    pub(crate) fn looked_at(&mut self, seq: Seq) {
        self.seen = seq;
    }

    /// Forgets every claim; the version stays, so that destinations see the removal as newer.
    pub(crate) fn clear(&mut self) {
        *self = Record { version: self.version, ..Record::default() };
    }
}
