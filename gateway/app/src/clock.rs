//! The real clock: the one place that reads it.
//!
//! Promises: the wall clock as the machine has it, right or wrong, and a monotonic one that only goes on.
//!
//! Refuses: judging. Whether the wall clock can be believed is the domain's `BoxClock`.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::Clock;

/// Reads the machine's clocks; monotonic time counts from when it was made.
pub(crate) struct RealClock {
    started: Instant,
}

impl RealClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub(crate) fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Moment {
        Timestamp::now().into()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}
