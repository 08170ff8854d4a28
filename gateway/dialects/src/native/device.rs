//! What a terminal of the native dialect says of itself, and what it is told to do.
//!
//! Promises: a heartbeat may leave out anything; a field that is there must make sense.

use jiff::Timestamp;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::{Command, Heartbeat};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::json;
use crate::error::DialectError;

/// The most characters of a firmware's name that are kept.
const LONGEST_FIRMWARE: usize = 64;

/// The fields as they stand, each to be read on its own so that the one at fault can be named.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Beat<'a> {
    at: Option<&'a RawValue>,
    firmware: Option<&'a RawValue>,
    battery: Option<&'a RawValue>,
    pending: Option<&'a RawValue>,
}

/// # Errors
/// It is no heartbeat; the error names the field.
pub fn heartbeat(payload: &[u8]) -> Result<Heartbeat, DialectError> {
    let beat: Beat<'_> = json(payload, b'{', "a heartbeat, one JSON object with each field once")?;
    let at: Option<Timestamp> = field(beat.at, "at", "a time such as 2026-11-21T08:43:21+06:00")?;
    let firmware: Option<String> = field(beat.firmware, "firmware", "a text")?;
    let battery: Option<u8> = field(beat.battery, "battery", PERCENT)?;
    if battery.is_some_and(|percent| percent > 100) {
        return Err(DialectError::Field { field: "battery", expected: PERCENT });
    }
    Ok(Heartbeat {
        at: at.map(Moment::from),
        firmware: firmware.map(|name| name.chars().take(LONGEST_FIRMWARE).collect()),
        battery_percent: battery,
        pending: field(beat.pending, "pending", "a number of scans")?,
    })
}

const PERCENT: &str = "a whole number from 0 to 100";

fn field<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    field: &'static str,
    expected: &'static str,
) -> Result<Option<T>, DialectError> {
    let read = raw.map(|raw| serde_json::from_str(raw.get())).transpose();
    read.map_err(|_unreadable| DialectError::Field { field, expected })
}

#[derive(Serialize)]
#[serde(tag = "command", rename_all = "snake_case")]
enum Order {
    SetClock { at: Moment },
    Bind { session: String },
    Unbind,
    Reboot,
}

pub fn command(command: &Command) -> Vec<u8> {
    let order = match *command {
        Command::SetClock { at } => Order::SetClock { at },
        Command::Bind { session } => Order::Bind { session: session.to_string() },
        Command::Unbind => Order::Unbind,
        Command::Reboot => Order::Reboot,
    };
    // Texts and words only: there is nothing in it that JSON could not hold.
    serde_json::to_vec(&order).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rollcall_domain::ids::SessionId;

    use super::*;

    #[test]
    fn a_heartbeat_may_be_empty_but_not_wrong() {
        assert_eq!(heartbeat(b"{}").unwrap(), Heartbeat::default());
        let full = br#"{"at":"1970-01-01T06:00:01+06:00","firmware":"1.2","battery":80,"pending":3}"#;
        let expected = Heartbeat {
            at: Some(Moment::from_millis(1_000)),
            firmware: Some("1.2".to_owned()),
            battery_percent: Some(80),
            pending: Some(3),
        };
        assert_eq!(heartbeat(full), Ok(expected));
        let long = format!(r#"{{"firmware":"{}"}}"#, "é".repeat(65));
        assert_eq!(heartbeat(long.as_bytes()).unwrap().firmware, Some("é".repeat(64)));
    }

    #[test]
    fn what_is_wrong_with_a_heartbeat_is_named_and_not_repeated() {
        for (wrong, said) in [
            ("", "not JSON"),
            (r#"[null,"1.2",80,3]"#, "expected a heartbeat"),
            (r#"{"battery":1,"battery":2}"#, "expected a heartbeat"),
            (r#"{"battery":"S-4711"}"#, "field 'battery' must be a whole number from 0 to 100"),
            (r#"{"battery":101}"#, "field 'battery'"),
            (r#"{"pending":-1}"#, "field 'pending'"),
            (r#"{"at":"yesterday"}"#, "field 'at'"),
            (r#"{"firmware":7}"#, "field 'firmware'"),
        ] {
            let error = heartbeat(wrong.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(said) && !error.contains("S-4711"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_command_is_one_json_object_with_its_name() {
        let at = Moment::from_millis(0);
        for (order, written) in [
            (Command::Reboot, r#"{"command":"reboot"}"#),
            (Command::Unbind, r#"{"command":"unbind"}"#),
            (Command::SetClock { at }, r#"{"command":"set_clock","at":"1970-01-01T00:00:00Z"}"#),
            (Command::Bind { session: SessionId(7) }, r#"{"command":"bind","session":"ses_7"}"#),
        ] {
            assert_eq!(String::from_utf8(command(&order)).unwrap(), written);
        }
    }
}
