//! Packets that are almost right, many of them: whatever comes, nobody else notices.
//!
//! `ROLLCALL_MUTATIONS` says how many packets; `ROLLCALL_SEED` repeats a run.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rollcall_domain::ids::DeviceId;
use rollcall_mqtt::Peer;
use rollcall_mqtt::codec::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::client::{SCAN, connect, frame};
use crate::gateway::{Gateway, present, run};

const PACKETS: u64 = 20_000;
/// Connections at a time.
const AT_ONCE: u64 = 16;

/// Numbers that look random and can be had again.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most.max(1) as u64).unwrap()
    }
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// Packets of every kind, as a client may send them.
fn whole(version: Version, number: u16) -> Vec<Vec<u8>> {
    let five = version == Version::V5;
    let id = number.max(1).to_be_bytes();
    let none: &[u8] = if five { &[0] } else { &[] };
    let alias: &[u8] = if five { &[3, 0x23, 0, 1] } else { &[] };
    let rich: &[u8] = if five { b"\x10\x01\x01\x02\0\0\0\x09\x26\0\x01a\0\x01b\x09" } else { &[] };
    let scan = text("rollcall/v1/gate/scan");
    let mut packets = vec![
        frame(0x32, &[&scan[..], &id, none, SCAN.as_bytes()].concat()),
        frame(0x34, &[&scan[..], &id, none, SCAN.as_bytes()].concat()),
        frame(0x30, &[&scan[..], none, SCAN.as_bytes()].concat()),
        frame(0x33, &[&text("rollcall/v1/gate/status")[..], &id, none, b"online"].concat()),
        frame(0x32, &[&text("rollcall/v1/gate/scans")[..], &id, none, b"[]"].concat()),
        frame(0x32, &[&text("rollcall/v1/hall/scan")[..], &id, none, SCAN.as_bytes()].concat()),
        frame(0x35, &[&text("a/b")[..], &id, none, b"hello"].concat()),
        frame(0x32, &[&text("a/b")[..], &id, alias, b"hello"].concat()),
        frame(0x82, &[&id[..], none, &text("rollcall/v1/gate/+")[..], &[2]].concat()),
        frame(0x82, &[&id[..], none, &text("#")[..], &[1]].concat()),
        frame(0xA2, &[&id[..], none, &text("#")[..]].concat()),
        frame(0x40, &id),
        frame(0x50, &id),
        frame(0x62, &id),
        frame(0x70, &id),
        vec![0xC0, 0],
        vec![0xE0, 0],
    ];
    if five {
        packets.push(frame(0x32, &[&text("a/b")[..], &id, rich, b"hello"].concat()));
        packets.push(frame(0x32, &[&text("")[..], &id, alias, b"hello"].concat()));
        packets.push(frame(0x82, &[&id[..], &[2, 0x0B, 7], &text("a/#")[..], &[0x2E]].concat()));
        packets.push(frame(0xE0, &[4, 5, 0x11, 0, 0, 0, 9]));
    }
    packets
}

fn spoil(packet: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(packet.len());
        let any = u8::try_from(numbers.below(256)).unwrap();
        match numbers.below(7) {
            0 | 1 => packet[at] = any,
            2 => packet[at] ^= 1 << (any & 7),
            3 => packet.insert(at, any),
            4 if packet.len() > 2 => drop(packet.remove(at)),
            5 => packet.truncate(at.max(1)),
            _ => packet.extend(vec![any; numbers.below(40)]),
        }
    }
}

/// All that one connection sends.
fn conversation(numbers: &mut Numbers) -> (Vec<u8>, u64) {
    let version = if numbers.below(2) == 0 { Version::V5 } else { Version::V311 };
    let (user, id) = [("gate", "a"), ("gate", ""), ("watcher", "w"), ("", "n")][numbers.below(4)];
    let mut first = if user.is_empty() {
        let none: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        let level = if version == Version::V5 { 5 } else { 4 };
        frame(0x10, &[b"\0\x04MQTT", &[level, 2, 0, 60][..], none, &text(id)].concat())
    } else {
        connect(version, id, user, "secret")
    };
    if numbers.below(8) == 0 {
        spoil(&mut first, numbers);
    }
    let (mut bytes, count) = (first, numbers.below(40));
    for _ in 0..count {
        let number = u16::try_from(numbers.below(300)).unwrap();
        let mut packets = whole(version, number);
        let mut packet = packets.swap_remove(numbers.below(packets.len()));
        if numbers.below(4) == 0 {
            spoil(&mut packet, numbers);
        }
        bytes.extend(packet);
    }
    (bytes, count as u64 + 1)
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_that_are_almost_right_harm_nobody_else() {
    let (packets, seed) = (setting("ROLLCALL_MUTATIONS", PACKETS), setting("ROLLCALL_SEED", 1));
    let running = Arc::new(run(Gateway::new()).await);
    let answering = Arc::clone(&running);
    let answers = tokio::spawn(async move {
        while let Some(submission) = answering.gateway.next_scan().await {
            assert_eq!(submission.scan.device, DeviceId::parse("gate").unwrap(), "of whoever signed in");
            (submission.completion)(Ok(present()));
        }
    });
    let mut hall = running.client(Version::V311, "honest", "hall").await;
    hall.subscribe(1, "rollcall/v1/hall/result").await;
    let mut sent = 0;
    let mut numbers = Numbers(seed);
    while sent < packets {
        let mut open = Vec::new();
        for _ in 0..AT_ONCE {
            let (bytes, count) = conversation(&mut numbers);
            sent += count;
            let (near, far) = tokio::io::duplex(4_096);
            let door = running.gateway.door.clone();
            // Each from an address of its own, or those with spoiled names and secrets would be slowed.
            let address = Ipv4Addr::from_bits(u32::try_from(sent).unwrap());
            let peer = Peer::new(SocketAddr::new(address.into(), 1));
            let served = tokio::spawn(async move { door.serve(far, peer).await });
            let talk = tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(near);
                let heard = tokio::spawn(async move {
                    let mut heard = Vec::new();
                    read.read_to_end(&mut heard).await.ok();
                });
                write.write_all(&bytes).await.ok();
                write.shutdown().await.ok();
                heard.await.unwrap();
            });
            open.push((served, talk));
        }
        for (served, talk) in open {
            let ended = timeout(Duration::from_secs(60), served).await;
            ended
                .unwrap_or_else(|_| panic!("a connection hangs: seed {seed}, before packet {sent}"))
                .unwrap();
            talk.await.unwrap();
        }
        hall.nothing_came().await;
    }
    assert!(!answers.is_finished());
    answers.abort();
}
