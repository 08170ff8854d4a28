//! What outlives a connection, and what is said when one ends.

use std::time::Duration;

use rollcall_mqtt::codec::Version;
use tokio::time::timeout;

use crate::client::{Client, frame};
use crate::gateway::{Running, present, running};

/// A CONNECT with everything that concerns a session.
struct Asking<'a> {
    version: Version,
    id: &'a str,
    /// Nobody, if empty.
    user: &'a str,
    clean: bool,
    /// v5, in seconds.
    expiry: u32,
    /// Topic, payload, retained, and v5's delay in seconds.
    will: Option<(&'a str, &'a str, bool, u32)>,
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text.as_bytes());
}

impl Asking<'_> {
    fn of(version: Version, id: &'static str) -> Self {
        Asking { version, id, user: "", clean: false, expiry: 60, will: None }
    }

    fn bytes(&self) -> Vec<u8> {
        let five = self.version == Version::V5;
        let mut flags = u8::from(self.clean) << 1 | if self.user.is_empty() { 0 } else { 0xC0 };
        if let Some((_, _, retained, _)) = self.will {
            flags |= 0b0000_1100 | u8::from(retained) << 5;
        }
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', if five { 5 } else { 4 }, flags, 0, 60];
        if five {
            body.extend([5, 0x11]);
            body.extend(self.expiry.to_be_bytes());
        }
        text(&mut body, self.id);
        if let Some((topic, payload, _, delay)) = self.will {
            if five {
                body.extend([5, 0x18]);
                body.extend(delay.to_be_bytes());
            }
            text(&mut body, topic);
            text(&mut body, payload);
        }
        if !self.user.is_empty() {
            text(&mut body, self.user);
            text(&mut body, "secret");
        }
        frame(0x10, &body)
    }

    /// Lets it in; tells whether its session was there.
    async fn enter(&self, running: &Running) -> (Client, bool) {
        let mut client = running.dial(self.version).await;
        client.send(&self.bytes()).await;
        let answer = client.frame().await;
        assert_eq!((answer[0], answer[3]), (0x20, 0), "{answer:?}");
        (client, answer[2] == 1)
    }
}

/// The topic and payload of a PUBLISH without properties, its first byte, and its id if it has one.
fn published(frame: &[u8], version: Version) -> (u8, String, Option<u16>, String) {
    let body = &frame[2 + frame[1..].iter().take_while(|byte| **byte >= 0x80).count()..];
    let (topic, mut rest) = body[2..].split_at(usize::from(u16::from_be_bytes([body[0], body[1]])));
    let mut id = None;
    if frame[0] & 0b110 != 0 {
        id = Some(u16::from_be_bytes([rest[0], rest[1]]));
        rest = &rest[2..];
    }
    if version == Version::V5 {
        rest = &rest[1 + usize::from(rest[0])..];
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (frame[0], text(topic), id, text(rest))
}

/// Says goodbye and waits until the gateway has heard it.
async fn goodbye(mut client: Client) {
    client.send(&[0xE0, 0]).await;
    assert_eq!(client.closed().await, None);
}

#[tokio::test]
async fn what_comes_for_a_client_that_is_gone_waits_for_it() {
    for version in [Version::V311, Version::V5] {
        let running = running().await;
        let asking = Asking::of(version, "a");
        let (mut client, present) = asking.enter(&running).await;
        assert!(!present);
        client.subscribe_at(1, "t/#", 2).await;
        goodbye(client).await;
        let (mut other, _) = Asking::of(Version::V311, "b").enter(&running).await;
        other.publish(0, 0, "t/0", "lost").await;
        other.publish(1, 7, "t/1", "once").await;
        assert_eq!(other.frame().await, [0x40, 2, 0, 7]);
        other.publish(2, 8, "t/2", "twice").await;
        assert_eq!(other.frame().await, [0x50, 2, 0, 8]);
        other.send(&[0x62, 2, 0, 8]).await;
        assert_eq!(other.frame().await, [0x70, 2, 0, 8]);
        // Through the router on its own way, so that what went before is there as well.
        let (mut third, _) = Asking::of(Version::V311, "c").enter(&running).await;
        third.subscribe_at(1, "end", 0).await;
        other.publish(0, 0, "end", "").await;
        third.frame().await;
        let (mut client, present) = asking.enter(&running).await;
        assert!(present, "{version:?}");
        let first = published(&client.frame().await, version);
        assert_eq!(first, (0x32, "t/1".to_owned(), Some(1), "once".to_owned()));
        let second = published(&client.frame().await, version);
        assert_eq!(second, (0x34, "t/2".to_owned(), Some(2), "twice".to_owned()));
        // Only one of them is acknowledged before the client is lost again.
        client.send(&[0x40, 2, 0, 1]).await;
        client.nothing_came().await;
        drop(client);
        let (mut client, _) = asking.enter(&running).await;
        assert_eq!(published(&client.frame().await, version).0, 0x3C, "sent before");
        client.send(&[0x50, 2, 0, 2]).await;
        assert_eq!(client.frame().await, [0x62, 2, 0, 2]);
        client.send(&[0x70, 2, 0, 2]).await;
        client.nothing_came().await;
        let (_, present) = Asking { clean: true, ..asking }.enter(&running).await;
        assert!(!present);
    }
}

#[tokio::test]
async fn a_session_goes_from_a_live_connection_to_the_one_that_takes_over() {
    let running = running().await;
    let asking = Asking::of(Version::V5, "a");
    let (mut first, _) = asking.enter(&running).await;
    first.subscribe_at(1, "t", 1).await;
    let (mut second, present) = asking.enter(&running).await;
    assert!(present);
    assert_eq!(first.closed().await, Some(0x8E));
    second.publish(1, 7, "t", "still here").await;
    let mut frames = [second.frame().await, second.frame().await];
    frames.sort();
    assert_eq!(published(&frames[0], Version::V5).3, "still here");
    assert_eq!(frames[1], [0x40, 2, 0, 7]);
}

#[tokio::test]
async fn a_session_is_gone_when_its_time_is_over_and_is_nobody_elses() {
    let running = running().await;
    let (mut watcher, _) = Asking::of(Version::V311, "w").enter(&running).await;
    watcher.subscribe_at(1, "end", 0).await;
    // Which is said when the session ends, since the client has longer to come back.
    let will = Some(("end", "over", false, 60));
    let asking = Asking { expiry: 1, will, ..Asking::of(Version::V5, "a") };
    drop(asking.enter(&running).await);
    let (_, present) = Asking { user: "hall", ..Asking::of(Version::V5, "a") }.enter(&running).await;
    assert!(!present, "the id belongs to whoever signs in, too");
    let (client, present) = asking.enter(&running).await;
    assert!(present);
    drop(client);
    assert_eq!(watcher.message("end").await, "over");
    assert!(!asking.enter(&running).await.1);
}

#[tokio::test]
async fn a_goodbye_changes_how_long_a_session_is_kept_but_asks_for_none_where_there_was_none() {
    let running = running().await;
    let asking = Asking::of(Version::V5, "a");
    let (mut client, _) = asking.enter(&running).await;
    client.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0]).await;
    assert_eq!(client.closed().await, None);
    assert!(!asking.enter(&running).await.1);
    let (mut client, _) = Asking { expiry: 0, ..Asking::of(Version::V5, "b") }.enter(&running).await;
    client.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 9]).await;
    assert_eq!(client.closed().await, Some(0x82));
}

#[tokio::test]
async fn last_words_are_said_unless_the_client_said_goodbye() {
    let running = running().await;
    let (mut watcher, _) = Asking::of(Version::V311, "w").enter(&running).await;
    watcher.subscribe_at(1, "will/#", 0).await;
    let leaving = |id, clean| {
        let will = Some(("will/a", "gone", false, 0));
        Asking { will, clean, ..Asking::of(Version::V311, id) }
    };
    for clean in [true, false] {
        let (client, _) = leaving("a", clean).enter(&running).await;
        drop(client);
        assert_eq!(watcher.message("will/a").await, "gone", "clean: {clean}");
        let (client, _) = leaving("b", clean).enter(&running).await;
        goodbye(client).await;
    }
    let (mut client, _) = Asking { version: Version::V5, ..leaving("c", true) }.enter(&running).await;
    client.send(&[0xE0, 1, 4]).await;
    assert_eq!(watcher.message("will/a").await, "gone", "v5 can ask for them");
    watcher.nothing_came().await;
}

#[tokio::test]
async fn last_words_wait_for_the_client_to_come_back_but_not_beyond_its_session() {
    let running = running().await;
    let (mut watcher, _) = Asking::of(Version::V311, "w").enter(&running).await;
    watcher.subscribe_at(1, "will/#", 0).await;
    let will = Some(("will/a", "gone", false, 1));
    let asking = Asking { will, ..Asking::of(Version::V5, "a") };
    drop(asking.enter(&running).await);
    let (client, present) = asking.enter(&running).await;
    assert!(present);
    assert!(timeout(Duration::from_millis(1_200), watcher.frame()).await.is_err());
    drop(client);
    assert_eq!(watcher.message("will/a").await, "gone", "after a second");
    let will = Some(("will/b", "gone", false, 60));
    drop(Asking { will, expiry: 0, ..Asking::of(Version::V5, "b") }.enter(&running).await);
    assert_eq!(watcher.message("will/b").await, "gone", "with the session");
}

#[tokio::test]
async fn a_device_leaves_its_status_for_monitors_that_come_later() {
    let running = running().await;
    let will = Some(("rollcall/v1/gate/status", "offline", true, 0));
    let asking = Asking { user: "gate", clean: true, will, ..Asking::of(Version::V311, "a") };
    let (mut gate, _) = asking.enter(&running).await;
    let mut online = gate.publish_bytes(1, 7, "rollcall/v1/gate/status", "online");
    online[0] |= 1;
    gate.send(&online).await;
    assert_eq!(gate.frame().await, [0x40, 2, 0, 7]);
    let mut early = running.client(Version::V311, "early", "watcher").await;
    early.subscribe_at(1, "rollcall/#", 1).await;
    let seen = published(&early.frame().await, Version::V311);
    assert_eq!((seen.0 & 1, seen.3.as_str()), (1, "online"));
    drop(gate);
    let seen = published(&early.frame().await, Version::V311);
    assert_eq!((seen.0 & 1, seen.3.as_str()), (0, "offline"), "as it happens");
    let mut late = running.client(Version::V311, "late", "watcher").await;
    late.subscribe_at(1, "rollcall/+/+/status", 1).await;
    assert_eq!(published(&late.frame().await, Version::V311).3, "offline");
}

#[tokio::test]
async fn a_will_on_what_is_not_the_devices_to_say_is_refused_at_the_door() {
    let running = running().await;
    for topic in ["rollcall/v1/hall/status", "rollcall/v1/gate/scan", "rollcall/v1/gate/result"] {
        let will = Some((topic, "x", false, 0));
        let asking = Asking { user: "gate", will, ..Asking::of(Version::V311, "a") };
        let mut client = running.dial(Version::V311).await;
        client.send(&asking.bytes()).await;
        assert_eq!(client.frame().await, [0x20, 2, 0, 5], "{topic}");
    }
}

#[tokio::test]
async fn results_wait_for_a_device_that_keeps_its_session() {
    let running = running().await;
    let asking = Asking { user: "gate", ..Asking::of(Version::V5, "screen") };
    let (mut screen, _) = asking.enter(&running).await;
    screen.subscribe_at(1, "rollcall/v1/gate/result", 1).await;
    goodbye(screen).await;
    let mut scanner = running.client(Version::V5, "scanner", "gate").await;
    scanner.publish(1, 7, "rollcall/v1/gate/scan", crate::client::SCAN).await;
    (running.gateway.scan().await.completion)(Ok(present()));
    assert_eq!(scanner.frame().await, [0x40, 2, 0, 7]);
    let (mut screen, present) = asking.enter(&running).await;
    assert!(present);
    let (first, topic, id, result) = published(&screen.frame().await, Version::V5);
    assert_eq!((first, topic.as_str(), id), (0x32, "rollcall/v1/gate/result", Some(1)));
    assert!(result.contains(r#""status":"accepted""#), "{result}");
}
