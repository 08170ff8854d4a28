//! What the embedded broker does wrong as it is shipped, and the front door does right: each check is run
//! against both, so that it is known to be able to fail.
//!
//! The idle connection that holds up everybody else's TLS is not here: the broker is built without its TLS.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; the clients of other tests do more than is needed here"
)]

#[path = "../front_door/client.rs"]
mod client;
#[path = "../front_door/gateway.rs"]
mod gateway;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use rollcall_mqtt::codec::Version;
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::frame;

/// How long a broker may take over anything here.
const PATIENCE: Duration = Duration::from_secs(2);
const AT_ONCE: Duration = Duration::from_millis(300);

/// Where a broker listens, for either version.
#[derive(Clone, Copy)]
struct At {
    four: SocketAddr,
    five: SocketAddr,
}

type Check = fn(At) -> Pin<Box<dyn Future<Output = Option<()>> + Send>>;

macro_rules! checks {
    ($($name:ident),+ $(,)?) => { [$((stringify!($name), |at| Box::pin($name(at)))),+] };
}

const CHECKS: [(&str, Check); 11] = checks![
    acknowledges_no_scan_that_is_not_stored,
    lets_no_device_listen_to_another,
    speaks_both_versions_on_one_port,
    takes_a_client_without_a_keep_alive,
    delivers_qos_0_as_qos_0,
    answers_an_unsubscribe_of_what_nobody_knows,
    forgives_an_acknowledgement_of_nothing,
    forgives_acknowledgements_out_of_order,
    says_why_it_ends_a_connection_that_speaks_as_a_server,
    lives_with_a_topic_that_does_not_begin_with_a_letter,
    lets_two_devices_have_the_same_client_id,
];

/// A client that gives up: `None` is what a broker must not do.
struct Client(TcpStream);

impl Client {
    async fn connect(at: SocketAddr, version: Version, id: &str, user: &str) -> Option<Self> {
        Self::connect_with(at, &connect(version, id, user, 60)).await
    }

    async fn connect_with(at: SocketAddr, connect: &[u8]) -> Option<Self> {
        let mut client = Client(TcpStream::connect(at).await.ok()?);
        client.send(connect).await?;
        let answer = client.frame().await?;
        (answer[0] == 0x20 && answer[3] == 0).then_some(client)
    }

    async fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.0.write_all(bytes).await.ok()
    }

    async fn frame(&mut self) -> Option<Vec<u8>> {
        timeout(PATIENCE, self.read_frame()).await.ok()?
    }

    async fn read_frame(&mut self) -> Option<Vec<u8>> {
        let mut frame = vec![self.0.read_u8().await.ok()?, self.0.read_u8().await.ok()?];
        let mut length = usize::from(frame[1] & 0x7F);
        if frame[1] & 0x80 != 0 {
            frame.push(self.0.read_u8().await.ok()?);
            length |= usize::from(frame[2]) << 7;
        }
        let header = frame.len();
        frame.resize(header + length, 0);
        self.0.read_exact(&mut frame[header..]).await.ok()?;
        Some(frame)
    }

    async fn subscribe(&mut self, filter: &str, qos: u8) -> Option<u8> {
        self.send(&frame(0x82, &[&[0, 1], &text(filter)[..], &[qos]].concat())).await?;
        self.frame().await?.last().copied()
    }

    async fn publish(&mut self, topic: &str, qos: u8, id: u8) -> Option<()> {
        let id: &[u8] = if qos > 0 { &[0, id] } else { &[] };
        self.send(&frame(0x30 | qos << 1, &[&text(topic)[..], id, b"hello"].concat())).await
    }

    /// Whether it is still served.
    async fn ping(&mut self) -> Option<()> {
        self.send(&[0xC0, 0]).await?;
        while self.frame().await? != [0xD0, 0] {}
        Some(())
    }
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// Without a name where `user` is empty.
fn connect(version: Version, id: &str, user: &str, keep_alive: u8) -> Vec<u8> {
    let (level, none): (u8, &[u8]) = if version == Version::V5 { (5, &[0]) } else { (4, &[]) };
    let (flags, name) =
        if user.is_empty() { (2, vec![]) } else { (0xC2, [text(user), text("secret")].concat()) };
    frame(0x10, &[b"\0\x04MQTT", &[level, flags, 0, keep_alive][..], none, &text(id), &name].concat())
}

async fn nobody(at: At, id: &str) -> Option<Client> {
    Client::connect(at.four, Version::V311, id, "").await
}

/// Which both do: a check that fails for another reason than its own would show nothing.
async fn serves_a_client_that_does_nothing_unusual(at: At) -> Option<()> {
    for (address, version) in [(at.four, Version::V311), (at.five, Version::V5)] {
        Client::connect(address, version, "a", "gate").await?.ping().await?;
        Client::connect(address, version, "b", "").await?.ping().await?;
    }
    let mut client = nobody(at, "c").await?;
    (client.subscribe("t", 1).await? == 1).then_some(())?;
    client.publish("t", 1, 7).await?;
    let mut frames = [client.frame().await?, client.frame().await?];
    frames.sort();
    (frames[0][0] == 0x32 && frames[1] == [0x40, 2, 0, 7]).then_some(())
}

async fn acknowledges_no_scan_that_is_not_stored(at: At) -> Option<()> {
    let mut gate = Client::connect(at.four, Version::V311, "a", "gate").await?;
    let scan = [&text("rollcall/v1/gate/scan")[..], &[0, 7], client::SCAN.as_bytes()].concat();
    gate.send(&frame(0x32, &scan)).await?;
    timeout(AT_ONCE, gate.read_frame()).await.is_err().then_some(())
}

async fn lets_no_device_listen_to_another(at: At) -> Option<()> {
    let mut hall = Client::connect(at.four, Version::V311, "a", "hall").await?;
    (hall.subscribe("rollcall/v1/gate/result", 1).await? == 0x80).then_some(())
}

async fn speaks_both_versions_on_one_port(at: At) -> Option<()> {
    Client::connect(at.four, Version::V311, "a", "gate").await?;
    Client::connect(at.four, Version::V5, "a", "gate").await.map(drop)
}

async fn takes_a_client_without_a_keep_alive(at: At) -> Option<()> {
    let connect = connect(Version::V311, "a", "gate", 0);
    Client::connect_with(at.four, &connect).await.map(drop)
}

async fn delivers_qos_0_as_qos_0(at: At) -> Option<()> {
    let mut client = nobody(at, "a").await?;
    client.subscribe("t", 1).await?;
    client.publish("t", 0, 0).await?;
    (client.frame().await?[0] == 0x30).then_some(())
}

async fn answers_an_unsubscribe_of_what_nobody_knows(at: At) -> Option<()> {
    let mut client = nobody(at, "a").await?;
    client.send(&frame(0xA2, &[&[0, 9], &text("nobody/knows")[..]].concat())).await?;
    (client.frame().await? == [0xB0, 2, 0, 9]).then_some(())
}

async fn forgives_an_acknowledgement_of_nothing(at: At) -> Option<()> {
    let mut client = nobody(at, "a").await?;
    client.subscribe("t", 1).await?;
    client.send(&[0x40, 2, 0, 9]).await?;
    client.ping().await
}

async fn forgives_acknowledgements_out_of_order(at: At) -> Option<()> {
    let mut client = nobody(at, "a").await?;
    client.subscribe("t", 1).await?;
    let mut other = nobody(at, "b").await?;
    other.publish("t", 1, 1).await?;
    other.publish("t", 1, 2).await?;
    let (first, second) = (client.frame().await?, client.frame().await?);
    let id = |message: &[u8]| [0x40, 2, message[5], message[6]];
    client.send(&[id(&second), id(&first)].concat()).await?;
    client.ping().await
}

async fn says_why_it_ends_a_connection_that_speaks_as_a_server(at: At) -> Option<()> {
    let mut client = Client::connect(at.five, Version::V5, "a", "gate").await?;
    client.send(&[0xB0, 1, 0]).await?;
    (client.frame().await? == [0xE0, 1, 0x81]).then_some(())
}

async fn lives_with_a_topic_that_does_not_begin_with_a_letter(at: At) -> Option<()> {
    let mut other = nobody(at, "b").await?;
    other.subscribe("#", 0).await?;
    nobody(at, "a").await?.publish("é", 0, 0).await?;
    other.frame().await?;
    nobody(at, "c").await?.ping().await
}

async fn lets_two_devices_have_the_same_client_id(at: At) -> Option<()> {
    let mut gate = Client::connect(at.four, Version::V311, "same", "gate").await?;
    let mut hall = Client::connect(at.four, Version::V311, "same", "hall").await?;
    hall.ping().await?;
    gate.ping().await
}

/// The broker as it is shipped, on threads that end with this process.
async fn stock() -> At {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let at = At { four: free(), five: free() };
    let connections = || ConnectionSettings {
        connection_timeout_ms: 5_000,
        max_payload_size: 1 << 20,
        max_inflight_count: 100,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = |name: &str, listen| {
        let name = name.to_owned();
        let connections = connections();
        let server = ServerSettings {
            name: name.clone(),
            listen,
            tls: None,
            next_connection_delay_ms: 0,
            connections,
        };
        Some(HashMap::from([(name, server)]))
    };
    let router = RouterConfig {
        max_connections: 100,
        max_outgoing_packet_count: 200,
        max_segment_size: 1 << 20,
        max_segment_count: 10,
        ..RouterConfig::default()
    };
    let config =
        Config { router, v4: server("four", at.four), v5: server("five", at.five), ..Config::default() };
    std::thread::spawn(move || drop(Broker::new(config).start()));
    for address in [at.four, at.five] {
        let up = async { while TcpStream::connect(address).await.is_err() {} };
        timeout(Duration::from_secs(10), up).await.unwrap();
    }
    at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_front_door_does_right_what_the_broker_behind_it_does_wrong() {
    let mut wrong = Vec::new();
    let running = gateway::running().await;
    let ours = At { four: running.address, five: running.address };
    for at in [ours, stock().await] {
        serves_a_client_that_does_nothing_unusual(at).await.expect("a client that does nothing unusual");
    }
    for (name, check) in CHECKS {
        let running = gateway::running().await;
        let ours = At { four: running.address, five: running.address };
        let (ours, stock) = tokio::join!(check(ours), async { check(stock().await).await });
        if ours.is_none() {
            wrong.push(format!("the front door fails: {name}"));
        }
        if stock.is_some() {
            wrong.push(format!("shows nothing, since the broker as it is shipped passes: {name}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
