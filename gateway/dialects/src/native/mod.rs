//! The native dialect: JSON over MQTT and HTTP.
//!
//! Promises: what terminals write and what they are told is spelt here and nowhere else; what is wrong with
//! a message is named without repeating it.

mod claims;
mod device;
mod fields;
mod object;
mod results;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::DialectError;

pub use claims::{MOST_SCANS, encode, scan, scans};
pub use device::{command, config, heartbeat};
pub use results::{ResultMessage, bad_payload, device_disabled, result};

/// Reads what must begin with `bracket`, because serde would take an array for an object with its fields in
/// order.
fn json<'a, T: Deserialize<'a>>(
    payload: &'a [u8],
    bracket: u8,
    expected: &'static str,
) -> Result<T, DialectError> {
    let fault = |error: serde_json::Error| {
        if error.is_data() {
            return DialectError::Shape { expected };
        }
        DialectError::NotJson { line: error.line(), column: error.column() }
    };
    if payload.trim_ascii_start().first() == Some(&bracket) {
        return serde_json::from_slice(payload).map_err(fault);
    }
    match serde_json::from_slice::<IgnoredAny>(payload) {
        Ok(IgnoredAny) => Err(DialectError::Shape { expected }),
        Err(error) => Err(fault(error)),
    }
}
