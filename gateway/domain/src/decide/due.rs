//! What a meeting is due for by itself: opening before its start, closing after its end, locking later.
//!
//! Promises: asked at any time, also after the gateway was off, it names the next thing to do and as of
//! when; a lock after 0 days is never due, and nothing is while the box's clock is in doubt.
//!
//! Refuses: timers. The scheduler asks again at [`Due::at`].

use crate::clock_offset::BoxClock;
use crate::event::How;
use crate::moment::{Moment, minutes};
use crate::policy::Policy;
use crate::session::{Meeting, SessionStatus};

/// Done this long after its time or sooner counts as on time.
const ON_TIME_MINUTES: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Open,
    Close,
    Lock,
}

/// The next thing that happens to a meeting by itself, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub step: Step,
    pub at: Moment,
}

impl Due {
    /// How it is to be recorded if it is done now; `None`: not yet.
    pub fn now(&self, now: Moment, clock: BoxClock) -> Option<How> {
        if clock.in_doubt() || now < self.at {
            return None;
        }
        let on_time = now.since(self.at) <= minutes(ON_TIME_MINUTES);
        Some(if on_time { How::OnTime } else { How::CaughtUp })
    }
}

/// What comes next for a meeting, if anything does.
pub fn next(meeting: &Meeting, policy: &Policy) -> Option<Due> {
    match meeting.status {
        // Made or reinstated after its time: nobody was asked to come, so nobody is absent.
        SessionStatus::Scheduled if meeting.status_since > meeting.ends.plus(policy.close_after()) => None,
        SessionStatus::Scheduled => {
            Some(Due { step: Step::Open, at: meeting.starts().minus(policy.open_before()) })
        }
        SessionStatus::Open => Some(Due { step: Step::Close, at: closing_time(meeting, policy) }),
        SessionStatus::Closed if policy.auto_lock_after_days == 0 => None,
        // From when it was written, so that terminals have time to upload after a long outage.
        SessionStatus::Closed => {
            Some(Due { step: Step::Lock, at: meeting.status_since.plus(policy.auto_lock_after()) })
        }
        SessionStatus::Locked | SessionStatus::Cancelled => None,
    }
}

/// After its end; one opened or reopened later than that stays open for a meeting's usual length.
fn closing_time(meeting: &Meeting, policy: &Policy) -> Moment {
    let end = meeting.ends.plus(policy.close_after());
    let opened = meeting.open.last().map_or(meeting.starts(), |span| span.from);
    let opened_again = meeting.open.len() > 1 || opened >= end;
    if opened_again { end.max(opened.plus(minutes(policy.default_minutes))) } else { end }
}
