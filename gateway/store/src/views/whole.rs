//! Everything that the views hold, item by item, and views made of such items.
//!
//! Promises: views made of all items are, row by row, those from which the items were read, but for what was
//! left out; only what cannot be counted or looked up again is an item; until the last one is taken, the
//! views do not say that they are as far as they will be.
//!
//! Refuses: a format of bytes. Items are what a checkpoint of the ledger is made of, in
//! [`crate::checkpoint::frame`].
//!
//! Keys of scans are taken as they lie, but for those that were let go since: where a run of them ends must
//! not change.

use redb::ReadableTable as _;
use rollcall_domain::event::{RecordVersion, UnmatchedScan, UpstreamEvent};
use rollcall_domain::ids::{Name, RecordId, Seq, SessionId, StudentId};
use rollcall_domain::moment::Moment;
use rollcall_domain::parts::{Part, restore};
use rollcall_domain::session::Session;
use serde::{Deserialize, Serialize};

use super::file::ViewsFile;
use super::rows::{Delivery, value};
use super::scans::{BlockId, RUNS};
use super::snapshot::Snapshot;
use super::tables::{DELIVERIES, MEETINGS, META, PARTS, RECENT_SCANS, SCANS, UNMATCHED};
use super::touched::TouchedSession;
use super::working::Working;
use crate::begin::begin;
use crate::error::StoreError;
use crate::ledger::Head;

/// Items of one kind that are written at once.
const AT_ONCE: usize = 512;

/// The order is that in which they are handed out and taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Item {
    Place {
        last_at: Option<Moment>,
        forgotten: Seq,
    },
    Part(Part),
    Session(Box<Session>),
    Unmatched(Seq, Box<UnmatchedScan>),
    Delivery {
        destination: Name,
        record: RecordId,
        version: u32,
        dead: bool,
    },
    /// What is known of the keys, but for themselves: which runs there are, and of which times.
    Runs(Vec<u8>),
    Keys(BlockId, Vec<u8>),
    RecentKey(Seq, [u8; 16]),
}

impl Snapshot {
    /// Hands out everything but sessions, unmatched scans, deliveries and keys that `kept` has not any more.
    pub(crate) fn items(
        &self,
        kept: &Snapshot,
        mut each: impl FnMut(Item) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        each(Item::Place { last_at: self.place.last_at, forgotten: self.forgotten })?;
        for row in self.read.open_table(PARTS)?.iter()? {
            each(Item::Part(value(row?.1.value())?))?;
        }
        let still = kept.read.open_table(MEETINGS)?;
        for row in self.read.open_table(MEETINGS)?.iter()? {
            let id = row?.0.value();
            if still.get(id)?.is_some()
                && let Some(session) = self.session(SessionId(id))?
            {
                each(Item::Session(Box::new(session)))?;
            }
        }
        let waiting = kept.read.open_table(UNMATCHED)?;
        for row in self.read.open_table(UNMATCHED)?.iter()? {
            let (seq, scan) = row?;
            if waiting.get(seq.value())?.is_some() {
                each(Item::Unmatched(Seq(seq.value()), Box::new(value(scan.value())?)))?;
            }
        }
        for row in self.read.open_table(DELIVERIES)?.iter()? {
            let (key, delivery) = row?;
            let (destination, session, student) = key.value();
            let destination = Name::parse(destination).map_err(|_no_name| StoreError::DamagedViews)?;
            let record = RecordId { session: SessionId(session), student: StudentId(student) };
            let Delivery { version, dead } = value(delivery.value())?;
            if kept.delivery(&destination, record)?.is_some() {
                each(Item::Delivery { destination, record, version, dead })?;
            }
        }
        self.keys(kept, each)
    }

    fn keys(
        &self,
        kept: &Snapshot,
        mut each: impl FnMut(Item) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if let Some(runs) = self.read.open_table(META)?.get(RUNS)? {
            each(Item::Runs(runs.value().to_vec()))?;
        }
        for row in self.read.open_table(SCANS)?.iter()? {
            let (block, keys) = row?;
            if self.scans.is_kept(block.value(), &kept.scans) {
                each(Item::Keys(block.value(), keys.value().to_vec()))?;
            }
        }
        for row in self.read.open_table(RECENT_SCANS)?.iter()? {
            let (seq, key) = row?;
            each(Item::RecentKey(Seq(seq.value()), key.value()))?;
        }
        Ok(())
    }
}

/// Empty views that are being filled.
pub(crate) struct Restoring<'f> {
    file: &'f mut ViewsFile,
    parts: Vec<Part>,
    sessions: Vec<SessionId>,
    keys: Vec<Item>,
    place: (Option<Moment>, Seq),
}

impl ViewsFile {
    /// To be called on views in which nothing is yet.
    pub(crate) fn restoring(&mut self) -> Restoring<'_> {
        Restoring {
            file: self,
            parts: Vec::new(),
            sessions: Vec::new(),
            keys: Vec::new(),
            place: (None, Seq(0)),
        }
    }
}

impl Restoring<'_> {
    pub(crate) fn take(&mut self, item: Item) -> Result<(), StoreError> {
        if !self.parts.is_empty() && !matches!(item, Item::Part(_)) {
            self.restore_parts();
        }
        let working = &mut self.file.working;
        match item {
            Item::Place { last_at, forgotten } => self.place = (last_at, forgotten),
            Item::Part(part) => self.parts.push(part),
            Item::Session(session) => {
                let id = session.meeting.id;
                // As if it had just come to be, with everything that happened to it since.
                let touched = TouchedSession { everyone: true, ..TouchedSession::default() };
                working.touched.sessions.insert(id, touched);
                working.state.hold(*session);
                self.sessions.push(id);
            }
            Item::Unmatched(seq, kept) => drop(working.state.unmatched.insert(seq, *kept)),
            Item::Delivery { destination, record, version, dead } => {
                let records = vec![RecordVersion { record, version }];
                working.touched.answers.push(if dead {
                    UpstreamEvent::DeadLettered { destination, records }
                } else {
                    UpstreamEvent::Delivered { destination, low_water: Seq(0), records }
                });
            }
            keys => self.keys.push(keys),
        }
        let Working { state, touched, .. } = &self.file.working;
        let waiting = [self.sessions.len(), self.keys.len(), state.unmatched.len(), touched.answers.len()];
        if waiting.iter().any(|waiting| *waiting >= AT_ONCE) { self.write() } else { Ok(()) }
    }

    fn restore_parts(&mut self) {
        let (campus, office) = restore(std::mem::take(&mut self.parts));
        (self.file.working.state.campus, self.file.working.state.office) = (campus.into(), office.into());
    }

    /// Writes what has gathered, and lets go of it.
    fn write(&mut self) -> Result<(), StoreError> {
        self.write_keys()?;
        self.file.commit(Head::START, false)?;
        std::mem::take(&mut self.sessions).into_iter().for_each(|id| self.file.working.state.release(id));
        Ok(())
    }

    fn write_keys(&mut self) -> Result<(), StoreError> {
        let transaction = begin(self.file.database()?, false)?;
        let (mut blocks, mut recent) =
            (transaction.open_table(SCANS)?, transaction.open_table(RECENT_SCANS)?);
        for item in self.keys.drain(..) {
            match item {
                Item::Runs(runs) => drop(transaction.open_table(META)?.insert(RUNS, runs.as_slice())?),
                Item::Keys(block, keys) => drop(blocks.insert(block, keys.as_slice())?),
                Item::RecentKey(seq, key) => drop(recent.insert(seq.0, key)?),
                _ => {}
            }
        }
        drop((blocks, recent));
        Ok(transaction.commit()?)
    }

    /// All items were taken: the views are as far as `head`.
    pub(crate) fn end(mut self, head: Head) -> Result<(), StoreError> {
        if !self.parts.is_empty() {
            self.restore_parts();
        }
        self.write()?;
        let state = &mut self.file.working.state;
        (state.last, state.last_at, state.forgotten) = (head.last, self.place.0, self.place.1);
        self.file.commit(head, true)?;
        self.file.load_again()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::frame;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// If this fails, no ledger that was told to forget can be opened any more.
    #[test]
    fn what_version_1_wrote_is_read_as_it_was_meant() {
        let golden = include_str!("../../tests/golden/checkpoint-v1.txt");
        let line = golden.lines().find_map(|line| line.strip_prefix("(47, 1) ")).unwrap();
        let pairs = line.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        let bytes: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
        assert!(frame::is_whole_part(&bytes).unwrap());
        let items: Vec<Item> = frame::items(Seq(47), &bytes).unwrap();
        let Some(Item::Session(session)) = items.iter().find(|item| matches!(item, Item::Session(_))) else {
            panic!("no session in {items:?}");
        };
        assert_eq!((session.meeting.id, session.version, session.records.len()), (SessionId(1), 15, 3));
        let count = |is: fn(&Item) -> bool| items.iter().filter(|item| is(item)).count();
        macro_rules! parts {
            ($part:pat) => {
                count(|item| matches!(item, Item::Part($part)))
            };
        }
        assert_eq!((parts!(Part::Item(_)), parts!(Part::Link(..))), (14, 4));
        assert_eq!((parts!(Part::Mapping(..)), parts!(Part::Merged(..))), (1, 1));
        assert_eq!(
            (parts!(Part::Leave(_)), parts!(Part::Correction(_)), parts!(Part::SelfMark(_))),
            (1, 1, 1)
        );
        assert_eq!(
            (parts!(Part::Setting(..)), parts!(Part::Consent(_)), parts!(Part::Template(_))),
            (1, 1, 1)
        );
        assert!(parts!(Part::Highest(..)) > 0);
        assert_eq!(count(|item| matches!(item, Item::Place { .. })), 1);
        assert_eq!(count(|item| matches!(item, Item::Unmatched(Seq(46), _))), 1);
        assert_eq!(count(|item| matches!(item, Item::Delivery { version: 2, dead: false, .. })), 1);
        assert_eq!(count(|item| matches!(item, Item::Delivery { version: 1, dead: true, .. })), 1);
        assert_eq!(count(|item| matches!(item, Item::Runs(_))), 1);
        assert_eq!(count(|item| matches!(item, Item::RecentKey(Seq(46), _))), 1);
        let anew: Vec<u8> = items.iter().flat_map(|item| frame::item(item).unwrap()).collect();
        assert_eq!(bytes.get(frame::HEADER..frame::HEADER + anew.len()), Some(anew.as_slice()));
    }

    /// Of what takes too many scans to come to be in that file. If this fails, keep reading what was.
    #[test]
    fn keys_in_runs_lie_as_version_1_wrote_them() {
        let keys = Item::Keys((1, 2, 300), [[7; 16].as_slice(), &9_u64.to_be_bytes()].concat());
        assert_eq!(
            hex(&frame::item(&keys).unwrap()),
            "060102ac0218070707070707070707070707070707070000000000000009"
        );
        assert_eq!(
            hex(&frame::item(&Item::RecentKey(Seq(300), [8; 16])).unwrap()),
            "07ac0208080808080808080808080808080808"
        );
        let runs = Item::Runs(vec![1, 2]);
        assert_eq!(hex(&frame::item(&runs).unwrap()), "05020102");
    }
}
