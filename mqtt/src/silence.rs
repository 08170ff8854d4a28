//! How long a client may be silent, counted in ticks so that no clock is read.
//!
//! Promises: a client that keeps its word is never cut off; a silent one is, between 1.5 and 2 times its
//! keep-alive after its last packet.
//!
//! Refuses: keeping time itself; whoever owns the interval calls `tick`.

use std::time::Duration;

/// Ticks without a packet that end a connection: the last complete one is 1.5 keep-alives old.
const LIMIT: u32 = 4;

pub(crate) struct Silence {
    ticks: u32,
}

impl Silence {
    pub(crate) fn new() -> Self {
        Silence { ticks: 0 }
    }

    /// How far apart ticks must be.
    pub(crate) fn period(keep_alive: Duration) -> Duration {
        keep_alive / 2
    }

    pub(crate) fn heard(&mut self) {
        self.ticks = 0;
    }

    /// True when the client has been silent for too long.
    pub(crate) fn tick(&mut self) -> bool {
        self.ticks += 1;
        self.ticks >= LIMIT
    }
}
