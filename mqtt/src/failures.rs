//! Failed sign-ins, by where they came from.
//!
//! Promises: after a few of them from one address, each further one is answered later than the one before, up
//! to [`LONGEST`]; a sign-in that succeeds waits for nothing, whatever others behind the same address did; the
//! table has a bound.
//!
//! Refuses: locking anybody out, which would let whoever guesses keep the terminals of a room out with him.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::peer::Source;

/// A secret that was typed wrong a few times is nobody's attack.
const FREE: u32 = 3;
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(4);
/// After so long without another one.
const FORGOTTEN: Duration = Duration::from_secs(5 * 60);
/// Addresses that are remembered.
const MOST: usize = 4_096;

#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<Source, Failed>>);

struct Failed {
    times: u32,
    last: Duration,
}

impl Failures {
    /// One more: how long its answer has to wait.
    pub(crate) fn failed(&self, source: Source, now: Duration) -> Duration {
        let is_old = |failed: &Failed| now.saturating_sub(failed.last) > FORGOTTEN;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST && !known.contains_key(&source) {
            known.retain(|_, failed| !is_old(failed));
            if known.len() >= MOST
                && let Some(oldest) =
                    known.iter().min_by_key(|(_, failed)| failed.last).map(|(source, _)| *source)
            {
                known.remove(&oldest);
            }
        }
        let failed = known.entry(source).or_insert(Failed { times: 0, last: now });
        if is_old(failed) {
            failed.times = 0;
        }
        failed.times = failed.times.saturating_add(1);
        failed.last = now;
        match failed.times.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(beyond) => FIRST.saturating_mul(2_u32.saturating_pow(beyond)).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use super::*;
    use crate::peer::Peer;

    fn source(number: u32) -> Source {
        Peer::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(number)), 1)).source()
    }

    #[test]
    fn the_first_few_are_free_and_the_others_wait_longer_and_longer() {
        let failures = Failures::default();
        let waits: Vec<u128> =
            (0..10).map(|_| failures.failed(source(1), Duration::ZERO).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
        assert_eq!(failures.failed(source(2), Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn after_some_minutes_all_is_forgotten() {
        let failures = Failures::default();
        for _ in 0..10 {
            failures.failed(source(1), Duration::ZERO);
        }
        assert_eq!(failures.failed(source(1), FORGOTTEN), LONGEST);
        assert_eq!(failures.failed(source(1), FORGOTTEN * 3), Duration::ZERO);
    }

    #[test]
    fn the_table_has_a_bound_and_the_newest_stay() {
        let failures = Failures::default();
        let most = u32::try_from(MOST).unwrap();
        for number in 0..most * 2 {
            let now = Duration::from_millis(number.into());
            for _ in 0..=FREE {
                failures.failed(source(number), now);
            }
        }
        assert_eq!(failures.0.lock().unwrap().len(), MOST);
        assert!(failures.failed(source(most * 2 - 1), Duration::from_secs(9)) > FIRST);
        assert_eq!(failures.failed(source(0), Duration::from_secs(9)), Duration::ZERO);
    }
}
