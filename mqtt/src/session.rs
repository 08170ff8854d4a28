//! What a packet means to one connection, and what its client is told. No I/O, no clock.
//!
//! Promises: each packet that wants an answer gets one; what became of a scan is told to the device, to its
//! other connections and to who watches the campus, after its commit.
//!
//! Refuses: keeping anything beyond the connection; subscriptions end with it, and v5 is told so.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::tz::TimeZone;
use rollcall_dialects::topics::{Filter, Purpose, Topic, native};
use rollcall_domain::ids::DeviceId;
use rollcall_domain::ports::{Heartbeat, NotTaken, ScanResult};
use rollcall_domain::scan::RawScan;

use crate::access::Identity;
use crate::codec::{Connect, Packet, PacketId, Publish, Receipt, Request, Version, Writer};
use crate::delivery::{Delivery, Message};
use crate::leave::Leave;
use crate::observer::Refused;
use crate::owed::{Due, Owed, Slot};
use crate::rights::{self, Subscribing};
use crate::subscriptions::Subscriptions;
use crate::upload::{BAD_PAYLOAD, NOT_AUTHORIZED, SUCCESS};
use crate::upload::{Item, Received, Source, Upload};

/// Characters of a client's text that a log line shows.
const SHOWN: usize = 100;

/// What the connection must do because of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    Submit(Vec<(Slot, RawScan)>),
    Heartbeat(DeviceId, Heartbeat),
    /// Make a link to the router, then call [`Session::subscribe`].
    Follow {
        id: PacketId,
        requests: Vec<Request>,
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

pub(crate) struct Session {
    version: Version,
    identity: Identity,
    zone: TimeZone,
    owed: Owed,
    subscriptions: Subscriptions,
    topics: HashMap<Purpose, Arc<str>>,
    delivery: Delivery,
    effects: Vec<Effect>,
}

impl Session {
    pub(crate) fn new(connect: &Connect, identity: Identity, zone: TimeZone) -> Self {
        let topics = match &identity {
            Identity::Device(device) => {
                rights::DOWN.map(|purpose| (purpose, native(device, purpose).as_str().into())).into()
            }
            Identity::Monitor(_) => HashMap::new(),
        };
        let delivery = Delivery::new(connect.version, connect.receive_maximum, connect.maximum_packet_size);
        Session {
            version: connect.version,
            identity,
            zone,
            owed: Owed::default(),
            subscriptions: Subscriptions::default(),
            topics,
            delivery,
            effects: Vec::new(),
        }
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
            Packet::PubAck(id) => {
                self.delivery.acknowledged(id, out);
                Step::Done
            }
            // A retransmission repeats the first result and writes nothing, so there is nothing to release.
            Packet::PubRel(id) => {
                self.writer(out).pubcomp(id);
                Step::Done
            }
            // Answers to QoS 2, which is never sent.
            Packet::PubRec(_) | Packet::PubComp(_) => Step::Leave(Leave::Protocol),
            Packet::Subscribe { id, requests } if requests.iter().any(|request| self.follows(request)) => {
                Step::Follow { id, requests }
            }
            Packet::Subscribe { id, requests } => {
                self.subscribe(id, requests, false, out);
                Step::Done
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
            Packet::Disconnect { .. } => Step::Leave(Leave::Asked),
        }
    }

    fn publish(&mut self, publish: &Publish, received: Received, out: &mut BytesMut) -> Step {
        match (rights::publishing(&self.identity, &publish.topic), self.identity.clone()) {
            (Some(purpose @ (Purpose::Scan | Purpose::Scans)), Identity::Device(device)) => {
                self.upload(purpose, publish, &device, received, out)
            }
            (Some(Purpose::Heartbeat), Identity::Device(device)) => self.heartbeat(publish, device, out),
            (Some(_), _) => self.note(publish.receipt, SUCCESS, out),
            (None, _) => {
                self.effects.push(Effect::Refused(Refused::Publish, shown(publish.topic.as_str())));
                match self.version {
                    Version::V311 => Step::Leave(Leave::NotAuthorized),
                    Version::V5 => self.note(publish.receipt, NOT_AUTHORIZED, out),
                }
            }
        }
    }

    fn upload(
        &mut self,
        purpose: Purpose,
        publish: &Publish,
        device: &DeviceId,
        received: Received,
        out: &mut BytesMut,
    ) -> Step {
        let source = Source { device, zone: &self.zone, received, duplicate: publish.duplicate };
        let Upload { items, scans, rejected } = Upload::read(purpose, &publish.payload, &source);
        if let Some((count, first)) = rejected {
            let (all, topic) = (items.len(), shown(publish.topic.as_str()));
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
            return self.settle(out);
        }
        Step::Submit(scans.into_iter().map(|(item, scan)| (Slot { upload, item }, scan)).collect())
    }

    fn heartbeat(&mut self, publish: &Publish, device: DeviceId, out: &mut BytesMut) -> Step {
        match rollcall_dialects::native::heartbeat(&publish.payload, &self.zone) {
            Ok(heartbeat) => match self.note(publish.receipt, SUCCESS, out) {
                Step::Done => Step::Heartbeat(device, heartbeat),
                other => other,
            },
            Err(error) => {
                let detail = format!("{}: {error}", shown(publish.topic.as_str()));
                self.effects.push(Effect::Refused(Refused::BadPayload, detail));
                self.note(publish.receipt, BAD_PAYLOAD, out)
            }
        }
    }

    /// Acknowledges what waits for no disk, behind what does.
    fn note(&mut self, receipt: Receipt, reason: u8, out: &mut BytesMut) -> Step {
        self.owed.push(Due { receipt, reason, items: Vec::new(), open: 0, received_after: None });
        self.settle(out)
    }

    /// A scan's fate is known.
    pub(crate) fn answered(
        &mut self,
        slot: Slot,
        answer: Result<ScanResult, NotTaken>,
        out: &mut BytesMut,
    ) -> Step {
        self.owed.answered(slot, answer);
        self.settle(out)
    }

    /// Acknowledges from the front for as long as the answers are known.
    fn settle(&mut self, out: &mut BytesMut) -> Step {
        loop {
            let settled = self.owed.next().and_then(|due| match due {
                Some(due) => self.acknowledge(due, out).map(|()| true),
                None => Ok(false),
            });
            match settled {
                Ok(true) => {}
                Ok(false) => return Step::Done,
                Err(reason) => return Step::Leave(reason),
            }
        }
    }

    fn acknowledge(&mut self, due: Due, out: &mut BytesMut) -> Result<(), Leave> {
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
            Receipt::Rec(id) => self.writer(out).pubrec(id, reason),
        }
        self.effects.extend(due.received_after.map(|received_after| Effect::Acknowledged { received_after }));
        for item in due.items {
            let Item::Known(answer) = item else { continue };
            self.effects.push(Effect::Result(answer.result.clone()));
            self.effects.extend(answer.seen.map(Effect::Seen));
            self.own_message(Purpose::Result, answer.result, out)?;
        }
        Ok(())
    }

    /// Whether this line asks for what only the router has.
    fn follows(&self, request: &Request) -> bool {
        rights::subscribing(&self.identity, &request.filter) == Subscribing::Follow
    }

    /// Answers a SUBSCRIBE; `linked` says whether there is a link to the router.
    pub(crate) fn subscribe(
        &mut self,
        id: PacketId,
        requests: Vec<Request>,
        linked: bool,
        out: &mut BytesMut,
    ) {
        let codes: Vec<u8> = requests.into_iter().map(|request| self.grant(request, linked)).collect();
        self.writer(out).suback(id, &codes);
    }

    fn grant(&mut self, request: Request, linked: bool) -> u8 {
        let filter = shown(request.filter.as_str());
        match self.subscriptions.grant(&self.identity, request, linked) {
            Ok(qos) => qos.bits(),
            Err((what, code)) => {
                self.effects.push(Effect::Refused(what, filter));
                if self.version == Version::V5 { code } else { 0x80 }
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
        out: &mut BytesMut,
    ) -> Result<(), Leave> {
        let Some(qos) = self.subscriptions.to_own(purpose) else { return Ok(()) };
        let Some(topic) = self.topics.get(&purpose).cloned() else { return Ok(()) };
        self.delivery.send(Message { topic, payload }, qos, out)
    }

    /// A message from the router: one copy if any of the client's filters wants it.
    pub(crate) fn forward(&mut self, topic: &Topic, payload: Bytes, out: &mut BytesMut) -> Result<(), Leave> {
        let Some(qos) = self.subscriptions.to_follower(topic) else { return Ok(()) };
        self.delivery.send(Message { topic: topic.as_str().into(), payload }, qos, out)
    }

    fn writer<'a>(&self, out: &'a mut BytesMut) -> Writer<'a> {
        Writer { version: self.version, out }
    }
}

/// The beginning of a client's text, as a log line may show it.
fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(SHOWN).collect();
    format!("{beginning:?}")
}

#[cfg(test)]
mod tests;
