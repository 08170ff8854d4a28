//! What one connection owes its client, and what a packet means to it. No I/O, no clock.
//!
//! Promises: an upload is acknowledged when every scan in it is on disk and never before, in the order in
//! which uploads came; a scan that was not taken is never acknowledged; each UNSUBSCRIBE is answered.
//!
//! Refuses: keeping anything beyond the connection; subscriptions end with it, and v5 is told so.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::tz::TimeZone;
use rollcall_dialects::topics::{Filter, Purpose, Topic, native};
use rollcall_domain::ids::DeviceId;
use rollcall_domain::ports::{Heartbeat, NotTaken, ScanResult};
use rollcall_domain::scan::RawScan;

use crate::access::Identity;
use crate::codec::{Connect, Packet, PacketId, Publish, QoS, Receipt, Request, Version, Writer};
use crate::delivery::{Delivery, Message};
use crate::device_words;
use crate::leave::Leave;
use crate::observer::Refused;
use crate::rights::{self, Subscribing};
use crate::upload::{BAD_PAYLOAD, NOT_AUTHORIZED, SUCCESS};
use crate::upload::{Item, Received, Source, Upload};

/// Scans that may wait for their commit at once on one connection; an array may go beyond it.
pub(crate) const WINDOW: usize = 256;

/// Names one scan of one upload of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    upload: u64,
    item: usize,
}

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

struct Owed {
    receipt: Receipt,
    /// v5's reason, where there are no items to find it from.
    reason: u8,
    items: Vec<Item>,
    open: usize,
    not_taken: Option<NotTaken>,
    received_after: Option<Duration>,
}

pub(crate) struct Session {
    version: Version,
    identity: Identity,
    zone: TimeZone,
    owed: VecDeque<Owed>,
    /// The number of the first of `owed`.
    first: u64,
    /// Scans whose answers are not known yet.
    open: usize,
    own: Vec<(Request, Vec<Purpose>)>,
    followed: Vec<Request>,
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
            owed: VecDeque::new(),
            first: 0,
            open: 0,
            own: Vec::new(),
            followed: Vec::new(),
            topics,
            delivery,
            effects: Vec::new(),
        }
    }

    /// False while as many uploads wait for their commit as may.
    pub(crate) fn takes_more(&self) -> bool {
        self.open < WINDOW && self.owed.len() < WINDOW
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
                if self.delivery.acknowledged(id, out) {
                    Step::Done
                } else {
                    Step::Leave(Leave::Protocol)
                }
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
                self.effects.push(Effect::Refused(Refused::Publish, shown(&publish.topic)));
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
            let detail = format!("{count} of {} on {}: {}", items.len(), shown(&publish.topic), first.error);
            self.effects.push(Effect::Refused(Refused::BadPayload, detail));
        }
        let upload = self.first.wrapping_add(self.owed.len() as u64);
        let open = scans.len();
        let received_after = (open > 0).then_some(received.after);
        let receipt = publish.receipt;
        self.open += open;
        self.owed.push_back(Owed { receipt, reason: SUCCESS, items, open, not_taken: None, received_after });
        if open == 0 {
            return self.settle(out);
        }
        Step::Submit(scans.into_iter().map(|(item, scan)| (Slot { upload, item }, scan)).collect())
    }

    fn heartbeat(&mut self, publish: &Publish, device: DeviceId, out: &mut BytesMut) -> Step {
        match device_words::heartbeat(&publish.payload) {
            Ok(heartbeat) => match self.note(publish.receipt, SUCCESS, out) {
                Step::Done => Step::Heartbeat(device, heartbeat),
                other => other,
            },
            Err(error) => {
                let detail = format!("{}: {error}", shown(&publish.topic));
                self.effects.push(Effect::Refused(Refused::BadPayload, detail));
                self.note(publish.receipt, BAD_PAYLOAD, out)
            }
        }
    }

    /// Acknowledges what waits for no disk, behind what does.
    fn note(&mut self, receipt: Receipt, reason: u8, out: &mut BytesMut) -> Step {
        let items = Vec::new();
        self.owed.push_back(Owed { receipt, reason, items, open: 0, not_taken: None, received_after: None });
        self.settle(out)
    }

    /// A scan's fate is known.
    pub(crate) fn answered(
        &mut self,
        slot: Slot,
        answer: Result<ScanResult, NotTaken>,
        out: &mut BytesMut,
    ) -> Step {
        let index = usize::try_from(slot.upload.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        if let Some(owed) = self.owed.get_mut(index) {
            self.open = self.open.saturating_sub(1);
            match (answer, owed.items.get_mut(slot.item)) {
                (Ok(result), Some(item)) => {
                    owed.open = owed.open.saturating_sub(1);
                    item.stored(&result);
                }
                (Ok(_), None) => {}
                (Err(why), _) => owed.not_taken = Some(why),
            }
        }
        self.settle(out)
    }

    /// Acknowledges from the front for as long as the answers are known.
    fn settle(&mut self, out: &mut BytesMut) -> Step {
        while let Some(front) = self.owed.front() {
            match front.not_taken {
                Some(NotTaken::StorageUnavailable) => return Step::Leave(Leave::StorageUnavailable),
                Some(NotTaken::Stopping) => return Step::Leave(Leave::Stopping),
                None if front.open > 0 => return Step::Done,
                None => {}
            }
            let Some(owed) = self.owed.pop_front() else { return Step::Done };
            self.first = self.first.wrapping_add(1);
            if let Err(reason) = self.acknowledge(owed, out) {
                return Step::Leave(reason);
            }
        }
        Step::Done
    }

    fn acknowledge(&mut self, owed: Owed, out: &mut BytesMut) -> Result<(), Leave> {
        let answers = || {
            owed.items.iter().filter_map(|item| match item {
                Item::Known(answer) => Some(answer.reason),
                Item::Open { .. } => None,
            })
        };
        let reason = answers().min().unwrap_or(owed.reason);
        match owed.receipt {
            Receipt::None => {}
            Receipt::Ack(id) => self.writer(out).puback(id, reason),
            Receipt::Rec(id) => self.writer(out).pubrec(id, reason),
        }
        self.effects
            .extend(owed.received_after.map(|received_after| Effect::Acknowledged { received_after }));
        for item in owed.items {
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
        let qos = request.qos.min(QoS::AtLeastOnce);
        let granted = Request { filter: request.filter, qos };
        match rights::subscribing(&self.identity, &granted.filter) {
            Subscribing::Own(purposes) => {
                self.own.retain(|(other, _)| other.filter != granted.filter);
                self.own.push((granted, purposes));
                qos.bits()
            }
            Subscribing::Follow if linked => {
                self.followed.retain(|other| other.filter != granted.filter);
                self.followed.push(granted);
                qos.bits()
            }
            Subscribing::Follow => self.refuse_filter(Refused::NoLink, &granted.filter, 0x97),
            Subscribing::Denied => self.refuse_filter(Refused::Subscribe, &granted.filter, NOT_AUTHORIZED),
        }
    }

    fn refuse_filter(&mut self, what: Refused, filter: &Filter, code: u8) -> u8 {
        self.effects.push(Effect::Refused(what, format!("{:?}", filter.as_str())));
        if self.version == Version::V5 { code } else { 0x80 }
    }

    fn unsubscribe(&mut self, filter: &Filter) -> u8 {
        let before = self.own.len() + self.followed.len();
        self.own.retain(|(request, _)| request.filter != *filter);
        self.followed.retain(|request| request.filter != *filter);
        if self.own.len() + self.followed.len() < before { 0x00 } else { 0x11 }
    }

    /// A message from the gateway to this device, if it listens: one copy, at the best QoS it asked for.
    pub(crate) fn own_message(
        &mut self,
        purpose: Purpose,
        payload: Bytes,
        out: &mut BytesMut,
    ) -> Result<(), Leave> {
        let wanted = self.own.iter().filter(|(_, purposes)| purposes.contains(&purpose));
        let Some(qos) = wanted.map(|(request, _)| request.qos).max() else { return Ok(()) };
        let Some(topic) = self.topics.get(&purpose).cloned() else { return Ok(()) };
        self.delivery.send(Message { topic, payload }, qos, out)
    }

    /// A message from the router: one copy if any of the client's filters wants it.
    pub(crate) fn forward(&mut self, topic: &Topic, payload: Bytes, out: &mut BytesMut) -> Result<(), Leave> {
        let wanted = self.followed.iter().filter(|request| request.filter.matches(topic));
        let Some(qos) = wanted.map(|request| request.qos).max() else { return Ok(()) };
        self.delivery.send(Message { topic: topic.as_str().into(), payload }, qos, out)
    }

    fn writer<'a>(&self, out: &'a mut BytesMut) -> Writer<'a> {
        Writer { version: self.version, out }
    }
}

/// A client's topic as a log line may show it.
fn shown(topic: &Topic) -> String {
    format!("{:?}", topic.as_str())
}

#[cfg(test)]
mod tests;
