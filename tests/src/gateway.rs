//! The gateway as a process of its own, as systemd would run it.
//!
//! Promises: the binary under test is the one built from this tree; what it logs can be waited for, and
//! no gateway outlives its test.
//!
//! Refuses: looking inside. What is not seen from outside is tested in the room that owns it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

pub use rustix::process::Signal;

/// Long enough for a busy machine; nothing waits this long when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

/// The gateway's binary, built first if it is not up to date.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--package", "rollcall", "--profile", profile]);
        // Left in place, what Cargo tells this package of itself would have some of what both need built anew.
        for (name, _) in std::env::vars().filter(|(name, _)| is_about_a_package(name)) {
            build.env_remove(name);
        }
        let status = build.stdin(Stdio::null()).status().unwrap();
        assert!(status.success(), "the gateway does not build");
        // This test runs from target/<profile>/deps; the binary lies one folder up.
        let test = std::env::current_exe().unwrap();
        test.ancestors().nth(2).unwrap().join("rollcall")
    })
}

fn is_about_a_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_CRATE_NAME"
}

/// The binary in a folder, without the variables of the person who runs the tests; it listens on loopback
/// alone, on ports that nobody has.
pub fn rollcall(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command.env("ROLLCALL__HTTP__LISTEN", "127.0.0.1:0").env("ROLLCALL__MQTT__LISTEN", "127.0.0.1:0");
    command
}

/// A gateway that need not run yet.
pub struct Started(pub Child);

impl Started {
    /// Starts it and waits for nothing.
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), signal).unwrap();
    }

    /// Returns once the process catches the signal instead of dying of it, as its kernel says.
    pub fn wait_until_it_catches(&mut self, signal: Signal) {
        let status = format!("/proc/{}/status", self.0.id());
        let bit = 1_u64 << (signal.as_raw() - 1);
        let looks = std::iter::repeat_with(|| {
            std::thread::yield_now();
            caught(&std::fs::read_to_string(&status).unwrap_or_default())
        });
        let heard = looks.take(LOOKS).any(|caught| caught & bit != 0);
        assert!(heard, "the gateway never listened to {signal:?}");
    }
}

/// Far more looks than a start takes.
const LOOKS: usize = 200_000;

/// The signals that a process catches.
fn caught(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

impl Drop for Started {
    /// A failed test leaves no gateway behind.
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A gateway that runs, and what it logs.
pub struct Gateway {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    http: String,
    mqtt: String,
}

impl Gateway {
    /// Starts it and waits until it says that it runs.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut gateway = Self { child, lines, seen: Vec::new(), http: String::new(), mqtt: String::new() };
        let running = gateway.wait_for("rollcall is running");
        let running: Value = serde_json::from_str(&running).unwrap();
        let address = |name| running.get(name).and_then(Value::as_str).unwrap().to_owned();
        (gateway.http, gateway.mqtt) = (address("http"), address("mqtt"));
        gateway
    }

    /// Where it answers browsers: `address:port`.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// Where it answers terminals: `address:port`.
    pub fn mqtt(&self) -> &str {
        &self.mqtt
    }

    /// What it answers to a plain GET, head and body.
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.http).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Its number among the machine's processes.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn wait_for(&mut self, words: &str) -> String {
        self.wait_at_most(PATIENCE, words)
    }

    /// The next line with these words; every line must come within the time.
    pub fn wait_at_most(&mut self, time: Duration, words: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(time) else {
                panic!("no line with {words:?} after:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Everything it logged, and how it ended.
    pub fn end(mut self) -> (String, ExitStatus) {
        let status = self.child.wait().unwrap();
        self.seen.extend(self.lines.iter());
        (std::mem::take(&mut self.seen).join("\n"), status)
    }
}

impl Drop for Gateway {
    /// A failed test leaves no gateway behind.
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
