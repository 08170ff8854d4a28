//! The front door: an MQTT broker whose acknowledgement means "on disk".
//!
//! Promises: a PUBLISH on a scan topic is acknowledged after the ledger's commit and never before;
//! nobody publishes or subscribes outside their own topics; v3.1.1 and v5 share one port.
//!
//! Refuses: knowing what a scan means. It stamps it with the connection's identity and hands it on.
//! This is the only room that names the embedded broker.
//!
//! The way of a scan: [`Listener`] (with [`Tls`] or without) -> `wire` (bytes) -> [`codec`] (packets) -> `session` (what they mean) ->
//! `upload` (the dialect) -> `connection` -> [`ScanIntake`](rollcall_domain::ports::ScanIntake), and back as
//! a completion -> `owed` (whose turn it is) -> `session` -> PUBACK, and the result to every connection of
//! the device in [`Connections`].

mod absent;
mod access;
mod answers;
mod arrival;
pub mod codec;
mod connection;
mod connections;
mod delivery;
mod door;
mod error;
mod failures;
mod fate;
mod following;
mod leave;
mod links;
mod listener;
mod message;
mod observer;
mod owed;
mod peer;
mod places;
mod retained;
mod retry;
mod rights;
mod session;
mod silence;
mod strangers;
mod subscriptions;
mod tls;
mod upload;
mod welcome;
mod wire;

pub use access::{Access, Credentials, Denied, Identity, Proof};
pub use connections::Connections;
pub use door::{Configs, FrontDoor, Ports, Settings};
pub use error::MqttError;
pub use leave::Leave;
pub use listener::Listener;
pub use observer::{Observer, Refused};
pub use peer::Peer;
pub use rights::Reserved;
pub use tls::{Part, Pem, Tls, TlsError};
