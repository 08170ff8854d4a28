//! What was not kept, and how often that is said.
//!
//! Promises: every item that was handed in and is not kept, other than by retention, is counted under its
//! cause; the log has a line for a cause at most once a minute, however many items it costs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a cause is not mentioned again.
const QUIET: Duration = Duration::from_secs(60);

/// Why an item was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Items came faster than the disk takes them.
    QueueFull,
    /// It alone is more than may be kept.
    TooLarge,
    /// The file cannot be written now, or is closed.
    Unavailable,
}

/// How many items were lost.
#[derive(Debug, Default)]
pub(super) struct Losses {
    queue_full: AtomicU64,
    too_large: AtomicU64,
    unavailable: AtomicU64,
}

impl Losses {
    fn counter(&self, loss: Loss) -> &AtomicU64 {
        match loss {
            Loss::QueueFull => &self.queue_full,
            Loss::TooLarge => &self.too_large,
            Loss::Unavailable => &self.unavailable,
        }
    }

    pub(super) fn add(&self, loss: Loss, items: u64) {
        self.counter(loss).fetch_add(items, Ordering::Relaxed);
    }

    pub(super) fn count(&self, loss: Loss) -> u64 {
        self.counter(loss).load(Ordering::Relaxed)
    }
}

/// When something was said last, and at which count.
#[derive(Debug, Default)]
pub(super) struct Said {
    at: Option<Duration>,
    count: u64,
}

impl Said {
    /// Whether it may be said again at `now`.
    pub(super) fn may_say(&mut self, now: Duration) -> bool {
        let quiet = self.at.is_some_and(|at| now.saturating_sub(at) < QUIET);
        if !quiet {
            self.at = Some(now);
        }
        !quiet
    }

    /// How many came since it was said last, if that is to be said now.
    pub(super) fn news(&mut self, now: Duration, count: u64) -> Option<u64> {
        let new = count.saturating_sub(self.count);
        if new == 0 || !self.may_say(now) {
            return None;
        }
        self.count = count;
        Some(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_at_once_and_then_once_a_minute_with_all_that_came_meanwhile() {
        let mut said = Said::default();
        let at = Duration::from_secs;
        assert_eq!(said.news(at(5), 0), None);
        assert_eq!(said.news(at(5), 3), Some(3));
        assert_eq!(said.news(at(6), 4), None);
        assert_eq!(said.news(at(64), 900), None);
        assert_eq!(said.news(at(65), 903), Some(900));
        assert_eq!(said.news(at(500), 903), None);
        assert_eq!(said.news(at(501), 904), Some(1));
    }
}
