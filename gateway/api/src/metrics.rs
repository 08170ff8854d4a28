//! What the gateway counts.
//!
//! Promises: names and labels are those of the documented contract; the values of a label are few, so that
//! nobody outside can make them grow without end.
//!
//! Refuses: the global registry. This one is handed to the rooms that feed it, by `gateway/app`.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::error::ApiError;

/// From a lone commit on a fast disk to a queue that somebody should look at.
const FAST: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// From one to the largest batch that the writer takes.
const BATCHES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];

/// Every measure; clones feed the same ones.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    scans: IntCounterVec,
    scan_ack: Histogram,
    commit: Histogram,
    commit_batch: Histogram,
    ingest_queue: IntGauge,
    store_up: IntGauge,
    views_lag: IntGauge,
    mqtt_connections: IntGauge,
    mqtt_refused: IntCounterVec,
    mqtt_publishes: IntCounterVec,
    ws_clients: IntGauge,
    ws_dropped: IntCounter,
    ledger_seq: IntGauge,
    sessions_live: IntGauge,
    http_requests: IntCounterVec,
    http_seconds: HistogramVec,
    login_failures: IntCounter,
    build: IntGaugeVec,
}

impl Metrics {
    /// # Errors
    /// Two measures have one name.
    pub fn new() -> Result<Self, ApiError> {
        let registry = Registry::new_custom(Some("rollcall".to_owned()), None)?;
        let r = &registry;
        let metrics = Metrics {
            scans: counters(r, "scans_total", "Scans by source and outcome", &["source", "outcome"])?,
            scan_ack: histogram(r, "scan_ack_seconds", "From receiving a scan to acknowledging it", FAST)?,
            commit: histogram(r, "commit_seconds", "Time of a commit of the ledger", FAST)?,
            commit_batch: histogram(r, "commit_batch_size", "Events in one commit", BATCHES)?,
            ingest_queue: gauge(r, "ingest_queue", "Appends that wait to be written")?,
            store_up: gauge(r, "store_up", "1 if the last commit succeeded")?,
            views_lag: gauge(r, "views_lag_events", "Events that the views have not seen yet")?,
            mqtt_connections: gauge(r, "mqtt_connections", "MQTT clients that are connected")?,
            mqtt_refused: counters(r, "mqtt_refused_total", "What the MQTT front door refused", &["reason"])?,
            mqtt_publishes: counters(r, "mqtt_publishes_total", "Messages received over MQTT", &["qos"])?,
            ws_clients: gauge(r, "ws_clients", "Screens that watch")?,
            ws_dropped: counter(r, "ws_dropped_total", "Screens that could not keep up")?,
            ledger_seq: gauge(r, "ledger_seq", "The last sequence of the ledger")?,
            sessions_live: gauge(r, "sessions_live", "Sessions that are open")?,
            http_requests: counters(r, "http_requests_total", "Requests", &["route", "method", "status"])?,
            http_seconds: {
                let options = HistogramOpts::new("http_request_seconds", "Time of a request");
                let vec = HistogramVec::new(options.buckets(FAST.to_vec()), &["route"])?;
                registered(r, vec)?
            },
            login_failures: counter(r, "login_failures_total", "Sign-ins that failed")?,
            build: {
                let vec = IntGaugeVec::new(Opts::new("build_info", "The version that runs"), &["version"])?;
                registered(r, vec)?
            },
            registry,
        };
        metrics.store_up.set(1);
        Ok(metrics)
    }

    /// A scan was decided and is on disk, or was refused.
    pub fn scan(&self, source: &str, outcome: &str) {
        self.scans.with_label_values(&[source, outcome]).inc();
    }

    /// An upload of scans was acknowledged, `took` after it was received.
    pub fn acknowledged(&self, took: Duration) {
        self.scan_ack.observe(took.as_secs_f64());
    }

    /// The ledger was written up to `last`.
    pub fn committed(&self, entries: usize, took: Duration, last: u64) {
        self.commit.observe(took.as_secs_f64());
        self.commit_batch.observe(f64::from(u32::try_from(entries).unwrap_or(u32::MAX)));
        self.ledger_seq.set(whole(last));
    }

    /// How the store is; the API asks it whenever somebody reads the metrics.
    pub fn store(&self, up: bool, queued: usize, last: u64, seen: u64) {
        self.store_up.set(i64::from(up));
        self.ingest_queue.set(whole(u64::try_from(queued).unwrap_or(u64::MAX)));
        let last = last.max(seen);
        let written = u64::try_from(self.ledger_seq.get()).unwrap_or_default().max(last);
        self.ledger_seq.set(whole(written));
        self.views_lag.set(whole(written.saturating_sub(seen)));
    }

    pub fn sessions_live(&self, open: usize) {
        self.sessions_live.set(whole(u64::try_from(open).unwrap_or(u64::MAX)));
    }

    pub fn mqtt_connections(&self, open: usize) {
        self.mqtt_connections.set(whole(u64::try_from(open).unwrap_or(u64::MAX)));
    }

    pub fn mqtt_refused(&self, reason: &str) {
        self.mqtt_refused.with_label_values(&[reason]).inc();
    }

    pub fn mqtt_published(&self, qos: u8) {
        self.mqtt_publishes
            .with_label_values(&[match qos {
                0 => "0",
                1 => "1",
                _ => "2",
            }])
            .inc();
    }

    pub(crate) fn screen_came(&self) {
        self.ws_clients.inc();
    }

    pub(crate) fn screen_left(&self) {
        self.ws_clients.dec();
    }

    pub(crate) fn screen_dropped(&self) {
        self.ws_dropped.inc();
    }

    pub(crate) fn login_failed(&self) {
        self.login_failures.inc();
    }

    pub(crate) fn answered(&self, route: &str, method: &str, status: u16, took: Duration) {
        self.http_requests.with_label_values(&[route, method, &status.to_string()]).inc();
        self.http_seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    pub(crate) fn version(&self, version: &str) {
        self.build.with_label_values(&[version]).set(1);
    }

    /// Everything, as Prometheus reads it.
    pub(crate) fn text(&self) -> Result<String, ApiError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

fn registered<T: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    collector: T,
) -> Result<T, ApiError> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, ApiError> {
    registered(registry, IntCounter::new(name, help)?)
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, ApiError> {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, ApiError> {
    registered(registry, IntGauge::new(name, help)?)
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, ApiError> {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    registered(registry, Histogram::with_opts(options)?)
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
