//! The settings as the rest of the gateway sees them.
//!
//! Promises: every value has its final type; nobody has to parse or check it again.
//!
//! Refuses: defaults and rules of its own. Both stand in the table of keys; a field here without
//! a row there, or the reverse, fails the tests.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use rollcall_domain::people::Role;
use rollcall_domain::percentage::Basis;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::secret::{Secret, SecretUrl};

/// Everything that can be set, one field for each section.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub campus: Campus,
    pub log: Log,
    pub http: Http,
    pub mqtt: Mqtt,
    pub store: Store,
    pub devices: Devices,
    pub sessions: Sessions,
    pub attendance: Attendance,
    pub qr: Qr,
    pub biometric: Biometric,
    pub auth: Auth,
    pub limits: Limits,
    pub retention: Retention,
    pub upstream: Upstream,
    pub mail: Mail,
    pub metrics: Metrics,
    pub dialects: Dialects,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Campus {
    pub name: String,
    #[serde(with = "jiff::fmt::serde::tz::required")]
    pub timezone: TimeZone,
    pub locale: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: LogLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub listen: SocketAddr,
    pub public_url: Option<Url>,
    /// Set if and only if `tls_key` is.
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub allowed_hosts: Vec<String>,
    pub allowed_origins: Vec<String>,
    pub trusted_proxies: Vec<IpNet>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    pub listen: SocketAddr,
    /// Set if and only if `tls_cert` and `tls_key` are.
    pub tls_listen: Option<SocketAddr>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub client_ca: Option<PathBuf>,
    pub anonymous: bool,
    pub denied_filters: Vec<String>,
    pub max_connections: u32,
    pub max_packet_bytes: u32,
    pub idle_seconds: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub path: PathBuf,
    pub min_free_bytes: u64,
    pub key_file: Option<PathBuf>,
    pub replaced_key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Devices {
    pub require_binding: bool,
    pub clock_ahead_minutes: u32,
    pub clock_behind_days: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    pub default_minutes: u32,
    pub open_before_minutes: u32,
    pub close_after_minutes: u32,
    pub late_after_minutes: u32,
    /// 0: off.
    pub min_present_minutes: u32,
    /// 0: never.
    pub auto_lock_after_days: u32,
    /// 0: no limit.
    pub max_per_term: u32,
    pub generate_days: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Attendance {
    pub threshold_percent: u8,
    pub basis: Basis,
    pub planned_sessions: u32,
    pub max_correction_days: u32,
    pub self_marking: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Qr {
    /// 0: never within the period.
    pub rotate_seconds: u32,
    pub session_minutes: u32,
    pub allow_form: bool,
    pub enrol_unknown: bool,
    pub require_lan: bool,
    pub allowed_networks: Vec<IpNet>,
    pub max_distance_meters: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Biometric {
    pub enabled: bool,
    /// 0 to 1.
    pub min_quality: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    pub signup: Signup,
    pub access_minutes: u32,
    pub refresh_minutes: u32,
    pub require_2fa_for: Vec<Role>,
}

/// Who may make an account for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signup {
    Off,
    StudentsWithCode,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub anonymous_per_hour: u32,
    pub user_per_hour: u32,
    pub marking_per_minute: u32,
    pub device_scans_per_second: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    pub records_days: u32,
    pub ledger_days: u32,
    pub evidence_days: u32,
    pub evidence_max_bytes: u64,
    pub keep_pictures: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    pub portal: Portal,
    pub firestore: Firestore,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Portal {
    /// Not set: nothing is sent to a portal.
    pub url: Option<SecretUrl>,
    pub token: Option<Secret>,
    pub mode: PortalMode,
    pub batch: u32,
    pub interval_seconds: u32,
    pub timeout_seconds: u32,
    pub backfill: bool,
}

/// How records travel to the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PortalMode {
    Batch,
    Single,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Firestore {
    /// Not set: nothing is sent to Firestore.
    pub project: Option<String>,
    /// Only one of four places; ask `Loaded::firebase`.
    pub credentials_path: Option<PathBuf>,
    pub database: String,
    pub collection: String,
    pub batch: u32,
    pub backfill: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Set if and only if `from` is.
    pub smtp_url: Option<SecretUrl>,
    pub from: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    pub enabled: bool,
    pub allowed_networks: Vec<IpNet>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dialects {
    pub facesluice: Facesluice,
    pub zkteco: Zkteco,
    pub mapped: Vec<Mapped>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Facesluice {
    pub prefix: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Zkteco {
    pub allowed_networks: Vec<IpNet>,
}

/// A terminal that sends JSON of its own; names and topics differ between entries.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mapped {
    pub name: String,
    pub topic: String,
    /// Path of the field that holds the student.
    pub student: String,
    pub time: Option<String>,
    pub confidence: Option<String>,
}
