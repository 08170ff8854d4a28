//! The front door from outside: raw MQTT over a socket, with an intake whose disk the test plays.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod acknowledgement;
mod authority;
mod client;
mod company;
mod gateway;
mod mutations;
mod rights;
mod sessions;
mod strangers;
mod tls;
