//! How a checkpoint lies in the ledger.
//!
//! Promises: its parts and its row are framed like entries, so that they too are found in a damaged file;
//! the row names how many parts there are and what they hash to, and is keyed over the link of the entry
//! that it stands for, so that none can be made or changed by who does not have the key.
//!
//! ```text
//! "RCP1"  version  last   at   number  length  payload   checksum
//!    4       1      8 LE  8 LE   4 LE    4 LE   length       8
//!
//! "RCF1"  version  last  entries   at   link  parts  hash  checksum  seal
//!    4       1      8 LE   8 LE   8 LE   32   4 LE    32      8       32
//! ```
//!
//! `last` is the last entry that is forgotten, `link` its link of the chain, `entries` how many were
//! forgotten since the ledger began; `at` is when it was made, the same in all its parts; `hash` is over the
//! frames of all parts in their order.

use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{Chain, checksum, take};
use crate::error::StoreError;
use crate::ledger::Head;

pub(crate) const PART_MAGIC: &[u8; 4] = b"RCP1";
pub(crate) const ROW_MAGIC: &[u8; 4] = b"RCF1";
const VERSION: u8 = 1;
const CHECKSUM: usize = 8;
/// What comes before a part's payload.
pub(crate) const HEADER: usize = 4 + 1 + 8 + 8 + 4 + 4;
const CHECKED: usize = 4 + 1 + 8 + 8 + 8 + 32 + 4 + 32;
/// How long a row is.
pub(crate) const LENGTH: usize = CHECKED + CHECKSUM + 32;

/// What the ledger begins with, once entries are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The last entry that is forgotten, and its link.
    pub(crate) head: Head,
    /// How many were.
    pub(crate) entries: u64,
    pub(crate) at: Moment,
    pub(crate) parts: u32,
    pub(crate) hash: [u8; 32],
    seal: [u8; 32],
}

impl Row {
    pub(crate) fn new(
        key: &[u8; 32],
        head: Head,
        (entries, at): (u64, Moment),
        (parts, hash): (u32, [u8; 32]),
    ) -> Self {
        let mut row = Row { head, entries, at, parts, hash, seal: [0; 32] };
        row.seal = row.sealed(key);
        row
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.checked();
        let sum: [u8; CHECKSUM] = checksum(&bytes);
        bytes.extend(sum);
        bytes.extend(self.seal);
        bytes
    }

    fn checked(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend(ROW_MAGIC);
        bytes.push(VERSION);
        bytes.extend(self.head.last.0.to_le_bytes());
        bytes.extend(self.entries.to_le_bytes());
        bytes.extend(self.at.millis().to_le_bytes());
        bytes.extend(self.head.chain);
        bytes.extend(self.parts.to_le_bytes());
        bytes.extend(self.hash);
        bytes
    }

    fn sealed(&self, key: &[u8; 32]) -> [u8; 32] {
        let link = self.head.chain;
        *blake3::Hasher::new_keyed(key).update(&link).update(&self.checked()).finalize().as_bytes()
    }

    /// Whether it was written by who has the key that chains its entry.
    pub(crate) fn is_genuine(&self, key: &[u8; 32]) -> bool {
        self.sealed(key) == self.seal
    }

    /// Reads a row; everything but its seal is checked.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, StoreError> {
        let Some(checked) = bytes.get(..CHECKED).filter(|_| bytes.len() == LENGTH) else { return Ok(None) };
        let mut rest = bytes;
        let head = (take::<4>(&mut rest), take::<1>(&mut rest));
        let (Some(magic), Some([version])) = head else { return Ok(None) };
        let sound = (magic == *ROW_MAGIC).then(|| Self::read_fields(checked, rest)).flatten();
        newer(version, sound.is_some())?;
        Ok(sound)
    }

    fn read_fields(checked: &[u8], mut rest: &[u8]) -> Option<Self> {
        let last = Seq(u64::from_le_bytes(take(&mut rest)?));
        let entries = u64::from_le_bytes(take(&mut rest)?);
        let at = Moment::from_millis(i64::from_le_bytes(take(&mut rest)?));
        let head = Head { last, chain: take::<32>(&mut rest)? as Chain };
        let parts = u32::from_le_bytes(take(&mut rest)?);
        let hash = take(&mut rest)?;
        let sum: [u8; CHECKSUM] = take(&mut rest)?;
        let seal = take(&mut rest)?;
        (checksum(checked) == sum).then_some(Row { head, entries, at, parts, hash, seal })
    }
}

/// The bytes of a part that holds these items, as [`item`] made them.
pub(crate) fn part((last, at): (Seq, Moment), number: u32, payload: &[u8]) -> Result<Vec<u8>, StoreError> {
    let length = u32::try_from(payload.len()).map_err(|_long| StoreError::Checkpoint { seq: last.0 })?;
    let mut bytes = Vec::with_capacity(HEADER + payload.len() + CHECKSUM);
    bytes.extend(PART_MAGIC);
    bytes.push(VERSION);
    bytes.extend(last.0.to_le_bytes());
    bytes.extend(at.millis().to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(payload);
    let sum: [u8; CHECKSUM] = checksum(&bytes);
    bytes.extend(sum);
    Ok(bytes)
}

/// Of which checkpoint a part is, which of its parts, and how long, if these bytes are its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartHeader {
    pub(crate) last: Seq,
    pub(crate) at: Moment,
    pub(crate) number: u32,
    pub(crate) length: usize,
}

impl PartHeader {
    pub(crate) fn is_of(&self, row: &Row, number: u32) -> bool {
        (self.last, self.at, self.number) == (row.head.last, row.at, number)
    }
}

pub(crate) fn part_header(header: &[u8]) -> Option<PartHeader> {
    let mut rest = header;
    let (magic, _version) = (take::<4>(&mut rest)?, take::<1>(&mut rest)?);
    let last = Seq(u64::from_le_bytes(take(&mut rest)?));
    let at = Moment::from_millis(i64::from_le_bytes(take(&mut rest)?));
    let number = u32::from_le_bytes(take(&mut rest)?);
    let payload = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
    let length = payload.checked_add(HEADER + CHECKSUM)?;
    (magic == *PART_MAGIC).then_some(PartHeader { last, at, number, length })
}

/// Whether these are the bytes of a part as somebody wrote them.
pub(crate) fn is_whole_part(bytes: &[u8]) -> Result<bool, StoreError> {
    let Some((framed, sum)) = bytes.split_last_chunk::<CHECKSUM>() else { return Ok(false) };
    let sound =
        part_header(bytes).is_some_and(|header| header.length == bytes.len()) && checksum(framed) == *sum;
    newer(bytes.get(4).copied().unwrap_or_default(), sound)?;
    Ok(sound)
}

/// What a whole part holds.
pub(crate) fn items<T: DeserializeOwned>(last: Seq, bytes: &[u8]) -> Result<Vec<T>, StoreError> {
    let payload = bytes.get(HEADER..bytes.len().saturating_sub(CHECKSUM)).unwrap_or_default();
    let (mut payload, mut items) = (payload, Vec::new());
    while !payload.is_empty() {
        let taken = postcard::take_from_bytes(payload);
        let (item, rest) = taken.map_err(|_unreadable| StoreError::Checkpoint { seq: last.0 })?;
        items.push(item);
        payload = rest;
    }
    Ok(items)
}

/// The bytes of an item.
pub(crate) fn item<T: Serialize>(item: &T) -> Result<Vec<u8>, StoreError> {
    postcard::to_allocvec(item).map_err(StoreError::Encode)
}

/// An intact frame of a later version is no damage.
fn newer(version: u8, sound: bool) -> Result<(), StoreError> {
    if sound && version > VERSION {
        return Err(StoreError::Newer { found: version, known: VERSION });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let head = Head { last: Seq(9), chain: [5; 32] };
        Row::new(&[1; 32], head, (7, Moment::from_millis(3)), (2, [8; 32]))
    }

    #[test]
    fn a_row_is_read_as_it_was_written_and_is_genuine_with_its_own_key_only() {
        let read = Row::read(&row().bytes()).unwrap().unwrap();
        assert_eq!((read, row().bytes().len()), (row(), LENGTH));
        assert!(read.is_genuine(&[1; 32]) && !read.is_genuine(&[2; 32]));
    }

    #[test]
    fn a_part_is_read_as_it_was_written() {
        let payload = [item(&1_u64).unwrap(), item(&2_000_u64).unwrap()].concat();
        let (at, bytes) =
            (Moment::from_millis(3), part((Seq(9), Moment::from_millis(3)), 3, &payload).unwrap());
        let header = part_header(&bytes).unwrap();
        assert_eq!(header, PartHeader { last: Seq(9), at, number: 3, length: bytes.len() });
        assert!(is_whole_part(&bytes).unwrap());
        assert_eq!(items::<u64>(Seq(9), &bytes).unwrap(), [1, 2_000]);
    }

    #[test]
    fn a_changed_byte_or_a_cut_is_noticed_wherever_it_is() {
        let (row, part) = (row().bytes(), part((Seq(9), Moment::from_millis(3)), 3, b"items").unwrap());
        let is_row =
            |bytes: &[u8]| Row::read(bytes).ok().flatten().is_some_and(|read| read.is_genuine(&[1; 32]));
        let is_part = |bytes: &[u8]| is_whole_part(bytes).unwrap_or(false);
        for (bytes, is_read) in [(row, &is_row as &dyn Fn(&[u8]) -> bool), (part, &is_part)] {
            assert!(is_read(&bytes));
            for place in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[place] ^= 0x10;
                assert!(!is_read(&changed), "changed at {place}");
                assert!(!is_read(&bytes[..place]), "cut at {place}");
            }
        }
    }
}
