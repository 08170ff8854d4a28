//! The front door: what serves any stream of bytes as an MQTT connection.
//!
//! Promises: TCP, TLS and WebSocket are served alike and counted together ([`crate::places`]); passwords are
//! checked on threads that may block, a few at a time.
//!
//! Refuses: sockets; see [`crate::Listener`].

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use rollcall_dialects::topics::Topic;
use rollcall_domain::ids::DeviceId;
use rollcall_domain::ports::{Clock, DeviceConfig, ScanIntake};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::access::{Access, Credentials, Denied, Identity};
use crate::arrival::Arrival;
use crate::connection;
use crate::connections::Connections;
use crate::error::MqttError;
use crate::failures::Failures;
use crate::leave::Leave;
use crate::links::Links;
use crate::message::Message;
use crate::observer::{Observer, Refused, refuse};
use crate::peer::Peer;
use crate::places::Places;
use crate::retained::Retained;
use crate::rights::Reserved;
use crate::session::Campus;
use crate::strangers::Strangers;
use crate::tls::{Shown, Tls};
use crate::upload::SUCCESS;

/// Passwords that are checked at once.
const CHECKS: usize = 4;
/// Sessions that may wait for their clients.
const MOST_WAITING: usize = 10_000;
/// For how long at most.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const QUOTA_EXCEEDED: u8 = 0x97;

/// The limits of the front door.
#[derive(Debug, Clone)]
pub struct Settings {
    pub max_connections: usize,
    pub max_packet_bytes: u32,
    /// From accept until CONNECT has succeeded.
    pub connect_deadline: Duration,
    /// How long a client may be silent that asked for no keep-alive.
    pub idle: Duration,
    /// In which a device's times without an offset are read.
    pub zone: TimeZone,
    /// What those who come without a name may not use.
    pub reserved: Reserved,
}

/// What the front door needs from other rooms.
pub struct Ports {
    pub access: Arc<dyn Access>,
    pub intake: Arc<dyn ScanIntake>,
    pub clock: Arc<dyn Clock>,
    pub observer: Arc<dyn Observer>,
    pub connections: Arc<Connections>,
    pub configs: Arc<dyn Configs>,
}

/// What devices are to know of their places.
pub trait Configs: Send + Sync {
    /// Called on the threads that serve sockets: must not wait. `None` if there is no such device.
    fn config(&self, device: &DeviceId) -> Option<DeviceConfig>;
}

/// Serves connections; cheap to clone.
#[derive(Clone)]
pub struct FrontDoor {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) ports: Ports,
    pub(crate) links: Links,
    pub(crate) campus: Arc<Campus>,
    pub(crate) retained: Retained,
    /// For sessions whose clients are gone.
    pub(crate) waiting: Arc<Semaphore>,
    pub(crate) places: Arc<Places>,
    pub(crate) failures: Failures,
    strangers: Strangers,
    checks: Arc<Semaphore>,
}

impl FrontDoor {
    /// # Errors
    /// The thread that talks to the router cannot be started.
    pub fn new(settings: Settings, ports: Ports) -> Result<Self, MqttError> {
        let links = Links::start().map_err(|source| MqttError::Thread { source })?;
        let (places, failures) = (Places::new(settings.max_connections), Failures::default());
        let waiting = Arc::new(Semaphore::new(MOST_WAITING));
        let (strangers, checks) = (Strangers::default(), Arc::new(Semaphore::new(CHECKS)));
        let (zone, reserved) = (settings.zone.clone(), settings.reserved.clone());
        let (campus, retained) = (Arc::new(Campus { zone, reserved }), Retained::default());
        let inner =
            Inner { settings, ports, links, campus, retained, waiting, places, failures, strangers, checks };
        Ok(FrontDoor { inner: Arc::new(inner) })
    }

    /// Serves one client until it leaves, and says why it did.
    pub async fn serve<S>(&self, stream: S, peer: Peer) -> Leave
    where
        S: AsyncRead + AsyncWrite + Send,
    {
        let arrival = match Arrival::new(peer, &self.inner).await {
            Ok(arrival) => arrival,
            Err(reason) => return reason,
        };
        self.inner.greet(stream, Shown::Nothing, arrival).await
    }

    /// The same behind TLS. The handshake has to be done within the time that CONNECT has.
    pub(crate) async fn serve_tls(&self, stream: TcpStream, tls: &Tls, peer: Peer) -> Leave {
        let mut arrival = match Arrival::new(peer, &self.inner).await {
            Ok(arrival) => arrival,
            Err(reason) => return reason,
        };
        match arrival.patience.with(&arrival.name, tls.accept(stream)).await {
            Ok(Ok((stream, shown))) => self.inner.greet(stream, shown, arrival).await,
            Ok(Err(error)) if is_gone(&error) => Leave::Closed,
            Ok(Err(error)) => {
                self.inner.refuse_stranger(Refused::Tls, &arrival.name, error);
                Leave::NotWelcome
            }
            Err(reason) => reason,
        }
    }
}

/// Whether the client just left, as those do that only look whether a port is open.
fn is_gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

impl Inner {
    async fn greet<S>(self: &Arc<Self>, stream: S, shown: Shown, arrival: Arrival<'_>) -> Leave
    where
        S: AsyncRead + AsyncWrite + Send,
    {
        let peer = arrival.name.clone();
        let reason = connection::serve(stream, shown, arrival, self).await;
        tracing::debug!(peer, %reason, "a connection ended");
        reason
    }

    /// Hands a message to whoever wants it now, and keeps it for those who come later if its publisher wants
    /// that; gives v5's reason.
    pub(crate) async fn route(&self, topic: &Topic, message: Message) -> u8 {
        let is_kept = !message.retain || self.retained.keep(topic, message.clone()).is_ok();
        if self.links.is_watched() && !self.links.send(topic, &message).await {
            self.ports.observer.feed_lost();
        }
        if is_kept { SUCCESS } else { QUOTA_EXCEEDED }
    }

    /// For how long a session is kept whose client asked for so many seconds.
    pub(crate) fn lasting(&self, seconds: u32) -> Duration {
        Duration::from_secs(seconds.into()).min(LONGEST)
    }

    /// Asks who it is, off the threads that serve sockets.
    pub(crate) async fn check(&self, credentials: Credentials) -> Result<Identity, Denied> {
        let Ok(turn) = Arc::clone(&self.checks).acquire_owned().await else {
            return Err(Denied::Unavailable);
        };
        let access = Arc::clone(&self.ports.access);
        let checked = tokio::task::spawn_blocking(move || {
            // A check goes on when nobody waits for it any more, so its turn goes with it.
            let _turn = turn;
            access.check(&credentials)
        });
        checked.await.unwrap_or_else(|error| {
            tracing::error!(%error, "checking a sign-in failed; the client may try again");
            Err(Denied::Unavailable)
        })
    }

    /// Refuses something to who has signed in.
    pub(crate) fn refuse(&self, what: Refused, peer: &str, detail: impl std::fmt::Display) {
        refuse(self.ports.observer.as_ref(), what, Some(1), peer, detail);
    }

    /// Refuses somebody who has not.
    pub(crate) fn refuse_stranger(&self, what: Refused, peer: &str, detail: impl std::fmt::Display) {
        let times = self.strangers.refused(what, self.ports.clock.monotonic());
        refuse(self.ports.observer.as_ref(), what, times, peer, detail);
    }
}
