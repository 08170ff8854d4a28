//! When scans that the intake had no room for are offered again.
//!
//! Promises: soon at first, and then less and less often, so that a thousand connections that wait leave the
//! processor to what they wait for.

use std::time::Duration;

use tokio::time::{Interval, interval};

const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(64);

pub(crate) struct Retry {
    ticks: Interval,
    pause: Duration,
}

impl Retry {
    pub(crate) fn new() -> Self {
        Retry { ticks: interval(LONGEST), pause: FIRST }
    }

    /// There is something to offer, or something was taken.
    pub(crate) fn soon(&mut self) {
        self.pause = FIRST;
        self.ticks.reset_after(self.pause);
    }

    /// Returns when it is time; if that was in vain, the next time is later.
    pub(crate) async fn due(&mut self) {
        self.ticks.tick().await;
        self.pause = self.pause.saturating_mul(2).min(LONGEST);
        self.ticks.reset_after(self.pause);
    }
}
