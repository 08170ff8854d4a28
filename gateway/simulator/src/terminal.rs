//! One terminal: makes its scans, sends them, and keeps them until they are acknowledged.
//!
//! Promises: a broken connection costs no scan; it connects again by itself, after a pause that grows
//! and is never the same for two terminals.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use rollcall_dialects::{Decoded, native};
use rollcall_domain::ids::DeviceId;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::Clock;
use rollcall_domain::scan::Method;
use rumqttc::mqttbytes::v4::{Packet, Publish};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::SimulatorError;
use crate::fleet::Progress;
use crate::link::Link;
use crate::outbox::{Kept, Outbox};
use crate::report::{Tally, scan_id};
use crate::work::{Next, Share};

const KEEP_ALIVE_SECONDS: u16 = 30;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const SIGN_IN: Duration = Duration::from_secs(10);
/// How long to stay for results when everything is acknowledged.
const LINGER: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What all terminals of a run share.
pub(crate) struct Common {
    pub(crate) address: (String, u16),
    pub(crate) run: String,
    pub(crate) patience: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    /// When the run began, by the wall clock and by the monotonic one.
    pub(crate) began: (Moment, Duration),
    pub(crate) progress: Arc<Progress>,
}

pub(crate) struct Terminal {
    common: Arc<Common>,
    device: DeviceId,
    secret: String,
    topic: String,
    place: usize,
    share: Share,
    outbox: Outbox,
    tally: Tally,
    told: u64,
    rng: Rng,
    /// When there was nothing more to scan.
    done: Option<Duration>,
    /// Since when there has been no connection.
    offline: Option<Duration>,
}

impl Terminal {
    pub(crate) fn new(
        common: Arc<Common>,
        (device, secret): (DeviceId, String),
        place: usize,
        share: Share,
        in_flight: u16,
        rng: Rng,
    ) -> Self {
        let topic = rollcall_dialects::topics::native(&device, rollcall_dialects::topics::Purpose::Scan);
        Terminal {
            common,
            device,
            secret,
            topic: topic.as_str().to_owned(),
            place,
            share,
            outbox: Outbox::new(in_flight),
            tally: Tally::default(),
            told: 0,
            rng,
            done: None,
            offline: Some(Duration::ZERO),
        }
    }

    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> (DeviceId, Tally) {
        // The work is not begun again: whatever is left when it is stopped counts as unacknowledged. An
        // error means that whoever could say stop is gone, which is as good as stop.
        tokio::select! {
            () = self.work() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        self.tally.left = self.outbox.left().into_iter().collect();
        (self.device, self.tally)
    }

    async fn work(&mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let connections = self.tally.connections;
            let Err(error) = self.connected().await else { return };
            tracing::debug!(device = %self.device, %error, "the terminal lost its connection");
            self.tally.last_error = Some(error.to_string());
            self.outbox.disconnected();
            if self.tally.connections > connections {
                pause = FIRST_PAUSE;
            }
            let since = *self.offline.get_or_insert(self.now());
            if self.now().saturating_sub(since) >= self.common.patience {
                let gave_up = SimulatorError::GaveUp { seconds: self.common.patience.as_secs() };
                self.tally.last_error = Some(format!("{gave_up}: {error}"));
                return;
            }
            let drawn = pause.mul_f64(self.rng.f64());
            timeout(drawn, std::future::pending::<()>()).await.ok();
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One connection, from signing in to the end of the work.
    async fn connected(&mut self) -> Result<(), SimulatorError> {
        let (host, port) = &self.common.address;
        let open = Link::open((host, *port), (&self.device, &self.secret), KEEP_ALIVE_SECONDS);
        let mut link = timeout(SIGN_IN, open).await.map_err(|_elapsed| SimulatorError::Silent)??;
        self.tally.connections += 1;
        self.offline = None;
        let (mut heard, mut pinged) = (self.now(), self.now());
        loop {
            let wait = self.fill(&mut link)?;
            let now = self.now();
            if self.is_finished(now) {
                return link.close().await;
            }
            if let Ok(exchanged) = timeout(wait.min(KEEP_ALIVE / 4), link.exchange()).await {
                exchanged?;
                heard = self.now();
                while let Some(packet) = link.packet()? {
                    self.take(packet, heard);
                }
            } else if now.saturating_sub(heard) > KEEP_ALIVE * 3 / 2 {
                return Err(SimulatorError::Silent);
            }
            if now.saturating_sub(pinged) >= KEEP_ALIVE / 2 {
                link.ping()?;
                pinged = now;
            }
        }
    }

    /// Queues whatever is due and has room, and says how long nothing more will be.
    fn fill(&mut self, link: &mut Link) -> Result<Duration, SimulatorError> {
        while self.outbox.has_room() {
            let now = self.now();
            let kept = match self.outbox.again() {
                Some(kept) => {
                    self.tally.sent_again += 1;
                    kept
                }
                None => match self.share.next(now) {
                    Next::Scan(student, due) => self.make(student, due),
                    Next::Wait(due) => return Ok(due.saturating_sub(now)),
                    Next::Done => {
                        self.done.get_or_insert(now);
                        return Ok(LINGER / 4);
                    }
                },
            };
            let (again, payload) = (kept.first_sent.is_some(), kept.payload.clone());
            let packet = self.outbox.send(kept, now);
            link.publish(&self.topic, packet, again, payload)?;
        }
        Ok(KEEP_ALIVE)
    }

    fn make(&mut self, student: String, due: Duration) -> Kept {
        let number = self.tally.made;
        self.tally.made += 1;
        self.common.progress.made.fetch_add(1, Ordering::Relaxed);
        let due = i64::try_from(due.as_millis()).unwrap_or(i64::MAX);
        let scan = Decoded {
            claim: student,
            id: Some(scan_id(&self.common.run, self.place, number)),
            claimed_at: Moment::from_millis(self.common.began.0.millis().saturating_add(due)),
            method: Some(Method::Face),
            quality_milli: Some(930),
            direction: None,
        };
        Kept { number, payload: Bytes::from(native::encode(&scan)), first_sent: None }
    }

    fn take(&mut self, packet: Packet, now: Duration) {
        match packet {
            Packet::PubAck(ack) => {
                if let Some(kept) = self.outbox.acknowledged(ack.pkid) {
                    let first = kept.first_sent.unwrap_or(now);
                    self.tally.latencies.record(now.saturating_sub(first));
                    self.tally.last_acknowledged = now;
                    self.common.progress.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            }
            Packet::Publish(publish) => self.told(&publish),
            _ => {}
        }
    }

    fn told(&mut self, publish: &Publish) {
        match serde_json::from_slice::<native::ResultMessage<'_>>(&publish.payload) {
            Ok(result) => {
                self.told += 1;
                *self.tally.results.entry(result.status).or_default() += 1;
                self.tally.replayed += u64::from(result.replayed);
            }
            Err(error) => self.tally.last_error = Some(format!("a result cannot be read: {error}")),
        }
    }

    fn is_finished(&self, now: Duration) -> bool {
        let Some(done) = self.done else { return false };
        let quiet = now.saturating_sub(done.max(self.tally.last_acknowledged));
        if self.outbox.is_empty() {
            self.told >= self.tally.made || quiet >= LINGER
        } else {
            quiet >= self.common.patience
        }
    }

    /// Since the start of the run.
    fn now(&self) -> Duration {
        self.common.clock.monotonic().saturating_sub(self.common.began.1)
    }
}
