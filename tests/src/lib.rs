//! Whole-gateway scenarios: the real binary against real peers, with faults injected.
//!
//! Promises: everything runs on loopback, ends by itself, and waits for what can be observed rather
//! than for time to pass.
//!
//! Refuses: testing a rule through the network. Rules are tested in the room that owns them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: what cannot go on fails the test"
)]

pub mod browser;
pub mod campus;
pub mod certificates;
#[path = "../../gateway/api/tests/common/disk.rs"]
pub mod disk;
pub mod gateway;
pub mod portal;
#[path = "../../gateway/store/tests/common/random.rs"]
pub mod random;
