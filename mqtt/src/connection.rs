//! One task per connection: what it waits for, and what it does then.
//!
//! Promises: when the intake is full nothing more is read until it has room; when the gateway stops or the
//! client says goodbye, what is on its way to the disk gets a moment to arrive there.
//!
//! Refuses: deciding anything about packets; that is the session's.

mod parting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rollcall_dialects::native::{self, MOST_SCANS};
use rollcall_dialects::topics::{Purpose, native as topic_of};
use rollcall_domain::ports::Submission;
use rollcall_domain::scan::RawScan;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::absent::LastWords;
use crate::access::Identity;
use crate::answers::{Answers, Completed, answers};
use crate::arrival::Arrival;
use crate::codec::{self, Packet, PacketId, Request, Version};
use crate::connections::{Note, Seat};
use crate::door::Inner;
use crate::following::Following;
use crate::leave::Leave;
use crate::links::Noticed;
use crate::message::Message;
use crate::observer::Refused;
use crate::owed::{Slot, WINDOW};
use crate::retry::Retry;
use crate::session::{Effect, Session, Step};
use crate::silence::Silence;
use crate::tls::Shown;
use crate::upload::Received;
use crate::welcome::{Welcomed, enter, keep_alive};
use crate::wire::Wire;

/// How long a connection that ends waits for what is on its way to the disk.
const GRACE: Duration = Duration::from_millis(500);

/// Serves one client until it leaves, and says why it did.
pub(crate) async fn serve<S>(stream: S, shown: Shown, mut arrival: Arrival<'_>, door: &Arc<Inner>) -> Leave
where
    S: AsyncRead + AsyncWrite + Send,
{
    let mut wire = Wire::new(stream);
    let peer = arrival.name.clone();
    let welcomed = match enter(&mut wire, shown, &mut arrival, door).await {
        Ok(welcomed) => welcomed,
        Err(reason) => {
            wire.farewell().await;
            return reason;
        }
    };
    let mut connection = Connection::new(welcomed, wire, &peer, door);
    door.ports.observer.connections(door.ports.connections.open());
    let reason = connection.run().await;
    if matches!(reason, Leave::Stopping | Leave::Asked) {
        connection.drain().await;
    }
    connection.flush_effects();
    connection.leave(reason).await;
    reason
}

/// What woke a connection.
enum Woke {
    Moved(std::io::Result<()>),
    Completed,
    Note(Option<Note>),
    Noticed(Option<Noticed>),
    Retry,
    Tick,
    End(Leave),
}

struct Connection<'a, S> {
    session: Session,
    version: Version,
    peer: &'a str,
    wire: Wire<S>,
    /// Scans that the intake had no room for; nothing is read until it has.
    parked: VecDeque<Box<Submission>>,
    told: Answers,
    completed: mpsc::Receiver<Completed>,
    following: Following,
    /// To be said if the client does not say goodbye.
    words: Option<LastWords>,
    /// How long its session is kept after it left.
    lasting: Duration,
    silence: Silence,
    ticks: Interval,
    retry: Retry,
    seat: Seat,
    door: &'a Arc<Inner>,
}

impl<'a, S: AsyncRead + AsyncWrite> Connection<'a, S> {
    fn new(welcomed: Welcomed, mut wire: Wire<S>, peer: &'a str, door: &'a Arc<Inner>) -> Self {
        let Welcomed { mut connect, seat, left, lasting } = welcomed;
        let (told, completed) = answers(WINDOW + MOST_SCANS);
        let now = door.ports.clock.monotonic();
        let (mut session, following) = match left {
            Some(left) => (left.session, left.following),
            None => {
                let session = Session::new(seat.number, seat.identity.clone(), Arc::clone(&door.campus));
                (session, Following::default())
            }
        };
        session.begin(&connect, now, wire.output());
        let words = connect.will.take().map(|will| LastWords {
            topic: will.topic.clone(),
            delay: Duration::from_secs(will.delay_seconds.into()),
            message: session.last_words(will, now),
        });
        Connection {
            session,
            version: connect.version,
            peer,
            wire,
            parked: VecDeque::new(),
            told,
            completed,
            following,
            words,
            lasting,
            silence: Silence::new(),
            ticks: every(Silence::period(keep_alive(&connect, door.settings.idle))),
            retry: Retry::new(),
            seat,
            door,
        }
    }

    async fn run(&mut self) -> Leave {
        let mut batch = Vec::new();
        loop {
            if let Err(reason) = self.serve_input().await {
                return reason;
            }
            self.flush_effects();
            if self.wire.has_ended()
                && self.parked.is_empty()
                && self.session.owes_nothing()
                && self.wire.is_done()
            {
                return Leave::Closed;
            }
            let woke = self.wait(&mut batch).await;
            if let Err(reason) = self.woken(woke, &mut batch).await {
                return reason;
            }
        }
    }

    /// Sleeps until something happens. Every arm can be cancelled without losing anything.
    async fn wait(&mut self, batch: &mut Vec<Completed>) -> Woke {
        let may_read = self.serves();
        let calm = self.wire.is_calm() && !self.session.is_behind();
        tokio::select! {
            biased;
            end = ended(&mut self.seat.ended) => Woke::End(end),
            _ = self.completed.recv_many(batch, WINDOW), if !self.session.owes_nothing() => Woke::Completed,
            note = self.seat.mailbox.recv(), if calm => Woke::Note(note),
            moved = self.wire.exchange(may_read), if self.wire.can_move(may_read) => Woke::Moved(moved),
            notice = self.following.next(), if calm => Woke::Noticed(notice),
            () = self.retry.due(), if !self.parked.is_empty() => Woke::Retry,
            _ = self.ticks.tick() => Woke::Tick,
        }
    }

    async fn woken(&mut self, woke: Woke, batch: &mut Vec<Completed>) -> Result<(), Leave> {
        match woke {
            Woke::Moved(Err(_)) => Err(Leave::Closed),
            Woke::Completed => self.settle(batch),
            Woke::Note(Some(Note { purpose, payload, fate })) => {
                let now = self.door.ports.clock.monotonic();
                self.session.own_message(purpose, payload, fate, now, self.wire.output())
            }
            Woke::Noticed(notice) => self.notice(notice).await,
            // While the gateway makes the client wait, its silence is no fault of its own.
            Woke::Tick if self.serves() && self.silence.tick() => Err(Leave::Silent),
            Woke::End(reason) => Err(reason),
            Woke::Moved(Ok(())) | Woke::Note(None) | Woke::Retry | Woke::Tick => Ok(()),
        }
    }

    /// False while the gateway makes the client wait.
    fn serves(&self) -> bool {
        self.parked.is_empty() && self.session.takes_more()
    }

    /// Serves every whole packet that has arrived, until something must be waited for.
    async fn serve_input(&mut self) -> Result<(), Leave> {
        self.submit_parked();
        if !self.wire.has_input() {
            return Ok(());
        }
        let limit = usize::try_from(self.door.settings.max_packet_bytes).unwrap_or(usize::MAX);
        let clock = &self.door.ports.clock;
        let is_watched = self.door.links.is_watched();
        let received = Received { at: clock.now(), after: clock.monotonic(), is_watched };
        while self.serves() && self.wire.is_calm() {
            let frame = self.wire.frame(limit);
            let packet =
                frame.and_then(|frame| frame.map(|frame| codec::packet(self.version, frame)).transpose());
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
            let mut step = self.session.handle(packet, received, self.wire.output());
            if let Step::Route { topic, message, receipt } = step {
                let reason = self.door.route(&topic, message).await;
                step = self.session.routed(receipt, reason, received.after, self.wire.output());
            }
            match step {
                Step::Done | Step::Route { .. } => {}
                Step::Leave(reason) => return Err(reason),
                Step::Subscribe { id, requests, follows } => self.subscribe(id, requests, follows).await?,
                Step::Heartbeat(device, heartbeat) => {
                    self.door.ports.connections.presence().heartbeat(&device, heartbeat, received.at);
                }
                Step::Submit(scans) => self.submit(scans),
                Step::Goodbye { with_will, session_expiry_seconds } => {
                    return Err(self.goodbye(with_will, session_expiry_seconds));
                }
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
        if !self.parked.is_empty() {
            self.retry.soon();
        }
    }

    fn submit_parked(&mut self) {
        let before = self.parked.len();
        while let Some(submission) = self.parked.pop_front() {
            if let Err(back) = self.door.ports.intake.submit(submission) {
                self.parked.push_front(back);
                if self.parked.len() < before {
                    self.retry.soon();
                }
                return;
            }
        }
    }

    fn settle(&mut self, batch: &mut Vec<Completed>) -> Result<(), Leave> {
        let now = self.door.ports.clock.monotonic();
        for (slot, answer) in batch.drain(..) {
            if let Step::Leave(reason) = self.session.answered(slot, answer, now, self.wire.output()) {
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
                    let topic = topic_of(device, Purpose::Scan);
                    let message = Message::own(topic.as_str().into(), payload);
                    if !self.door.links.show(&topic, &message) {
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

    /// Answers a SUBSCRIBE, once a link to the router is there or cannot be had if it needs one, and begins with
    /// what is retained.
    async fn subscribe(&mut self, id: PacketId, requests: Vec<Request>, follows: bool) -> Result<(), Leave> {
        let linked = follows && self.following.begin(self.door).await;
        let now = self.door.ports.clock.monotonic();
        for request in self.session.subscribe(id, requests, linked, self.wire.output()) {
            let retained = match &self.seat.identity {
                Identity::Device(device) => {
                    let topic = topic_of(device, Purpose::Config);
                    let config =
                        request.filter.matches(&topic).then(|| self.door.ports.configs.config(device));
                    let message =
                        |config| Message::own(topic.as_str().into(), native::config(&config).into());
                    config.flatten().map(|config| (topic.clone(), message(config))).into_iter().collect()
                }
                Identity::Monitor(_) | Identity::Anonymous => {
                    self.door.retained.matching(&request.filter, now)
                }
            };
            for (topic, message) in retained {
                self.session.retained(&request, &topic, message, now, self.wire.output())?;
            }
        }
        Ok(())
    }

    async fn notice(&mut self, notice: Option<Noticed>) -> Result<(), Leave> {
        if let Some((topic, message)) = self.following.settle(notice, self.door).await? {
            let now = self.door.ports.clock.monotonic();
            self.session.forward(&topic, message, now, self.wire.output())?;
        }
        Ok(())
    }
}

pub(crate) async fn ended(end: &mut tokio::sync::watch::Receiver<Option<Leave>>) -> Leave {
    match end.wait_for(Option::is_some).await {
        Ok(reason) => (*reason).unwrap_or(Leave::Closed),
        // Taken out of the register without a word, which only a take-over does after its word.
        Err(_) => Leave::TakenOver,
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
