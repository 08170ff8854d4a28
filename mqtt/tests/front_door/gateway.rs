//! A front door with an intake whose disk the test plays: it holds each scan until it is let go.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rollcall_dialects::topics::Filter;
use rollcall_domain::ids::{DeviceId, UserId};
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::{Clock, DeviceConfig, Heartbeat, Presence, ScanIntake, ScanResult, Submission};
use rollcall_domain::scan::{Outcome, Unmatched};
use rollcall_mqtt::codec::{QoS, Version};
use rollcall_mqtt::{
    Access, Configs, Connections, Credentials, Denied, FrontDoor, Identity, Listener, Observer, Peer, Ports,
    Proof, Refused, Reserved, Settings,
};
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::{Client, connect};

/// Done once, in the middle of the next check; after it nobody is let in any more.
type Interruption = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// Any device with the password "secret"; "off" is switched off; "watcher" may watch.
struct OneSecret {
    interruption: Interruption,
    closed: AtomicBool,
}

impl Access for OneSecret {
    fn check(&self, credentials: &Credentials) -> Result<Identity, Denied> {
        let closed = self.closed.load(Ordering::SeqCst);
        if let Some(interruption) = self.interruption.lock().unwrap().take() {
            self.closed.store(true, Ordering::SeqCst);
            interruption();
        }
        let fits = match &credentials.proof {
            Proof::Password(password) if credentials.user_name.is_empty() && password.0.is_empty() => {
                return Ok(Identity::Anonymous);
            }
            Proof::Password(password) => password.0 == "secret",
            Proof::Certificate => credentials.user_name != "watcher",
        };
        if closed || !fits {
            return Err(Denied::BadLogin);
        }
        match credentials.user_name.as_str() {
            "off" => Err(Denied::NotAllowed),
            "watcher" => Ok(Identity::Monitor(UserId(1))),
            name => DeviceId::parse(name).map(Identity::Device).map_err(|_error| Denied::BadLogin),
        }
    }
}

struct Held {
    scans: mpsc::UnboundedSender<Box<Submission>>,
    full: Arc<AtomicBool>,
    full_once: Arc<AtomicBool>,
    turned_away: Arc<Notify>,
}

impl ScanIntake for Held {
    fn submit(&self, submission: Box<Submission>) -> Result<(), Box<Submission>> {
        if self.full.load(Ordering::SeqCst) || self.full_once.swap(false, Ordering::SeqCst) {
            self.turned_away.notify_one();
            return Err(submission);
        }
        self.scans.send(submission).map_err(|error| error.0)
    }
}

/// Every device is in a room of its own name.
struct Rooms;

impl Configs for Rooms {
    fn config(&self, device: &DeviceId) -> Option<DeviceConfig> {
        let (name, room) = (format!("the {device}"), Some(device.to_string()));
        Some(DeviceConfig { name, room, timezone: "Asia/Bishkek".into(), min_quality_milli: 700 })
    }
}

pub(crate) struct Noon;

impl Clock for Noon {
    fn now(&self) -> Moment {
        Moment::from_millis(1_795_260_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// What the gateway was told, in order.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) refused: Mutex<Vec<Refused>>,
    pub(crate) presence: Mutex<Vec<String>>,
}

impl Observer for Told {
    fn refused(&self, what: Refused) {
        self.refused.lock().unwrap().push(what);
    }

    fn published(&self, _: QoS) {}
    fn acknowledged(&self, _: Duration) {}
    fn connections(&self, _: usize) {}
    fn feed_lost(&self) {}
}

impl Presence for Told {
    fn connected(&self, device: &DeviceId) {
        self.presence.lock().unwrap().push(format!("+{device}"));
    }

    fn disconnected(&self, device: &DeviceId) {
        self.presence.lock().unwrap().push(format!("-{device}"));
    }

    fn heartbeat(&self, device: &DeviceId, heartbeat: Heartbeat, _: Moment) {
        self.presence.lock().unwrap().push(format!("{device} {:?}", heartbeat.battery_percent));
    }
}

pub(crate) struct Gateway {
    pub(crate) door: FrontDoor,
    pub(crate) connections: Arc<Connections>,
    pub(crate) told: Arc<Told>,
    pub(crate) full: Arc<AtomicBool>,
    /// Full for the next scan only.
    pub(crate) full_once: Arc<AtomicBool>,
    /// Told of each scan that came while it was full.
    pub(crate) turned_away: Arc<Notify>,
    pub(crate) interruption: Interruption,
    scans: AsyncMutex<mpsc::UnboundedReceiver<Box<Submission>>>,
}

impl Gateway {
    pub(crate) fn new() -> Self {
        let interruption = Interruption::default();
        let closed = AtomicBool::new(false);
        let access = Arc::new(OneSecret { interruption: interruption.clone(), closed });
        Gateway { interruption, ..Gateway::with(access, Duration::from_secs(10)) }
    }

    pub(crate) fn with(access: Arc<dyn Access>, connect_deadline: Duration) -> Self {
        let (sender, scans) = mpsc::unbounded_channel();
        let told = Arc::new(Told::default());
        let connections = Connections::new(told.clone());
        let full = Arc::new(AtomicBool::new(false));
        let full_once = Arc::new(AtomicBool::new(false));
        let turned_away = Arc::new(Notify::new());
        let interruption = Interruption::default();
        let ports = Ports {
            access,
            intake: Arc::new(Held {
                scans: sender,
                full: full.clone(),
                full_once: full_once.clone(),
                turned_away: turned_away.clone(),
            }),
            clock: Arc::new(Noon),
            observer: told.clone(),
            connections: connections.clone(),
            configs: Arc::new(Rooms),
        };
        let settings = Settings {
            max_connections: 200,
            max_packet_bytes: 1 << 20,
            connect_deadline,
            idle: Duration::from_secs(600),
            zone: jiff::tz::TimeZone::UTC,
            reserved: Reserved {
                devices: vec![Filter::parse("mqtt/face/#").unwrap()],
                denied: vec![Filter::parse("test/nosubscribe").unwrap()],
            },
        };
        let door = FrontDoor::new(settings, ports).unwrap();
        Gateway {
            door,
            connections,
            told,
            full,
            full_once,
            turned_away,
            interruption,
            scans: AsyncMutex::new(scans),
        }
    }

    /// The next scan that reached the intake.
    pub(crate) async fn scan(&self) -> Box<Submission> {
        let mut scans = self.scans.lock().await;
        timeout(Duration::from_secs(10), scans.recv()).await.unwrap().unwrap()
    }

    /// The next scan, however long it takes.
    pub(crate) async fn next_scan(&self) -> Option<Box<Submission>> {
        self.scans.lock().await.recv().await
    }

    pub(crate) fn refusals(&self) -> Vec<Refused> {
        self.told.refused.lock().unwrap().clone()
    }
}

/// A gateway that listens on a port of its own.
pub(crate) struct Running {
    pub(crate) gateway: Gateway,
    pub(crate) address: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) done: JoinHandle<()>,
}

pub(crate) async fn running() -> Running {
    run(Gateway::new()).await
}

pub(crate) async fn run(gateway: Gateway) -> Running {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), gateway.door.clone()).await.unwrap();
    let address = listener.address().unwrap();
    let (stop, stopped) = oneshot::channel();
    let done = tokio::spawn(listener.run(async move { drop(stopped.await) }));
    Running { gateway, address, stop, done }
}

impl Running {
    pub(crate) async fn dial(&self, version: Version) -> Client {
        Client::new(tokio::net::TcpStream::connect(self.address).await.unwrap(), version)
    }

    /// A client that was let in.
    pub(crate) async fn client(&self, version: Version, client_id: &str, user: &str) -> Client {
        let mut client = self.dial(version).await;
        client.send(&connect(version, client_id, user, "secret")).await;
        let answer = client.frame().await;
        assert_eq!((answer[0], answer[3]), (0x20, 0), "{answer:?}");
        client
    }
}

/// Where clients of no socket are said to come from.
pub(crate) fn here() -> Peer {
    Peer::new(([127, 0, 0, 1], 1).into())
}

pub(crate) fn present() -> ScanResult {
    ScanResult {
        outcome: Outcome::Present,
        student: None,
        session: None,
        mark: Some(Mark::Present),
        name: Some("Ada Example".to_owned()),
        replayed: false,
    }
}

pub(crate) fn unmatched() -> ScanResult {
    let outcome = Outcome::Unmatched(Unmatched::NotEnrolled);
    ScanResult { outcome, mark: None, name: None, ..present() }
}
