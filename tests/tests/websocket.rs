//! Promise: over WebSocket a terminal speaks the same MQTT, whatever its frames; a web page of somebody else does not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rollcall_tests::campus::Campus;
use rollcall_tests::gateway::{Gateway, Signal, rollcall};

const PATIENCE: Duration = Duration::from_secs(20);
const BINARY: u8 = 2;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// The last frame of a message.
const LAST: u8 = 0x80;

struct Socket(TcpStream);

/// Asks for a WebSocket; what is answered instead of one.
fn open(gateway: &Gateway, headers: &str) -> Result<Socket, String> {
    let mut stream = TcpStream::connect(gateway.http()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n";
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let host = gateway.http();
    write!(stream, "GET /mqtt HTTP/1.1\r\nHost: {host}\r\n{upgrade}{key}{headers}\r\n").unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(char::from(byte[0]));
    }
    if head.starts_with("HTTP/1.1 101") { Ok(Socket(stream)) } else { Err(head) }
}

const MQTT: &str = "Sec-WebSocket-Protocol: mqtt\r\n";

impl Socket {
    fn send(&mut self, first: u8, payload: &[u8]) {
        self.0.write_all(&frame(first, payload)).unwrap();
    }

    /// Kind and content of the next frame.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).unwrap();
                u16::from_be_bytes(length).into()
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).unwrap();
        (head[0] & 0x0F, payload)
    }

    /// Reads binary frames until the bytes are there, and nothing else comes.
    fn expect(&mut self, bytes: &[u8]) {
        let mut got = Vec::new();
        while got.len() < bytes.len() {
            let (kind, payload) = self.frame();
            assert_eq!(kind, BINARY, "{payload:?}");
            got.extend(payload);
        }
        assert_eq!(got, bytes);
    }

    /// The code with which the gateway closes.
    fn closed(&mut self) -> u16 {
        loop {
            let (kind, payload) = self.frame();
            if kind == CLOSE {
                return payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
            }
        }
    }
}

/// A frame as clients send them, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u16::try_from(payload.len()) {
        Ok(length @ ..=125) => bytes.push(0x80 | u8::try_from(length).unwrap()),
        Ok(length) => {
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
        Err(_) => {
            bytes.push(0x80 | 127);
            bytes.extend(u64::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// A packet of MQTT.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (vec![first], body.len());
    loop {
        let low = u8::try_from(rest % 128).unwrap();
        rest /= 128;
        bytes.push(if rest > 0 { low | 128 } else { low });
        if rest == 0 {
            bytes.extend(body);
            return bytes;
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn connect(campus: &Campus) -> Vec<u8> {
    let (device, secret) = campus.devices.first().unwrap();
    let head = [&text("MQTT")[..], &[4, 0xC2, 0, 60]].concat();
    packet(0x10, &[head, text("ws"), text(device.as_str()), text(secret)].concat())
}

fn publish(campus: &Campus, topic: &str, id: u8, payload: &str) -> Vec<u8> {
    let (device, _) = campus.devices.first().unwrap();
    let topic = text(&format!("rollcall/v1/{device}/{topic}"));
    packet(0x32, &[&topic[..], &[0, id], payload.as_bytes()].concat())
}

fn scan(campus: &Campus, id: &str) -> String {
    let student = campus.sample.rooms.first().and_then(|room| room.students.first()).unwrap();
    format!(r#"{{"id":"{id}","student":"{student}","at":"{}"}}"#, campus.clock.now())
}

fn start(campus: &Campus) -> Gateway {
    let mut command = rollcall(campus.folder.path(), &["--config", "rollcall.toml"]);
    Gateway::start(command.env_remove("ROLLCALL__MQTT__LISTEN"))
}

#[test]
fn packets_and_frames_need_not_fit() {
    let campus = Campus::new();
    let gateway = start(&campus);
    let mut socket = open(&gateway, MQTT).unwrap();
    // Byte by byte, in frames that make one message, with a ping among them.
    let connect = connect(&campus);
    let (last, rest) = connect.split_last().unwrap();
    for (index, byte) in rest.iter().enumerate() {
        socket.send(if index == 0 { BINARY } else { 0 }, &[*byte]);
    }
    socket.send(LAST | PING, b"there?");
    socket.send(LAST, &[*last]);
    assert_eq!(socket.frame(), (PONG, b"there?".to_vec()));
    socket.expect(&[0x20, 2, 0, 0]);
    // Two packets and a half in one frame.
    let third = publish(&campus, "scan", 3, &scan(&campus, "3"));
    let (half, other) = third.split_at(20);
    let two =
        [publish(&campus, "scan", 1, &scan(&campus, "1")), publish(&campus, "scan", 2, &scan(&campus, "2"))];
    socket.send(LAST | BINARY, &[&two.concat(), half].concat());
    socket.expect(&[0x40, 2, 0, 1, 0x40, 2, 0, 2]);
    socket.send(LAST | BINARY, other);
    socket.expect(&[0x40, 2, 0, 3]);
    // More than the library takes in one frame unless it is told to.
    let many: Vec<String> = (0..500).map(|index| scan(&campus, &format!("{index:060}"))).collect();
    let large = publish(&campus, "scans", 4, &format!("[{}]", many.join(&format!(",{:200}", ""))));
    assert!(large.len() > 64 * 1024);
    socket.send(LAST | BINARY, &large);
    socket.expect(&[0x40, 2, 0, 4]);
    gateway.signal(Signal::TERM);
    // The front door ends its clients before the pages' server closes the sockets under them.
    assert_eq!(socket.closed(), 0);
    assert_eq!(gateway.end().1.code(), Some(0));
    assert_eq!(campus.stored_scans().len(), 503);
}

#[test]
fn a_frame_of_a_stranger_has_a_bound_and_one_of_a_terminal_is_a_packet_at_most() {
    let campus = Campus::new();
    let gateway = start(&campus);
    let mut stranger = open(&gateway, MQTT).unwrap();
    stranger.0.write_all(&[LAST | BINARY, 0x80 | 127]).unwrap();
    stranger.0.write_all(&1_000_000_u64.to_be_bytes()).unwrap();
    stranger.0.write_all(&vec![0; 200_000]).unwrap();
    assert_eq!(stranger.closed(), 1009);
    // It may say what comes after CONNECT before it has its answer.
    let mut hasty = open(&gateway, MQTT).unwrap();
    let many: Vec<String> = (0..500).map(|index| scan(&campus, &format!("{index:400}"))).collect();
    hasty.send(LAST | BINARY, &connect(&campus));
    hasty.send(LAST | BINARY, &publish(&campus, "scans", 1, &format!("[{}]", many.join(","))));
    hasty.expect(&[0x20, 2, 0, 0, 0x40, 2, 0, 1]);
    hasty.0.write_all(&[LAST | BINARY, 0x80 | 127]).unwrap();
    hasty.0.write_all(&1_000_000_000_u64.to_be_bytes()).unwrap();
    let endless = vec![0; 1 << 20];
    while hasty.0.write_all(&endless).is_ok() {}
    drop(stranger);
}

#[test]
fn text_other_pages_and_other_protocols_are_refused() {
    let campus = Campus::new();
    let gateway = start(&campus);
    let refused = |headers: &str| open(&gateway, headers).err().unwrap_or_default();
    assert!(refused("").starts_with("HTTP/1.1 400"));
    assert!(refused("Sec-WebSocket-Protocol: chat\r\n").starts_with("HTTP/1.1 400"));
    let foreign = format!("{MQTT}Origin: https://example.org\r\n");
    assert!(refused(&foreign).starts_with("HTTP/1.1 403"));
    let own = format!("{MQTT}Origin: http://{}\r\n", gateway.http());
    open(&gateway, &own).unwrap();
    let mut older = open(&gateway, "Sec-WebSocket-Protocol: mqttv3.1\r\n").unwrap();
    older.send(LAST | TEXT, b"hello");
    assert_eq!(older.closed(), 1003);
    assert!(gateway.get("/mqtt").starts_with("HTTP/1.1 400"));
}
