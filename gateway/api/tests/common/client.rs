//! Plain HTTP/1.1 and WebSocket over TCP: what an outsider sends and sees, byte for byte.
//!
//! Promises: nothing is added that a test did not ask for.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Gateway, PASSWORD};

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The code of a refusal, after checking that it has the form of one.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.body);
        let body = self.json();
        for field in ["type", "title", "detail", "code"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {body}");
        }
        assert_eq!(body["status"], self.status, "{body}");
        body["code"].as_str().unwrap().to_owned()
    }
}

/// Sends a request as it stands; `head` are further lines.
pub async fn request(to: SocketAddr, line: &str, head: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let mut text = format!("{line} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n");
    if !body.is_empty() {
        text += &format!("content-length: {}\r\n", body.len());
    }
    for (name, value) in head {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    stream.write_all((text + body).as_bytes()).await.unwrap();
    answer(stream).await
}

/// Sends a request of which the body goes on for ever, a byte now and then; ends with the connection.
pub async fn drip(to: SocketAddr, line: &str, head: &[(&str, &str)], begun: &str) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let mut text = format!("{line} HTTP/1.1\r\nhost: {to}\r\n");
    for (name, value) in head {
        text += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{text}\r\n{begun}").as_bytes()).await.unwrap();
    let chunked = head.iter().any(|(_, value)| *value == "chunked");
    let (mut from, mut rest) = stream.into_split();
    let drips = async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while rest.write_all(if chunked { b"1\r\n \r\n" } else { b" " }).await.is_ok() {
            pause.tick().await;
        }
        std::future::pending::<Answer>().await
    };
    tokio::select! { answer = answer(&mut from) => answer, never = drips => never }
}

/// What comes until the connection ends, which a peer that still sends may find broken.
async fn answer(mut stream: impl AsyncRead + Unpin) -> Answer {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    read.expect("an answer, and an end").ok();
    let all = String::from_utf8(bytes).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

impl Gateway {
    pub async fn get(&self, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        request(self.address, &format!("GET {path}"), &[("authorization", &bearer)], "").await
    }

    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let head = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        request(self.address, &format!("POST {path}"), &head, &body.to_string()).await
    }

    pub async fn sign_in(&self, username: &str, password: &str) -> Answer {
        let body = json!({"username": username, "password": password});
        let head = [("content-type", "application/json")];
        request(self.address, "POST /api/v1/auth/token", &head, &body.to_string()).await
    }

    pub async fn token(&self, username: &str) -> String {
        let answer = self.sign_in(username, PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["access"].as_str().unwrap().to_owned()
    }
}

impl Gateway {
    /// A screen that is signed in.
    pub async fn screen(&self, username: &str) -> WebSocket {
        let path = format!("/ws?token={}", self.token(username).await);
        WebSocket::connect(self.address, &path, &[]).await.ok().unwrap()
    }

    /// Returns once no screen is connected any more.
    pub async fn is_left_alone(&self) {
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        let left = async {
            while !request(self.address, "GET /metrics", &[], "").await.body.contains("rollcall_ws_clients 0")
            {
                looks.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, left).await.expect("nobody is connected");
    }
}

pub struct WebSocket(TcpStream);

impl WebSocket {
    /// Shakes hands, or tells the status with which it was refused.
    pub async fn connect(to: SocketAddr, path: &str, head: &[(&str, &str)]) -> Result<Self, u16> {
        let mut stream = TcpStream::connect(to).await.unwrap();
        let mut text = format!(
            "GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        );
        for (name, value) in head {
            text += &format!("{name}: {value}\r\n");
        }
        stream.write_all((text + "\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        let status: u16 = answer.split(' ').nth(1).unwrap().parse().unwrap();
        if status == 101 { Ok(WebSocket(stream)) } else { Err(status) }
    }

    pub async fn send(&mut self, event: &str, data: Value) {
        let payload = json!({"event": event, "data": data}).to_string();
        self.send_text(&payload).await;
    }

    pub async fn send_text(&mut self, payload: &str) {
        let length = u8::try_from(payload.len()).unwrap();
        assert!(length < 126, "short frames only");
        // Masked with zeros, which leaves the payload as it is.
        let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(payload.as_bytes());
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next text frame; pings are passed over.
    pub async fn next(&mut self) -> Value {
        loop {
            let (kind, payload) = tokio::time::timeout(PATIENCE, self.frame()).await.expect("a frame");
            match kind {
                1 => return serde_json::from_slice(&payload).unwrap(),
                9 => {}
                other => panic!("frame of kind {other}: {payload:?}"),
            }
        }
    }

    /// The code with which the gateway closes; what it says before is passed over. `None`: it just went.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            let mut first = [0; 1];
            let read = tokio::time::timeout(PATIENCE, self.0.peek(&mut first)).await.expect("an end");
            if !read.is_ok_and(|bytes| bytes > 0) {
                return None;
            }
            if let (8, payload) = self.frame().await {
                return Some(u16::from_be_bytes([payload[0], payload[1]]));
            }
        }
    }

    /// Sends bytes that need not be a frame, for as long as the gateway takes them.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await
    }

    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let kind = self.0.read_u8().await.unwrap() & 0x0f;
        let length = match self.0.read_u8().await.unwrap() {
            126 => u64::from(self.0.read_u16().await.unwrap()),
            127 => self.0.read_u64().await.unwrap(),
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut payload).await.unwrap();
        (kind, payload)
    }
}
