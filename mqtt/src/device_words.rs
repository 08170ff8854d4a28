//! Heartbeats and commands of the native dialect.
//!
//! Promises: a heartbeat may leave out anything; a field that is there must make sense.
//!
//! Here until `rollcall_dialects::native` spells them.

use rollcall_domain::moment::Moment;
use rollcall_domain::ports::{Command, Heartbeat};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Beat {
    at: Option<Moment>,
    firmware: Option<String>,
    battery: Option<u8>,
    pending: Option<u32>,
}

/// The most characters of a firmware's name that are kept.
const LONGEST_FIRMWARE: usize = 64;

/// # Errors
/// It is no heartbeat.
pub(crate) fn heartbeat(payload: &[u8]) -> Result<Heartbeat, serde_json::Error> {
    let beat: Beat = serde_json::from_slice(payload)?;
    let firmware = beat.firmware.map(|name| name.chars().take(LONGEST_FIRMWARE).collect());
    Ok(Heartbeat {
        at: beat.at,
        firmware,
        battery_percent: beat.battery.map(|percent| percent.min(100)),
        pending: beat.pending,
    })
}

#[derive(Serialize)]
#[serde(tag = "command", rename_all = "snake_case")]
enum Order {
    SetClock { at: Moment },
    Bind { session: String },
    Unbind,
    Reboot,
}

pub(crate) fn command(command: &Command) -> Vec<u8> {
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
    use super::*;

    #[test]
    fn a_heartbeat_may_be_empty_but_not_wrong() {
        assert_eq!(heartbeat(b"{}").unwrap(), Heartbeat::default());
        let full = heartbeat(br#"{"firmware":"1.2","battery":80,"pending":3}"#).unwrap();
        assert_eq!((full.battery_percent, full.pending), (Some(80), Some(3)));
        for wrong in ["", "[]1", r#"{"battery":"full"}"#, r#"{"pending":-1}"#] {
            assert!(heartbeat(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_command_is_one_json_object_with_its_name() {
        assert_eq!(command(&Command::Reboot), br#"{"command":"reboot"}"#);
        let at = Moment::from_millis(0);
        assert_eq!(
            command(&Command::SetClock { at }),
            br#"{"command":"set_clock","at":"1970-01-01T00:00:00Z"}"#
        );
    }
}
