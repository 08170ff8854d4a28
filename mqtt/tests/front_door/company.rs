//! Several connections, and how they end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rollcall_domain::ids::DeviceId;
use rollcall_domain::ports::{Command, Delivered, Downlink};
use rollcall_mqtt::codec::Version;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::client::{SCAN, connect};
use crate::gateway::{present, running};

fn gate() -> DeviceId {
    DeviceId::parse("gate").unwrap()
}

#[tokio::test]
async fn every_connection_of_a_device_that_asked_sees_its_results() {
    let running = running().await;
    let mut scanner = running.client(Version::V311, "scanner", "gate").await;
    let mut screen = running.client(Version::V5, "screen", "gate").await;
    let mut stranger = running.client(Version::V5, "screen", "hall").await;
    screen.subscribe(1, "rollcall/v1/gate/#").await;
    let config = String::from_utf8_lossy(&screen.frame().await).into_owned();
    assert!(
        config.ends_with(r#"{"name":"the gate","room":"gate","timezone":"Asia/Bishkek","min_quality":0.7}"#)
    );
    stranger.subscribe(1, "rollcall/v1/hall/result").await;
    scanner.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
    (running.gateway.scan().await.completion)(Ok(present()));
    assert_eq!(scanner.frame().await, [0x40, 2, 0, 7]);
    let result = screen.message("rollcall/v1/gate/result").await;
    assert!(result.contains(r#""name":"Ada Example""#), "{result}");
    scanner.nothing_came().await;
    stranger.nothing_came().await;
}

#[tokio::test]
async fn a_command_reaches_the_device_or_is_known_not_to() {
    let running = running().await;
    let reboot = || {
        let (told, became) = oneshot::channel();
        let told = Box::new(move |delivered| told.send(delivered).unwrap());
        running.gateway.connections.command(&gate(), Command::Reboot, told);
        async { timeout(Duration::from_secs(10), became).await.unwrap().unwrap() }
    };
    assert_eq!(reboot().await, Delivered::NotConnected);
    let mut client = running.client(Version::V311, "a", "gate").await;
    assert_eq!(reboot().await, Delivered::NotListening);
    client.subscribe(1, "rollcall/v1/gate/command").await;
    assert_eq!(reboot().await, Delivered::Sent);
    assert_eq!(client.message("rollcall/v1/gate/command").await, r#"{"command":"reboot"}"#);
    client.subscribe_at(2, "rollcall/v1/gate/command", 1).await;
    let acknowledged = reboot();
    assert_eq!(client.frame().await[0], 0x32);
    client.send(&[0x40, 2, 0, 1]).await;
    assert_eq!(acknowledged.await, Delivered::Acknowledged);
    let lost = reboot();
    client.frame().await;
    drop(client);
    assert_eq!(lost.await, Delivered::Lost);
}

#[tokio::test]
async fn a_revoked_device_is_out_within_a_second() {
    let running = running().await;
    let mut five = running.client(Version::V5, "a", "gate").await;
    let mut three = running.client(Version::V311, "b", "gate").await;
    let mut other = running.client(Version::V5, "a", "hall").await;
    running.gateway.connections.revoke(&gate());
    let both = async { (five.closed().await, three.closed().await) };
    assert_eq!(timeout(Duration::from_secs(1), both).await.unwrap(), (Some(0x98), None));
    other.nothing_came().await;
    assert_eq!(*running.gateway.told.presence.lock().unwrap(), ["+gate", "+hall", "-gate"]);
}

#[tokio::test]
async fn a_device_revoked_while_its_secret_is_checked_does_not_get_in() {
    let running = running().await;
    let connections = running.gateway.connections.clone();
    *running.gateway.interruption.lock().unwrap() = Some(Box::new(move || connections.revoke(&gate())));
    let mut client = running.dial(Version::V311).await;
    client.send(&connect(Version::V311, "a", "gate", "secret")).await;
    assert_eq!(client.frame().await, [0x20, 2, 0, 4]);
}

#[tokio::test]
async fn the_same_client_id_takes_over_within_one_device_only() {
    let running = running().await;
    let mut first = running.client(Version::V5, "same", "gate").await;
    let mut hall = running.client(Version::V5, "same", "hall").await;
    let mut second = running.client(Version::V5, "same", "gate").await;
    assert_eq!(first.closed().await, Some(0x8E));
    second.nothing_came().await;
    hall.nothing_came().await;
    assert_eq!(*running.gateway.told.presence.lock().unwrap(), ["+gate", "+hall"]);
}

#[tokio::test]
async fn a_stop_still_acknowledges_what_reaches_the_disk_in_time() {
    let running = running().await;
    let mut gate = running.client(Version::V5, "a", "gate").await;
    let idle = running.dial(Version::V5).await;
    gate.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
    let held = running.gateway.scan().await;
    running.stop.send(()).unwrap();
    (held.completion)(Ok(present()));
    timeout(Duration::from_secs(1), running.done).await.unwrap().unwrap();
    assert_eq!(gate.frame().await, [0x40, 2, 0, 7]);
    assert_eq!(gate.closed().await, Some(0x8B));
    drop(idle);
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_a_second_for_a_disk_that_hangs() {
    let running = running().await;
    let mut gate = running.client(Version::V5, "a", "gate").await;
    gate.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
    let held = running.gateway.scan().await;
    running.stop.send(()).unwrap();
    timeout(Duration::from_secs(1), running.done).await.unwrap().unwrap();
    assert_eq!(gate.closed().await, Some(0x8B));
    drop(held);
}

#[tokio::test]
async fn a_stop_acknowledges_no_scan_for_which_there_was_no_room() {
    let running = running().await;
    let mut gate = running.client(Version::V5, "a", "gate").await;
    gate.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
    let held = running.gateway.scan().await;
    running.gateway.full.store(true, Ordering::SeqCst);
    gate.publish(1, 8, "rollcall/v1/gate/scan", SCAN).await;
    running.gateway.turned_away.notified().await;
    running.stop.send(()).unwrap();
    (held.completion)(Ok(present()));
    timeout(Duration::from_secs(1), running.done).await.unwrap().unwrap();
    assert_eq!(gate.frame().await, [0x40, 2, 0, 7]);
    assert_eq!(gate.closed().await, Some(0x8B));
}

#[tokio::test]
async fn the_result_of_a_scan_whose_client_said_goodbye_still_reaches_the_device() {
    let running = running().await;
    let mut screen = running.client(Version::V5, "screen", "gate").await;
    screen.subscribe(1, "rollcall/v1/gate/result").await;
    let mut scanner = running.client(Version::V311, "scanner", "gate").await;
    let scan = scanner.publish_bytes(0, 0, "rollcall/v1/gate/scan", SCAN);
    scanner.send(&[scan, vec![0xE0, 0]].concat()).await;
    let held = running.gateway.scan().await;
    screen.nothing_came().await;
    (held.completion)(Ok(present()));
    let result = screen.message("rollcall/v1/gate/result").await;
    assert!(result.contains(r#""status":"accepted""#), "{result}");
    assert_eq!(scanner.closed().await, None);
}
