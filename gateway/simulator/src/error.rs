//! What keeps a simulation from starting, and what breaks a terminal's connection.

use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SimulatorError {
    #[error("'{url}' is not the address of a broker; write mqtt://host:1883")]
    Url { url: String },
    #[error("there is no terminal to simulate; name at least one")]
    NoTerminals,
    #[error("there is no student to scan; name at least one")]
    NoStudents,
    #[error("between 1 and 60000 scans can be on their way at once, got {in_flight}")]
    InFlight { in_flight: u16 },
    #[error("a rate is more than 0 and at most a million scans a second, got {rate}")]
    Rate { rate: String },
    #[error("the name of a run has 1 to 32 letters, digits or '-'; its scans carry it in their ids")]
    Run,
    #[error("the connection broke: {0}")]
    Broken(std::io::ErrorKind),
    #[error("the gateway closed the connection")]
    Closed,
    #[error("the gateway refused the sign-in ({answer}); check the device's secret")]
    Refused { answer: String },
    #[error("the gateway sent what is not MQTT: {fault}")]
    NotMqtt { fault: String },
    #[error("the gateway did not answer in time")]
    Silent,
    #[error("no connection for {seconds} s, so the terminal gave up")]
    GaveUp { seconds: u64 },
}
