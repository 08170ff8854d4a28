//! What is sent to the portal, joined to the ledger.
//!
//! Promises: nothing is sent unless a portal is configured; a stop is done within a second.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rollcall_config::Settings;
use rollcall_config::settings::PortalMode;
use rollcall_domain::ids::Name;
use rollcall_domain::percentage::{Percent, Target};
use rollcall_domain::ports::{Clock, HealthSource};
use rollcall_store::Store;
use rollcall_upstream::{Backoff, Campus, PortalSettings, Sender, Status};
use tokio::sync::watch;
use tokio::task::JoinHandle;

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
    /// The settings do not lead to a portal.
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
        let ended = actix_web::rt::spawn(rollcall_upstream::run(sender, stopped));
        Ok(Some(Portal { stop, ended, status }))
    }

    pub(crate) fn health(&self) -> Arc<dyn HealthSource> {
        Arc::new(PortalHealth(self.status.clone()))
    }

    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.ended.await {
            tracing::error!(%error, "the sender to the portal did not end in order");
        }
    }
}
