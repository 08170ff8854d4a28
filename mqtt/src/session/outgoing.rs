//! What a client subscribes to, and what it is sent.
//!
//! Promises: a message comes once, at the best quality that the client asked for, and only if the client may
//! hear it.
//!
//! Refuses: finding out who else wants it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rollcall_dialects::topics::{Filter, Purpose, Topic};
use rollcall_domain::ports::Delivered;

use super::{Effect, FAILED, Session, shown};
use crate::access::Identity;
use crate::codec::{PacketId, Request, Version};
use crate::delivery::Outbound;
use crate::fate::Fate;
use crate::leave::Leave;
use crate::message::Message;
use crate::rights::{self, Subscribing};
use crate::subscriptions::Wanted;

impl Session {
    /// Whether this line asks for what only the router has.
    pub(super) fn would_follow(&self, request: &Request) -> bool {
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

    pub(super) fn unsubscribe(&mut self, filter: &Filter) -> u8 {
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
}
