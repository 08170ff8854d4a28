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
use rollcall_dialects::topics::{Purpose, Topic, native};
use rollcall_domain::ids::DeviceId;
use rollcall_domain::ports::{Heartbeat, NotTaken, ScanResult};
use rollcall_domain::scan::RawScan;

use crate::access::Identity;
use crate::codec::{Connect, Packet, PacketId, Receipt, Request, Version, Writer};
use crate::delivery::{Delivery, Line};
use crate::leave::Leave;
use crate::message::Message;
use crate::observer::Refused;
use crate::owed::{Due, Owed, Slot};
use crate::rights::{self, Reserved};
use crate::subscriptions::Subscriptions;
use crate::upload::SUCCESS;
use crate::upload::{Item, Received};

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

    fn writer<'a>(&self, out: &'a mut BytesMut) -> Writer<'a> {
        Writer { version: self.version, out }
    }
}

/// The beginning of a client's text, as a log line may show it.
fn shown(text: &str) -> String {
    let beginning: String = text.chars().take(SHOWN).collect();
    format!("{beginning:?}")
}

mod incoming;
mod outgoing;
#[cfg(test)]
mod tests;
