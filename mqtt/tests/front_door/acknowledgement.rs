//! An acknowledgement means "on disk".

use std::sync::atomic::Ordering;
use std::time::Duration;

use rollcall_domain::ports::{NotTaken, Submission};
use rollcall_mqtt::Refused;
use rollcall_mqtt::codec::Version;
use tokio::time::timeout;

use crate::client::{Client, SCAN, connect};
use crate::gateway::{Gateway, here, present, running, unmatched};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

fn done(submission: Submission) {
    (submission.completion)(Ok(present()));
}

#[tokio::test]
async fn no_acknowledgement_before_the_scan_is_on_disk() {
    let running = running().await;
    for version in BOTH {
        for (qos, first) in [(1, 0x40), (2, 0x50)] {
            let mut gate = running.client(version, "a", "gate").await;
            gate.publish(qos, 7, "rollcall/v1/gate/scan", SCAN).await;
            let held = running.gateway.scan().await;
            assert_eq!((held.scan.device.as_str(), held.scan.claim.as_str()), ("gate", "120"));
            gate.nothing_came().await;
            done(*held);
            assert_eq!(gate.frame().await, [first, 2, 0, 7]);
        }
    }
}

#[tokio::test]
async fn qos_2_is_carried_to_its_end() {
    let running = running().await;
    let mut gate = running.client(Version::V311, "a", "gate").await;
    gate.publish(2, 7, "rollcall/v1/gate/scan", SCAN).await;
    done(*running.gateway.scan().await);
    assert_eq!(gate.frame().await, [0x50, 2, 0, 7]);
    gate.send(&[0x62, 2, 0, 7]).await;
    assert_eq!(gate.frame().await, [0x70, 2, 0, 7]);
}

#[tokio::test]
async fn acknowledgements_come_in_the_order_of_the_uploads_whatever_the_disk_does() {
    let running = running().await;
    let mut gate = running.client(Version::V311, "a", "gate").await;
    gate.publish(1, 1, "rollcall/v1/gate/scan", SCAN).await;
    gate.publish(1, 2, "rollcall/v1/gate/heartbeat", r#"{"battery":80}"#).await;
    gate.publish(1, 3, "rollcall/v1/gate/scan", SCAN).await;
    let (first, third) = (running.gateway.scan().await, running.gateway.scan().await);
    done(*third);
    gate.nothing_came().await;
    done(*first);
    for id in 1..=3 {
        assert_eq!(gate.frame().await, [0x40, 2, 0, id]);
    }
    assert_eq!(*running.gateway.told.presence.lock().unwrap(), ["+gate", "gate Some(80)"]);
}

#[tokio::test]
async fn an_array_is_acknowledged_when_all_of_it_is_on_disk() {
    let running = running().await;
    let mut gate = running.client(Version::V5, "a", "gate").await;
    assert_eq!(gate.subscribe(1, "rollcall/v1/gate/result").await, [0x90, 4, 0, 1, 0, 0]);
    gate.publish(1, 9, "rollcall/v1/gate/scans", &format!(r#"[{SCAN},{{"id":"s2"}},{SCAN}]"#)).await;
    let (first, second) = (running.gateway.scan().await, running.gateway.scan().await);
    assert!(first.scan.is_replay);
    done(*second);
    gate.nothing_came().await;
    done(*first);
    assert_eq!(gate.frame().await, [0x40, 2, 0, 9]);
    for status in ["accepted", "rejected", "accepted"] {
        let result = gate.message("rollcall/v1/gate/result").await;
        assert!(result.contains(&format!(r#""status":"{status}""#)), "{result}");
    }
}

#[tokio::test]
async fn a_scan_that_was_not_taken_closes_the_connection_unacknowledged() {
    let running = running().await;
    for (version, reason) in [(Version::V311, None), (Version::V5, Some(0x89))] {
        let mut gate = running.client(version, "a", "gate").await;
        gate.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
        let held = running.gateway.scan().await;
        (held.completion)(Err(NotTaken::StorageUnavailable));
        assert_eq!(gate.closed().await, reason);
    }
}

#[tokio::test]
async fn a_scan_that_the_intake_lost_closes_the_connection_unacknowledged() {
    let running = running().await;
    let mut gate = running.client(Version::V311, "a", "gate").await;
    gate.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
    drop(running.gateway.scan().await);
    assert_eq!(gate.closed().await, None);
}

#[tokio::test]
async fn while_the_intake_is_full_nothing_is_read_and_nothing_is_lost() {
    let running = running().await;
    running.gateway.full.store(true, Ordering::SeqCst);
    let mut gate = running.client(Version::V311, "a", "gate").await;
    for id in 1..=3 {
        gate.publish(1, id, "rollcall/v1/gate/scan", SCAN).await;
    }
    running.gateway.turned_away.notified().await;
    running.gateway.full.store(false, Ordering::SeqCst);
    for id in 1..=3 {
        done(*running.gateway.scan().await);
        assert_eq!(gate.frame().await, [0x40, 2, 0, id]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_intake_asks_less_and_less_often() {
    let gateway = Gateway::new();
    gateway.full.store(true, Ordering::SeqCst);
    let (near, far) = tokio::io::duplex(1024);
    let mut gate = Client::new(near, Version::V311);
    let talk = async {
        gate.send(&connect(Version::V311, "a", "gate", "secret")).await;
        gate.frame().await;
        gate.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
        let mut asked = 0;
        let count = async {
            loop {
                gateway.turned_away.notified().await;
                asked += 1;
            }
        };
        timeout(Duration::from_secs(1), count).await.unwrap_err();
        gateway.full.store(false, Ordering::SeqCst);
        done(*timeout(Duration::from_millis(65), gateway.scan()).await.unwrap());
        assert_eq!(gate.frame().await, [0x40, 2, 0, 7]);
        asked
    };
    let asked = tokio::select! { asked = talk => asked, _ = gateway.door.serve(far, here()) => 0 };
    assert!((10..=30).contains(&asked), "{asked}");
}

#[tokio::test]
async fn an_unmatched_scan_is_acknowledged_with_its_own_reason() {
    let running = running().await;
    for (version, ack) in [(Version::V311, vec![0x40, 2, 0, 7]), (Version::V5, vec![0x40, 3, 0, 7, 0x10])] {
        let mut gate = running.client(version, "a", "gate").await;
        gate.subscribe(1, "rollcall/v1/gate/result").await;
        gate.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
        (running.gateway.scan().await.completion)(Ok(unmatched()));
        assert_eq!(gate.frame().await, ack);
        let result = gate.message("rollcall/v1/gate/result").await;
        assert!(result.contains(r#""code":"not_enrolled""#), "{result}");
    }
}

#[tokio::test]
async fn what_is_no_scan_is_acknowledged_and_rejected() {
    let running = running().await;
    for (version, ack) in [(Version::V311, vec![0x40, 2, 0, 7]), (Version::V5, vec![0x40, 3, 0, 7, 0x99])] {
        let mut gate = running.client(version, "a", "gate").await;
        gate.subscribe(1, "rollcall/v1/gate/result").await;
        gate.publish(1, 7, "rollcall/v1/gate/scan", r#"{"id":"s9"}"#).await;
        assert_eq!(gate.frame().await, ack);
        let result = gate.message("rollcall/v1/gate/result").await;
        assert!(result.contains(r#""id":"s9","status":"rejected""#), "{result}");
        assert!(result.contains(r#""code":"bad_payload""#), "{result}");
    }
    assert_eq!(running.gateway.refusals(), [Refused::BadPayload; 2]);
}

#[tokio::test]
async fn a_scan_at_qos_0_is_taken_and_its_result_told() {
    let running = running().await;
    let mut gate = running.client(Version::V311, "a", "gate").await;
    gate.subscribe(1, "rollcall/v1/gate/result").await;
    gate.publish(0, 0, "rollcall/v1/gate/scan", SCAN).await;
    done(*running.gateway.scan().await);
    let result = gate.message("rollcall/v1/gate/result").await;
    assert!(result.contains(r#""id":"s1","status":"accepted""#), "{result}");
}

#[tokio::test]
async fn a_client_that_closed_its_side_still_gets_its_acknowledgement() {
    let running = running().await;
    let mut gate = running.client(Version::V311, "a", "gate").await;
    gate.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
    let held = running.gateway.scan().await;
    tokio::io::AsyncWriteExt::shutdown(&mut gate.stream).await.unwrap();
    done(*held);
    assert_eq!(gate.frame().await, [0x40, 2, 0, 7]);
    assert_eq!(gate.closed().await, None);
}

#[tokio::test]
async fn scans_that_had_to_wait_go_in_in_their_order() {
    let running = running().await;
    running.gateway.full_once.store(true, Ordering::SeqCst);
    let mut gate = running.client(Version::V311, "a", "gate").await;
    let students = [1, 2, 3].map(|n| format!(r#"{{"student":{n},"at":"2026-11-21T08:43:21Z"}}"#));
    gate.publish(1, 1, "rollcall/v1/gate/scans", &format!("[{}]", students.join(","))).await;
    for student in ["1", "2", "3"] {
        let held = running.gateway.scan().await;
        assert_eq!(held.scan.claim, student);
        done(*held);
    }
    assert_eq!(gate.frame().await, [0x40, 2, 0, 1]);
}

#[tokio::test]
async fn a_scan_marked_as_sent_before_says_nothing_about_the_devices_clock() {
    let running = running().await;
    let mut gate = running.client(Version::V311, "a", "gate").await;
    let mut bytes = gate.publish_bytes(1, 7, "rollcall/v1/gate/scan", SCAN);
    for is_replay in [false, true] {
        gate.send(&bytes).await;
        let held = running.gateway.scan().await;
        assert_eq!(held.scan.is_replay, is_replay);
        done(*held);
        assert_eq!(gate.frame().await, [0x40, 2, 0, 7], "also under an id that was used before");
        bytes[0] |= 0x08;
    }
}

#[tokio::test]
async fn who_scans_and_listens_hears_each_result_once() {
    let running = running().await;
    let mut gate = running.client(Version::V311, "a", "gate").await;
    gate.subscribe(1, "rollcall/v1/gate/result").await;
    gate.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
    done(*running.gateway.scan().await);
    assert_eq!(gate.frame().await, [0x40, 2, 0, 7]);
    gate.message("rollcall/v1/gate/result").await;
    gate.nothing_came().await;
    gate.nothing_came().await;
}
