//! Who is not known yet gets little, and a clear answer.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rollcall_domain::ids::UserId;
use rollcall_mqtt::codec::{Malformed, Version};
use rollcall_mqtt::{Access, Credentials, Denied, Identity, Leave, Refused};
use tokio::sync::mpsc;

use crate::client::{Client, connect, frame};
use crate::gateway::{Gateway, here, run, running};

#[tokio::test]
async fn a_wrong_secret_is_refused_with_the_versions_own_code() {
    let running = running().await;
    let mut three = running.dial(Version::V311).await;
    three.send(&connect(Version::V311, "a", "gate", "wrong")).await;
    assert_eq!(three.frame().await, [0x20, 2, 0, 4]);
    assert_eq!(three.closed().await, None);
    let mut five = running.dial(Version::V5).await;
    five.send(&connect(Version::V5, "a", "gate", "wrong")).await;
    assert_eq!(five.frame().await, [0x20, 3, 0, 0x86, 0]);
    assert_eq!(five.closed().await, None);
    assert_eq!(running.gateway.refusals(), [Refused::BadLogin; 2]);
    assert!(running.gateway.told.presence.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_device_that_is_switched_off_is_not_let_in() {
    let running = running().await;
    for (version, answer) in [(Version::V311, vec![0x20, 2, 0, 5]), (Version::V5, vec![0x20, 3, 0, 0x87, 0])]
    {
        let mut client = running.dial(version).await;
        client.send(&connect(version, "a", "off", "secret")).await;
        assert_eq!(client.frame().await, answer);
    }
}

#[tokio::test]
async fn other_protocol_levels_are_told_so() {
    let running = running().await;
    let mut client = running.dial(Version::V311).await;
    client.send(&frame(0x10, b"\0\x06MQIsdp\x03\x02\0\x3c\0\x01a")).await;
    assert_eq!(client.frame().await, [0x20, 2, 0, 1]);
    assert_eq!(running.gateway.refusals(), [Refused::Version]);
}

#[tokio::test]
async fn a_v5_client_without_an_id_is_told_the_one_it_got() {
    let running = running().await;
    let mut client = running.dial(Version::V5).await;
    client.send(&connect(Version::V5, "", "gate", "secret")).await;
    let answer = client.frame().await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("\u{12}\0\u{a}rollcall-1"), "{answer:?}");
}

#[tokio::test]
async fn a_connect_that_announces_too_much_is_closed_before_it_is_sent() {
    let gateway = Gateway::new();
    let (near, far) = tokio::io::duplex(1 << 20);
    let mut client = Client::new(near, Version::V5);
    client.send(&[0x10, 0xFF, 0xFF, 0x7F]).await;
    let reason = gateway.door.serve(far, here()).await;
    assert!(matches!(reason, Leave::Malformed(Malformed::TooLarge { limit: 65_536, .. })), "{reason}");
    assert_eq!(client.closed().await, None);
    assert_eq!(gateway.refusals(), [Refused::Malformed]);
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_dawdles_is_closed_after_ten_seconds() {
    let gateway = Gateway::new();
    let (near, far) = tokio::io::duplex(1024);
    let mut client = Client::new(near, Version::V5);
    client.send(&[0x10, 0x20, 0, 4]).await;
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut passed = 0_u32;
    let mut serving = std::pin::pin!(gateway.door.serve(far, here()));
    let reason = loop {
        tokio::select! {
            reason = &mut serving => break reason,
            _ = seconds.tick() => passed += 1,
        }
    };
    assert_eq!(reason, Leave::SlowConnect);
    assert!((10..=11).contains(&passed), "{passed}");
    assert_eq!(gateway.refusals(), [Refused::SlowConnect]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_is_closed_and_one_that_pings_is_not() {
    let gateway = Gateway::new();
    let (near, far) = tokio::io::duplex(1024);
    let mut client = Client::new(near, Version::V5);
    let talk = async {
        client.send(&connect(Version::V5, "a", "gate", "secret")).await;
        client.frame().await;
        let mut keep_alive = tokio::time::interval(Duration::from_secs(55));
        for _ in 0..10 {
            keep_alive.tick().await;
            client.nothing_came().await;
        }
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        let mut silent = 0_u32;
        loop {
            tokio::select! {
                frame = client.frame() => return (silent, frame),
                _ = seconds.tick() => silent += 1,
            }
        }
    };
    let (reason, (silent, last)) = tokio::join!(gateway.door.serve(far, here()), talk);
    assert_eq!((reason, last), (Leave::Silent, vec![0xE0, 1, 0x8D]));
    assert!((90..=121).contains(&silent), "{silent}");
}

/// Says when a check began, and ends none before it may.
struct Stuck {
    begun: mpsc::UnboundedSender<()>,
    may_end: Mutex<bool>,
    ended: Condvar,
}

impl Access for Stuck {
    fn check(&self, _: &Credentials) -> Result<Identity, Denied> {
        self.begun.send(()).unwrap();
        // Bounded, since the end of a test waits for the threads of its checks.
        let may_end = self.may_end.lock().unwrap();
        drop(self.ended.wait_timeout_while(may_end, Duration::from_secs(5), |may_end| !*may_end).unwrap());
        Ok(Identity::Monitor(UserId(1)))
    }
}

#[tokio::test]
async fn only_a_few_secrets_are_checked_at_once_also_when_nobody_waits_for_them_any_more() {
    let (sender, mut begun) = mpsc::unbounded_channel();
    let stuck = Arc::new(Stuck { begun: sender, may_end: Mutex::new(false), ended: Condvar::new() });
    let running = run(Gateway::with(stuck.clone(), Duration::from_millis(200))).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = running.dial(Version::V311).await;
        client.send(&connect(Version::V311, "a", "gate", "secret")).await;
        begun.recv().await.unwrap();
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.closed().await, None);
    }
    let mut fifth = running.dial(Version::V311).await;
    fifth.send(&connect(Version::V311, "a", "gate", "secret")).await;
    assert_eq!(fifth.closed().await, None);
    let one_more = begun.try_recv();
    *stuck.may_end.lock().unwrap() = true;
    stuck.ended.notify_all();
    assert!(one_more.is_err());
    assert_eq!(running.gateway.refusals(), [Refused::SlowConnect; 5]);
}

/// CONNECT of a device "gate", piece by piece.
fn shaped(level: u8, flags: u8, keep_alive: u8, rest: &[u8]) -> Vec<u8> {
    frame(0x10, &[&[0, 4, b'M', b'Q', b'T', b'T', level, flags, 0, keep_alive], rest].concat())
}

#[tokio::test]
async fn what_is_not_offered_to_a_stranger_is_refused_with_its_own_code() {
    let running = running().await;
    for (why, connect, answer) in [
        ("extended authentication", shaped(5, 2, 60, b"\x04\x15\0\x01x\0\0"), vec![0x20, 3, 0, 0x8C, 0]),
        ("a lasting session without a name", shaped(4, 0, 60, b"\0\0"), vec![0x20, 2, 0, 2]),
    ] {
        let mut client = running.dial(Version::V311).await;
        client.send(&connect).await;
        assert_eq!(client.frame().await, answer, "{why}");
        assert_eq!(client.closed().await, None, "{why}");
    }
}

#[tokio::test]
async fn a_will_must_go_where_its_client_may_publish() {
    let running = running().await;
    for (topic, answer) in [("rollcall/v1/hall/status", 5), ("rollcall/v1/gate/status", 0)] {
        let length = u8::try_from(topic.len()).unwrap();
        let rest = [b"\0\x01a\0", &[length][..], topic.as_bytes(), b"\0\x01x\0\x04gate\0\x06secret"].concat();
        let mut client = running.dial(Version::V311).await;
        client.send(&shaped(4, 0xC6, 60, &rest)).await;
        assert_eq!(client.frame().await, [0x20, 2, 0, answer], "{topic}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_keep_alive_is_told_ours_and_held_to_it() {
    let gateway = Gateway::new();
    let (near, far) = tokio::io::duplex(1024);
    let mut client = Client::new(near, Version::V5);
    let talk = async {
        client.send(&shaped(5, 0xC2, 0, b"\0\0\x01a\0\x04gate\0\x06secret")).await;
        let answer = client.frame().await;
        assert!(answer.windows(3).any(|bytes| bytes == [0x13, 0x02, 0x58]), "{answer:?}");
    };
    let serving = tokio::time::timeout(Duration::from_secs(1_201), gateway.door.serve(far, here()));
    assert_eq!(tokio::join!(serving, talk).0, Ok(Leave::Silent));
}

#[tokio::test]
async fn the_place_of_a_client_that_left_is_free_again() {
    let gateway = Gateway::new();
    for _ in 0..=200 {
        let (near, far) = tokio::io::duplex(16);
        drop(near);
        assert_eq!(gateway.door.serve(far, here()).await, Leave::Closed);
    }
    assert!(gateway.refusals().is_empty());
}

/// Answers a CONNECT with this secret, and tells how many eighths of a second that took.
async fn eighths_until_answered(gateway: &Gateway, secret: &str) -> u32 {
    let (near, far) = tokio::io::duplex(1024);
    let mut client = Client::new(near, Version::V311);
    let talk = async {
        client.send(&connect(Version::V311, "a", "gate", secret)).await;
        let mut eighths = tokio::time::interval(Duration::from_millis(125));
        let mut passed = 0;
        loop {
            tokio::select! {
                biased;
                _ = client.frame() => return passed,
                _ = eighths.tick() => passed += 1,
            }
        }
    };
    tokio::select! { passed = talk => passed, _ = gateway.door.serve(far, here()) => panic!("no answer") }
}

#[tokio::test(start_paused = true)]
async fn whoever_guesses_waits_longer_and_longer_and_others_behind_the_same_address_do_not() {
    let gateway = Gateway::new();
    let mut waits = Vec::new();
    for _ in 0..10 {
        waits.push(eighths_until_answered(&gateway, "wrong").await);
        assert!(eighths_until_answered(&gateway, "secret").await <= 1);
    }
    let expected = [0, 0, 0, 2, 4, 8, 16, 32, 32, 32];
    assert!(
        waits.iter().zip(expected).all(|(waited, expected)| (expected..=expected + 2).contains(waited)),
        "{waits:?}"
    );
    // Each is counted once, as ever.
    assert_eq!(gateway.refusals(), [Refused::BadLogin; 10]);
}
