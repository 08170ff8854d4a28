//! Promise: a terminal made by anybody is let in with its secret and acknowledged once its scan is on disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::{Command, Output, Stdio};

use rollcall_tests::campus::Campus;
use rollcall_tests::gateway::{Gateway, Signal, rollcall};

/// Publishes a scan as the first terminal with Mosquitto's client, and waits for the acknowledgement.
fn publish(campus: &Campus, version: &str, secret: &str, id: &str) -> Output {
    publish_of(0, campus, version, secret, id)
}

/// The same of another student of its room.
fn publish_of(student: usize, campus: &Campus, version: &str, secret: &str, id: &str) -> Output {
    publishing(student, campus, version, secret, id).output().unwrap()
}

fn publishing(student: usize, campus: &Campus, version: &str, secret: &str, id: &str) -> Command {
    let (device, _) = campus.devices.first().unwrap();
    let student = campus.sample.rooms.first().and_then(|room| room.students.get(student)).unwrap();
    let payload = format!(r#"{{"id":"{id}","student":"{student}","at":"{}"}}"#, campus.clock.now());
    let mut command = Command::new("mosquitto_pub");
    command
        .args(["-h", "127.0.0.1", "-p", &campus.mqtt.port().to_string(), "-V", version, "-q", "1"])
        .args(["-u", device.as_str(), "-P", secret, "-t", &format!("rollcall/v1/{device}/scan")])
        .args(["-m", &payload])
        .stdin(Stdio::null());
    command
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

#[test]
fn the_log_names_a_terminal_that_gives_two_scans_one_id() {
    let campus = Campus::new();
    let mut command = rollcall(campus.folder.path(), &["--config", "rollcall.toml"]);
    let mut gateway = Gateway::start(command.env_remove("ROLLCALL__MQTT__LISTEN"));
    let (device, secret) = campus.devices.first().unwrap();
    for student in 0..3 {
        let published = publish_of(student, &campus, "mqttv5", secret, "1");
        assert!(published.status.success(), "{published:?}");
        while !gateway.get("/metrics").contains("rollcall_views_lag_events 0") {}
    }
    let line = gateway.wait_for("used the id of an earlier scan");
    assert!(line.contains(&format!(r#""device":"{device}""#)), "{line}");
    gateway.signal(Signal::TERM);
    let (log, _) = gateway.end();
    assert_eq!(log.matches("used the id of an earlier scan").count(), 1);
    assert_eq!(campus.stored_scans(), ["1"]);
}

#[test]
fn while_nothing_can_be_written_a_terminal_is_made_to_wait_and_told_nothing() {
    let campus = Campus::new();
    let mut command = rollcall(campus.folder.path(), &["--config", "rollcall.toml"]);
    // More than any disk has here.
    command.env_remove("ROLLCALL__MQTT__LISTEN").env("ROLLCALL__STORE__MIN_FREE_BYTES", "1099511627776");
    let gateway = Gateway::start(&mut command);
    let (_, secret) = campus.devices.first().unwrap();
    let mut waiting = publishing(0, &campus, "mqttv5", secret, "1").spawn().unwrap();
    while !gateway.get("/metrics").contains(r#"mqtt_publishes_total{qos="1"} 1"#) {}
    let ready = gateway.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("free some space"), "{ready}");
    gateway.signal(Signal::TERM);
    let (log, _) = gateway.end();
    // It would come again if it had been sent away.
    assert_eq!(log.matches("a device connected").count(), 1, "{log}");
    waiting.kill().ok();
    assert!(!waiting.wait().unwrap().success(), "acknowledged, and not on disk");
    assert!(campus.stored_scans().is_empty());
}
