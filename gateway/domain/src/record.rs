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
//! arriving. They do not contradict each other, so the earliest of them gives the time and names the
//! source: a device that sees somebody who already checked in by QR changes nothing, and one that turns
//! out to have seen them earlier moves the time. Of equally early ones the higher names the source.

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
    pub seq: Seq,
}

fn earlier(known: Option<PageClaim>, claim: PageClaim) -> Option<PageClaim> {
    Some(known.map_or(claim, |known| if claim.at < known.at { claim } else { known }))
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
    qr: Option<PageClaim>,
    own: Option<PageClaim>,
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
        let (arrival, source) = self.arrival()?;
        let last_in = self.presence.last_in.map_or(arrival, |last| last.max(arrival));
        let too_soon =
            |out: Moment| out > last_in && out.since(arrival) < minutes(timing.rules.min_present_minutes);
        if self.presence.last_out.is_some_and(too_soon) {
            let reason = Some(MarkReason::LeftEarly);
            let source = if source.rank() == Rank::Device { source } else { Source::Biometric };
            return Some(Standing { mark: Mark::Absent, source, at: Some(arrival), reason });
        }
        Some(Standing { mark: timing.mark_at(arrival), source, at: Some(arrival), reason: None })
    }

    /// The earliest sign of the student, and whose it is.
    fn arrival(&self) -> Option<(Moment, Source)> {
        let device = self
            .presence
            .first_in
            .as_ref()
            .map(|seen| (seen.at, if seen.late_upload { Source::Offline } else { Source::Biometric }));
        let qr = self.qr.map(|claim| (claim.at, Source::Qr));
        let own = self.own.map(|claim| (claim.at, Source::Own));
        // Of equals the first stays: the order here is that of rank.
        device.into_iter().chain(qr).chain(own).min_by_key(|(at, _)| *at)
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
            let pages = self.qr.iter().chain(&self.own).map(|claim| claim.seq);
            let newest = pages.fold(self.presence.seq, Seq::max);
            claims.extend(self.evidence(timing).map(|seen| (seen.source, seen.mark, seen.at, newest)));
        }
        claims.retain(|(_, mark, _, seq)| *mark != kept.mark && *seq > self.seen);
        let strongest = claims.into_iter().max_by_key(|(source, mark, at, _)| (source.rank(), *at, *mark))?;
        let (incoming_source, incoming, at, _) = strongest;
        Some(Disagreement { kept: kept.mark, incoming, incoming_source, at })
    }

    /// The device whose sighting gives the time, if one does.
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

    pub(crate) fn seen_out(&mut self, at: Moment, seq: Seq) {
        if self.presence.last_out < Some(at) {
            self.presence.last_out = Some(at);
            self.presence.seq = self.presence.seq.max(seq);
        }
    }

    pub(crate) fn tapped(&mut self, claim: PageClaim) {
        self.qr = earlier(self.qr, claim);
    }

    pub(crate) fn said_so(&mut self, claim: PageClaim) {
        self.own = earlier(self.own, claim);
    }

    /// Takes over everything that was claimed of somebody who turned out to be the same person. Nobody has
    /// looked at the two together yet, so what disagrees between them is open again.
    pub(crate) fn absorb(&mut self, other: Record) {
        self.seen = if *self == Record::default() { other.seen } else { self.seen.min(other.seen) };
        self.persons.extend(other.persons);
        self.persons.sort_by_key(|claim| (claim.decided_at, claim.mark));
        self.persons.dedup_by_key(|claim| (claim.decided_at, claim.mark));
        let surplus = self.persons.len().saturating_sub(PERSON_CLAIMS);
        self.persons.drain(..surplus);
        self.leave = self.leave.or(other.leave);
        let Presence { first_in, last_in, last_out, seq } = other.presence;
        if let Some(seen) = first_in {
            self.seen_in(seen, seq);
        }
        self.presence.seq = self.presence.seq.max(seq);
        self.presence.last_in = self.presence.last_in.max(last_in);
        self.presence.last_out = self.presence.last_out.max(last_out);
        self.qr = other.qr.map_or(self.qr, |claim| earlier(self.qr, claim));
        self.own = other.own.map_or(self.own, |claim| earlier(self.own, claim));
        self.auto_absent |= other.auto_absent;
    }

    pub(crate) fn excuse(&mut self, leave: LeaveId, seq: Seq) {
        self.leave = Some((leave, seq));
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
