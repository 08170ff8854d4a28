//! The thread that brings committed entries into the views.
//!
//! Promises: entries arrive in order, and those of one commit at once; when the views are far behind, the
//! writer waits for them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rollcall_domain::event::Entry;

use crate::error::StoreError;
use crate::views::Views;

/// Commits that may wait.
const COMMITS: usize = 1024;

enum Step {
    Commit(Vec<Entry>),
    /// Everything before this is in the views.
    Reached(SyncSender<()>),
}

/// Takes the entries of each commit.
pub(crate) struct Follower(SyncSender<Step>);

impl Follower {
    /// Hands a commit over; waits if the views are far behind. The views end only after the writer.
    pub(crate) fn follow(&self, entries: Vec<Entry>) {
        if self.0.send(Step::Commit(entries)).is_err() {
            tracing::error!(error = %StoreError::Views, "the views are behind");
        }
    }

    /// Returns once everything that was handed over is in the views.
    pub(crate) fn caught_up(&self) -> Result<(), StoreError> {
        let (told, reached) = sync_channel(1);
        self.0.send(Step::Reached(told)).map_err(|_ended| StoreError::Views)?;
        reached.recv().map_err(|_ended| StoreError::Views)
    }
}

pub(crate) fn start(views: Views) -> Result<(Follower, JoinHandle<()>), StoreError> {
    let (sender, receiver) = sync_channel(COMMITS);
    let run = move || follow(&views, receiver);
    let thread = std::thread::Builder::new().name("views".to_owned()).spawn(run);
    Ok((Follower(sender), thread.map_err(StoreError::Thread)?))
}

/// One commit at a time, so that whoever reads never waits for more than one.
fn follow(views: &Views, receiver: Receiver<Step>) {
    for step in receiver {
        match step {
            Step::Commit(entries) => views.apply(&entries),
            // The writer waits for it; if it has gone, nobody does.
            Step::Reached(told) => drop(told.send(())),
        }
    }
}
