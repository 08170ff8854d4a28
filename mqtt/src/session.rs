//! What a packet means to one connection, and what its client is told. No I/O, no clock.
//!
//! Promises: each packet that wants an answer gets one; what became of a scan is told to the device, to its
//! other connections and to who watches the campus, after its commit; a message of QoS 2 counts once, also if
//! it is sent again.
//!
//! Refuses: the topics of others; routing. What goes beyond this client is handed out as a [`Step`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::tz::TimeZone;
use rollcall_dialects::topics::{Filter, Purpose, Topic, native};
use rollcall_domain::ids::DeviceId;
use rollcall_domain::ports::{Delivered, Heartbeat, NotTaken, ScanResult};
use rollcall_domain::scan::RawScan;

use crate::access::Identity;
use crate::codec::{
    Connect, Malformed, Named, Packet, PacketId, Publish, Receipt, Request, Version, Will, Writer,
};
use crate::delivery::{Delivery, Line, Outbound};
use crate::fate::Fate;
use crate::leave::Leave;
use crate::message::Message;
use crate::observer::Refused;
use crate::owed::{Due, Owed, Slot, WINDOW};
use crate::rights::{self, Publishing, Reserved, Subscribing};
use crate::subscriptions::{Subscriptions, Wanted};
use crate::upload::{BAD_PAYLOAD, NOT_AUTHORIZED, SUCCESS};
use crate::upload::{Item, Received, Source, Upload};

/// Characters of a client's text that a log line shows.
const SHOWN: usize = 100;

/// v5: an acknowledgement of what is not under way.
const NO_SUCH_ID: u8 = 0x92;
/// v5: reasons from here on say that it did not work.
const FAILED: u8 = 0x80;

/// What the connection must do because of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    Submit(Vec<(Slot, RawScan)>),
    Heartbeat(DeviceId, Heartbeat),
    /// Hand the message to whoever wants it, then call [`Session::routed`].
    Route {
        topic: Topic,
        message: Message,
        receipt: Receipt,
    },
    /// Make a link to the router if it `follows`, then call [`Session::subscribe`].
    Subscribe {
        id: PacketId,
        requests: Vec<Request>,
        follows: bool,
    },
    Goodbye {
        with_will: bool,
        session_expiry_seconds: Option<u32>,
    },
    Leave(Leave),
}

/// What others must be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// For the other connections of this device.
    Result(Bytes),
    /// For those who watch the campus.
    Seen(Bytes),
    Acknowledged {
        received_after: Duration,
    },
    Refused(Refused, String),
}

/// Where a session is.
pub(crate) struct Campus {
    /// In which a device's times without an offset are read.
    pub(crate) zone: TimeZone,
    pub(crate) reserved: Reserved,
}

/// What a client and the gateway owe each other. It may outlive a connection, if the client wants it to.
pub(crate) struct Session {
    /// Names it among all.
    number: u64,
    identity: Identity,
    campus: Arc<Campus>,
    topics: HashMap<Purpose, Arc<str>>,
    subscriptions: Subscriptions,
    delivery: Delivery,
    /// Messages of QoS 2 that are here, whose ids the client has not let go of.
    received: HashSet<PacketId>,
    /// Of the connection that it has now, like what follows.
    version: Version,
    owed: Owed,
    /// What the client's aliases stand for.
    aliases: HashMap<u16, Topic>,
    effects: Vec<Effect>,
}

impl Session {
    pub(crate) fn new(number: u64, identity: Identity, campus: Arc<Campus>) -> Self {
        let topics = match &identity {
            Identity::Device(device) => {
                rights::DOWN.map(|purpose| (purpose, native(device, purpose).as_str().into())).into()
            }
            Identity::Monitor(_) | Identity::Anonymous => HashMap::new(),
        };
        Session {
            number,
            identity,
            campus,
            topics,
            subscriptions: Subscriptions::default(),
            delivery: Delivery::default(),
            received: HashSet::new(),
            version: Version::V5,
            owed: Owed::default(),
            aliases: HashMap::new(),
            effects: Vec::new(),
        }
    }

    /// The client is there: what it missed is sent to it.
    pub(crate) fn begin(&mut self, connect: &Connect, now: Duration, out: &mut BytesMut) {
        self.version = connect.version;
        let (most, largest) = (connect.receive_maximum, connect.maximum_packet_size);
        self.delivery.begin(Line::new(connect.version, most, largest, connect.topic_aliases), now, out);
    }

    /// The client is gone, and with it what only its connection was owed.
    pub(crate) fn end(&mut self) {
        self.delivery.end();
        self.owed = Owed::default();
        self.aliases = HashMap::new();
        self.effects = Vec::new();
    }

    /// False while as many uploads wait for their commit as may.
    pub(crate) fn takes_more(&self) -> bool {
        self.owed.takes_more()
    }

    pub(crate) fn owes_nothing(&self) -> bool {
        self.owed.is_empty()
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.delivery.is_behind()
    }

    /// What has to be told since the last call.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn handle(&mut self, packet: Packet, received: Received, out: &mut BytesMut) -> Step {
        match packet {
            Packet::Publish(publish) => self.publish(&publish, received, out),
            Packet::PubAck { id, reason } => {
                self.delivery.acknowledged(id, reason, received.after, out);
                Step::Done
            }
            Packet::PubRec { id, reason } => {
                self.delivery.received(id, reason, received.after, out);
                Step::Done
            }
            Packet::PubComp { id, .. } => {
                self.delivery.completed(id, received.after, out);
                Step::Done
            }
            Packet::PubRel { id, .. } => {
                let reason = if self.received.remove(&id) { SUCCESS } else { NO_SUCH_ID };
                self.writer(out).pubcomp(id, reason);
                Step::Done
            }
            Packet::Subscribe { id, requests } => {
                let follows = requests.iter().any(|request| self.would_follow(request));
                Step::Subscribe { id, requests, follows }
            }
            Packet::Unsubscribe { id, filters } => {
                let codes: Vec<u8> = filters.iter().map(|filter| self.unsubscribe(filter)).collect();
                self.writer(out).unsuback(id, &codes);
                Step::Done
            }
            Packet::PingReq => {
                self.writer(out).pingresp();
                Step::Done
            }
            Packet::Disconnect { with_will, session_expiry_seconds } => {
                Step::Goodbye { with_will, session_expiry_seconds }
            }
        }
    }

    fn publish(&mut self, publish: &Publish, received: Received, out: &mut BytesMut) -> Step {
        let topic = match self.whole(&publish.topic) {
            Ok(topic) => topic,
            Err(malformed) => return Step::Leave(Leave::Malformed(malformed)),
        };
        if let Receipt::Rec(id) = publish.receipt {
            if self.received.contains(&id) {
                return self.note(publish.receipt, SUCCESS, received.after, out);
            }
            if self.version == Version::V5 && self.received.len() >= WINDOW {
                return Step::Leave(Leave::TooMuchAtOnce);
            }
        }
        let publishing = rights::publishing(&self.identity, &topic, &self.campus.reserved);
        match (publishing, self.identity.clone()) {
            (Publishing::Up(purpose @ (Purpose::Scan | Purpose::Scans)), Identity::Device(device)) => {
                self.upload(purpose, publish, &device, received, out)
            }
            (Publishing::Up(Purpose::Heartbeat), Identity::Device(device)) => {
                self.heartbeat(publish, device, received, out)
            }
            (Publishing::Up(_) | Publishing::Routed, _) => {
                let message = self.message(&topic, publish, received.after);
                Step::Route { topic, message, receipt: publish.receipt }
            }
            (Publishing::Denied, _) => {
                self.effects.push(Effect::Refused(Refused::Publish, shown(topic.as_str())));
                match self.version {
                    Version::V311 => Step::Leave(Leave::NotAuthorized),
                    Version::V5 => self.note(publish.receipt, NOT_AUTHORIZED, received.after, out),
                }
            }
        }
    }

    /// The topic that is meant, by its name or by what stands for it.
    fn whole(&mut self, named: &Named) -> Result<Topic, Malformed> {
        match named {
            Named::Whole(topic) => Ok(topic.clone()),
            Named::Both(topic, alias) => {
                self.aliases.insert(*alias, topic.clone());
                Ok(topic.clone())
            }
            Named::Alias(alias) => self.aliases.get(alias).cloned().ok_or(Malformed::TopicAlias),
        }
    }

    fn message(&self, topic: &Topic, publish: &Publish, now: Duration) -> Message {
        Message {
            topic: topic.as_str().into(),
            payload: publish.payload.clone(),
            qos: publish.receipt.qos(),
            retain: publish.retain,
            passed: publish.passed.clone(),
            expires: expires(publish.expiry_seconds, now),
            from: self.number,
        }
    }

    /// What is said for a client that did not say goodbye.
    pub(crate) fn last_words(&self, will: Will, now: Duration) -> Message {
        Message {
            topic: will.topic.as_str().into(),
            payload: will.payload,
            qos: will.qos,
            retain: will.retain,
            passed: will.passed,
            expires: expires(will.expiry_seconds, now),
            from: self.number,
        }
    }

    /// The message is with whoever wants it; `reason` is v5's.
    pub(crate) fn routed(&mut self, receipt: Receipt, reason: u8, now: Duration, out: &mut BytesMut) -> Step {
        self.note(receipt, reason, now, out)
    }

    fn upload(
        &mut self,
        purpose: Purpose,
        publish: &Publish,
        device: &DeviceId,
        received: Received,
        out: &mut BytesMut,
    ) -> Step {
        let source = Source { device, zone: &self.campus.zone, received, duplicate: publish.duplicate };
        let Upload { items, scans, rejected } = Upload::read(purpose, &publish.payload, &source);
        if let Some((count, first)) = rejected {
            let (all, topic) = (items.len(), native(device, purpose));
            // Alone, it is one scan, or an array that cannot be read at all.
            let detail = if all == 1 {
                format!("on {topic}: {}", first.error)
            } else {
                format!("{count} of {all} on {topic}: {}", first.error)
            };
            self.effects.push(Effect::Refused(Refused::BadPayload, detail));
        }
        let (open, receipt) = (scans.len(), publish.receipt);
        let received_after = (open > 0).then_some(received.after);
        let upload = self.owed.push(Due { receipt, reason: SUCCESS, items, open, received_after });
        if open == 0 {
            return self.settle(received.after, out);
        }
        Step::Submit(scans.into_iter().map(|(item, scan)| (Slot { upload, item }, scan)).collect())
    }

    fn heartbeat(
        &mut self,
        publish: &Publish,
        device: DeviceId,
        received: Received,
        out: &mut BytesMut,
    ) -> Step {
        match rollcall_dialects::native::heartbeat(&publish.payload, &self.campus.zone) {
            Ok(heartbeat) => match self.note(publish.receipt, SUCCESS, received.after, out) {
                Step::Done => Step::Heartbeat(device, heartbeat),
                other => other,
            },
            Err(error) => {
                let detail = format!("on {}: {error}", native(&device, Purpose::Heartbeat));
                self.effects.push(Effect::Refused(Refused::BadPayload, detail));
                self.note(publish.receipt, BAD_PAYLOAD, received.after, out)
            }
        }
    }

    /// Acknowledges what waits for no disk, behind what does.
    fn note(&mut self, receipt: Receipt, reason: u8, now: Duration, out: &mut BytesMut) -> Step {
        self.owed.push(Due { receipt, reason, items: Vec::new(), open: 0, received_after: None });
        self.settle(now, out)
    }

    /// A scan's fate is known.
    pub(crate) fn answered(
        &mut self,
        slot: Slot,
        answer: Result<ScanResult, NotTaken>,
        now: Duration,
        out: &mut BytesMut,
    ) -> Step {
        self.owed.answered(slot, answer);
        self.settle(now, out)
    }

    /// Acknowledges from the front for as long as the answers are known.
    fn settle(&mut self, now: Duration, out: &mut BytesMut) -> Step {
        loop {
            let settled = self.owed.next().and_then(|due| match due {
                Some(due) => self.acknowledge(due, now, out).map(|()| true),
                None => Ok(false),
            });
            match settled {
                Ok(true) => {}
                Ok(false) => return Step::Done,
                Err(reason) => return Step::Leave(reason),
            }
        }
    }

    fn acknowledge(&mut self, due: Due, now: Duration, out: &mut BytesMut) -> Result<(), Leave> {
        let answers = || {
            due.items.iter().filter_map(|item| match item {
                Item::Known(answer) => Some(answer.reason),
                Item::Open { .. } => None,
            })
        };
        let reason = answers().min().unwrap_or(due.reason);
        match due.receipt {
            Receipt::None => {}
            Receipt::Ack(id) => self.writer(out).puback(id, reason),
            Receipt::Rec(id) => {
                self.writer(out).pubrec(id, reason);
                if reason < FAILED {
                    self.received.insert(id);
                }
            }
        }
        self.effects.extend(due.received_after.map(|received_after| Effect::Acknowledged { received_after }));
        for item in due.items {
            let Item::Known(answer) = item else { continue };
            self.effects.push(Effect::Result(answer.result.clone()));
            self.effects.extend(answer.seen.map(Effect::Seen));
            self.own_message(Purpose::Result, answer.result, None, now, out)?;
        }
        Ok(())
    }

    /// Whether this line asks for what only the router has.
    fn would_follow(&self, request: &Request) -> bool {
        let reserved = &self.campus.reserved;
        rights::subscribing(&self.identity, &request.filter, reserved) == Subscribing::Follow
    }

    /// Answers a SUBSCRIBE; `linked` says whether there is a link to the router. Gives those for which what is
    /// retained is to be sent.
    pub(crate) fn subscribe(
        &mut self,
        id: PacketId,
        requests: Vec<Request>,
        linked: bool,
        out: &mut BytesMut,
    ) -> Vec<Request> {
        let mut begin = Vec::new();
        let codes: Vec<u8> =
            requests.into_iter().map(|request| self.grant(request, linked, &mut begin)).collect();
        self.writer(out).suback(id, &codes);
        begin
    }

    fn grant(&mut self, request: Request, linked: bool, begin: &mut Vec<Request>) -> u8 {
        let (identity, reserved) = (&self.identity, &self.campus.reserved);
        match self.subscriptions.grant(identity, reserved, request.clone(), linked) {
            Ok((qos, begins)) => {
                begin.extend(begins.then_some(request));
                qos.bits()
            }
            Err((what, code)) => {
                self.effects.push(Effect::Refused(what, shown(request.filter.as_str())));
                if self.version == Version::V5 { code } else { FAILED }
            }
        }
    }

    fn unsubscribe(&mut self, filter: &Filter) -> u8 {
        if self.subscriptions.remove(filter) { 0x00 } else { 0x11 }
    }

    /// A message from the gateway to this device, if it listens: one copy, at the best QoS it asked for.
    pub(crate) fn own_message(
        &mut self,
        purpose: Purpose,
        payload: Bytes,
        fate: Option<Fate>,
        now: Duration,
        out: &mut BytesMut,
    ) -> Result<(), Leave> {
        let Some(topic) = self.topics.get(&purpose).cloned() else { return Ok(()) };
        let message = Message::own(topic, payload);
        let Some(wanted) = self.subscriptions.to_own(purpose, &message) else {
            if let Some(fate) = fate {
                fate.is(Delivered::NotListening);
            }
            return Ok(());
        };
        self.send(message, wanted, fate, now, out)
    }

    /// What is retained, for a subscription that begins.
    pub(crate) fn retained(
        &mut self,
        request: &Request,
        topic: &Topic,
        message: Message,
        now: Duration,
        out: &mut BytesMut,
    ) -> Result<(), Leave> {
        let is_own = matches!(self.identity, Identity::Device(_));
        if !is_own && !rights::hears(&self.identity, topic, &self.campus.reserved) {
            return Ok(());
        }
        let wanted =
            Wanted { qos: request.qos.min(message.qos), retain: true, ids: request.id.into_iter().collect() };
        self.send(message, wanted, None, now, out)
    }

    /// A message from the router: one copy if any of the client's filters wants it.
    pub(crate) fn forward(
        &mut self,
        topic: &Topic,
        message: Message,
        now: Duration,
        out: &mut BytesMut,
    ) -> Result<(), Leave> {
        if !rights::hears(&self.identity, topic, &self.campus.reserved) {
            return Ok(());
        }
        let wanted = self.subscriptions.to_follower(topic, &message, self.number);
        wanted.map_or(Ok(()), |wanted| self.send(message, wanted, None, now, out))
    }

    fn send(
        &mut self,
        message: Message,
        wanted: Wanted,
        fate: Option<Fate>,
        now: Duration,
        out: &mut BytesMut,
    ) -> Result<(), Leave> {
        let Wanted { qos, retain, ids: subscriptions } = wanted;
        self.delivery.send(Outbound { message, qos, retain, subscriptions, fate }, now, out)
    }

    fn writer<'a>(&self, out: &'a mut BytesMut) -> Writer<'a> {
        Writer { version: self.version, out }
    }
}

/// When a message that is to live for so many seconds has expired.
fn expires(seconds: Option<u32>, now: Duration) -> Option<Duration> {
    seconds.map(|seconds| now.saturating_add(Duration::from_secs(seconds.into())))
}

/// The beginning of a client's text, as a log line may show it.
fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(SHOWN).collect();
    format!("{beginning:?}")
}

#[cfg(test)]
mod tests;
