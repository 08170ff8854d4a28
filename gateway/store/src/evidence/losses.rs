//! What was not kept.
//!
//! Promises: every item that was handed in and is not kept, other than by retention, is counted under its
//! cause.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why an item was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Items came faster than the disk takes them.
    QueueFull,
    /// It alone is more than may be kept.
    TooLarge,
    /// The disk is nearly full.
    NoRoom,
    /// The file cannot be written now, or is closed.
    Unavailable,
}

/// How many items were lost.
#[derive(Debug, Default)]
pub(super) struct Losses {
    queue_full: AtomicU64,
    too_large: AtomicU64,
    no_room: AtomicU64,
    unavailable: AtomicU64,
}

impl Losses {
    fn counter(&self, loss: Loss) -> &AtomicU64 {
        match loss {
            Loss::QueueFull => &self.queue_full,
            Loss::TooLarge => &self.too_large,
            Loss::NoRoom => &self.no_room,
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
