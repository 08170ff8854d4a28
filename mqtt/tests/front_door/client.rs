//! A client that writes and reads plain bytes, so that nothing here shares an error with the codec.

use std::time::Duration;

use rollcall_mqtt::codec::Version;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const SCAN: &str = r#"{"id":"s1","student":"120","at":"2026-11-21T08:43:21Z"}"#;

pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    version: Version,
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text.as_bytes());
}

pub(crate) fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest % 128).unwrap();
        rest /= 128;
        out.push(if rest > 0 { low | 128 } else { low });
        if rest == 0 {
            out.extend(body);
            return out;
        }
    }
}

pub(crate) fn connect(version: Version, client_id: &str, user: &str, password: &str) -> Vec<u8> {
    let level = if version == Version::V5 { 5 } else { 4 };
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, 0xC2, 0, 60];
    body.extend((version == Version::V5).then_some(0));
    [client_id, user, password].into_iter().for_each(|field| text(&mut body, field));
    frame(0x10, &body)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn new(stream: S, version: Version) -> Self {
        Client { stream, version }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    fn no_properties(&self, body: &mut Vec<u8>) {
        body.extend((self.version == Version::V5).then_some(0));
    }

    pub(crate) async fn publish(&mut self, qos: u8, id: u16, topic: &str, payload: &str) {
        let bytes = self.publish_bytes(qos, id, topic, payload);
        self.send(&bytes).await;
    }

    pub(crate) fn publish_bytes(&self, qos: u8, id: u16, topic: &str, payload: &str) -> Vec<u8> {
        let mut body = Vec::new();
        text(&mut body, topic);
        if qos > 0 {
            body.extend(id.to_be_bytes());
        }
        self.no_properties(&mut body);
        body.extend(payload.as_bytes());
        frame(0x30 | qos << 1, &body)
    }

    pub(crate) async fn subscribe(&mut self, id: u16, filter: &str) -> Vec<u8> {
        self.subscribe_at(id, filter, 0).await
    }

    pub(crate) async fn subscribe_at(&mut self, id: u16, filter: &str, qos: u8) -> Vec<u8> {
        let mut body = id.to_be_bytes().to_vec();
        self.no_properties(&mut body);
        text(&mut body, filter);
        body.push(qos);
        self.send(&frame(0x82, &body)).await;
        self.frame().await
    }

    pub(crate) async fn unsubscribe(&mut self, id: u16, filter: &str) -> Vec<u8> {
        let mut body = id.to_be_bytes().to_vec();
        self.no_properties(&mut body);
        text(&mut body, filter);
        self.send(&frame(0xA2, &body)).await;
        self.frame().await
    }

    /// The next frame, whole.
    pub(crate) async fn frame(&mut self) -> Vec<u8> {
        timeout(PATIENCE, self.read_frame()).await.unwrap().expect("a frame, not the end")
    }

    /// The payload of the next frame, which must be a QoS 0 message on this topic.
    pub(crate) async fn message(&mut self, topic: &str) -> String {
        let frame = self.frame().await;
        assert_eq!(frame[0], 0x30, "{frame:?}");
        let body = String::from_utf8_lossy(&frame);
        let (_, rest) = body.split_once(topic).expect("the topic");
        rest.trim_start_matches('\0').to_owned()
    }

    /// Shows that everything sent so far was looked at and answered with nothing.
    pub(crate) async fn nothing_came(&mut self) {
        self.send(&[0xC0, 0]).await;
        assert_eq!(self.frame().await, [0xD0, 0]);
    }

    /// Reads to the end, which must come without another frame but v5's DISCONNECT; gives its reason.
    pub(crate) async fn closed(&mut self) -> Option<u8> {
        let mut rest = Vec::new();
        // A reset is an end as well.
        if let Err(error) = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.unwrap() {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        match rest.as_slice() {
            [] => None,
            [0xE0, 1, reason] => Some(*reason),
            other => panic!("{other:?}"),
        }
    }

    async fn read_frame(&mut self) -> Option<Vec<u8>> {
        let mut frame = vec![self.stream.read_u8().await.ok()?];
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.stream.read_u8().await.ok()?;
            frame.push(byte);
            length |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let header = frame.len();
        frame.resize(header + length, 0);
        self.stream.read_exact(&mut frame[header..]).await.ok()?;
        Some(frame)
    }
}
