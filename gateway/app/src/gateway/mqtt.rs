//! The MQTT front door, joined to the rooms behind it.
//!
//! Promises: it serves on threads of its own, plain, behind TLS and for WebSockets alike, and stops within a
//! second.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rollcall_api::Metrics;
use rollcall_config::Settings;
use rollcall_dialects::topics::Filter;
use rollcall_domain::ids::DeviceId;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::{Clock, HealthSource, Heartbeat, Presence, ScanIntake};
use rollcall_mqtt::codec::QoS;
use rollcall_mqtt::{
    Access, Connections, FrontDoor, Listener, MqttError, Observer, Ports, Refused, Reserved,
};
use rollcall_store::Store;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::certificates::Certificates;
use super::health::MqttHealth;
use super::known::Known;
use super::listen::cannot_listen;
use super::websocket::Sockets;

const THREADS: usize = 2;
/// A socket that has not signed in by then is closed.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// The running front door.
pub(crate) struct Mqtt {
    pub(crate) address: SocketAddr,
    pub(crate) tls_address: Option<SocketAddr>,
    pub(crate) certificates: Option<Certificates>,
    /// The way in for clients of the HTTP port.
    pub(crate) sockets: Sockets,
    stop: watch::Sender<bool>,
    ended: JoinHandle<()>,
    serving: watch::Receiver<bool>,
    threads: Threads,
}

/// The threads of the front door. They are let go without waiting, since waiting for threads is not allowed
/// where the gateway is started and stopped.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Tells, when it is dropped, that the front door serves nobody any more.
struct Ended(watch::Sender<bool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl Mqtt {
    /// # Errors
    /// The address is taken, or a thread cannot be started.
    pub(crate) async fn start(
        settings: &Settings,
        store: &Arc<Store>,
        intake: Arc<dyn ScanIntake>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Result<Self> {
        let limits = rollcall_mqtt::Settings {
            max_connections: usize::try_from(settings.mqtt.max_connections).unwrap_or(usize::MAX),
            max_packet_bytes: settings.mqtt.max_packet_bytes,
            connect_deadline: CONNECT_DEADLINE,
            idle: Duration::from_secs(settings.mqtt.idle_seconds.into()),
            zone: settings.campus.timezone.clone(),
            reserved: reserved(settings),
        };
        let known = Arc::new(Known::new(settings, store));
        let certificates = Certificates::load(&settings.mqtt, Arc::clone(&clock))?;
        let ports = Ports {
            access: Arc::clone(&known) as Arc<dyn Access>,
            intake,
            clock,
            observer: Arc::new(Counters(metrics)),
            connections: Connections::new(Arc::new(Comings)),
            configs: known,
        };
        let door = FrontDoor::new(limits, ports)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("mqtt")
            .enable_all()
            .build()
            .context("cannot start the threads of the front door")?;
        let (handle, threads) = (runtime.handle().clone(), Threads(Some(runtime)));
        let (plain, address) = bind(settings.mqtt.listen, "mqtt.listen", &door, &handle).await?;
        let mut listeners = vec![plain];
        let mut tls_address = None;
        if let (Some(listen), Some(Certificates { tls })) = (settings.mqtt.tls_listen, &certificates) {
            let (listener, address) = bind(listen, "mqtt.tls_listen", &door, &handle).await?;
            listeners.push(listener.with_tls(tls.clone()));
            tls_address = Some(address);
        }
        let sockets = Sockets::new(door, handle.clone(), settings.mqtt.max_packet_bytes);
        let stop = watch::Sender::new(false);
        let (serves, serving) = watch::channel(true);
        let ended = handle.spawn(serve(listeners, sockets.clone(), stop.subscribe(), Ended(serves)));
        Ok(Mqtt { address, tls_address, certificates, sockets, stop, ended, serving, threads })
    }

    pub(crate) fn health(&self) -> Arc<dyn HealthSource> {
        Arc::new(MqttHealth(self.serving.clone()))
    }

    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.ended.await {
            tracing::error!(%error, "the front door did not end in order");
        }
        drop(self.threads);
    }
}

async fn bind(
    listen: SocketAddr,
    key: &str,
    door: &FrontDoor,
    handle: &Handle,
) -> Result<(Listener, SocketAddr)> {
    let bound = handle.spawn(Listener::bind(listen, door.clone())).await.context("cannot start MQTT")?;
    let listener = bound.map_err(|error| match error {
        MqttError::Listen { address, source } => cannot_listen(address, "MQTT", key, &source),
        // It says all there is to say, its causes included.
        other @ MqttError::Thread { .. } => anyhow!("{other}"),
    })?;
    let address = listener.address().context("cannot tell the address of MQTT")?;
    Ok((listener, address))
}

/// Serves until it is told to stop, or the gateway is gone. `_ended` tells, also after a panic.
async fn serve(listeners: Vec<Listener>, sockets: Sockets, stop: watch::Receiver<bool>, _ended: Ended) {
    let mut all = JoinSet::new();
    for listener in listeners {
        let mut stop = stop.clone();
        all.spawn(listener.run(async move { drop(stop.wait_for(|stop| *stop).await) }));
    }
    // All listeners stop together, and with them whoever came another way. One that ended otherwise is a fault,
    // and takes the others with it, so that it shows.
    if let Some(Err(error)) = all.join_next().await {
        tracing::error!(%error, "a port for terminals is served no more; restart the gateway");
    }
    let others = async { while all.join_next().await.is_some() {} };
    tokio::join!(others, sockets.all_left());
}

/// What those who come without a name may not use. Filters of the settings are valid.
fn reserved(settings: &Settings) -> Reserved {
    let face = format!("{}/#", settings.dialects.facesluice.prefix);
    let mapped = settings.dialects.mapped.iter().map(|mapped| mapped.topic.as_str());
    let filters =
        |texts: &mut dyn Iterator<Item = &str>| texts.filter_map(|text| Filter::parse(text).ok()).collect();
    Reserved {
        devices: filters(&mut std::iter::once(face.as_str()).chain(mapped)),
        denied: filters(&mut settings.mqtt.denied_filters.iter().map(String::as_str)),
    }
}

/// Refusals and publishes, as metrics.
struct Counters(Metrics);

impl Observer for Counters {
    fn refused(&self, what: Refused) {
        self.0.mqtt_refused(what.reason());
    }

    fn published(&self, qos: QoS) {
        self.0.mqtt_published(qos as u8);
    }

    fn acknowledged(&self, took: Duration) {
        self.0.acknowledged(took);
    }

    fn connections(&self, open: usize) {
        self.0.mqtt_connections(open);
    }

    fn feed_lost(&self) {
        tracing::debug!("a watcher of all scans did not keep up");
    }
}

/// Devices that come and go, as log lines.
struct Comings;

impl Presence for Comings {
    fn connected(&self, device: &DeviceId) {
        tracing::info!(%device, "a device connected");
    }

    fn disconnected(&self, device: &DeviceId) {
        tracing::info!(%device, "a device disconnected");
    }

    fn heartbeat(&self, device: &DeviceId, heartbeat: Heartbeat, _: Moment) {
        tracing::debug!(%device, pending = heartbeat.pending, "heartbeat");
    }
}
