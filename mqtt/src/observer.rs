//! What the front door counts and refuses.
//!
//! Promises: each refusal is one call to [`Observer::refused`] and, but for floods of strangers, one log line,
//! made in one place.
//!
//! Refuses: keeping numbers. `gateway/app` turns the calls into metrics.

use std::fmt;
use std::time::Duration;

use crate::codec::QoS;

/// What was refused; [`Refused::reason`] is the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refused {
    TooManyConnections,
    /// CONNECT did not succeed before its deadline.
    SlowConnect,
    /// A TLS handshake that failed; a certificate that is not taken.
    Tls,
    /// Not MQTT, or more bytes than are allowed.
    Malformed,
    Version,
    Authentication,
    ClientId,
    BadLogin,
    NotAllowed,
    /// Who it is could not be found out.
    Unavailable,
    Publish,
    Subscribe,
    /// A subscription for which there was no link to the router.
    NoLink,
    /// A subscription beyond as many as one client may have.
    TooManyFilters,
    BadPayload,
}

impl Refused {
    pub fn reason(self) -> &'static str {
        match self {
            Refused::TooManyConnections => "too_many_connections",
            Refused::SlowConnect => "slow_connect",
            Refused::Tls => "tls",
            Refused::Malformed => "malformed",
            Refused::Version => "version",
            Refused::Authentication => "authentication_method",
            Refused::ClientId => "client_id",
            Refused::BadLogin => "bad_login",
            Refused::NotAllowed => "not_allowed",
            Refused::Unavailable => "unavailable",
            Refused::Publish => "publish",
            Refused::Subscribe => "subscribe",
            Refused::NoLink => "no_link",
            Refused::TooManyFilters => "too_many_filters",
            Refused::BadPayload => "bad_payload",
        }
    }
}

/// Told as things happen, on the threads that serve sockets: must not block.
pub trait Observer: Send + Sync {
    fn refused(&self, what: Refused);
    fn published(&self, qos: QoS);
    /// From receipt of an upload of scans to its acknowledgement.
    fn acknowledged(&self, took: Duration);
    /// How many connections are open now.
    fn connections(&self, open: usize);
    /// A message for those who watch `rollcall/#` found the way to them full.
    fn feed_lost(&self);
}

/// The one place where a refusal is logged and counted. Text from a client is shown cut and quoted. `times`
/// is how many the line stands for.
pub(crate) fn refuse(
    observer: &dyn Observer,
    what: Refused,
    times: Option<u64>,
    peer: &str,
    detail: impl fmt::Display,
) {
    let detail: String = detail.to_string().chars().take(200).collect();
    match times {
        // A socket that never says a word says nothing worth a line.
        Some(times) if what != Refused::SlowConnect => {
            tracing::warn!(reason = what.reason(), peer, detail, times, "refused");
        }
        _ => tracing::debug!(reason = what.reason(), peer, detail, "refused"),
    }
    observer.refused(what);
}
