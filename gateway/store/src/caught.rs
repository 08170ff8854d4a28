//! A panic of the engine, or of the fold, as an error like others.
//!
//! Promises: pages that turned to garbage may make the engine panic, also when it closes; the thread that
//! read them goes on.
//!
//! Refuses: hiding it. The panic has been reported on its way, and the error says so again.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::StoreError;

/// Whoever calls this throws away, after an error, what `work` had its hands on.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(StoreError::Panicked))
}

/// Closes what may be damaged.
pub(crate) fn let_go<T>(of: T) {
    let dropped = caught(|| {
        drop(of);
        Ok(())
    });
    if dropped.is_err() {
        tracing::debug!("a damaged file could not be closed as usual");
    }
}
