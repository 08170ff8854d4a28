//! `rollcall run`: start, run, reload, stop.
//!
//! Promises: it starts wholly or not at all, and then says why in one line; SIGTERM and SIGINT
//! stop it cleanly, a second SIGINT at once; SIGHUP never makes it worse.
//!
//! Refuses: rules and protocols. They live in their rooms; here they are joined and ended.

mod demo;
mod reload;
mod signals;

use std::io::Write as _;
use std::sync::Arc;

use actix_web::rt::System;
use anyhow::{Context as _, Result, anyhow};
use rollcall_config::{ConfigFile, Environment, Key, Loaded, Problems, load};
use rollcall_domain::ports::Clock;
use tracing::{info, warn};

use self::reload::Reloader;
use self::signals::{Signal, Signals};
use crate::cli::Place;
use crate::clock::RealClock;
use crate::data_folder::DataFolder;
use crate::exit::Exit;
use crate::gateway::{Addresses, Gateway, check_certificates};
use crate::{keys, logging, output};

/// Runs the gateway until it is told to stop.
pub(crate) fn run(place: &Place, environment: Environment) -> Exit {
    ended(try_run(place, environment))
}

/// Runs a gateway with a sample campus until it is told to stop.
pub(crate) fn demo() -> Exit {
    ended(demo::try_demo())
}

fn ended(outcome: Result<()>) -> Exit {
    match outcome {
        Ok(()) => Exit::Done,
        Err(error) => {
            let line = format!("{error:#}").replace('\n', " ");
            output::complain(&format!("rollcall: could not start: {line}"));
            Exit::NotStarted
        }
    }
}

fn try_run(place: &Place, environment: Environment) -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(RealClock::new());
    System::new().block_on(async {
        // Before anything is read or opened: from here on a signal waits until the gateway runs,
        // and then stops or reloads it, however early it came.
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let file = place.config_file();
        let loaded = load(&file, &environment)
            .and_then(Loaded::ready)
            .and_then(|loaded| check_certificates(loaded, Arc::clone(&clock)));
        let loaded = loaded.map_err(|problems| one_line(&file, &problems))?;
        let log = logging::start(loaded.settings.log.level)?;
        let store = &loaded.settings.store;
        let path = place.data_dir.as_ref().unwrap_or(&store.path);
        let folder = DataFolder::open(path, keys::files(store))?;
        announce(&environment, &loaded, &folder);
        let settings = &loaded.settings;
        let gateway = Gateway::start(settings, &environment, folder.path(), Arc::clone(&clock)).await?;
        let Addresses { http, mqtt, mqtt_tls } = gateway.addresses();
        let mqtt_tls = mqtt_tls.map(tracing::field::display);
        info!(%http, %mqtt, mqtt_tls, "rollcall is running; stop it with SIGTERM or Ctrl-C");
        gateway.introduce().await?;
        let mut reloader = Reloader::new((file, environment), loaded, log, gateway.certificates());
        serve(&mut signals, &mut reloader).await;
        let parts = async {
            gateway.stop().await;
            drop(folder);
        };
        stop(&mut signals, parts, clock.as_ref()).await;
        Ok(())
    })
}

/// Settings problems, as the one line that a start may say.
pub(crate) fn one_line(file: &ConfigFile, problems: &Problems) -> anyhow::Error {
    let first = problems.iter().next().map(ToString::to_string).unwrap_or_default();
    let command = match file {
        ConfigFile::IfPresent(_) => "rollcall check-config".to_owned(),
        ConfigFile::Named(path) => format!("rollcall check-config --config {}", path.display()),
    };
    match problems.found() {
        0 | 1 => anyhow!(first),
        several => anyhow!("{first} (and {} more; see them with {command})", several - 1),
    }
}

fn announce(environment: &Environment, loaded: &Loaded, folder: &DataFolder) {
    let mut settings = match &loaded.file {
        Some(path) => {
            std::path::absolute(path).unwrap_or_else(|_no_folder| path.clone()).display().to_string()
        }
        None => "defaults".to_owned(),
    };
    if loaded.uses_environment() {
        settings.push_str(" and the environment");
    }
    for remark in environment.ignored() {
        warn!("{remark}");
    }
    warn_of_idle(loaded);
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
}

/// Names in one line what somebody set although nothing goes by it yet.
fn warn_of_idle(loaded: &Loaded) {
    let idle = loaded.idle_keys();
    if !idle.is_empty() {
        warn!(keys = names(&idle), "these settings are not built yet and change nothing");
    }
}

fn names(keys: &[&Key]) -> String {
    let names: Vec<&str> = keys.iter().map(|key| key.path).collect();
    names.join(", ")
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

/// Waits until every part has ended, unless somebody loses patience: then the process ends here, since a
/// thread that waits for a disk cannot be stopped. What was acknowledged is on disk by then.
async fn stop(signals: &mut Signals, parts: impl Future<Output = ()>, clock: &dyn Clock) {
    tokio::select! {
        () = signals.interrupted() => {
            warn!("rollcall stops at once, without waiting for its parts");
            std::io::stderr().flush().ok();
            std::process::exit(Exit::Done.code().into());
        }
        () = parts => info!(ran_seconds = clock.monotonic().as_secs(), "rollcall has stopped"),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use rustix::process::{Signal as Raw, getpid, kill_process};

    use super::*;

    /// Set for the process that is to be ended.
    const STUCK: &str = "ROLLCALL_TEST_OF_A_STUCK_PART";
    /// Far longer than it takes.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Stops a gateway of which one part waits for a disk that never answers.
    fn stop_what_is_stuck() {
        System::new().block_on(async {
            let mut signals = Signals::listen().unwrap();
            let (begun, waits) = tokio::sync::oneshot::channel();
            let stuck = tokio::task::spawn_blocking(move || {
                begun.send(()).unwrap();
                loop {
                    std::thread::park();
                }
            });
            let parts = async {
                waits.await.unwrap();
                kill_process(getpid(), Raw::INT).unwrap();
                stuck.await.unwrap();
            };
            stop(&mut signals, parts, &RealClock::new()).await;
        });
    }

    #[test]
    fn a_second_ctrl_c_ends_it_at_once_also_while_a_part_waits_for_the_disk() {
        if std::env::var_os(STUCK).is_some() {
            return stop_what_is_stuck();
        }
        let name = "run::tests::a_second_ctrl_c_ends_it_at_once_also_while_a_part_waits_for_the_disk";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name]).env(STUCK, "1").stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let process = rustix::process::Pid::from_child(&child);
        let (sender, ended) = channel();
        let waiting = std::thread::spawn(move || sender.send(child.wait().unwrap()));
        let status = ended.recv_timeout(PATIENCE);
        if status.is_err() {
            kill_process(process, Raw::KILL).unwrap();
        }
        waiting.join().unwrap().ok();
        assert_eq!(status.unwrap().code(), Some(0));
    }
}
