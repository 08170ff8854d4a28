//! How often the log says the same.
//!
//! Promises: a cause has a line at once, and then at most one a minute, however often it comes.

use std::time::Duration;

/// How long a cause is not mentioned again.
const QUIET: Duration = Duration::from_secs(60);

/// When something was said last, and at which count.
#[derive(Debug, Default)]
pub(crate) struct Said {
    at: Option<Duration>,
    count: u64,
}

impl Said {
    /// Whether it may be said again at `now`.
    pub(crate) fn may_say(&mut self, now: Duration) -> bool {
        let quiet = self.at.is_some_and(|at| now.saturating_sub(at) < QUIET);
        if !quiet {
            self.at = Some(now);
        }
        !quiet
    }

    /// How many came since it was said last, if that is to be said now.
    pub(crate) fn news(&mut self, now: Duration, count: u64) -> Option<u64> {
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
