//! The part of the disk that is left free.
//!
//! Promises: says that there is no room before the disk is full; once it has said so, there is room again
//! only when there is some to spare, so that the answer does not change with every log line.
//!
//! Refuses: freeing anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::disk::{Disk, Place};

/// What is wanted beyond the reserve before it counts as restored: a part of it.
const TO_SPARE: u64 = 8;

pub(crate) struct Reserve {
    disk: Arc<dyn Disk>,
    min: u64,
    low: AtomicBool,
}

impl Reserve {
    pub(crate) fn of(place: &Place) -> Self {
        Reserve { disk: Arc::clone(&place.disk), min: place.min_free_bytes, low: AtomicBool::new(false) }
    }

    /// Whether there is room for more. Asks the disk every time: that takes about a microsecond, a commit
    /// more than a hundred.
    pub(crate) fn has_room(&self) -> bool {
        self.lack().is_none()
    }

    /// What is the matter and what to do, if there is no room.
    pub(crate) fn lack(&self) -> Option<String> {
        if self.min == 0 {
            return None;
        }
        // A disk that does not tell is written to; whether that is possible it says then.
        let free = self.disk.free().unwrap_or(u64::MAX);
        let was_low = self.low.load(Ordering::Relaxed);
        let wanted = if was_low { self.min.saturating_add(self.min / TO_SPARE) } else { self.min };
        let low = free < wanted;
        if self.low.swap(low, Ordering::Relaxed) != low {
            if low {
                tracing::error!(
                    free,
                    min_free_bytes = self.min,
                    "the disk is nearly full; nothing is acknowledged until there is room: free some space"
                );
            } else {
                tracing::info!(free, "there is room on the disk again");
            }
        }
        low.then(|| {
            format!(
                "{free} bytes are free on the disk and at least {wanted} must be (store.min_free_bytes is {}), so nothing is acknowledged: free some space",
                self.min
            )
        })
    }
}
