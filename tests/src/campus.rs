//! The sample campus in a folder, as a gateway would have left it.
//!
//! Promises: made with the store and the rules of the gateway itself; every terminal has a secret that is
//! told, and so has its teacher; its sessions are open now.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rollcall_api::hash_password;
use rollcall_domain::event::{Entry, Event, SessionEvent};
use rollcall_domain::ids::DeviceId;
use rollcall_domain::moment::Moment;
use rollcall_domain::policy::Policy;
use rollcall_domain::ports::Clock;
use rollcall_simulator::sample::{self, Sample, Size};
use rollcall_store::{Append, Appended, Credential, RootKey, Store, Verified, verify_each};
use tempfile::TempDir;

/// The sealing key, which lies in `rollcall.key`.
pub const KEY: [u8; RootKey::BYTES] = [42; RootKey::BYTES];
/// Of the user `teacher`.
pub const PASSWORD: &str = "the teacher's password";

/// Stands still at the moment when the campus was made.
pub struct Still(Moment);

impl Clock for Still {
    fn now(&self) -> Moment {
        self.0
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// A folder with settings, key and data.
pub struct Campus {
    pub folder: TempDir,
    pub sample: Sample,
    pub devices: Vec<(DeviceId, String)>,
    pub mqtt: SocketAddr,
    pub clock: Arc<dyn Clock>,
}

impl Campus {
    /// Makes it; the gateway that is started on it listens for MQTT on an address that stays the same.
    pub fn new() -> Self {
        Self::of(Size::default())
    }

    pub fn of(size: Size) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("rollcall.key");
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&key)
            .unwrap()
            .write_all(&KEY)
            .unwrap();
        let mqtt = free();
        let settings =
            format!("[store]\nkey_file = {:?}\n[mqtt]\nlisten = \"{mqtt}\"\n", key.to_str().unwrap());
        fs::write(folder.path().join("rollcall.toml"), settings).unwrap();
        // What the file system says the time is: the key was written just now.
        let now = moment(fs::metadata(&key).unwrap().modified().unwrap());
        let clock: Arc<dyn Clock> = Arc::new(Still(now));
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let store = open(&data, &clock);
        let (pseudonyms, policy) = (store.pseudonyms(), Policy::default());
        let sample = sample::campus(size, &pseudonyms, &policy, now, &TimeZone::UTC).unwrap();
        let secret = |device: &DeviceId| (device.clone(), format!("secret of {device}"));
        let devices = sample.rooms.iter().map(|room| secret(&room.device)).collect();
        let campus = Campus { folder, sample, devices, mqtt, clock };
        campus.write(&store);
        campus
    }

    /// Adds a section to the settings.
    pub fn set(&self, section: &str) {
        let path = self.folder.path().join("rollcall.toml");
        OpenOptions::new().append(true).open(path).unwrap().write_all(section.as_bytes()).unwrap();
    }

    fn write(&self, store: &Store) {
        let secrets = store.secrets();
        let hash = |secret: &str| secrets.device(secret.as_bytes());
        let teacher =
            Credential::Password { user: self.sample.teacher, hash: hash_password(PASSWORD).unwrap() };
        let credentials = self
            .devices
            .iter()
            .map(|(device, secret)| Credential::DeviceSecret { device: device.clone(), hash: hash(secret) })
            .chain([teacher])
            .collect();
        let (sender, receiver) = channel();
        let append = Append::new(self.sample.events.clone(), move |appended| sender.send(appended).unwrap());
        assert!(store.append(Append { credentials, ..append }).is_ok());
        assert!(matches!(receiver.recv().unwrap(), Appended::Committed(_)));
    }

    /// The device's own id of every scan in the ledger, in order. The chain is whole; the gateway must have
    /// ended, and nothing of what it left is changed.
    pub fn stored_scans(&self) -> Vec<String> {
        self.look(None)
    }

    /// The same, and the views are what the ledger makes them.
    pub fn stored_scans_with_views(&self) -> Vec<String> {
        let scratch = tempfile::tempdir().unwrap();
        self.look(Some(scratch.path()))
    }

    fn look(&self, scratch: Option<&Path>) -> Vec<String> {
        let mut ids = Vec::new();
        let each = |entry: Entry| ids.extend(scan_id(entry.event));
        let verified = verify_each(&self.folder.path().join("data"), RootKey::new(KEY), scratch, each);
        let Verified { gaps, difference, .. } = verified.unwrap();
        assert_eq!((gaps, difference), (vec![], None), "ledger and views are not as they should be");
        ids
    }
}

impl Default for Campus {
    fn default() -> Self {
        Self::new()
    }
}

fn scan_id(event: Event) -> Option<String> {
    match event {
        Event::Session(_, SessionEvent::Scanned(scanned)) => scanned.scan.scan_id,
        Event::Unmatched(kept) => kept.scan.scan_id,
        _ => None,
    }
}

fn open(data: &Path, clock: &Arc<dyn Clock>) -> Store {
    Store::open(data, RootKey::new(KEY), Arc::clone(clock), Box::new(|_| {})).unwrap()
}

fn moment(time: SystemTime) -> Moment {
    Moment::from(Timestamp::try_from(time).unwrap())
}

/// An address that nobody has now.
pub fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
