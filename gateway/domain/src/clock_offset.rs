//! What time it really was when a terminal says it was so-and-so late, and whether the box's own
//! clock can be believed.
//!
//! Promises: a terminal's offset is used only when steady (five samples, a second or more apart, that
//! agree within two seconds); a burst of old scans cannot look steady, because samples received within
//! a second count as one; a time that is impossible after correction is replaced by the time of
//! receipt and flagged.
//!
//! Refuses: reading any clock.

use std::collections::VecDeque;

use jiff::SignedDuration;

use crate::moment::{Moment, days, minutes};
use crate::policy::Policy;

const SAMPLES: usize = 5;
const AGREEMENT_MILLIS: i64 = 2_000;
const APART_MILLIS: i64 = 1_000;

/// A device's claim beside the moment it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    received_at: Moment,
    /// Claimed less received. Travel makes it smaller, never larger.
    offset_millis: i64,
}

/// Follows one terminal's clock. Feed it heartbeats and live scans, not replays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetEstimate {
    samples: VecDeque<Sample>,
}

impl OffsetEstimate {
    pub fn observe(&mut self, claimed_at: Moment, received_at: Moment) {
        let sample =
            Sample { received_at, offset_millis: claimed_at.millis().saturating_sub(received_at.millis()) };
        match self.samples.back_mut() {
            // The gateway's own clock was set back: what was learnt before means nothing now.
            Some(last) if received_at < last.received_at => {
                self.samples.clear();
                self.samples.push_back(sample);
            }
            Some(last) if received_at.since(last.received_at).as_millis() < i128::from(APART_MILLIS) => {
                last.offset_millis = last.offset_millis.max(sample.offset_millis);
            }
            _ => {
                self.samples.push_back(sample);
                if self.samples.len() > SAMPLES {
                    self.samples.pop_front();
                }
            }
        }
    }

    /// How far the terminal's clock is ahead of the gateway's (negative: behind), if it is steady.
    pub fn steady(&self) -> Option<SignedDuration> {
        if self.samples.len() < SAMPLES {
            return None;
        }
        let mut offsets: Vec<i64> = self.samples.iter().map(|sample| sample.offset_millis).collect();
        offsets.sort_unstable();
        let (least, most) = (offsets.first()?, offsets.last()?);
        let agree = most.checked_sub(*least)? <= AGREEMENT_MILLIS;
        agree.then(|| SignedDuration::from_millis(offsets.get(SAMPLES / 2).copied().unwrap_or(*most)))
    }
}

/// When a scan happened, as far as can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captured {
    pub at: Moment,
    /// The claim was impossible, so this is the time of receipt.
    pub flagged: bool,
}

/// Corrects a claim by a steady offset and judges whether it can be true.
pub fn captured(
    claimed_at: Moment,
    received_at: Moment,
    steady_offset: Option<SignedDuration>,
    policy: &Policy,
) -> Captured {
    let corrected = claimed_at.minus(steady_offset.unwrap_or(SignedDuration::ZERO));
    let latest = received_at.plus(minutes(policy.clock_ahead_minutes));
    let earliest = received_at.minus(days(policy.clock_behind_days));
    if (earliest..=latest).contains(&corrected) {
        Captured { at: corrected, flagged: false }
    } else {
        Captured { at: received_at, flagged: true }
    }
}

/// Whether the box's own clock can be believed. While it cannot, nothing opens, closes, locks or
/// expires by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoxClock {
    Trusted,
    /// At start the clock was before the last event in the ledger.
    InDoubt {
        last_event: Moment,
    },
}

impl BoxClock {
    pub fn at_start(now: Moment, last_event: Option<Moment>) -> Self {
        match last_event {
            Some(last_event) if now < last_event => BoxClock::InDoubt { last_event },
            _ => BoxClock::Trusted,
        }
    }

    /// Time goes by: once the clock has passed the last event, it is believed again.
    pub fn tick(self, now: Moment) -> Self {
        match self {
            BoxClock::InDoubt { last_event } if now < last_event => self,
            _ => BoxClock::Trusted,
        }
    }

    /// An admin looked at the clock and says it is right.
    pub fn confirm(self) -> Self {
        BoxClock::Trusted
    }

    pub fn in_doubt(self) -> bool {
        self != BoxClock::Trusted
    }
}
