//! What a destination has been told, as the ledger has it.
//!
//! Promises: a pure fold of the ledger's upstream events, so it is the same after every restart; a
//! version that was dealt with stays dealt with, in whatever order receipts are read.

use std::collections::{BTreeSet, HashMap};

use rollcall_domain::event::{Event, RecordVersion, UpstreamEvent};
use rollcall_domain::ids::{Name, RecordId, Seq};

#[derive(Debug)]
pub(crate) struct Receipts {
    destination: Name,
    /// Up to here everything was dealt with; `None` if there has never been a receipt.
    pub(crate) cursor: Option<Seq>,
    /// The highest version of each record that was delivered or refused.
    settled: HashMap<RecordId, u32>,
    dead: HashMap<RecordId, u32>,
    /// Dead letters that somebody asked for and that were not dealt with since.
    asked: BTreeSet<RecordId>,
}

impl Receipts {
    pub(crate) fn new(destination: Name) -> Self {
        let (settled, dead, asked) = (HashMap::new(), HashMap::new(), BTreeSet::new());
        Receipts { destination, cursor: None, settled, dead, asked }
    }

    /// Folds one event in.
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::Upstream(UpstreamEvent::Delivered { destination, low_water, records })
                if *destination == self.destination =>
            {
                self.cursor = self.cursor.max(Some(*low_water));
                records.iter().for_each(|record| self.delivered(*record));
            }
            Event::Upstream(UpstreamEvent::DeadLettered { destination, records })
                if *destination == self.destination =>
            {
                records.iter().for_each(|record| self.refused(*record));
            }
            Event::Upstream(UpstreamEvent::RetryAsked { destination, records })
                if *destination == self.destination =>
            {
                records.iter().for_each(|record| self.revive(*record));
            }
            _ => {}
        }
    }

    /// The records that are to be sent once more because somebody asked.
    pub(crate) fn asked(&self) -> impl Iterator<Item = RecordId> {
        self.asked.iter().copied()
    }

    /// There is nothing to send of it any more, although somebody may have asked.
    pub(crate) fn stop_asking(&mut self, record: RecordId) {
        self.asked.remove(&record);
    }

    pub(crate) fn delivered(&mut self, RecordVersion { record, version }: RecordVersion) {
        self.settle(record, version);
        if self.dead.get(&record).is_some_and(|dead| *dead <= version) {
            self.dead.remove(&record);
        }
    }

    pub(crate) fn refused(&mut self, RecordVersion { record, version }: RecordVersion) {
        if self.settle(record, version) {
            self.dead.insert(record, version);
        }
    }

    /// Whether this version, or a later one, has been dealt with.
    pub(crate) fn is_settled(&self, record: RecordId, version: u32) -> bool {
        self.settled.get(&record).is_some_and(|settled| *settled >= version)
    }

    pub(crate) fn dead_letters(&self) -> usize {
        self.dead.len()
    }

    fn settle(&mut self, record: RecordId, version: u32) -> bool {
        let newer = !self.is_settled(record, version);
        if newer {
            self.settled.insert(record, version);
            self.asked.remove(&record);
        }
        newer
    }

    fn revive(&mut self, RecordVersion { record, version }: RecordVersion) {
        if self.dead.get(&record) == Some(&version) {
            self.dead.remove(&record);
            self.settled.remove(&record);
            self.asked.insert(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use rollcall_domain::ids::{SessionId, StudentId};

    use super::*;

    const RECORD: RecordId = RecordId { session: SessionId(1), student: StudentId(1) };

    fn at(version: u32) -> RecordVersion {
        RecordVersion { record: RECORD, version }
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn delivered(to: &str, low_water: u64, version: u32) -> Event {
        let (destination, low_water, records) = (name(to), Seq(low_water), vec![at(version)]);
        Event::Upstream(UpstreamEvent::Delivered { destination, low_water, records })
    }

    #[test]
    fn what_another_destination_was_told_does_not_count() {
        let mut receipts = Receipts::new(name("portal"));
        receipts.apply(&delivered("firestore", 9, 3));
        assert_eq!((receipts.cursor, receipts.is_settled(RECORD, 1)), (None, false));
    }

    #[test]
    fn an_older_receipt_read_later_changes_nothing() {
        let mut receipts = Receipts::new(name("portal"));
        receipts.apply(&delivered("portal", 9, 3));
        receipts.apply(&delivered("portal", 4, 1));
        assert_eq!(receipts.cursor, Some(Seq(9)));
        assert!(receipts.is_settled(RECORD, 3) && !receipts.is_settled(RECORD, 4));
        receipts.refused(at(2));
        assert_eq!(receipts.dead_letters(), 0);
    }

    #[test]
    fn a_dead_letter_comes_back_once_when_asked_for_and_goes_when_delivered() {
        let mut receipts = Receipts::new(name("portal"));
        receipts.refused(at(2));
        assert_eq!((receipts.dead_letters(), receipts.is_settled(RECORD, 2)), (1, true));
        let asked = UpstreamEvent::RetryAsked { destination: name("portal"), records: vec![at(2)] };
        receipts.apply(&Event::Upstream(asked.clone()));
        assert!(!receipts.is_settled(RECORD, 2));
        assert!(receipts.asked().eq([RECORD]));
        receipts.delivered(at(2));
        assert_eq!((receipts.dead_letters(), receipts.is_settled(RECORD, 2)), (0, true));
        receipts.apply(&Event::Upstream(asked));
        assert!(receipts.asked().eq([]), "it was delivered meanwhile");
    }
}
