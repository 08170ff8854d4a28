//! What the API is given by whoever wires the gateway, and what every request reaches.
//!
//! Promises: cheap to clone, one per process; nothing here reads a clock or a file at a request's pace.
//!
//! Refuses: settings of its own. [`Options`] is what it needs of the gateway's.

use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use actix_web::web;
use ipnet::IpNet;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use rollcall_actors::{Command, Watch};
use rollcall_config::Settings;
use rollcall_domain::code::Pseudonyms;
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::{Moment, minutes};
use rollcall_domain::ports::{Clock, HealthSource};
use rollcall_store::{Register, Store, StoreError};
use tokio::sync::watch;

use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::sign_in::passwords::Passwords;
use crate::sign_in::tokens::Tokens;

/// How often a watching screen is asked whether it is still there, as the contract has it.
const PING: Duration = Duration::from_secs(20);
/// The largest body takes a phone in a bad place a few seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What of the settings HTTP goes by.
#[derive(Debug, Clone)]
pub struct Options {
    pub campus: String,
    pub zone: TimeZone,
    /// How long an access token lasts.
    pub access: SignedDuration,
    /// People reach the pages over TLS, so cookies may insist on it.
    pub tls: bool,
    /// Origins besides the one a page was reached by, such as `https://rollcall.example`.
    pub origins: Vec<String>,
    /// Who may read the metrics; empty: whoever asks. `None`: they are switched off.
    pub metrics: Option<Vec<IpNet>>,
    /// The pace of pings; a screen that has not answered three of them is gone.
    pub ping: Duration,
    /// How long a request may take, its body included.
    pub patience: Duration,
    pub version: &'static str,
}

impl Options {
    pub fn of(settings: &Settings, version: &'static str) -> Self {
        let public = settings.http.public_url.as_ref();
        let origins = settings.http.allowed_origins.iter().cloned();
        Options {
            campus: settings.campus.name.clone(),
            zone: settings.campus.timezone.clone(),
            access: minutes(settings.auth.access_minutes),
            tls: settings.http.tls_cert.is_some() || public.is_some_and(|url| url.scheme() == "https"),
            origins: origins.chain(public.map(|url| url.origin().ascii_serialization())).collect(),
            metrics: settings.metrics.enabled.then(|| settings.metrics.allowed_networks.clone()),
            ping: PING,
            patience: PATIENCE,
            version,
        }
    }
}

/// What the API is joined to.
pub struct Handles {
    pub store: Arc<Store>,
    pub commands: Recipient<Command>,
    pub watches: Recipient<Watch>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
    pub pseudonyms: Pseudonyms,
    /// Signs access tokens. Another key, and everyone signs in anew.
    pub token_key: [u8; 32],
    /// Parts of the gateway that `/readyz` and `/api/status` ask how they are.
    pub parts: Vec<Arc<dyn HealthSource>>,
    pub options: Options,
}

/// The API; clones share everything.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    handles: Handles,
    tokens: Tokens,
    passwords: Passwords,
    stopping: watch::Sender<bool>,
}

impl Api {
    /// # Errors
    /// Tokens cannot be signed on this machine.
    pub fn new(handles: Handles) -> Result<Self, ApiError> {
        let tokens = Tokens::new(&handles.token_key, handles.options.access)?;
        let passwords = Passwords::new();
        handles.metrics.version(handles.options.version);
        Ok(Api(Arc::new(Inner { handles, tokens, passwords, stopping: watch::Sender::new(false) })))
    }

    /// Sends every watching screen away; they come back when there is a gateway again.
    pub fn stop(&self) {
        self.0.stopping.send_replace(true);
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stopping.subscribe()
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.0.handles.store
    }

    pub fn options(&self) -> &Options {
        &self.0.handles.options
    }

    pub fn metrics(&self) -> &Metrics {
        &self.0.handles.metrics
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.handles.clock
    }

    pub fn now(&self) -> Moment {
        self.0.handles.clock.now()
    }

    pub(crate) fn pseudonyms(&self) -> &Pseudonyms {
        &self.0.handles.pseudonyms
    }

    pub(crate) fn parts(&self) -> &[Arc<dyn HealthSource>] {
        &self.0.handles.parts
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// Has a command carried out; returns when what it did can be read.
    ///
    /// # Errors
    /// A rule refuses it, it could not be written, or it was and cannot be read yet.
    pub async fn command(&self, command: Command) -> Result<Option<Seq>, Problem> {
        let answer = self.0.handles.commands.send(command).await;
        let written = answer.map_err(|_mailbox| Problem::new("busy", "try again in a moment"))??;
        match written {
            Some(seq) if self.store().views().wait_for(seq).await.is_err() => Err(Problem::new(
                "storage_unavailable",
                "it is written, and cannot be shown yet: look again in a moment",
            )),
            _ => Ok(written),
        }
    }

    pub(crate) async fn watch(&self, watch: Watch) -> Result<(), Problem> {
        let answer = self.0.handles.watches.send(watch).await;
        Ok(answer.map_err(|_mailbox| Problem::new("busy", "try again in a moment"))??)
    }

    /// Reads the register where waiting for the disk holds up nobody.
    ///
    /// # Errors
    /// The register cannot be read.
    pub async fn register<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Register) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let register = self.store().register();
        let looked = web::block(move || look(&register)).await;
        Ok(looked.map_err(|_stopping| Problem::new("busy", "the gateway is stopping"))??)
    }
}
