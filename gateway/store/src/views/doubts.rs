//! Readers who could not read.
//!
//! Promises: what one of them says wakes whoever can mend the rows; what is said of rows that are out of use
//! is heard by nobody.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use crate::error::StoreError;
use crate::waiting::Shared;

const NONE: u8 = 0;
/// The file has to be opened again.
const UNREADABLE: u8 = 1;
/// The rows have to be made anew.
const DAMAGED: u8 = 2;

/// One for each time that the file is opened; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Doubts(Arc<Inner>);

#[derive(Default)]
struct Inner {
    worst: AtomicU8,
    /// Whom to wake; nobody, while the rows are not shown.
    shared: OnceLock<Arc<Shared>>,
}

impl Doubts {
    pub(super) fn wake(&self, shared: &Arc<Shared>) {
        self.0.shared.get_or_init(|| Arc::clone(shared));
    }

    pub(crate) fn raise(&self, error: &StoreError) {
        let how = if error.is_damage() { DAMAGED } else { UNREADABLE };
        if self.0.worst.fetch_max(how, Ordering::AcqRel) < how
            && let Some(shared) = self.0.shared.get()
        {
            shared.change(|_| ());
        }
    }

    /// What there is to mend.
    pub(crate) fn worst(&self) -> Option<StoreError> {
        match self.0.worst.load(Ordering::Acquire) {
            NONE => None,
            DAMAGED => Some(StoreError::DamagedViews),
            _ => Some(StoreError::UnreadableViews),
        }
    }
}
