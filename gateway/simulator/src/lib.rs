//! Terminals that behave like the hardware: they keep every scan until it is acknowledged.
//!
//! Promises: what it counts as acknowledged was acknowledged by the gateway, so its report can be
//! held against the register, scan for scan. A terminal keeps a scan until the PUBACK for it arrives,
//! and sends it again, with the same id and the same bytes, over its next connection.
//!
//! Refuses: shortcuts. It speaks only the protocols a real terminal speaks.
//!
//! The codec is rumqttc's; its event loop is not used, because it writes each message with a system
//! call of its own and lets nobody say what becomes of a message when the connection breaks.

mod error;
mod fleet;
mod link;
mod outbox;
mod plan;
mod report;
pub mod sample;
mod terminal;
pub mod trickle;
mod work;

pub use error::SimulatorError;
pub use fleet::{Fleet, Progress};
pub use plan::{Load, Plan, Until, Work};
pub use report::{Latencies, Latency, Report};
