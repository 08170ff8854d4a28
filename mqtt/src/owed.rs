//! What one client is still owed an acknowledgement for.
//!
//! Promises: an upload comes out when every scan in it is on disk and never before, in the order in which
//! uploads came; one that was not taken never comes out, and nothing behind it does.
//!
//! Refuses: growing. Whoever reads the client stops while [`Owed::takes_more`] is false.

use std::collections::VecDeque;
use std::time::Duration;

use rollcall_domain::ports::{NotTaken, ScanResult};

use crate::codec::Receipt;
use crate::leave::Leave;
use crate::upload::Item;

/// Scans, and uploads, that may wait at once on one connection; an array may go beyond it.
pub(crate) const WINDOW: usize = 256;

/// Names one scan of one upload of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) upload: u64,
    pub(crate) item: usize,
}

/// A message that is to be acknowledged.
pub(crate) struct Due {
    pub(crate) receipt: Receipt,
    /// v5's reason, where there are no items to find it from.
    pub(crate) reason: u8,
    pub(crate) items: Vec<Item>,
    /// How many of the items are not on disk yet.
    pub(crate) open: usize,
    /// Of an upload of scans.
    pub(crate) received_after: Option<Duration>,
}

#[derive(Default)]
pub(crate) struct Owed {
    queue: VecDeque<(Due, Option<NotTaken>)>,
    /// The number of the first in the queue.
    first: u64,
    /// In the whole queue. Also what could not be read takes up room until it is answered.
    items: usize,
}

impl Owed {
    pub(crate) fn takes_more(&self) -> bool {
        self.items < WINDOW && self.queue.len() < WINDOW
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Puts it behind everything else; gives its number, for the slots of its items.
    pub(crate) fn push(&mut self, due: Due) -> u64 {
        let upload = self.first.wrapping_add(self.queue.len() as u64);
        self.items += due.items.len();
        self.queue.push_back((due, None));
        upload
    }

    /// A scan's fate is known.
    pub(crate) fn answered(&mut self, slot: Slot, answer: Result<ScanResult, NotTaken>) {
        let index = usize::try_from(slot.upload.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        let Some((due, not_taken)) = self.queue.get_mut(index) else { return };
        match (answer, due.items.get_mut(slot.item)) {
            (Ok(result), Some(item)) => {
                due.open = due.open.saturating_sub(1);
                item.stored(&result);
            }
            (Ok(_), None) => {}
            (Err(why), _) => *not_taken = Some(why),
        }
    }

    /// The first, if it is time to acknowledge it.
    ///
    /// # Errors
    /// It was not taken, so nothing more will be acknowledged.
    pub(crate) fn next(&mut self) -> Result<Option<Due>, Leave> {
        match self.queue.front() {
            Some((_, Some(NotTaken::StorageUnavailable))) => return Err(Leave::StorageUnavailable),
            Some((_, Some(NotTaken::Stopping))) => return Err(Leave::Stopping),
            Some((due, None)) if due.open > 0 => return Ok(None),
            Some(_) | None => {}
        }
        let Some((due, _)) = self.queue.pop_front() else { return Ok(None) };
        self.first = self.first.wrapping_add(1);
        self.items = self.items.saturating_sub(due.items.len());
        Ok(Some(due))
    }
}
