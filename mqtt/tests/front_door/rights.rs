//! Nobody reaches a topic that is not theirs.

use rollcall_mqtt::Refused;
use rollcall_mqtt::codec::Version;

use crate::client::SCAN;
use crate::gateway::{present, running};

#[tokio::test]
async fn a_foreign_publish_is_refused_in_v5_and_closes_v3() {
    let running = running().await;
    let mut five = running.client(Version::V5, "a", "gate").await;
    five.publish(1, 7, "rollcall/v1/hall/scan", SCAN).await;
    assert_eq!(five.frame().await, [0x40, 3, 0, 7, 0x87]);
    five.nothing_came().await;
    let mut three = running.client(Version::V311, "b", "gate").await;
    three.publish(1, 7, "rollcall/v1/hall/scan", SCAN).await;
    assert_eq!(three.closed().await, None);
    assert_eq!(running.gateway.refusals(), [Refused::Publish; 2]);
}

#[tokio::test]
async fn a_foreign_subscription_is_refused_and_the_connection_stays() {
    let running = running().await;
    let mut five = running.client(Version::V5, "a", "gate").await;
    assert_eq!(five.subscribe(3, "rollcall/v1/hall/result").await, [0x90, 4, 0, 3, 0, 0x87]);
    let mut three = running.client(Version::V311, "b", "gate").await;
    assert_eq!(three.subscribe(3, "#").await, [0x90, 3, 0, 3, 0x80]);
    three.nothing_came().await;
    assert_eq!(running.gateway.refusals(), [Refused::Subscribe; 2]);
}

#[tokio::test]
async fn an_unsubscribe_of_an_unknown_filter_is_answered() {
    let running = running().await;
    let mut three = running.client(Version::V311, "a", "gate").await;
    assert_eq!(three.unsubscribe(5, "nobody/knows").await, [0xB0, 2, 0, 5]);
    let mut five = running.client(Version::V5, "b", "gate").await;
    assert_eq!(five.unsubscribe(5, "nobody/knows").await, [0xB0, 4, 0, 5, 0, 0x11]);
    five.subscribe(6, "rollcall/v1/gate/result").await;
    assert_eq!(five.unsubscribe(7, "rollcall/v1/gate/result").await, [0xB0, 4, 0, 7, 0, 0]);
}

#[tokio::test]
async fn a_monitor_sees_scans_after_the_commit_and_without_names() {
    let running = running().await;
    let mut watcher = running.client(Version::V311, "w", "watcher").await;
    assert_eq!(watcher.subscribe(1, "rollcall/#").await, [0x90, 3, 0, 1, 0]);
    let mut gate = running.client(Version::V311, "a", "gate").await;
    gate.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
    let held = running.gateway.scan().await;
    watcher.nothing_came().await;
    (held.completion)(Ok(present()));
    let seen = watcher.message("rollcall/v1/gate/scan").await;
    assert!(seen.contains(r#""student":"120""#) && !seen.contains("Ada"), "{seen}");
}

#[tokio::test]
async fn a_monitor_may_not_publish() {
    let running = running().await;
    let mut watcher = running.client(Version::V5, "w", "watcher").await;
    watcher.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
    assert_eq!(watcher.frame().await, [0x40, 3, 0, 7, 0x87]);
}

#[tokio::test]
async fn a_monitor_for_whom_no_link_is_left_is_told_so() {
    let running = running().await;
    let mut watchers = Vec::new();
    for number in 0..128 {
        let mut watcher = running.client(Version::V311, &format!("w{number}"), "watcher").await;
        assert_eq!(watcher.subscribe(1, "rollcall/#").await, [0x90, 3, 0, 1, 0]);
        watchers.push(watcher);
    }
    let mut late = running.client(Version::V5, "late", "watcher").await;
    assert_eq!(late.subscribe(1, "rollcall/#").await, [0x90, 4, 0, 1, 0, 0x97]);
    assert_eq!(running.gateway.refusals(), [Refused::NoLink]);
    let mut gate = running.client(Version::V311, "a", "gate").await;
    gate.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
    (running.gateway.scan().await.completion)(Ok(present()));
    for watcher in &mut watchers {
        watcher.message("rollcall/v1/gate/scan").await;
    }
    drop(watchers.pop());
    while late.subscribe(2, "rollcall/#").await != [0x90, 4, 0, 2, 0, 0] {}
}
