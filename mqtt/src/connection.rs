//! One task per connection: bytes in, bytes out, and what they wait for.
//!
//! Promises: what happened since the last wake-up leaves in one write; a client that does not read stops
//! being read; when the intake is full nothing more is read until it has room; when the gateway stops,
//! what is on its way to the disk may still be acknowledged.
//!
//! Refuses: deciding anything about packets; that is the session's.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rollcall_dialects::native::MOST_SCANS;
use rollcall_dialects::topics::{Purpose, native};
use rollcall_domain::ports::{NotTaken, ScanResult, Submission};
use rollcall_domain::scan::RawScan;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::access::Identity;
use crate::answers::{Answers, answers};
use crate::codec::{self, Connect, Packet, PacketId, Request, Version, Writer};
use crate::connections::{Note, Seat};
use crate::door::Inner;
use crate::leave::Leave;
use crate::links::{Follower, Noticed};
use crate::observer::Refused;
use crate::session::{Effect, Session, Slot, Step, WINDOW};
use crate::silence::Silence;
use crate::upload::Received;
use crate::welcome::{READ_SIZE, keep_alive, welcome};

/// Outgoing bytes beyond which a client is not read and not forwarded to.
const HIGH_WATER: usize = 64 * 1024;
/// How often a scan that found the intake full asks again.
const RETRY: Duration = Duration::from_millis(1);
/// How long a client gets to take the last bytes.
const FAREWELL: Duration = Duration::from_millis(300);
/// How long a stopping gateway waits for what is on its way to the disk.
const GRACE: Duration = Duration::from_millis(500);

/// Serves one client until it leaves, and says why it did.
pub(crate) async fn serve<S>(stream: S, peer: &str, door: &Arc<Inner>) -> Leave
where
    S: AsyncRead + AsyncWrite + Send,
{
    let (mut read, mut write) = tokio::io::split(stream);
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let (connect, seat) = match enter(&mut read, (&mut input, &mut output), peer, door).await {
        Ok(known) => known,
        Err(reason) => {
            farewell(&mut write, &mut output).await;
            return reason;
        }
    };
    let version = connect.version;
    let period = Silence::period(keep_alive(&connect, door.settings.idle));
    let (told, completed) = answers(WINDOW + MOST_SCANS);
    let mut connection = Connection {
        session: Session::new(&connect, seat.identity.clone(), door.settings.zone.clone()),
        version,
        peer,
        input,
        output,
        parked: VecDeque::new(),
        told,
        follower: None,
        silence: Silence::new(),
        seat,
        ended: false,
        door,
    };
    door.ports.observer.connections(door.ports.connections.open());
    let mut io =
        Io { read: &mut read, write: &mut write, completed, ticks: every(period), retry: every(RETRY) };
    let mut reason = connection.run(&mut io).await;
    if reason == Leave::Stopping {
        reason = connection.drain(&mut io).await;
    }
    connection.flush_effects();
    let Connection { mut output, seat, .. } = connection;
    drop(seat);
    door.ports.observer.connections(door.ports.connections.open());
    if let Some(code) = reason.code() {
        Writer { version, out: &mut output }.disconnect(code);
    }
    farewell(&mut write, &mut output).await;
    reason
}

/// Lets the client in, for as long as it may take.
async fn enter<S: AsyncRead>(
    read: &mut ReadHalf<S>,
    buffers: (&mut BytesMut, &mut BytesMut),
    peer: &str,
    door: &Arc<Inner>,
) -> Result<(Connect, Seat), Leave> {
    let mut stopping = door.ports.connections.stopping();
    let entering = timeout(door.settings.connect_deadline, welcome(read, buffers, peer, door));
    let welcomed = tokio::select! {
        welcomed = entering => welcomed,
        _ = stopping.wait_for(|stopping| *stopping) => return Err(Leave::Stopping),
    };
    welcomed.unwrap_or_else(|_elapsed| {
        door.refuse(Refused::SlowConnect, peer, "CONNECT did not succeed in time");
        Err(Leave::SlowConnect)
    })
}

async fn farewell<W: AsyncWrite>(write: &mut WriteHalf<W>, output: &mut BytesMut) {
    let last = async {
        write.write_all(output).await?;
        write.shutdown().await
    };
    if !matches!(timeout(FAREWELL, last).await, Ok(Ok(()))) {
        tracing::debug!("the client left before its last answer");
    }
}

/// What a connection waits on.
struct Io<'a, S> {
    read: &'a mut ReadHalf<S>,
    write: &'a mut WriteHalf<S>,
    completed: mpsc::Receiver<Completed>,
    ticks: Interval,
    retry: Interval,
}

pub(crate) type Completed = (Slot, Result<ScanResult, NotTaken>);

/// What woke a connection.
enum Woke {
    Wrote(std::io::Result<usize>),
    Completed,
    Read(std::io::Result<usize>),
    Note(Option<Note>),
    Noticed(Option<Noticed>),
    Retry,
    Tick,
    End(Leave),
}

struct Connection<'a> {
    session: Session,
    version: Version,
    peer: &'a str,
    input: BytesMut,
    output: BytesMut,
    /// Scans that the intake had no room for; nothing is read until it has.
    parked: VecDeque<Box<Submission>>,
    told: Answers,
    follower: Option<Follower>,
    silence: Silence,
    seat: Seat,
    /// The client closed its side; what it had sent is still served.
    ended: bool,
    door: &'a Arc<Inner>,
}

impl Connection<'_> {
    async fn run<S: AsyncRead + AsyncWrite>(&mut self, io: &mut Io<'_, S>) -> Leave {
        let mut batch = Vec::with_capacity(WINDOW);
        loop {
            if let Err(reason) = self.serve_input().await {
                return reason;
            }
            self.flush_effects();
            if self.ended && self.parked.is_empty() && self.session.owes_nothing() && self.output.is_empty() {
                return Leave::Closed;
            }
            let woke = self.wait(io, &mut batch).await;
            if let Err(reason) = self.woken(woke, &mut batch).await {
                return reason;
            }
        }
    }

    /// Sleeps until something happens. Every arm can be cancelled without losing anything.
    async fn wait<S: AsyncRead + AsyncWrite>(
        &mut self,
        io: &mut Io<'_, S>,
        batch: &mut Vec<Completed>,
    ) -> Woke {
        let reads = self.reads();
        let calm = self.output.len() < HIGH_WATER && !self.session.is_behind();
        self.input.reserve(if reads { READ_SIZE } else { 0 });
        tokio::select! {
            biased;
            end = ended(&mut self.seat.ended) => Woke::End(end),
            written = io.write.write_buf(&mut self.output), if !self.output.is_empty() => Woke::Wrote(written),
            _ = io.completed.recv_many(batch, WINDOW), if !self.session.owes_nothing() => Woke::Completed,
            note = self.seat.mailbox.recv(), if calm => Woke::Note(note),
            got = io.read.read_buf(&mut self.input), if reads => Woke::Read(got),
            notice = next_notice(&mut self.follower), if calm && self.follower.is_some() => Woke::Noticed(notice),
            _ = io.retry.tick(), if !self.parked.is_empty() => Woke::Retry,
            _ = io.ticks.tick() => Woke::Tick,
        }
    }

    async fn woken(&mut self, woke: Woke, batch: &mut Vec<Completed>) -> Result<(), Leave> {
        match woke {
            Woke::Wrote(Ok(0) | Err(_)) => Err(Leave::Closed),
            Woke::Completed => self.settle(batch),
            Woke::Read(Ok(0) | Err(_)) => {
                self.ended = true;
                Ok(())
            }
            Woke::Note(Some(Note { purpose, payload })) => {
                self.session.own_message(purpose, payload, &mut self.output)
            }
            Woke::Noticed(notice) => self.notice(notice).await,
            // While the gateway makes the client wait, its silence is no fault of its own.
            Woke::Tick if self.parked.is_empty() && self.session.takes_more() && self.silence.tick() => {
                Err(Leave::Silent)
            }
            Woke::End(reason) => Err(reason),
            Woke::Wrote(Ok(_)) | Woke::Read(Ok(_)) | Woke::Note(None) | Woke::Retry | Woke::Tick => Ok(()),
        }
    }

    /// True while the client may send more.
    fn reads(&self) -> bool {
        !self.ended && self.parked.is_empty() && self.session.takes_more() && self.output.len() < HIGH_WATER
    }

    /// Serves every whole packet that has arrived, until something must be waited for.
    async fn serve_input(&mut self) -> Result<(), Leave> {
        self.submit_parked();
        if self.input.is_empty() {
            return Ok(());
        }
        let limit = usize::try_from(self.door.settings.max_packet_bytes).unwrap_or(usize::MAX);
        let clock = &self.door.ports.clock;
        let is_watched = self.door.links.is_watched();
        let received = Received { at: clock.now(), after: clock.monotonic(), is_watched };
        while self.parked.is_empty() && self.session.takes_more() && self.output.len() < HIGH_WATER {
            let packet = codec::next_frame(&mut self.input, limit)
                .and_then(|frame| frame.map(|frame| codec::packet(self.version, frame)).transpose());
            let packet = match packet {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(()),
                Err(malformed) => {
                    self.door.refuse(Refused::Malformed, self.peer, malformed);
                    return Err(Leave::Malformed(malformed));
                }
            };
            self.silence.heard();
            if let Packet::Publish(publish) = &packet {
                self.door.ports.observer.published(publish.receipt.qos());
            }
            match self.session.handle(packet, received, &mut self.output) {
                Step::Done => {}
                Step::Leave(reason) => return Err(reason),
                Step::Follow { id, requests } => self.follow(id, requests).await,
                Step::Heartbeat(device, heartbeat) => {
                    self.door.ports.connections.presence().heartbeat(&device, heartbeat, received.at);
                }
                Step::Submit(scans) => self.submit(scans),
            }
        }
        Ok(())
    }

    fn submit(&mut self, scans: Vec<(Slot, RawScan)>) {
        for (slot, scan) in scans {
            let completion = self.told.completion(slot);
            self.parked.push_back(Box::new(Submission { scan, completion }));
        }
        self.submit_parked();
    }

    fn submit_parked(&mut self) {
        while let Some(submission) = self.parked.pop_front() {
            if let Err(back) = self.door.ports.intake.submit(submission) {
                self.parked.push_front(back);
                return;
            }
        }
    }

    fn settle(&mut self, batch: &mut Vec<Completed>) -> Result<(), Leave> {
        for (slot, answer) in batch.drain(..) {
            if let Step::Leave(reason) = self.session.answered(slot, answer, &mut self.output) {
                return Err(reason);
            }
        }
        Ok(())
    }

    /// Tells others what the session says they must know.
    fn flush_effects(&mut self) {
        let effects = self.session.take_effects();
        if effects.is_empty() {
            return;
        }
        let now = self.door.ports.clock.monotonic();
        for effect in effects {
            match effect {
                Effect::Result(payload) => self.seat.tell_others(Purpose::Result, &payload),
                Effect::Seen(payload) => {
                    let Identity::Device(device) = &self.seat.identity else { continue };
                    if !self.door.links.show(&native(device, Purpose::Scan), payload) {
                        self.door.ports.observer.feed_lost();
                    }
                }
                Effect::Acknowledged { received_after } => {
                    self.door.ports.observer.acknowledged(now.saturating_sub(received_after));
                }
                Effect::Refused(what, detail) => {
                    let who = &self.seat.identity;
                    self.door.refuse(what, self.peer, format_args!("{who}: {detail}"));
                }
            }
        }
    }

    /// Waits for what is on its way to the disk, reading nothing more.
    async fn drain<S: AsyncRead + AsyncWrite>(&mut self, io: &mut Io<'_, S>) -> Leave {
        self.parked.clear();
        let settled = async {
            let mut batch = Vec::new();
            while !self.session.owes_nothing() && io.completed.recv_many(&mut batch, WINDOW).await > 0 {
                self.settle(&mut batch)?;
            }
            Ok(())
        };
        match timeout(GRACE, settled).await {
            Ok(Err(reason)) => reason,
            Ok(Ok(())) | Err(_) => Leave::Stopping,
        }
    }

    /// Answers a SUBSCRIBE for which a link to the router is needed, once it is there or cannot be had.
    async fn follow(&mut self, id: PacketId, requests: Vec<Request>) {
        if self.follower.is_none() {
            self.follower = self.door.links.follow().await;
        }
        let linked = self.follower.is_some();
        self.session.subscribe(id, requests, linked, &mut self.output);
    }

    async fn notice(&mut self, notice: Option<Noticed>) -> Result<(), Leave> {
        match notice {
            Some(Noticed::Message(message)) => {
                self.session.forward(&message.topic, message.payload, &mut self.output)?;
            }
            Some(Noticed::Paused) => {
                let follower = self.follower.take();
                if let Some(follower) = follower {
                    self.follower = follower.resume().await.then_some(follower);
                }
                if self.follower.is_none() {
                    return Err(Leave::RouterGone);
                }
            }
            Some(Noticed::Nothing) => {}
            None => {
                self.follower = self.door.links.follow().await;
                if self.follower.is_none() {
                    return Err(Leave::RouterGone);
                }
            }
        }
        Ok(())
    }
}

async fn ended(end: &mut tokio::sync::watch::Receiver<Option<Leave>>) -> Leave {
    match end.wait_for(Option::is_some).await {
        Ok(reason) => (*reason).unwrap_or(Leave::Closed),
        // Taken out of the register without a word, which only a take-over does after its word.
        Err(_) => Leave::TakenOver,
    }
}

async fn next_notice(follower: &mut Option<Follower>) -> Option<Noticed> {
    match follower {
        Some(follower) => follower.next().await,
        None => std::future::pending().await,
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
