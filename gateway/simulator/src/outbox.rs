//! What a terminal keeps: every scan from the moment it is made until its PUBACK.
//!
//! Promises: a scan leaves only by being acknowledged; after a disconnect everything that was under way
//! is sent again, oldest first, with the same bytes and marked as sent before; an acknowledgement that
//! nobody waits for changes nothing.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

/// The last packet id for scans; the one after it is the subscription's.
const LAST: u16 = u16::MAX - 1;

/// One scan that is not acknowledged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Counts this terminal's scans from 0.
    pub(crate) number: u64,
    pub(crate) payload: Bytes,
    /// When it was first sent.
    pub(crate) first_sent: Option<Duration>,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    window: usize,
    under_way: HashMap<u16, Kept>,
    again: VecDeque<Kept>,
    last_packet: u16,
}

impl Outbox {
    pub(crate) fn new(window: u16) -> Self {
        Outbox { window: usize::from(window), ..Outbox::default() }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.under_way.len() < self.window
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.again.is_empty()
    }

    /// The next scan to be sent again.
    pub(crate) fn again(&mut self) -> Option<Kept> {
        self.again.pop_front()
    }

    /// The packet id under which `kept` goes out now.
    pub(crate) fn send(&mut self, mut kept: Kept, now: Duration) -> u16 {
        // The window is smaller than the number of ids, so a free one is found.
        loop {
            self.last_packet = if self.last_packet < LAST { self.last_packet + 1 } else { 1 };
            if !self.under_way.contains_key(&self.last_packet) {
                break;
            }
        }
        kept.first_sent.get_or_insert(now);
        self.under_way.insert(self.last_packet, kept);
        self.last_packet
    }

    pub(crate) fn acknowledged(&mut self, packet: u16) -> Option<Kept> {
        self.under_way.remove(&packet)
    }

    pub(crate) fn disconnected(&mut self) {
        let under_way = self.under_way.drain().map(|(_, kept)| kept).chain(self.again.drain(..));
        let sorted: BTreeMap<u64, Kept> = under_way.map(|kept| (kept.number, kept)).collect();
        self.again = sorted.into_values().collect();
    }

    /// The numbers of everything that was not acknowledged, in order.
    pub(crate) fn left(mut self) -> Vec<u64> {
        self.disconnected();
        self.again.into_iter().map(|kept| kept.number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn kept(number: u64) -> Kept {
        Kept { number, payload: Bytes::from(format!("scan {number}")), first_sent: None }
    }

    #[test]
    fn a_scan_is_kept_until_it_is_acknowledged() {
        let mut outbox = Outbox::new(2);
        let (a, b) = (outbox.send(kept(0), NOW), outbox.send(kept(1), NOW));
        assert!(!outbox.has_room());
        assert_eq!(outbox.acknowledged(b).map(|kept| kept.number), Some(1));
        assert_eq!(outbox.acknowledged(b), None);
        assert!(outbox.has_room() && !outbox.is_empty());
        assert_eq!(outbox.acknowledged(a).map(|kept| kept.number), Some(0));
        assert!(outbox.is_empty());
    }

    #[test]
    fn after_a_disconnect_everything_under_way_is_sent_again_oldest_first() {
        let mut outbox = Outbox::new(9);
        let packets: Vec<u16> = (0..4).map(|number| outbox.send(kept(number), NOW)).collect();
        outbox.acknowledged(packets[1]);
        outbox.disconnected();
        let first = outbox.again().unwrap();
        assert_eq!((first.number, first.payload.clone()), (0, kept(0).payload));
        outbox.send(first, NOW * 2);
        outbox.disconnected();
        let again: Vec<Kept> = std::iter::from_fn(|| outbox.again()).collect();
        assert_eq!(again.iter().map(|kept| kept.number).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(again[0].first_sent, Some(NOW));
    }

    #[test]
    fn a_packet_id_under_way_is_not_given_out_again() {
        let mut outbox = Outbox::new(10);
        let slow = outbox.send(kept(0), NOW);
        for number in 1..70_000 {
            let packet = outbox.send(kept(number), NOW);
            assert!(packet != slow && packet != 0);
            outbox.acknowledged(packet);
        }
        assert_eq!(outbox.left(), [0]);
    }
}
