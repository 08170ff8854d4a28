//! Ranges of sequences that the ledger has lost: how they lie in it, and how the chain goes on over them.
//!
//! Promises: an entry that is missing is named for ever; what stands after a gap is as sure as it was when
//! the gap was written down, for the row is keyed over the chain before it and over the entry after it;
//! a row is framed like an entry, so that it too is found in a damaged file.
//!
//! ```text
//! "RCG1"  version  first  last   at    resumes  after   checksum  link
//!    4       1      8 LE  8 LE  8 LE      1       32       8       32
//! ```
//!
//! `resumes` is 1 when an entry follows that is older than the gap's row; `after` is then its hash, and the
//! chain goes on from that entry's own link, which nobody can check any more. It is 0 at the end of a
//! ledger; the chain then goes on from the row's link.

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableTable as _, TableError};
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;

use crate::codec::{Chain, checksum, take};
use crate::error::StoreError;
use crate::tables::GAPS;

pub(crate) const MAGIC: &[u8; 4] = b"RCG1";
const VERSION: u8 = 1;
const CHECKED: usize = 4 + 1 + 8 + 8 + 8 + 1 + 32;
/// How long a row is.
pub(crate) const LENGTH: usize = CHECKED + 8 + 32;

/// Entries that are not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub first: Seq,
    pub last: Seq,
    /// When this was found and written down.
    pub at: Moment,
}

impl Gap {
    pub fn entries(&self) -> u64 {
        (self.last.0 + 1).saturating_sub(self.first.0)
    }
}

/// A gap as it lies in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GapRow {
    pub(crate) gap: Gap,
    /// The hash of the entry after it, if there is one that is older than this row.
    after: Option<[u8; 32]>,
    link: Chain,
}

impl GapRow {
    /// A gap between the chain `before` and the bytes of the entry `after`.
    pub(crate) fn new(key: &[u8; 32], before: &Chain, gap: Gap, after: Option<&[u8]>) -> Self {
        let after = after.map(|bytes| *blake3::hash(bytes).as_bytes());
        let mut row = GapRow { gap, after, link: [0; 32] };
        row.link = row.linked(key, before);
        row
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.checked();
        let sum: [u8; 8] = checksum(&bytes);
        bytes.extend(sum);
        bytes.extend(self.link);
        bytes
    }

    fn checked(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend(MAGIC);
        bytes.push(VERSION);
        bytes.extend(self.gap.first.0.to_le_bytes());
        bytes.extend(self.gap.last.0.to_le_bytes());
        bytes.extend(self.gap.at.millis().to_le_bytes());
        bytes.push(u8::from(self.after.is_some()));
        bytes.extend(self.after.unwrap_or_default());
        bytes
    }

    /// Reads a row; everything but its link is checked.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, StoreError> {
        let mut rest = bytes;
        let head = (take::<4>(&mut rest), take::<1>(&mut rest));
        let (Some(magic), Some([version])) = head else { return Ok(None) };
        let sound = (magic == *MAGIC).then(|| Self::read_fields(bytes, rest)).flatten();
        if sound.is_some() && version > VERSION {
            return Err(StoreError::Newer { found: version, known: VERSION });
        }
        Ok(sound)
    }

    fn read_fields(bytes: &[u8], mut rest: &[u8]) -> Option<Self> {
        let first = Seq(u64::from_le_bytes(take(&mut rest)?));
        let last = Seq(u64::from_le_bytes(take(&mut rest)?));
        let at = Moment::from_millis(i64::from_le_bytes(take(&mut rest)?));
        let [resumes] = take(&mut rest)?;
        let after: [u8; 32] = take(&mut rest)?;
        let sum: [u8; 8] = take(&mut rest)?;
        let link = take(&mut rest)?;
        let sound = rest.is_empty() && checksum(bytes.get(..CHECKED)?) == sum && last >= first;
        sound.then_some(GapRow { gap: Gap { first, last, at }, after: (resumes == 1).then_some(after), link })
    }

    fn linked(&self, key: &[u8; 32], before: &Chain) -> Chain {
        *blake3::Hasher::new_keyed(key).update(before).update(&self.checked()).finalize().as_bytes()
    }

    /// Whether it was written after `before` by who has the key.
    pub(crate) fn follows(&self, key: &[u8; 32], before: &Chain) -> bool {
        self.linked(key, before) == self.link
    }

    /// What the chain goes on from; nothing if it does from the entry after it.
    pub(crate) fn chain(&self) -> Option<Chain> {
        self.after.is_none().then_some(self.link)
    }

    /// Whether these are the bytes of the entry after it.
    pub(crate) fn resumes_with(&self, bytes: &[u8]) -> bool {
        self.after.is_some_and(|after| after == *blake3::hash(bytes).as_bytes())
    }
}

/// Every gap, by its first sequence.
pub(crate) fn load(read: &ReadTransaction) -> Result<BTreeMap<u64, GapRow>, StoreError> {
    let table = match read.open_table(GAPS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
        table => table?,
    };
    let rows = table.iter()?.map(|row| {
        let (first, bytes) = row?;
        let first = first.value();
        match GapRow::read(bytes.value())? {
            Some(row) if row.gap.first.0 == first => Ok((first, row)),
            _ => Err(StoreError::Damaged { seq: first, what: "the row about a gap that begins here" }),
        }
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written_and_follows_only_its_own_chain() {
        let gap = Gap { first: Seq(5), last: Seq(9), at: Moment::from_millis(7) };
        for after in [None, Some(b"the entry after it".as_slice())] {
            let row = GapRow::new(&[1; 32], &[2; 32], gap, after);
            let read = GapRow::read(&row.bytes()).unwrap().unwrap();
            assert_eq!((read, row.bytes().len()), (row, LENGTH));
            assert!(read.follows(&[1; 32], &[2; 32]));
            assert!(!read.follows(&[1; 32], &[3; 32]) && !read.follows(&[4; 32], &[2; 32]));
            assert_eq!(read.chain().is_none(), after.is_some());
            assert_eq!(read.resumes_with(b"the entry after it"), after.is_some());
        }
    }

    #[test]
    fn a_changed_byte_or_a_cut_is_noticed_wherever_it_is() {
        let gap = Gap { first: Seq(5), last: Seq(9), at: Moment::from_millis(7) };
        let row = GapRow::new(&[1; 32], &[2; 32], gap, None);
        let bytes = row.bytes();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            let read = GapRow::read(&changed).ok().flatten();
            assert!(read.is_none_or(|read| !read.follows(&[1; 32], &[2; 32])), "changed at {place}");
            assert!(GapRow::read(&bytes[..place]).unwrap().is_none(), "cut at {place}");
        }
    }
}
