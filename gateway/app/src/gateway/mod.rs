//! The gateway's parts, joined.
//!
//! Promises: everything is started, or the start fails and the process is to end, but for the socket of
//! commands, which not every file system has; [`Gateway::stop`] ends
//! the ways in first, then what is sent out, then the store: when it returns, what was queued is on disk and
//! the files are closed, whoever still holds on to the store. A command that a disk keeps from ending holds
//! it up for seconds and no longer.
//!
//! Refuses: rules, and anything that a room could do itself.

mod certificates;
mod first_admin;
mod flow;
mod health;
mod http;
mod known;
mod ledger;
mod listen;
mod mqtt;
mod open_files;
mod random;
mod upgrade;
mod upstream;
mod websocket;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rollcall_actors::Supervisor;
use rollcall_api::{Api, Handles, Metrics, Options};
use rollcall_config::{Environment, Secret, Settings};
use rollcall_domain::code::Pseudonyms;
use rollcall_domain::event::NewEvent;
use rollcall_domain::ids::{DeviceId, UserId};
use rollcall_domain::ports::{Clock, HealthSource, ScanResult};
use rollcall_domain::scan::Outcome;
use rollcall_store::evidence::Limits;
use rollcall_store::{Commit, Credential, Place, Store};

use self::http::Http;
use self::mqtt::Mqtt;
use self::upstream::Portal;
use crate::allocator::keep_giving_back;
use crate::control::Control;
use crate::data::clear_scratch;
use crate::keys;

pub(crate) use self::certificates::{Certificates, check as check_certificates};
pub(crate) use self::random::{device_secret as new_secret, password as new_password};

/// What a sample campus is made of.
pub(crate) struct Seed<'a> {
    pub(crate) events: Vec<NewEvent>,
    pub(crate) passwords: &'a [(UserId, &'a String)],
    pub(crate) secrets: &'a [(DeviceId, String)],
}

/// A running gateway.
pub(crate) struct Gateway {
    store: Arc<Store>,
    http: Http,
    mqtt: Mqtt,
    portal: Option<Portal>,
    /// Absent where the file system has no sockets.
    control: Option<Control>,
    /// The first account is still to be made, with its password shown on the terminal.
    introduces: bool,
}

/// Where a running gateway is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) mqtt: SocketAddr,
    pub(crate) mqtt_tls: Option<SocketAddr>,
}

impl Gateway {
    /// Starts every part, on the current actix system.
    ///
    /// # Errors
    /// A part could not be started.
    pub(crate) async fn start(
        settings: &Settings,
        environment: &Environment,
        data: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        open_files::allow_many();
        upgrade::undo_unfinished(&settings.store, data, clock.as_ref())?;
        let found = keys::load(
            settings.store.key_file.as_deref(),
            keys::credentials().as_deref(),
            data,
            random::fill,
        )?;
        let ring = keys::ring(&settings.store, found.root())?;
        let metrics = Metrics::new().context("cannot set up the metrics")?;
        let counted = metrics.clone();
        let on_commit = move |Commit { entries, took, last }| counted.committed(entries, took, last.0);
        let place = Place::from(data).keeping_free(settings.store.min_free_bytes);
        let store = Arc::new(Store::open(place, ring, Arc::clone(&clock), Box::new(on_commit))?);
        let keys = found.settle()?;
        upgrade::remark_replaced(&settings.store, &store);
        store.evidence().set_limits(limits(settings));
        let given = environment.admin_password.as_ref().map(Secret::reveal);
        let introduces = first_admin::ensure(&store, &store.pseudonyms(), data, given).await?;
        let counted = metrics.clone();
        let on_answer = move |result: &ScanResult| counted.scan("device", outcome(result));
        let (supervisor, intake) = Supervisor::launch(
            Arc::clone(&store),
            Arc::clone(&clock),
            settings.policy(),
            store.pseudonyms(),
            Box::new(on_answer),
        );
        let intake = Arc::new(intake);
        let mqtt = Mqtt::start(settings, &store, intake.clone(), Arc::clone(&clock), metrics.clone()).await?;
        let portal = Portal::start(settings, &store, Arc::clone(&clock))?;
        let mut parts: Vec<Arc<dyn HealthSource>> = vec![intake, mqtt.health()];
        parts.extend(portal.as_ref().map(Portal::health));
        let api = Api::new(Handles {
            store: Arc::clone(&store),
            commands: supervisor.clone().recipient(),
            watches: supervisor.recipient(),
            clock: Arc::clone(&clock),
            metrics,
            pseudonyms: store.pseudonyms(),
            token_key: keys.tokens(),
            parts,
            options: Options::of(settings, env!("CARGO_PKG_VERSION")),
        })
        .context("cannot start the API")?;
        let http = Http::start(api, mqtt.sockets.clone(), settings.http.listen)?;
        let control = start_control(data, &store, clock);
        keep_giving_back();
        Ok(Gateway { store, http, mqtt, portal, control, introduces })
    }

    pub(crate) fn addresses(&self) -> Addresses {
        Addresses { http: self.http.address, mqtt: self.mqtt.address, mqtt_tls: self.mqtt.tls_address }
    }

    /// What it shows to terminals that speak TLS.
    pub(crate) fn certificates(&self) -> Option<Certificates> {
        self.mqtt.certificates.clone()
    }

    /// Makes the first account, if that waits for everything else to be said.
    ///
    /// # Errors
    /// The terminal or the ledger cannot be written.
    pub(crate) async fn introduce(&self) -> Result<()> {
        if self.introduces {
            first_admin::introduce(&self.store, &self.pseudonyms(), self.http.address).await?;
        }
        Ok(())
    }

    pub(crate) fn pseudonyms(&self) -> Pseudonyms {
        self.store.pseudonyms()
    }

    /// Writes a sample campus, with its passwords and its devices' secrets.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub(crate) async fn seed(&self, seed: Seed<'_>) -> Result<()> {
        let Seed { mut events, passwords, secrets } = seed;
        let mut credentials = Vec::new();
        for (user, password) in passwords {
            let (set, hashed) = first_admin::with_password(*user, password)?;
            events.extend(set);
            credentials.extend(hashed);
        }
        for (device, secret) in secrets {
            let hash = self.store.secrets().device(secret.as_bytes());
            credentials.push(Credential::DeviceSecret { device: device.clone(), hash });
        }
        ledger::write(&self.store, events, credentials).await
    }

    /// Ends every part, finishing what was acknowledged.
    pub(crate) async fn stop(self) {
        if let Some(control) = &self.control {
            control.begin_stop();
        }
        self.mqtt.stop().await;
        self.http.stop().await;
        if let Some(portal) = self.portal {
            portal.stop().await;
        }
        // They read the store, and have had time to end meanwhile.
        if let Some(control) = self.control
            && let Err(error) = tokio::task::spawn_blocking(|| control.end()).await
        {
            tracing::error!(%error, "the control socket did not close in order");
        }
        // Waits for the disk, so not on this thread: somebody may lose patience meanwhile.
        let store = self.store;
        if let Err(error) = tokio::task::spawn_blocking(move || store.close()).await {
            tracing::error!(%error, "the store did not close in order");
        }
    }
}

/// The socket for commands on this box. A campus is not to stand still for want of it.
fn start_control(data: &Path, store: &Arc<Store>, clock: Arc<dyn Clock>) -> Option<Control> {
    clear_scratch(data);
    match Control::start(data.to_owned(), Arc::clone(store), clock) {
        Ok(control) => Some(control),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(
                error,
                "commands such as rollcall backup cannot reach this gateway; stop it for them"
            );
            None
        }
    }
}

/// How much evidence is kept, and for how long.
fn limits(settings: &Settings) -> Limits {
    Limits {
        days: settings.retention.evidence_days,
        max_bytes: settings.retention.evidence_max_bytes,
        keep_pictures: settings.retention.keep_pictures,
    }
}

/// What became of a scan, as a label.
fn outcome(result: &ScanResult) -> &'static str {
    match result.outcome {
        _ if result.replayed => "replayed",
        Outcome::Present | Outcome::Late { .. } | Outcome::Out | Outcome::LeftEarly => "accepted",
        Outcome::Duplicate { .. } => "duplicate",
        Outcome::Unmatched(reason) => reason.code(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use actix_web::rt::System;
    use rollcall_config::{Source, load_source};
    use rollcall_store::RootKey;

    use super::*;
    use crate::clock::RealClock;

    async fn start(folder: &Path, mqtt: SocketAddr) -> Result<Gateway> {
        let key = folder.join("key");
        crate::private_file::write(&key, &[7; RootKey::BYTES]).unwrap();
        let text = format!(
            "[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nlisten = \"{mqtt}\"\n[store]\nkey_file = \"{}\"\n",
            key.display()
        );
        let mut environment = Environment::default();
        environment.admin_password = Some(Secret::new("a password for a test".to_owned()));
        let loaded = load_source(&Source::new("test".as_ref(), text.into_bytes()), &environment).unwrap();
        Gateway::start(&loaded.settings, &environment, folder, Arc::new(RealClock::new())).await
    }

    #[test]
    fn when_it_has_stopped_everything_is_on_disk_and_the_files_are_closed() {
        let folder = tempfile::tempdir().unwrap();
        System::new().block_on(async {
            let gateway = start(folder.path(), ([127, 0, 0, 1], 0).into()).await.unwrap();
            let held = Arc::clone(&gateway.store);
            let last = held.last();
            gateway.stop().await;
            let root = RootKey::new([7; RootKey::BYTES]);
            let store =
                Store::open(folder.path(), root, Arc::new(RealClock::new()), Box::new(|_| {})).unwrap();
            assert_eq!(store.last(), last);
            assert!(!held.is_up());
        });
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = taken.local_addr().unwrap();
        System::new().block_on(async {
            let Err(error) = start(folder.path(), address).await else { panic!("started on a taken port") };
            let said = format!("{error:#}");
            assert!(said.contains(&address.to_string()), "{said}");
            assert!(said.contains("another program listens there") && !said.contains("os error"), "{said}");
        });
    }
}
