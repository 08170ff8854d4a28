//! What rooms offer each other without naming each other; `gateway/app` joins them.
//!
//! Promises: each port is the least that both sides need, in words of the domain.
//!
//! Refuses: defaults. A port has no implementation here.

use std::time::Duration;

use crate::ids::{DeviceId, Name, SessionId, StudentId};
use crate::mark::Mark;
use crate::moment::Moment;
use crate::scan::{Outcome, RawScan};

/// The only source of time. The wall clock can be wrong and can jump; the monotonic one only goes on.
pub trait Clock: Send + Sync {
    fn now(&self) -> Moment;
    fn monotonic(&self) -> Duration;
}

/// What became of a scan, told once it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanResult {
    pub outcome: Outcome,
    pub student: Option<StudentId>,
    pub session: Option<SessionId>,
    pub mark: Option<Mark>,
    /// The name of who just scanned: the one thing about a person that a device may read.
    pub name: Option<String>,
    /// A retransmission; this is the first result again and nothing was written.
    pub replayed: bool,
}

/// Why a scan was not taken, so that it must not be acknowledged yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// The store cannot write now.
    StorageUnavailable,
    /// The gateway is stopping.
    Stopping,
}

/// Told exactly once, and only after the commit (or when it is certain that there will be none).
pub type Completion = Box<dyn FnOnce(Result<ScanResult, NotTaken>) + Send>;

/// A scan on its way in.
pub struct Submission {
    pub scan: RawScan,
    pub completion: Completion,
}

/// Where the front door and the API hand scans in.
pub trait ScanIntake: Send + Sync {
    /// Takes the scan, or hands it back when the queue is full: then whoever holds it waits and asks
    /// again, and acknowledges nothing in the meantime.
    fn submit(&self, submission: Box<Submission>) -> Result<(), Box<Submission>>;
}

/// What the gateway tells devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    SetClock { at: Moment },
    Bind { session: SessionId },
    Unbind,
    Reboot,
}

/// What became of a message to a device, from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivered {
    NotConnected,
    /// It is connected, and did not ask for such messages.
    NotListening,
    /// It went out, and the connection ended before the device acknowledged it.
    Lost,
    /// It went out to a device that asked not to be made to acknowledge.
    Sent,
    Acknowledged,
}

/// Told exactly once.
pub type Told = Box<dyn FnOnce(Delivered) + Send>;

/// What a device is to know of its place, whenever it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    pub name: String,
    pub room: Option<String>,
    /// In which it shows times, by its IANA name.
    pub timezone: String,
    /// Readings below it count for nothing; 0 to 1000.
    pub min_quality_milli: u16,
}

/// The way to devices.
pub trait Downlink: Send + Sync {
    /// A command is for now, and is not kept for a device that is not there.
    fn command(&self, device: &DeviceId, command: Command, told: Told);
    /// Tells a device its configuration again, since it changed.
    fn configure(&self, device: &DeviceId, config: &DeviceConfig, told: Told);
    /// Closes the live connection within a second; the next sign-in is judged anew.
    fn revoke(&self, device: &DeviceId);
}

/// What a device says of itself now and then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heartbeat {
    pub at: Option<Moment>,
    pub firmware: Option<String>,
    pub battery_percent: Option<u8>,
    /// Scans that wait in the device.
    pub pending: Option<u32>,
}

/// Who is there, told by the front door.
pub trait Presence: Send + Sync {
    fn connected(&self, device: &DeviceId);
    fn disconnected(&self, device: &DeviceId);
    fn heartbeat(&self, device: &DeviceId, heartbeat: Heartbeat, received_at: Moment);
}

/// What people can ask of destinations.
pub trait UpstreamControl: Send + Sync {
    fn retry_dead_letters(&self, destination: &Name);
    fn is_known(&self, destination: &Name) -> bool;
}

/// How well a part of the gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Good,
    /// Works, but somebody should look.
    Impaired {
        reason: String,
    },
    Down {
        reason: String,
    },
}

/// A part that can say how it is.
pub trait HealthSource: Send + Sync {
    fn part(&self) -> &'static str;
    fn health(&self) -> Health;
}
