//! Terminals that do nothing but send scans and count acknowledgements, all on one thread.
//!
//! Promises: so cheap that what is measured is the broker; every scan is a different one; so many wait for
//! their acknowledgement at once as was asked for, never more.
//!
//! Refuses: behaving like hardware. [`rollcall_simulator`] does that.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::Timespec;

use crate::stopwatch::now;

const PUBLISH_QOS_1: u8 = 0x32;
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const PUBACK: [u8; 2] = [0x40, 2];
/// Hexadecimal digits by which scans differ.
const NUMBER: usize = 8;
/// Nobody takes longer than this for an acknowledgement.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who sends, and for whom.
pub(crate) struct Sender<'a> {
    pub(crate) device: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) students: &'a [String],
    /// When the scans say that they were made.
    pub(crate) at: &'a str,
    /// Part of every scan's id.
    pub(crate) run: &'a str,
}

/// A PUBLISH but for what differs from scan to scan.
struct Prepared {
    bytes: Vec<u8>,
    packet_id: usize,
    number: usize,
}

impl Prepared {
    fn new(sender: &Sender<'_>, student: &str) -> Result<Self> {
        let Sender { device, at, run, .. } = sender;
        let topic = format!("rollcall/v1/{device}/scan");
        let head = format!("{{\"id\":\"{run}-{device}-");
        let tail =
            format!("\",\"student\":\"{student}\",\"at\":\"{at}\",\"method\":\"face\",\"quality\":0.93}}");
        let packet_id = 2 + topic.len();
        let rest = packet_id + 2 + head.len() + NUMBER + tail.len();
        let mut bytes = vec![PUBLISH_QOS_1];
        length(rest, &mut bytes)?;
        let fixed = bytes.len();
        text(&topic, &mut bytes)?;
        bytes.extend([0, 0]);
        bytes.extend(head.as_bytes());
        let number = bytes.len();
        bytes.extend([b'0'; NUMBER]);
        bytes.extend(tail.as_bytes());
        Ok(Prepared { bytes, packet_id: fixed + packet_id, number })
    }

    fn write(&self, packet_id: u16, number: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let written = out.get_mut(start..).unwrap_or_default();
        if let Some(place) = written.get_mut(self.packet_id..self.packet_id + 2) {
            place.copy_from_slice(&packet_id.to_be_bytes());
        }
        if let Some(place) = written.get_mut(self.number..self.number + NUMBER) {
            for (digit, shift) in place.iter_mut().zip((0..32).step_by(4).rev()) {
                *digit = char::from_digit((number >> shift) & 15, 16).map_or(b'0', |digit| digit as u8);
            }
        }
    }
}

fn text(text: &str, out: &mut Vec<u8>) -> Result<()> {
    out.extend(u16::try_from(text.len())?.to_be_bytes());
    out.extend(text.as_bytes());
    Ok(())
}

/// MQTT's length of what follows; two bytes are enough here.
fn length(rest: usize, out: &mut Vec<u8>) -> Result<()> {
    ensure!(rest < 1 << 14, "a packet of {rest} bytes");
    let (low, high) = (u8::try_from(rest & 127)?, u8::try_from(rest >> 7)?);
    if high == 0 {
        out.push(low);
    } else {
        out.extend([low | 128, high]);
    }
    Ok(())
}

/// One connection that is signed in.
struct Terminal {
    stream: TcpStream,
    prepared: Vec<Prepared>,
    sent: u32,
    acknowledged: u32,
    out: Vec<u8>,
    /// The part of an acknowledgement that has arrived.
    partial: Vec<u8>,
    waits_to_write: bool,
}

impl Terminal {
    fn sign_in(address: SocketAddr, sender: &Sender<'_>) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut rest = Vec::from(*b"\0\x04MQTT\x04\xc2\0\x3c");
        text(&format!("bench-{}", sender.device), &mut rest)?;
        text(sender.device, &mut rest)?;
        text(sender.secret, &mut rest)?;
        let mut connect = vec![0x10];
        length(rest.len(), &mut connect)?;
        connect.extend(rest);
        stream.write_all(&connect)?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        ensure!(answer == CONNACK, "{} was not let in: {answer:?}", sender.device);
        let prepared = sender.students.iter().map(|student| Prepared::new(sender, student));
        Ok(Terminal {
            stream,
            prepared: prepared.collect::<Result<_>>()?,
            sent: 0,
            acknowledged: 0,
            out: Vec::new(),
            partial: Vec::new(),
            waits_to_write: false,
        })
    }

    /// Queues scans until so many wait for their acknowledgement.
    fn fill(&mut self, window: u16) {
        while self.sent - self.acknowledged < u32::from(window) {
            let student = self.sent as usize % self.prepared.len().max(1);
            let Some(prepared) = self.prepared.get(student) else { return };
            // Acknowledgements come in order, so an id is free again when its turn comes.
            let packet_id = u16::try_from(self.sent % u32::from(window)).unwrap_or_default() + 1;
            prepared.write(packet_id, self.sent, &mut self.out);
            self.sent += 1;
        }
    }

    fn write(&mut self) -> Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("a terminal was cut off"),
            }
        }
        Ok(())
    }

    /// Takes what has arrived, and tells how many scans it acknowledges.
    fn read(&mut self, buffer: &mut [u8]) -> Result<u32> {
        let before = self.acknowledged;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!("a terminal was disconnected"),
                Ok(count) => self.take(buffer.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("a terminal was cut off"),
            }
        }
        Ok(self.acknowledged - before)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.partial.extend_from_slice(bytes);
        let (packets, rest) = self.partial.as_chunks::<4>();
        for packet in packets {
            ensure!(packet.starts_with(&PUBACK), "not an acknowledgement: {packet:?}");
        }
        self.acknowledged += u32::try_from(packets.len())?;
        self.partial = rest.to_vec();
        Ok(())
    }
}

/// Terminals that are signed in at one broker.
pub(crate) struct Terminals {
    terminals: Vec<Terminal>,
    window: u16,
}

/// What came of a run.
pub(crate) struct Outcome {
    /// Acknowledged within the time, and the time.
    pub(crate) acknowledged: u64,
    pub(crate) took: Duration,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        let acknowledged = u32::try_from(self.acknowledged).unwrap_or(u32::MAX);
        f64::from(acknowledged) / self.took.as_secs_f64()
    }
}

impl Terminals {
    pub(crate) fn sign_in(address: SocketAddr, senders: &[Sender<'_>], window: u16) -> Result<Self> {
        let terminals = senders.iter().map(|sender| Terminal::sign_in(address, sender));
        Ok(Terminals { terminals: terminals.collect::<Result<_>>()?, window })
    }

    /// Scans acknowledged since they signed in.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.terminals.iter().map(|terminal| u64::from(terminal.acknowledged)).sum()
    }

    /// How long each of so many took that the first terminal sends, one after the other.
    pub(crate) fn one_by_one(&mut self, count: usize) -> Result<Vec<Duration>> {
        let Some(terminal) = self.terminals.first_mut() else { return Ok(Vec::new()) };
        let mut buffer = [0; 64];
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            terminal.fill(1);
            let began = now();
            terminal.stream.write_all(&terminal.out)?;
            terminal.out.clear();
            while terminal.acknowledged < terminal.sent {
                let read = terminal.stream.read(&mut buffer)?;
                ensure!(read > 0, "a terminal was disconnected");
                terminal.take(buffer.get(..read).unwrap_or_default())?;
            }
            took.push(now().duration_since(began));
        }
        Ok(took)
    }

    /// Sends as fast as it is acknowledged for so long, then waits for what is still owed.
    pub(crate) fn flood(&mut self, time: Duration) -> Result<Outcome> {
        let events = epoll::create(CreateFlags::CLOEXEC)?;
        for (place, terminal) in (0..).zip(&self.terminals) {
            terminal.stream.set_nonblocking(true)?;
            epoll::add(&events, &terminal.stream, EventData::new_u64(place), EventFlags::IN)?;
        }
        let began = now();
        let mut outcome = Outcome { acknowledged: 0, took: Duration::ZERO };
        for terminal in &mut self.terminals {
            terminal.fill(self.window);
            terminal.write()?;
        }
        let mut ready = Vec::with_capacity(self.terminals.len());
        let mut buffer = vec![0; 64 << 10];
        while self.terminals.iter().any(|terminal| terminal.acknowledged < terminal.sent) {
            let patience = Timespec { tv_sec: i64::try_from(PATIENCE.as_secs())?, tv_nsec: 0 };
            epoll::wait(&events, spare_capacity(&mut ready), Some(&patience))?;
            ensure!(!ready.is_empty(), "no acknowledgement within {} s", PATIENCE.as_secs());
            let is_over = is_over(began, time, &mut outcome);
            for event in ready.drain(..) {
                let place = usize::try_from(event.data.u64())?;
                let Some(terminal) = self.terminals.get_mut(place) else { continue };
                let acknowledged = terminal.read(&mut buffer)?;
                if !is_over {
                    outcome.acknowledged += u64::from(acknowledged);
                    terminal.fill(self.window);
                }
                terminal.write()?;
                let waits = !terminal.out.is_empty();
                if waits != terminal.waits_to_write {
                    terminal.waits_to_write = waits;
                    let wanted = if waits { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
                    epoll::modify(&events, &terminal.stream, event.data, wanted)?;
                }
            }
        }
        Ok(outcome)
    }
}

/// Whether the time is up; the first time that it is, notes when.
fn is_over(began: Instant, time: Duration, outcome: &mut Outcome) -> bool {
    if outcome.took == Duration::ZERO {
        let took = now().duration_since(began);
        if took < time {
            return false;
        }
        outcome.took = took;
    }
    true
}
