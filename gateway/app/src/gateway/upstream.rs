//! What is sent to the portal, joined to the ledger.
//!
//! Promises: nothing is sent unless a portal is configured; the sender has a thread of its own, since it reads
//! the disk and nobody is to wait for that; it stops once its read under way has ended, within a second unless
//! the disk hangs.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rollcall_config::Settings;
use rollcall_config::settings::PortalMode;
use rollcall_domain::ids::Name;
use rollcall_domain::percentage::{Percent, Target};
use rollcall_domain::ports::{Clock, HealthSource};
use rollcall_store::Store;
use rollcall_upstream::{Backoff, Campus, PortalSettings, Sender, Status};
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;

use super::health::PortalHealth;
use super::random;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The running sender.
pub(crate) struct Portal {
    stop: watch::Sender<bool>,
    ended: JoinHandle<()>,
    status: watch::Receiver<Status>,
}

impl Portal {
    /// Starts sending, if a portal is configured.
    ///
    /// # Errors
    /// The settings do not lead to a portal, or its thread cannot be started.
    pub(crate) fn start(
        settings: &Settings,
        store: &Arc<Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>> {
        let portal = &settings.upstream.portal;
        let Some(url) = &portal.url else { return Ok(None) };
        if portal.mode == PortalMode::Batch {
            tracing::warn!("sending to the portal in batches is not built yet; records are sent one by one");
        }
        let to = rollcall_upstream::Portal::new(&PortalSettings {
            url: url.reveal().clone(),
            token: portal.token.as_ref().map(|token| token.reveal().to_owned()),
            timeout: Duration::from_secs(portal.timeout_seconds.into()),
        })
        .context("cannot send to the portal")?;
        let mut seed = [0; 8];
        random::fill(&mut seed)?;
        let backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, u64::from_le_bytes(seed));
        let policy = settings.policy();
        let target = Target {
            basis: policy.basis,
            planned_sessions: policy.planned_sessions,
            threshold: Percent::from_centi(policy.threshold_centi),
        };
        let campus = Campus { zone: settings.campus.timezone.clone(), target };
        let name = Name::parse("portal").context("the portal's name")?;
        let sender = Sender::new(Arc::clone(store), clock, campus, (name, to), backoff, portal.backfill);
        let status = sender.status();
        let (stop, stopped) = watch::channel(false);
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot prepare the thread of the portal")?;
        let serve = move || serve(runtime, sender, stopped);
        let ended = thread::Builder::new().name("portal".to_owned()).spawn(serve);
        let ended = ended.context("cannot start the thread of the portal")?;
        Ok(Some(Portal { stop, ended, status }))
    }

    pub(crate) fn health(&self) -> Arc<dyn HealthSource> {
        Arc::new(PortalHealth(self.status.clone()))
    }

    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        let joined = tokio::task::spawn_blocking(move || self.ended.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the sender to the portal did not end in order; please report this");
        }
    }
}

fn serve(runtime: Runtime, sender: Sender, stopped: watch::Receiver<bool>) {
    runtime.block_on(rollcall_upstream::run(sender, stopped));
    // Looking up the portal's name cannot be cut short, and nobody is to wait for it.
    runtime.shutdown_background();
}

#[cfg(test)]
mod tests {
    use actix_web::rt::System;
    use rollcall_config::{Environment, Source, load_source};
    use rollcall_store::RootKey;

    use super::*;
    use crate::clock::RealClock;

    #[test]
    fn the_sender_goes_on_while_the_thread_that_started_it_is_busy() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"[upstream.portal]\nurl = \"http://127.0.0.1:9/\"\n".to_vec();
        let loaded = load_source(&Source::new("test".as_ref(), text), &Environment::default()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(RealClock::new());
        let key = RootKey::new([7; RootKey::BYTES]);
        let store = Store::open(folder.path(), key, Arc::clone(&clock), Box::new(|_| {}));
        let store = Arc::new(store.unwrap());
        System::new().block_on(async {
            let before = store.last();
            let portal = Portal::start(&loaded.settings, &store, Arc::clone(&clock)).unwrap().unwrap();
            // The first thing that a sender does is to note in the ledger where it begins.
            let begun = clock.monotonic();
            while store.last() == before && clock.monotonic() - begun < Duration::from_secs(20) {
                thread::yield_now();
            }
            assert_ne!(store.last(), before);
            portal.stop().await;
        });
    }
}
