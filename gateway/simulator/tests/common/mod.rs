//! A broker that acknowledges, forgets and hangs up as it is told, and a clock that stands still.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "test support: each test file uses a part of it and may fail loudly"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::Clock;
use rumqttc::mqttbytes::v4::{
    ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::mqttbytes::{Error, QoS};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Shows what it was set to.
#[derive(Default)]
pub struct Still(AtomicU64);

impl Still {
    pub fn set(&self, to: Duration) {
        self.0.store(u64::try_from(to.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for Still {
    fn now(&self) -> Moment {
        "2026-11-21T08:00:00Z".parse().unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// What the broker does with the `nth` publish it receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Acknowledge,
    Forget,
    HangUp,
}

/// Every scan that arrived, by topic and payload: how often, and how often acknowledged.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub scans: BTreeMap<(String, String), Counts>,
    pub connections: u64,
    pub marked_as_sent_before: u64,
    published: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub arrived: u64,
    pub acknowledged: u64,
}

pub struct Broker {
    pub url: String,
    seen: Arc<Mutex<Seen>>,
}

impl Broker {
    pub async fn start(answer: impl Fn(u64) -> Answer + Send + Sync + 'static, accepts: bool) -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("mqtt://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (shared, answer) = (Arc::clone(&seen), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, Arc::clone(&shared), Arc::clone(&answer), accepts));
            }
        });
        Broker { url, seen }
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve<A: Fn(u64) -> Answer>(
    mut stream: TcpStream,
    seen: Arc<Mutex<Seen>>,
    answer: Arc<A>,
    accepts: bool,
) {
    let (mut inbound, mut outbound) = (BytesMut::new(), BytesMut::new());
    while stream.read_buf(&mut inbound).await.is_ok_and(|read| read > 0) {
        loop {
            match Packet::read(&mut inbound, 1 << 20) {
                Ok(packet) => {
                    if !take(&packet, &seen, answer.as_ref(), accepts, &mut outbound) {
                        return;
                    }
                }
                Err(Error::InsufficientBytes(_)) => break,
                Err(error) => panic!("a terminal sent what is not MQTT: {error}"),
            }
        }
        // A terminal that has gone does not hear it; that is its business.
        stream.write_all_buf(&mut outbound).await.ok();
    }
}

fn take(
    packet: &Packet,
    seen: &Mutex<Seen>,
    answer: &impl Fn(u64) -> Answer,
    accepts: bool,
    outbound: &mut BytesMut,
) -> bool {
    match packet {
        Packet::Connect(_) if accepts => {
            ConnAck::new(ConnectReturnCode::Success, false).write(outbound).unwrap();
        }
        Packet::Connect(_) => {
            ConnAck::new(ConnectReturnCode::BadUserNamePassword, false).write(outbound).unwrap();
        }
        Packet::Subscribe(subscribe) => {
            let codes = vec![SubscribeReasonCode::Success(QoS::AtMostOnce)];
            SubAck::new(subscribe.pkid, codes).write(outbound).unwrap();
        }
        Packet::Publish(publish) => return published(publish, seen, answer, outbound),
        Packet::Disconnect => return false,
        _ => {}
    }
    true
}

fn published(
    publish: &Publish,
    seen: &Mutex<Seen>,
    answer: &impl Fn(u64) -> Answer,
    outbound: &mut BytesMut,
) -> bool {
    let mut seen = seen.lock().unwrap();
    seen.published += 1;
    let answer = answer(seen.published);
    seen.marked_as_sent_before += u64::from(publish.dup);
    let text = String::from_utf8(publish.payload.to_vec()).unwrap();
    let scan = seen.scans.entry((publish.topic.clone(), text)).or_default();
    scan.arrived += 1;
    if answer == Answer::Acknowledge {
        scan.acknowledged += 1;
        PubAck::new(publish.pkid).write(outbound).unwrap();
        let result = publish.topic.replace("/scan", "/result");
        let told = br#"{"id":null,"status":"accepted","mark":"present","message":"present"}"#;
        Publish::new(result, QoS::AtMostOnce, *told).write(outbound).unwrap();
    }
    answer != Answer::HangUp
}
