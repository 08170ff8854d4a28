//! What one client is sent: packet ids, and what waits for the client's acknowledgements.
//!
//! Promises: nothing is sent beyond the client's receive maximum or above its largest packet; an id is not used
//! again before its message was acknowledged; to a client that comes back, what it did not acknowledge is sent
//! again, in order, and then what came meanwhile.
//!
//! Refuses: keeping more than [`BACKLOG`] messages or [`BACKLOG_BYTES`] for a client that does not take them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rollcall_domain::ports::Delivered;

use crate::codec::{Outgoing, PacketId, QoS, Receipt, Version, Writer};
use crate::fate::Fate;
use crate::leave::Leave;
use crate::message::Message;

/// Messages kept for a client that does not acknowledge what it was sent.
const BACKLOG: usize = 1024;
const BACKLOG_BYTES: usize = 1 << 20;
/// From so many on, a client is not given more to wait for.
const BEHIND: usize = BACKLOG / 2;
/// Messages under way at once, also to a client that would take more.
const WINDOW: usize = 256;
/// v5: an acknowledgement of what is not under way.
const NO_SUCH_ID: u8 = 0x92;
/// v5: reasons from here on say that it did not work.
const FAILED: u8 = 0x80;

/// A message for one client.
pub(crate) struct Outbound {
    pub(crate) message: Message,
    pub(crate) qos: QoS,
    /// As the client is told.
    pub(crate) retain: bool,
    pub(crate) subscriptions: Vec<u32>,
    pub(crate) fate: Option<Fate>,
}

impl Outbound {
    fn size(&self) -> usize {
        self.message.topic.len() + self.message.payload.len() + self.message.passed.0.len()
    }

    fn became(&self, delivered: Delivered) {
        if let Some(fate) = &self.fate {
            fate.is(delivered);
        }
    }
}

/// A message under way.
struct Flight {
    id: PacketId,
    /// Absent once the client has it, as QoS 2 says in two steps.
    outbound: Option<Outbound>,
}

/// What the client said of the connection that it has now.
pub(crate) struct Line {
    version: Version,
    receive_maximum: usize,
    largest: usize,
    most_aliases: u16,
    aliases: HashMap<Arc<str>, u16>,
}

impl Line {
    pub(crate) fn new(version: Version, receive_maximum: u16, largest: Option<u32>, aliases: u16) -> Self {
        Line {
            version,
            receive_maximum: usize::from(receive_maximum).min(WINDOW),
            largest: largest.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX),
            most_aliases: aliases,
            aliases: HashMap::new(),
        }
    }

    /// False if the message is more than the client takes.
    fn write(
        &mut self,
        outbound: &Outbound,
        receipt: Receipt,
        duplicate: bool,
        now: Duration,
        out: &mut BytesMut,
    ) -> bool {
        let message = &outbound.message;
        let (alias, is_known) = self.alias(&message.topic);
        let before = out.len();
        let mut writer = Writer { version: self.version, out };
        let is_written = writer.publish(&Outgoing {
            topic: if is_known { "" } else { &message.topic },
            alias,
            payload: &message.payload,
            receipt,
            duplicate,
            retain: outbound.retain,
            subscriptions: &outbound.subscriptions,
            expiry_seconds: message.seconds_left(now),
            passed: &message.passed,
        });
        if !is_written || out.len() - before > self.largest {
            out.truncate(before);
            tracing::debug!(topic = %message.topic, "not sent: larger than the client said it takes");
            return false;
        }
        if let (Some(alias), false) = (alias, is_known) {
            self.aliases.insert(Arc::clone(&message.topic), alias);
        }
        true
    }

    /// What stands for the topic, if the client takes that, and whether it was told so before.
    fn alias(&self, topic: &Arc<str>) -> (Option<u16>, bool) {
        if self.most_aliases == 0 {
            return (None, false);
        }
        match self.aliases.get(topic) {
            Some(alias) => (Some(*alias), true),
            None => {
                let next = u16::try_from(self.aliases.len()).unwrap_or(u16::MAX).saturating_add(1);
                ((next <= self.most_aliases).then_some(next), false)
            }
        }
    }
}

#[derive(Default)]
pub(crate) struct Delivery {
    /// Absent while the client is.
    line: Option<Line>,
    /// In the order in which they were sent.
    flights: VecDeque<Flight>,
    last_id: u16,
    backlog: VecDeque<Outbound>,
    backlog_bytes: usize,
}

impl Delivery {
    /// The client is there: what it did not acknowledge is sent again.
    pub(crate) fn begin(&mut self, line: Line, now: Duration, out: &mut BytesMut) {
        let line = self.line.insert(line);
        for flight in &self.flights {
            match &flight.outbound {
                Some(outbound) => {
                    // It was taken before, so it is not too large, unless the client takes less than it did.
                    let receipt = receipt(outbound.qos, flight.id);
                    line.write(outbound, receipt, true, now, out);
                }
                None => Writer { version: line.version, out }.pubrel(flight.id, 0),
            }
        }
        self.send_backlog(now, out);
    }

    /// The client is gone.
    pub(crate) fn end(&mut self) {
        self.line = None;
    }

    /// True while many messages wait because the client has not acknowledged earlier ones.
    pub(crate) fn is_behind(&self) -> bool {
        self.backlog.len() >= BEHIND || self.backlog_bytes >= BACKLOG_BYTES / 2
    }

    /// # Errors
    /// The client does not take what it was sent before.
    pub(crate) fn send(
        &mut self,
        outbound: Outbound,
        now: Duration,
        out: &mut BytesMut,
    ) -> Result<(), Leave> {
        if outbound.message.has_expired(now) {
            return Ok(());
        }
        match (&mut self.line, outbound.qos) {
            (Some(line), QoS::AtMostOnce) => {
                if line.write(&outbound, Receipt::None, false, now, out) {
                    outbound.became(Delivered::Sent);
                }
            }
            // For those who are not there, only what must arrive is kept.
            (None, QoS::AtMostOnce) => {}
            (line, _) => {
                let is_there = line.is_some();
                if self.is_full(&outbound) {
                    if is_there {
                        return Err(Leave::Unresponsive);
                    }
                    self.forget_oldest(&outbound);
                }
                self.backlog_bytes += outbound.size();
                self.backlog.push_back(outbound);
                self.send_backlog(now, out);
            }
        }
        Ok(())
    }

    fn is_full(&self, one_more: &Outbound) -> bool {
        let bytes = self.backlog_bytes + one_more.size();
        self.backlog.len() >= BACKLOG || (bytes > BACKLOG_BYTES && !self.backlog.is_empty())
    }

    fn forget_oldest(&mut self, for_this: &Outbound) {
        while self.is_full(for_this) {
            let Some(oldest) = self.backlog.pop_front() else { return };
            self.backlog_bytes = self.backlog_bytes.saturating_sub(oldest.size());
            tracing::debug!(topic = %oldest.message.topic, "forgotten: too much waits for an absent client");
        }
    }

    /// The client has a message of QoS 1.
    pub(crate) fn acknowledged(&mut self, id: PacketId, reason: u8, now: Duration, out: &mut BytesMut) {
        let flight = self.find(id, |qos| qos == Some(QoS::AtLeastOnce));
        match flight.and_then(|at| self.flights.remove(at)) {
            Some(flight) => tell(flight.outbound, reason),
            // Twice, or of an earlier connection: it does no harm and is no reason to drop the client.
            None => tracing::debug!(id = id.get(), "the client acknowledged what it was not sent"),
        }
        self.send_backlog(now, out);
    }

    /// The client has a message of QoS 2, and is told that its id is free.
    pub(crate) fn received(&mut self, id: PacketId, reason: u8, now: Duration, out: &mut BytesMut) {
        let found = self.find(id, |qos| qos != Some(QoS::AtLeastOnce));
        let Some(line) = &self.line else { return };
        let mut writer = Writer { version: line.version, out };
        let Some(at) = found else {
            return writer.pubrel(id, NO_SUCH_ID);
        };
        if reason < FAILED {
            writer.pubrel(id, 0);
            tell(self.flights.get_mut(at).and_then(|flight| flight.outbound.take()), reason);
        } else {
            tell(self.flights.remove(at).and_then(|flight| flight.outbound), reason);
            self.send_backlog(now, out);
        }
    }

    /// The client let go of the id of a message of QoS 2.
    pub(crate) fn completed(&mut self, id: PacketId, now: Duration, out: &mut BytesMut) {
        if let Some(at) = self.find(id, |qos| qos.is_none()) {
            self.flights.remove(at);
            self.send_backlog(now, out);
        }
    }

    /// Where the flight of this id is, if its message, or its absence, is as wanted.
    fn find(&self, id: PacketId, wanted: impl Fn(Option<QoS>) -> bool) -> Option<usize> {
        let at = self.flights.iter().position(|flight| flight.id == id)?;
        let flight = self.flights.get(at)?;
        wanted(flight.outbound.as_ref().map(|outbound| outbound.qos)).then_some(at)
    }

    fn send_backlog(&mut self, now: Duration, out: &mut BytesMut) {
        while let Some(line) = &self.line
            && self.flights.len() < line.receive_maximum
        {
            let Some(outbound) = self.backlog.pop_front() else { return };
            self.backlog_bytes = self.backlog_bytes.saturating_sub(outbound.size());
            if outbound.message.has_expired(now) {
                continue;
            }
            let Some(id) = self.fresh_id() else { return };
            let Some(line) = &mut self.line else { return };
            if line.write(&outbound, receipt(outbound.qos, id), false, now, out) {
                outbound.became(Delivered::Lost);
                self.flights.push_back(Flight { id, outbound: Some(outbound) });
            }
        }
    }

    /// The next id that no unfinished delivery holds; there are fewer of those than ids.
    fn fresh_id(&mut self) -> Option<PacketId> {
        (0..=u16::MAX).find_map(|_| {
            self.last_id = self.last_id.wrapping_add(1);
            let id = PacketId::new(self.last_id).ok()?;
            (!self.flights.iter().any(|flight| flight.id == id)).then_some(id)
        })
    }
}

fn receipt(qos: QoS, id: PacketId) -> Receipt {
    if qos == QoS::ExactlyOnce { Receipt::Rec(id) } else { Receipt::Ack(id) }
}

fn tell(outbound: Option<Outbound>, reason: u8) {
    if let Some(outbound) = outbound
        && reason < FAILED
    {
        outbound.became(Delivered::Acknowledged);
    }
}

#[cfg(test)]
mod tests;
