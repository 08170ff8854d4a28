//! Opening the ledger and the views together.
//!
//! Promises: what is opened is whole, and the views are at the ledger's end if there is room for them; of a
//! damaged ledger in a real folder a new one is made of all that is intact; none is begun in place of one that
//! is gone.
//!
//! Refuses: opening the evidence, which nobody has to wait for.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rollcall_domain::ports::Clock;

use crate::disk::Place;
use crate::error::StoreError;
use crate::keys::Keyring;
use crate::ledger::{self, Ledger};
use crate::reserve::Reserve;
use crate::views::{Views, ViewsFile};
use crate::{ended, follow, overlay, salvage};

/// Files that are open, and the thread that brings the views forward.
pub(crate) struct Opened {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) views: Views,
    pub(crate) follower: follow::Follower,
    pub(crate) following: JoinHandle<()>,
}

/// Opens the ledger and brings the views to its end; if it is damaged, that of what can be salvaged.
pub(crate) fn open(
    place: &Place,
    keys: &Keyring,
    reserve: &Arc<Reserve>,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, StoreError> {
    if !place.disk.has(ledger::FILE).map_err(redb::Error::Io)? {
        ended::may_begin(place)?;
    }
    let start = |views: Option<Result<ViewsFile, StoreError>>| {
        let ledger = Arc::new(Ledger::open(place, keys)?);
        let views = views.unwrap_or_else(|| ViewsFile::find(place));
        let (views, follower, following) =
            follow::start(place, views, Arc::clone(reserve), &ledger, Arc::clone(clock))?;
        if let Err(error) = ledger.tail.clean() {
            tracing::warn!(%error, "the ledger's tail cannot be written; it is tried again with the first scan");
        }
        Ok(Opened { ledger, views, follower, following })
    };
    let Some(folder) = place.disk.folder() else { return start(None) };
    ended::refuse_empty(folder)?;
    // Both go through a whole file.
    let (look, views) = thread::scope(|scope| {
        let views = scope.spawn(|| ViewsFile::find(place));
        (overlay::look_at(&ledger::file_in(folder)), views.join())
    });
    let look = look?;
    // Views of a damaged ledger tell how far it went, if nobody has them open.
    let views = views.ok().filter(|_| look.is_sound());
    let unclosed = look == overlay::Look::Unclosed;
    let salvaged = salvage::if_damaged(folder, look, keys, &**clock)?;
    let started = start(views).map_err(|error| match error {
        StoreError::Short { seq } => ended::why_short(folder, seq, unclosed),
        other => other,
    });
    match started {
        // Every page is as it was written, and yet an entry is not: salvage leaves that one out.
        Err(error @ (StoreError::Damaged { .. } | StoreError::Hole { .. })) if salvaged.is_none() => {
            salvage::because_of(folder, keys, &**clock, &error.to_string())?;
            start(None)
        }
        started => started,
    }
}
