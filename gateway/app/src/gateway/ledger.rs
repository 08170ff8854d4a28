//! Appending from the wiring itself: the first account, the sample campus.
//!
//! Promises: returns when what was written is on disk and can be read.

use anyhow::{Result, bail};
use rollcall_domain::event::NewEvent;
use rollcall_domain::ports::{Health, HealthSource as _};
use rollcall_store::{Append, Appended, Credential, Store};
use tokio::sync::oneshot;

/// Writes all of it in one transaction.
pub(crate) async fn write(store: &Store, events: Vec<NewEvent>, credentials: Vec<Credential>) -> Result<()> {
    let (sender, receiver) = oneshot::channel();
    let append = Append::new(events, move |appended| drop(sender.send(appended)));
    if store.append(Append { credentials, ..append }).is_err() {
        bail!("the ledger takes nothing now");
    }
    match receiver.await {
        Ok(Appended::Committed(entries)) => {
            let last = entries.last().map(|last| last.seq).unwrap_or_default();
            if store.views().wait_for(last).await.is_err() {
                bail!("it is on disk and cannot be read yet: start again once there is room on the disk");
            }
            Ok(())
        }
        _ => match store.health() {
            Health::Down { reason } => bail!("the ledger cannot be written: {reason}"),
            _ => bail!("the ledger cannot be written; check the disk"),
        },
    }
}
