//! What a client publishes.
//!
//! Promises: the connection's identity is what counts, whatever a topic or a payload says; what is not for the
//! gateway itself is handed out whole.
//!
//! Refuses: a client's word on who it is.

use std::time::Duration;

use bytes::BytesMut;
use rollcall_dialects::topics::{Purpose, Topic, native};
use rollcall_domain::ids::DeviceId;

use super::{Effect, Session, Step, shown};
use crate::access::Identity;
use crate::codec::{Malformed, Named, Publish, Receipt, Version, Will};
use crate::leave::Leave;
use crate::message::Message;
use crate::observer::Refused;
use crate::owed::{Due, Slot, WINDOW};
use crate::rights::{self, Publishing};
use crate::upload::{BAD_PAYLOAD, NOT_AUTHORIZED, Received, SUCCESS, Source, Upload};

impl Session {
    pub(super) fn publish(&mut self, publish: &Publish, received: Received, out: &mut BytesMut) -> Step {
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
}

/// When a message that is to live for so many seconds has expired.
fn expires(seconds: Option<u32>, now: Duration) -> Option<Duration> {
    seconds.map(|seconds| now.saturating_add(Duration::from_secs(seconds.into())))
}
