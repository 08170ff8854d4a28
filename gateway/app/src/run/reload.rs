//! Reading the settings again while running.
//!
//! Promises: good settings replace the old and the log says which keys changed and which of them
//! wait for a restart; bad ones change nothing and the log says what is wrong. A file that was
//! read once has to stay: its absence is no way to ask for the defaults. Certificates are read again each time,
//! also if no setting changed, and keep their old ones in force if they are bad. Values are never logged: one of
//! them may be a secret.

use rollcall_config::{Built, ConfigFile, Environment, Key, Loaded, load};
use tracing::{error, info, warn};

use super::names;
use crate::gateway::Certificates;
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
    /// Of the port that speaks TLS, if there is one.
    certificates: Option<Certificates>,
}

impl Reloader {
    pub(super) fn new(
        (file, environment): (ConfigFile, Environment),
        loaded: Loaded,
        log: LogControl,
        certificates: Option<Certificates>,
    ) -> Self {
        let file = must_stay(file, &loaded);
        Self { file, environment, started: loaded.clone(), loaded, log, certificates }
    }

    /// Reads them again.
    pub(super) fn reload(&mut self) {
        let fresh = match load(&self.file, &self.environment).and_then(Loaded::ready) {
            Ok(fresh) => fresh,
            Err(problems) => {
                for problem in problems.iter() {
                    error!(%problem, "bad settings");
                }
                error!(found = problems.count(), "settings not reloaded: the old ones stay in force");
                return;
            }
        };
        let mut now = self.loaded.changed_keys(&fresh);
        now.retain(|key| self.applies_at_once(key));
        let mut later = self.started.changed_keys(&fresh);
        later.retain(|key| key.built == Built::Yes && !self.applies_at_once(key));
        if !later.is_empty() {
            warn!(keys = names(&later), "these settings take effect after a restart");
        }
        super::warn_of_idle(&fresh);
        if now.is_empty() {
            info!("settings reloaded: nothing changed that takes effect while running");
        } else {
            info!(changed = names(&now), "settings reloaded");
        }
        if let Some(certificates) = &self.certificates {
            match certificates.reload(&fresh.settings.mqtt) {
                Ok(()) => info!("certificates reloaded"),
                Err(error) => {
                    error!(%error, "certificates not reloaded: the old ones stay in force");
                }
            }
        }
        // Last, so that the lines above are still heard if the new level is quieter.
        if let Err(error) = self.log.set(fresh.settings.log.level) {
            error!(%error, "the level of the log stays as it was");
        }
        self.file = must_stay(self.file.clone(), &fresh);
        self.loaded = fresh;
    }

    /// What takes effect without a restart today: the log's level, and what a port shows that speaks TLS already.
    fn applies_at_once(&self, key: &Key) -> bool {
        let is_shown = ["mqtt.tls_cert", "mqtt.tls_key", "mqtt.client_ca"].contains(&key.path);
        key.section() == "log" || is_shown && self.certificates.is_some()
    }
}

/// The file to read next time: one that was there must be there again.
fn must_stay(file: ConfigFile, loaded: &Loaded) -> ConfigFile {
    loaded.file.clone().map_or(file, ConfigFile::Named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settings_file_that_vanishes_is_a_bad_reload_and_not_a_return_to_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollcall.toml");
        let file = ConfigFile::IfPresent(path.clone());
        let environment = Environment::default();
        let log = crate::logging::start(rollcall_config::settings::LogLevel::Error).unwrap();
        let loaded = load(&file, &environment).unwrap();
        let mut reloader = Reloader::new((file, environment), loaded, log, None);
        std::fs::write(&path, "campus.name = \"North\"\n").unwrap();
        reloader.reload();
        assert_eq!(reloader.loaded.settings.campus.name, "North");
        std::fs::remove_file(&path).unwrap();
        reloader.reload();
        assert_eq!(reloader.loaded.settings.campus.name, "North");
    }
}
