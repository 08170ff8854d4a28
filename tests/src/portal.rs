//! The campus's portal, as a stand-in that says yes to everything and remembers it.
//!
//! Promises: every body that was answered is handed out once, in the order in which it came.
//!
//! Refuses: refusing. How the gateway takes a portal's refusals is tested where the sender lives.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// Long enough for a busy machine; nothing waits this long when all is well.
const PATIENCE: Duration = Duration::from_secs(20);
const YES: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

pub struct Portal {
    address: SocketAddr,
    bodies: Receiver<Value>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Portal {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, bodies) = channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            // One connection after the other, as its one peer sends one record after the other.
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Acquire) {
                    return;
                }
                serve(stream, &sender);
            }
        });
        Self { address, bodies, is_over, thread }
    }

    pub fn url(&self) -> String {
        format!("http://{}/marks", self.address)
    }

    /// The next so many bodies, once they have come.
    pub fn take(&self, count: usize) -> Vec<Value> {
        let next = |number| {
            let body = self.bodies.recv_timeout(PATIENCE);
            body.unwrap_or_else(|_| panic!("the portal got {number} of {count} records"))
        };
        (0..count).map(next).collect()
    }

    /// What came besides; whoever sends must have ended.
    pub fn rest(self) -> Vec<Value> {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread, which is through with every connection that came before.
        TcpStream::connect(self.address).unwrap();
        assert!(self.thread.join().is_ok(), "the portal failed");
        self.bodies.iter().collect()
    }
}

/// Answers request after request until the peer hangs up.
fn serve(stream: TcpStream, bodies: &Sender<Value>) {
    let mut stream = BufReader::new(stream);
    while let Some(body) = read(&mut stream) {
        if bodies.send(body).is_err() || stream.get_mut().write_all(YES).is_err() {
            return;
        }
    }
}

/// The body of the next request; `None` if there is no next one.
fn read(stream: &mut BufReader<TcpStream>) -> Option<Value> {
    let mut length = 0;
    let mut line = String::new();
    while stream.read_line(&mut line).ok()? > 0 {
        if line == "\r\n" {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).ok()?;
            return Some(serde_json::from_slice(&body).unwrap());
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    None
}
