//! How long to wait before trying again.
//!
//! Promises: full jitter, so that many gateways that lost one portal do not come back together; never
//! sooner than the destination asked for, never longer than the cap (or an hour, if it asked for more).

use std::time::Duration;

use fastrand::Rng;

/// The most that a destination is granted when it asks to be left alone.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    failures: u32,
    rng: Rng,
}

impl Backoff {
    pub fn new(first: Duration, cap: Duration, seed: u64) -> Self {
        Backoff { first, cap, failures: 0, rng: Rng::with_seed(seed) }
    }

    /// The pause after one more failure.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures.min(31));
        self.failures = self.failures.saturating_add(1);
        let drawn = self.first.saturating_mul(factor).min(self.cap).mul_f64(self.rng.f64());
        drawn.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_grow_up_to_the_cap_and_begin_anew_after_a_success() {
        let mut longest = Duration::ZERO;
        for seed in 0..200 {
            let mut backoff = Backoff::new(SECOND, SECOND * 60, seed);
            assert!(backoff.next(None) <= SECOND);
            assert!(backoff.next(None) <= SECOND * 2);
            let pauses: Vec<Duration> = (0..100).map(|_| backoff.next(None)).collect();
            longest = longest.max(pauses.into_iter().max().unwrap());
            backoff.succeeded();
            assert!(backoff.next(None) <= SECOND);
        }
        assert!(longest > SECOND * 55 && longest <= SECOND * 60);
    }

    #[test]
    fn a_destination_is_left_alone_as_long_as_it_asks_but_not_for_ever() {
        let mut backoff = Backoff::new(SECOND, SECOND, 1);
        assert_eq!(backoff.next(Some(SECOND * 90)), SECOND * 90);
        assert_eq!(backoff.next(Some(SECOND * 90_000)), LONGEST_ASKED);
    }
}
