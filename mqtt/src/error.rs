//! Why the front door cannot be opened.

use std::net::SocketAddr;

use thiserror::Error;

#[derive(Debug, Error)]
pub enum MqttError {
    #[error("cannot listen for MQTT on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the thread that talks to the MQTT router cannot be started: {source}")]
    Thread { source: std::io::Error },
}
