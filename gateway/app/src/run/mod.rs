//! `rollcall run`: start, run, reload, stop.
//!
//! Promises: it starts wholly or not at all, and then says why in one line; SIGTERM and SIGINT
//! stop it cleanly, a second SIGINT at once; SIGHUP never makes it worse.
//!
//! Refuses: rules and protocols. They live in their rooms; here they are joined and ended.

mod reload;
mod signals;

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use rollcall_config::{ConfigFile, Environment, Loaded, Problems, load};
use rollcall_domain::ports::Clock;
use tracing::{info, warn};

use self::reload::Reloader;
use self::signals::{Signal, Signals};
use crate::cli::Place;
use crate::clock::RealClock;
use crate::data_folder::DataFolder;
use crate::exit::Exit;
use crate::{logging, output};

/// Runs the gateway until it is told to stop.
pub(crate) fn run(place: &Place, environment: Environment) -> Exit {
    match try_run(place, environment) {
        Ok(()) => Exit::Done,
        Err(error) => {
            let line = format!("{error:#}").replace('\n', " ");
            output::complain(&format!("rollcall: could not start: {line}"));
            Exit::NotStarted
        }
    }
}

fn try_run(place: &Place, environment: Environment) -> Result<()> {
    let clock = RealClock::new();
    let file = place.config_file();
    let loaded = load(&file, &environment).map_err(|problems| one_line(&file, &problems))?;
    let log = logging::start(loaded.settings.log.level)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        // Before the folder is opened: from here on a signal stops cleanly, however early it comes.
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let path = place.data_dir.clone().unwrap_or_else(|| loaded.settings.store.path.clone());
        let folder = DataFolder::open(&path)?;
        announce(&file, &loaded, &folder);
        let mut reloader = Reloader::new(file, environment, loaded, log);
        serve(&mut signals, &mut reloader).await;
        stop(&mut signals, folder, &clock).await;
        Ok(())
    })
}

/// Settings problems, as the one line that a start may say.
fn one_line(file: &ConfigFile, problems: &Problems) -> anyhow::Error {
    let first = problems.iter().next().map(ToString::to_string).unwrap_or_default();
    let command = match file {
        ConfigFile::Standard => "rollcall check-config".to_owned(),
        ConfigFile::Named(path) => format!("rollcall check-config --config {}", path.display()),
    };
    match problems.iter().len() {
        0 | 1 => anyhow!(first),
        several => anyhow!("{first} (and {} more; see them with {command})", several - 1),
    }
}

fn announce(file: &ConfigFile, loaded: &Loaded, folder: &DataFolder) {
    let settings = match file {
        ConfigFile::Standard => PathBuf::from(rollcall_config::STANDARD_FILE),
        ConfigFile::Named(path) => path.clone(),
    };
    let settings = if settings.exists() { settings.display().to_string() } else { "defaults".to_owned() };
    info!(
        version = env!("CARGO_PKG_VERSION"),
        data = %folder.path().display(),
        settings,
        process = std::process::id(),
        "rollcall starts"
    );
    if folder.created() {
        info!(data = %folder.path().display(), "made the data folder, for this user alone");
    }
    if folder.open_to_others() {
        warn!(data = %folder.path().display(), "other users may look into the data folder; run chmod 700 on it");
    }
    warn!(
        http = %loaded.settings.http.listen,
        mqtt = %loaded.settings.mqtt.listen,
        "this build has no listeners yet: nothing answers on these addresses; docs/features.md says what works"
    );
    info!("rollcall is running; stop it with SIGTERM or Ctrl-C");
}

/// Runs until a signal says to stop.
async fn serve(signals: &mut Signals, reloader: &mut Reloader) {
    loop {
        match signals.next().await {
            Signal::Reload => reloader.reload(),
            Signal::Stop(name) => {
                info!(signal = name, "rollcall stops");
                return;
            }
        }
    }
}

/// Ends every part, unless somebody loses patience.
async fn stop(signals: &mut Signals, folder: DataFolder, clock: &impl Clock) {
    let parts = async {
        // Nothing is running yet but the lock on the folder.
        drop(folder);
    };
    tokio::select! {
        biased;
        () = signals.interrupted() => warn!("rollcall stops at once, without waiting for its parts"),
        () = parts => info!(ran_seconds = clock.monotonic().as_secs(), "rollcall has stopped"),
    }
}
