//! How much of the log strangers get.
//!
//! Promises: whatever anybody on the network sends before signing in, each reason to refuse them has one line
//! in a minute, which tells how many it stands for.
//!
//! Refuses: counting for the metrics, where every single refusal is told; lines about who has signed in.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::observer::Refused;

const A_MINUTE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Strangers(Mutex<BTreeMap<Refused, Said>>);

/// What was said of one reason.
struct Said {
    at: Duration,
    unsaid: u64,
}

impl Strangers {
    /// One more is refused: how many a line about it stands for; nothing while it is too early for one.
    pub(crate) fn refused(&self, what: Refused, now: Duration) -> Option<u64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get_mut(&what) {
            Some(said) if now.saturating_sub(said.at) < A_MINUTE => {
                said.unsaid = said.unsaid.saturating_add(1);
                None
            }
            said => {
                let unsaid = said.map_or(0, |said| said.unsaid);
                known.insert(what, Said { at: now, unsaid: 0 });
                Some(unsaid.saturating_add(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_in_a_minute_that_tells_how_many_and_hides_no_other_reason() {
        let (strangers, second) = (Strangers::default(), Duration::from_secs(1));
        assert_eq!(strangers.refused(Refused::BadLogin, second), Some(1));
        for _ in 0..1_000 {
            assert_eq!(strangers.refused(Refused::BadLogin, second * 60), None);
        }
        assert_eq!(strangers.refused(Refused::Malformed, second * 60), Some(1));
        assert_eq!(strangers.refused(Refused::BadLogin, second * 61), Some(1_001));
        assert_eq!(strangers.refused(Refused::BadLogin, second * 120), None);
        assert_eq!(strangers.refused(Refused::BadLogin, second * 121), Some(2));
    }
}
