//! Over TLS the door is the same, and a certificate may stand for the secret.

use std::sync::Arc;
use std::time::Duration;

use rollcall_mqtt::codec::Version;
use rollcall_mqtt::{Access, Credentials, Denied, Identity, Listener, Part, Pem, Refused, Tls, TlsError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::SupportedProtocolVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::authority::{Authority, Signed};
use crate::client::{Client, SCAN, connect};
use crate::gateway::{Gateway, Noon, Running, present};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

struct Guarded {
    authority: Authority,
    tls: Tls,
    running: Running,
}

async fn guarded(gateway: Gateway) -> Guarded {
    let authority = Authority::new();
    let tls = Tls::new(&authority.pem(), Arc::new(Noon)).unwrap();
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), gateway.door.clone()).await.unwrap();
    let listener = listener.with_tls(tls.clone());
    let address = listener.address().unwrap();
    let (stop, stopped) = oneshot::channel();
    let done = tokio::spawn(listener.run(async move { drop(stopped.await) }));
    Guarded { authority, tls, running: Running { gateway, address, stop, done } }
}

impl Guarded {
    async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.running.address).await.unwrap()
    }

    async fn client(&self, version: Version, shown: Option<Signed>) -> Client<TlsStream<TcpStream>> {
        let stream = self.authority.shake(self.dial().await, &BOTH, shown).await.unwrap();
        Client::new(stream, version)
    }

    /// A client that was let in, and that tries again as clients do if others needed its place.
    async fn at_last(&self, user: &str) -> Client<TlsStream<TcpStream>> {
        for _ in 0..10 {
            let shaken = self.authority.shake(self.dial().await, &BOTH, None).await;
            let Ok(mut stream) = shaken else { continue };
            let mut answer = [0; 4];
            if stream.write_all(&connect(Version::V311, "a", user, "secret")).await.is_ok()
                && stream.read_exact(&mut answer).await.is_ok()
            {
                assert_eq!(answer, LET_IN);
                return Client::new(stream, Version::V311);
            }
        }
        panic!("{user} was kept out");
    }

    /// What is answered to a CONNECT from who shows this certificate.
    async fn answered(&self, names: &[&str], user: &str, password: &str) -> Vec<u8> {
        let mut client = self.client(Version::V311, Some(self.authority.sign(names, None))).await;
        client.send(&connect(Version::V311, "a", user, password)).await;
        client.frame().await
    }
}

const LET_IN: [u8; 4] = [0x20, 2, 0, 0];
const BAD_LOGIN: [u8; 4] = [0x20, 2, 0, 4];

#[tokio::test]
async fn a_scan_is_acknowledged_over_both_versions_of_tls_and_of_mqtt() {
    let guarded = guarded(Gateway::new()).await;
    for tls in BOTH {
        for version in [Version::V311, Version::V5] {
            let stream = guarded.authority.shake(guarded.dial().await, &[tls], None).await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(tls.version));
            let mut client = Client::new(stream, version);
            client.send(&connect(version, "a", "gate", "secret")).await;
            assert_eq!(client.frame().await[3], 0);
            client.publish(1, 7, "rollcall/v1/gate/scan", SCAN).await;
            (guarded.running.gateway.scan().await.completion)(Ok(present()));
            assert_eq!(client.frame().await[0], 0x40);
        }
    }
}

#[tokio::test]
async fn without_a_certificate_the_secret_counts_as_ever() {
    let guarded = guarded(Gateway::new()).await;
    let mut client = guarded.client(Version::V311, None).await;
    client.send(&connect(Version::V311, "a", "gate", "wrong")).await;
    assert_eq!(client.frame().await, BAD_LOGIN);
}

#[tokio::test]
async fn a_certificate_signs_in_as_the_device_in_it_and_as_nobody_else() {
    let guarded = guarded(Gateway::new()).await;
    assert_eq!(guarded.answered(&["gate"], "gate", "").await, LET_IN);
    let presence = || guarded.running.gateway.told.presence.lock().unwrap().clone();
    assert_eq!(presence().first().map(String::as_str), Some("+gate"));
    // No user name at all.
    let mut client = guarded.client(Version::V311, Some(guarded.authority.sign(&["hall"], None))).await;
    client.send(b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a").await;
    assert_eq!(client.frame().await, LET_IN);
    client.publish(1, 7, "rollcall/v1/hall/scan", SCAN).await;
    let scan = guarded.running.gateway.scan().await;
    assert_eq!(scan.scan.device.as_str(), "hall");
    // The secret of another device is of no use with it, and it reaches no topic of another.
    assert_eq!(guarded.answered(&["gate"], "hall", "secret").await, BAD_LOGIN);
    client.publish(1, 8, "rollcall/v1/gate/scan", SCAN).await;
    assert_eq!(client.closed().await, None);
}

#[tokio::test]
async fn a_certificate_of_nobody_who_may_come_is_refused() {
    let guarded = guarded(Gateway::new()).await;
    assert_eq!(guarded.answered(&["off"], "", "").await, [0x20, 2, 0, 5]);
    let refused: [&[&str]; 4] = [&[], &["gate", "hall"], &["no device"], &["watcher"]];
    for names in refused {
        assert_eq!(guarded.answered(names, "", "").await[3], 4, "{names:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_taken() {
    let guarded = guarded(Gateway::new()).await;
    let foreign = Authority::new().sign(&["gate"], None);
    for versions in BOTH {
        let stream = guarded.dial().await;
        // With TLS 1.3 the client hears of it after its own part of the handshake.
        if let Ok(mut stream) = guarded.authority.shake(stream, &[versions], Some(foreign_of(&foreign))).await
        {
            stream.write_all(&connect(Version::V311, "a", "gate", "secret")).await.ok();
            let mut byte = [0];
            assert!(stream.read_exact(&mut byte).await.is_err());
        }
    }
    assert_eq!(guarded.running.gateway.refusals(), [Refused::Tls; 2]);
    assert!(guarded.running.gateway.told.presence.lock().unwrap().is_empty());
}

fn foreign_of((certificate, key): &Signed) -> Signed {
    (certificate.clone(), key.clone_key())
}

#[tokio::test]
async fn what_is_no_tls_is_refused_and_counted() {
    let guarded = guarded(Gateway::new()).await;
    let mut client = Client::new(guarded.dial().await, Version::V311);
    client.send(&connect(Version::V311, "a", "gate", "secret")).await;
    let mut rest = Vec::new();
    client.stream.read_to_end(&mut rest).await.ok();
    assert_eq!(guarded.running.gateway.refusals(), [Refused::Tls]);
}

#[tokio::test]
async fn a_thousand_handshakes_that_never_end_hold_up_nobody() {
    let guarded = guarded(Gateway::new()).await;
    let mut halves = Vec::new();
    for _ in 0..1_000 {
        let mut half = guarded.dial().await;
        half.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();
        halves.push(half);
    }
    // Five times as many as there are places at all.
    let mut client = guarded.at_last("gate").await;
    // Who has signed in stays, however many come after.
    for _ in 0..500 {
        halves.push(guarded.dial().await);
    }
    guarded.at_last("hall").await;
    client.nothing_came().await;
    drop(halves);
}

struct Nobody;

impl Access for Nobody {
    fn check(&self, _: &Credentials) -> Result<Identity, Denied> {
        Err(Denied::BadLogin)
    }
}

#[tokio::test]
async fn handshake_and_connect_have_one_deadline() {
    let guarded = guarded(Gateway::with(Arc::new(Nobody), Duration::from_millis(300))).await;
    let mut silent = Client::new(guarded.dial().await, Version::V311);
    let stream = guarded.authority.shake(guarded.dial().await, &BOTH, None).await.unwrap();
    let mut shaken = Client::new(stream, Version::V311);
    shaken.send(&[0x10, 0x20, 0, 4]).await;
    assert_eq!(silent.closed().await, None);
    assert_eq!(shaken.closed().await, None);
    assert_eq!(guarded.running.gateway.refusals(), [Refused::SlowConnect; 2]);
}

#[tokio::test]
async fn certificates_are_replaced_while_connections_go_on() {
    let mut guarded = guarded(Gateway::new()).await;
    let mut before = guarded.client(Version::V311, None).await;
    before.send(&connect(Version::V311, "a", "gate", "secret")).await;
    assert_eq!(before.frame().await, LET_IN);
    let (old, fresh) = (guarded.authority.sign(&["gate"], None), Authority::new());
    guarded.tls.replace(&fresh.pem()).unwrap();
    assert!(guarded.authority.shake(guarded.dial().await, &BOTH, None).await.is_err());
    // What the old authority signed is worth nothing any more.
    let stream = guarded.dial().await;
    assert!(fresh.shake(stream, &[&TLS12], Some(old)).await.is_err());
    guarded.authority = fresh;
    assert_eq!(guarded.answered(&["hall"], "", "").await, LET_IN);
    before.nothing_came().await;

    let bad = Pem { key: Authority::new().pem().key, ..guarded.authority.pem() };
    assert_eq!(guarded.tls.replace(&bad), Err(TlsError::Mismatch));
    assert_eq!(guarded.answered(&["room"], "", "").await, LET_IN);
}

#[test]
fn files_that_cannot_be_used_are_told_apart() {
    let (one, other) = (Authority::new().pem(), Authority::new().pem());
    let why = |pem: Pem| Tls::new(&pem, Arc::new(Noon)).map(drop).unwrap_err();
    let empty = Vec::new();
    assert_eq!(why(Pem { cert: empty.clone(), ..one.clone() }), TlsError::NoCertificate(Part::Cert));
    assert_eq!(why(Pem { cert: one.key.clone(), ..one.clone() }), TlsError::NoCertificate(Part::Cert));
    assert_eq!(why(Pem { key: empty.clone(), ..one.clone() }), TlsError::NoKey);
    assert_eq!(why(Pem { key: one.cert.clone(), ..one.clone() }), TlsError::NoKey);
    assert_eq!(why(Pem { key: other.key, ..one.clone() }), TlsError::Mismatch);
    let none = Pem { client_ca: Some(empty), ..one.clone() };
    assert_eq!(why(none), TlsError::NoCertificate(Part::ClientCa));
    let torn = one.cert.get(..60).unwrap().to_vec();
    assert_eq!(why(Pem { cert: torn, ..one.clone() }).part(), Part::Cert);
    let nonsense = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    assert_eq!(why(Pem { client_ca: Some(nonsense.clone()), ..one.clone() }).part(), Part::ClientCa);
    assert_eq!(why(Pem { cert: nonsense, ..one }).part(), Part::Cert);
}
