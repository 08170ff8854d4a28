//! The thread that brings committed entries into the views.
//!
//! Promises: entries arrive in order; when the views are far behind, the writer waits for them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rollcall_domain::event::Entry;

use crate::error::StoreError;
use crate::views::Views;

/// Batches that may wait; each is one commit.
const BATCHES: usize = 1024;

/// Takes the entries of each commit.
pub(crate) struct Follower(SyncSender<Vec<Entry>>);

impl Follower {
    /// Hands a commit over; waits if the views are far behind. The views end only after the writer.
    pub(crate) fn follow(&self, entries: Vec<Entry>) {
        if self.0.send(entries).is_err() {
            tracing::error!("the views have stopped following the ledger; restart the gateway");
        }
    }
}

pub(crate) fn start(views: Views) -> Result<(Follower, JoinHandle<()>), StoreError> {
    let (sender, receiver) = sync_channel(BATCHES);
    let run = move || follow(&views, &receiver);
    let thread = std::thread::Builder::new().name("views".to_owned()).spawn(run);
    Ok((Follower(sender), thread.map_err(StoreError::Thread)?))
}

fn follow(views: &Views, receiver: &Receiver<Vec<Entry>>) {
    while let Ok(mut entries) = receiver.recv() {
        entries.extend(receiver.try_iter().flatten());
        views.apply(&entries);
    }
}
