//! Reading the settings again while running.
//!
//! Promises: good settings replace the old and the log says which keys changed and which of them
//! wait for a restart; bad ones change nothing and the log says what is wrong. Values are never
//! logged: one of them may be a secret.

use rollcall_config::{ConfigFile, Environment, Key, Loaded, load};
use tracing::{error, info, warn};

use crate::logging::LogControl;

/// Holds the settings in force.
pub(super) struct Reloader {
    file: ConfigFile,
    environment: Environment,
    /// What the gateway started with; what cannot change while running is compared with it.
    started: Loaded,
    /// What the last good read gave.
    loaded: Loaded,
    log: LogControl,
}

impl Reloader {
    pub(super) fn new(file: ConfigFile, environment: Environment, loaded: Loaded, log: LogControl) -> Self {
        Self { file, environment, started: loaded.clone(), loaded, log }
    }

    /// Reads them again.
    pub(super) fn reload(&mut self) {
        let fresh = match load(&self.file, &self.environment) {
            Ok(fresh) => fresh,
            Err(problems) => {
                for problem in problems.iter() {
                    error!(%problem, "bad settings");
                }
                error!(problems = problems.iter().len(), "settings not reloaded: the old ones stay in force");
                return;
            }
        };
        let mut now = self.loaded.changed_keys(&fresh);
        now.retain(|key| applies_at_once(key));
        let mut later = self.started.changed_keys(&fresh);
        later.retain(|key| !applies_at_once(key));
        if !later.is_empty() {
            warn!(keys = names(&later), "these settings take effect after a restart");
        }
        if now.is_empty() {
            info!("settings reloaded: nothing changed that takes effect while running");
        } else {
            info!(changed = names(&now), "settings reloaded");
        }
        // Last, so that the lines above are still heard if the new level is quieter.
        if let Err(error) = self.log.set(fresh.settings.log.level) {
            error!(%error, "the level of the log stays as it was");
        }
        self.loaded = fresh;
    }
}

/// What the contract lets a reload change: certificates, limits, upstream and the log's level.
fn applies_at_once(key: &Key) -> bool {
    let section = key.section();
    matches!(section, "limits" | "log")
        || section.starts_with("upstream.")
        || matches!(key.name(), "tls_cert" | "tls_key" | "client_ca")
}

fn names(keys: &[&Key]) -> String {
    let names: Vec<&str> = keys.iter().map(|key| key.path).collect();
    names.join(", ")
}
