//! What a terminal of the native dialect says of itself, and what it is told to do.
//!
//! Promises: a heartbeat may leave out anything; a field that is there must make sense, as it must in a scan.

use jiff::tz::TimeZone;
use rollcall_domain::ports::{Command, DeviceConfig, Heartbeat};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::{moment, text};
use super::json;
use super::object::Object;
use crate::error::DialectError;

/// The fields as they stand, each to be read on its own so that the one at fault can be named.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Beat<'a> {
    at: Option<&'a RawValue>,
    firmware: Option<&'a RawValue>,
    battery: Option<&'a RawValue>,
    pending: Option<&'a RawValue>,
}

/// Reads a heartbeat. A time without an offset is read in `zone`, the campus's.
///
/// # Errors
/// It is no heartbeat; the error names the field.
pub fn heartbeat(payload: &[u8], zone: &TimeZone) -> Result<Heartbeat, DialectError> {
    let beat: Beat<'_> = json(payload, b'{', "a heartbeat, one JSON object with each field once")?;
    let battery: Option<u8> = number(beat.battery, "battery", PERCENT)?;
    if battery.is_some_and(|percent| percent > 100) {
        return Err(DialectError::Field { field: "battery", expected: PERCENT });
    }
    Ok(Heartbeat {
        at: moment(beat.at, "at", zone)?,
        firmware: text(beat.firmware, "firmware")?,
        battery_percent: battery,
        pending: number(beat.pending, "pending", "a number of scans")?,
    })
}

const PERCENT: &str = "a whole number from 0 to 100";

fn number<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    field: &'static str,
    expected: &'static str,
) -> Result<Option<T>, DialectError> {
    let read = raw.map(|raw| serde_json::from_str(raw.get())).transpose();
    read.map_err(|_unreadable| DialectError::Field { field, expected })
}

pub fn command(command: &Command) -> Vec<u8> {
    let order = |name: &'static str| Object::default().with("command", name);
    let order = match *command {
        Command::SetClock { at } => order("set_clock").with("at", at.to_string()),
        Command::Bind { session } => order("bind").with("session", session.to_string()),
        Command::Unbind => order("unbind"),
        Command::Reboot => order("reboot"),
    };
    order.bytes()
}

/// What a device is to know of its place.
pub fn config(config: &DeviceConfig) -> Vec<u8> {
    let object = Object::default().with("name", config.name.clone()).with_some("room", config.room.clone());
    let quality = f64::from(config.min_quality_milli) / 1000.0;
    object.with("timezone", config.timezone.clone()).with("min_quality", quality).bytes()
}

#[cfg(test)]
mod tests {
    use rollcall_domain::ids::SessionId;
    use rollcall_domain::moment::Moment;

    use super::*;

    /// On a campus in Dhaka.
    fn heartbeat(payload: &[u8]) -> Result<Heartbeat, DialectError> {
        super::heartbeat(payload, &TimeZone::get("Asia/Dhaka").unwrap())
    }

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
    }

    #[test]
    fn a_heartbeat_is_read_as_a_scan_is() {
        let beat = r#"{"at":"2026-11-21T08:43:21","firmware":" 1.2\t","battery":80}"#;
        let beat = heartbeat(beat.as_bytes()).unwrap();
        assert_eq!(beat.at, Some("2026-11-21T02:43:21Z".parse().unwrap()));
        assert_eq!((beat.firmware.as_deref(), beat.battery_percent), (Some("1.2"), Some(80)));
        let blank = heartbeat(br#"{"at":"","firmware":" "}"#).unwrap();
        assert_eq!(blank, Heartbeat::default());
    }

    #[test]
    fn what_is_wrong_with_a_heartbeat_is_named_and_not_repeated() {
        let long = format!(r#"{{"firmware":"{}"}}"#, "é".repeat(65));
        for (wrong, said) in [
            ("", "not JSON"),
            (r#"[null,"1.2",80,3]"#, "expected a heartbeat"),
            (r#"{"battery":1,"battery":2}"#, "expected a heartbeat"),
            (r#"{"battery":"S-4711"}"#, "field 'battery' must be a whole number from 0 to 100"),
            (r#"{"battery":101}"#, "field 'battery'"),
            (r#"{"pending":-1}"#, "field 'pending'"),
            (r#"{"at":"yesterday"}"#, "field 'at' must be a time such as"),
            (r#"{"at":"2026-11-21"}"#, "field 'at'"),
            (r#"{"firmware":7}"#, "field 'firmware'"),
            (r#"{"firmware":"1\u0007S-4711"}"#, "field 'firmware' must be a text of at most 64"),
            (&long, "field 'firmware'"),
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
