//! Promise: a terminal made by anybody is let in with its secret and acknowledged once its scan is on disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::{Command, Output, Stdio};

use rollcall_tests::campus::Campus;
use rollcall_tests::gateway::{Gateway, Signal, rollcall};

/// Publishes a scan as the first terminal with Mosquitto's client, and waits for the acknowledgement.
fn publish(campus: &Campus, version: &str, secret: &str, id: &str) -> Output {
    let (device, _) = campus.devices.first().unwrap();
    let student = campus.sample.rooms.first().and_then(|room| room.students.first()).unwrap();
    let payload = format!(r#"{{"id":"{id}","student":"{student}","at":"{}"}}"#, campus.clock.now());
    Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &campus.mqtt.port().to_string(), "-V", version, "-q", "1"])
        .args(["-u", device.as_str(), "-P", secret, "-t", &format!("rollcall/v1/{device}/scan")])
        .args(["-m", &payload])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn mosquittos_client_signs_in_and_is_acknowledged_in_both_versions() {
    let campus = Campus::new();
    let mut command = rollcall(campus.folder.path(), &["--config", "rollcall.toml"]);
    let gateway = Gateway::start(command.env_remove("ROLLCALL__MQTT__LISTEN"));
    let secret = campus.devices.first().map(|(_, secret)| secret.clone()).unwrap();
    for version in ["mqttv311", "mqttv5"] {
        let published = publish(&campus, version, &secret, version);
        assert!(published.status.success(), "{published:?}");
        let refused = publish(&campus, version, "not the secret", "forged");
        assert!(!refused.status.success(), "{refused:?}");
    }
    // Acknowledged is on disk, also if the process is killed the moment after.
    gateway.signal(Signal::KILL);
    gateway.end();
    assert_eq!(campus.stored_scans(), ["mqttv311", "mqttv5"]);
}
