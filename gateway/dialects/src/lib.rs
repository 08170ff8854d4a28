//! One vendor's bytes in, domain scans and reply bytes out.
//!
//! Promises: pure functions only; one module per vendor with its fixtures beside it, MQTT and HTTP
//! alike; each dialect declares the topics its devices may use, and the acknowledgement it owes them
//! once, and only once, a scan is on disk.
//!
//! Refuses: sockets, clocks, and any decision about what a scan means. That is the domain's.
//!
//! The way of a scan: bytes -> [`Decoded`] (what the device claims, in one shape for all vendors) ->
//! [`rollcall_domain::scan::RawScan`] (whoever received it adds the connection's identity and the gateway's
//! times) -> a result -> the vendor's bytes again.

mod decoded;
mod error;
pub mod native;
pub mod topics;

pub use decoded::Decoded;
pub use error::{DialectError, Rejected};
