//! Where log lines go.
//!
//! Promises: pretty lines on a terminal, the journal when systemd connected us to it, JSON
//! otherwise; the level can be changed while running; a log that cannot be written stops nothing; who has
//! no business here cannot fill it.
//!
//! Refuses: log lines on standard output, which belongs to what a command was asked for.

use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result};
use rollcall_config::settings::LogLevel;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, reload};

/// Changes the level of the log that is running.
pub(crate) struct LogControl(reload::Handle<Targets, Registry>);

type BoxedLayer = Box<
    dyn Layer<tracing_subscriber::layer::Layered<reload::Layer<Targets, Registry>, Registry>> + Send + Sync,
>;

/// Starts the log of the whole process.
///
/// # Errors
/// It was started before.
pub(crate) fn start(level: LogLevel) -> Result<LogControl> {
    let (filter, handle) = reload::Layer::new(filter_of(level));
    tracing_subscriber::registry().with(filter).with(writer()).try_init().context("cannot start the log")?;
    Ok(LogControl(handle))
}

impl LogControl {
    /// Logs from this level on.
    ///
    /// # Errors
    /// The log is gone.
    pub(crate) fn set(&self, level: LogLevel) -> Result<()> {
        self.0.reload(filter_of(level)).context("cannot change the level of the log")
    }
}

fn writer() -> BoxedLayer {
    if std::io::stderr().is_terminal() {
        return tracing_subscriber::fmt::layer()
            .with_target(false)
            .with_writer(std::io::stderr)
            .log_internal_errors(false)
            .boxed();
    }
    if stderr_is_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        return journal.boxed();
    }
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .boxed()
}

/// Whether standard error leads to the journal. `JOURNAL_STREAM` alone does not tell: it is also
/// inherited by processes whose output was sent elsewhere, so it names device and inode.
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(about) = std::fs::metadata("/dev/stderr") else { return false };
    stream == format!("{}:{}", about.dev(), about.ino())
}

/// Lines of the HTTP library itself are about what strangers sent it; anybody on the network could fill the
/// log with them, and the metrics count the answers. What its server says of its own start tells nobody
/// anything, and would push the first password out of sight.
fn filter_of(level: LogLevel) -> Targets {
    let level = level_of(level);
    let all = level >= LevelFilter::DEBUG;
    let stranger = if all { level } else { LevelFilter::OFF };
    let server = if all { level } else { level.min(LevelFilter::WARN) };
    Targets::new().with_default(level).with_target("actix_http", stranger).with_target("actix_server", server)
}

fn level_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
