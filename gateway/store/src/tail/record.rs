//! How entries lie in the tail: one record for each commit.
//!
//! Promises: a record is read back whole or not at all; one that was torn, or that lies about from earlier, is
//! never taken for one that follows.
//!
//! ```text
//! "RCT1"  version  ledger  first  count  length  before  links  checksum  entries  zeros
//!    4       1       8     8 LE   4 LE   4 LE     32      8       8      length   to the end of the block
//! ```
//!
//! `ledger` tells whose record it is, `before` is the link of the chain that the first entry follows, `links` a
//! hash of those of the entries, and the checksum one of all that comes before it; the rest of each entry has
//! its own ([`crate::codec`]). A record begins where a block does, so that writing one never touches what
//! another was acknowledged for.

use std::ops::Range;

use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;

use crate::codec::{self, Chain, take};
use crate::error::StoreError;
use crate::ledger::Head;

const MAGIC: &[u8; 4] = b"RCT1";
pub(super) const VERSION: u8 = 1;
const CHECKED: usize = 4 + 1 + 8 + 8 + 4 + 4 + 32 + SUM;
const HEADER: usize = CHECKED + SUM;
const SUM: usize = 8;
const LINK: usize = 32;
/// What a disk writes as a whole, or tears.
pub(crate) const BLOCK: usize = 4_096;

/// What tells one ledger from every other.
pub(crate) type LedgerId = [u8; 8];

/// Entries that follow each other.
#[derive(Debug)]
pub(crate) struct Record {
    ledger: LedgerId,
    first: u64,
    before: Chain,
    /// The header, once it is [`Record::sealed`], and the entries.
    bytes: Vec<u8>,
    /// Where each entry ends.
    ends: Vec<usize>,
}

impl Record {
    /// An empty one, of what comes after `head`.
    pub(crate) fn after(head: Head, ledger: LedgerId) -> Self {
        Record {
            ledger,
            first: head.last.0 + 1,
            before: head.chain,
            bytes: vec![0; HEADER],
            ends: Vec::new(),
        }
    }

    /// Adds the entry that follows `before`, and hands out its own link of the chain.
    pub(crate) fn push(
        &mut self,
        key: &[u8; 32],
        before: &Chain,
        entry: &Entry,
    ) -> Result<Chain, StoreError> {
        let chain = codec::encode(key, before, entry, &mut self.bytes)?;
        self.ends.push(self.bytes.len());
        Ok(chain)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn first(&self) -> Seq {
        Seq(self.first)
    }

    pub(crate) fn last(&self) -> Seq {
        Seq(self.first + u64::try_from(self.ends.len()).unwrap_or_default() - 1)
    }

    /// What its first entry follows.
    pub(crate) fn before(&self) -> &Chain {
        &self.before
    }

    /// The entries, from this sequence on.
    pub(crate) fn rows(&self, from: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let skipped = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let rows = (self.first..).zip(&self.ends).enumerate().skip(skipped);
        rows.map(|(place, (seq, end))| (seq, self.bytes.get(self.span(place, *end)).unwrap_or_default()))
    }

    fn span(&self, place: usize, end: usize) -> Range<usize> {
        let before = place.checked_sub(1).and_then(|place| self.ends.get(place));
        before.copied().unwrap_or(HEADER)..end
    }

    /// How much of the file it takes.
    pub(crate) fn length(&self) -> u64 {
        u64::try_from(self.bytes.len().next_multiple_of(BLOCK)).unwrap_or(u64::MAX)
    }

    /// With its header, and zeros to the end of the block: as it goes into the file.
    pub(crate) fn sealed(&mut self) -> Result<&[u8], StoreError> {
        let wide = |_too_long| StoreError::Damaged { seq: self.first, what: "a commit of more than 4 GiB" };
        let count = u32::try_from(self.ends.len()).map_err(wide)?;
        let length = u32::try_from(self.bytes.len() - HEADER).map_err(wide)?;
        let mut header = Vec::with_capacity(HEADER);
        header.extend(MAGIC);
        header.push(VERSION);
        header.extend(self.ledger);
        header.extend(self.first.to_le_bytes());
        header.extend(count.to_le_bytes());
        header.extend(length.to_le_bytes());
        header.extend(self.before);
        header.extend(self.links());
        let sum = checksum(&header);
        header.extend(sum);
        if let Some(place) = self.bytes.get_mut(..HEADER) {
            place.copy_from_slice(&header);
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        // It may stay in memory for as long as it lies in the file.
        self.bytes.shrink_to_fit();
        Ok(&self.bytes)
    }

    /// Whether these bytes began as a record.
    pub(crate) fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Whether these bytes say that they are a record of this ledger. What somebody wrote may lie where a block
    /// begins, and look like a record of any ledger but this one, for nobody is told its id.
    pub(crate) fn claims(bytes: &[u8], ledger: LedgerId) -> bool {
        Self::begins(bytes) && bytes.get(MAGIC.len() + 1..).is_some_and(|rest| rest.starts_with(&ledger))
    }

    /// The last entry of a record of this ledger that was begun here, and how many bytes it takes, if it still
    /// tells.
    pub(crate) fn extent(bytes: &[u8], ledger: LedgerId) -> Option<(Seq, usize)> {
        let header = Header::read(bytes).ok().flatten().filter(|header| header.ledger == ledger)?;
        let count = u64::try_from(header.count).ok()?;
        let last = header.first.checked_add(count)?.checked_sub(1)?;
        Some((Seq(last), HEADER.checked_add(header.length)?))
    }

    /// Of a record that is not whole, the first entry that is not, if the record still tells.
    pub(crate) fn first_damaged(bytes: &[u8]) -> Option<u64> {
        let header = Header::read(bytes).ok().flatten()?;
        let mut at = HEADER;
        let mut seqs = (header.first..).take(header.count);
        seqs.find(|seq| match bytes.get(at..).and_then(|rest| frame(*seq, rest)) {
            Some(frame) => {
                at += frame.len();
                false
            }
            None => true,
        })
    }

    fn links(&self) -> [u8; SUM] {
        let mut hasher = blake3::Hasher::new();
        for link in self.rows(0).filter_map(|(_, frame)| frame.last_chunk::<LINK>()) {
            hasher.update(link);
        }
        sum(&hasher)
    }

    /// The record at the start of these bytes, if it is whole.
    ///
    /// # Errors
    /// A newer version wrote it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, StoreError> {
        let Some(header) = Header::read(bytes)? else { return Ok(None) };
        let Header { ledger, first, count, length, before, links } = header;
        let Some(whole) = bytes.get(..HEADER.saturating_add(length)) else { return Ok(None) };
        let mut record = Record { ledger, first, before, bytes: whole.to_vec(), ends: Vec::new() };
        let mut at = HEADER;
        for seq in (first..).take(count) {
            let Some(frame) = whole.get(at..).and_then(|rest| frame(seq, rest)) else { return Ok(None) };
            codec::readable(frame)?;
            at += frame.len();
            record.ends.push(at);
        }
        let is_whole = at == whole.len() && count > 0 && record.links() == links;
        Ok(is_whole.then_some(record))
    }
}

struct Header {
    ledger: LedgerId,
    first: u64,
    count: usize,
    length: usize,
    before: Chain,
    links: [u8; SUM],
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Option<Self>, StoreError> {
        let Some((checked, mut rest)) = bytes.split_at_checked(CHECKED) else { return Ok(None) };
        if !checked.starts_with(MAGIC) || take(&mut rest) != Some(checksum(checked)) {
            return Ok(None);
        }
        match checked.get(MAGIC.len()) {
            Some(found) if *found > VERSION => Err(StoreError::Newer { found: *found, known: VERSION }),
            _ => Ok(Self::of(checked)),
        }
    }

    fn of(checked: &[u8]) -> Option<Self> {
        let mut rest = checked.get(MAGIC.len() + 1..)?;
        let ledger = take(&mut rest)?;
        let first = u64::from_le_bytes(take(&mut rest)?);
        let count = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
        let length = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
        Some(Header { ledger, first, count, length, before: take(&mut rest)?, links: take(&mut rest)? })
    }
}

/// The entry with this sequence at the start of these bytes.
fn frame(seq: u64, bytes: &[u8]) -> Option<&[u8]> {
    let (found, length) = codec::length(bytes)?;
    let frame = bytes.get(..usize::try_from(length).ok()?)?;
    (found == seq && codec::is_intact(frame)).then_some(frame)
}

fn checksum(header: &[u8]) -> [u8; SUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header);
    sum(&hasher)
}

fn sum(hasher: &blake3::Hasher) -> [u8; SUM] {
    let mut sum = [0; SUM];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

#[cfg(test)]
impl Record {
    /// Gives bytes that were changed the checksum that they would have.
    pub(super) fn seal_again(bytes: &mut [u8]) {
        let sum = checksum(&bytes[..CHECKED]);
        bytes[CHECKED..HEADER].copy_from_slice(&sum);
    }
}

#[cfg(test)]
mod tests {
    use rollcall_domain::event::{Actor, Event};
    use rollcall_domain::moment::Moment;

    use super::*;

    const KEY: [u8; 32] = [3; 32];
    const HEAD: Head = Head { last: Seq(6), chain: [9; 32] };

    fn entry(seq: u64) -> Entry {
        let event = Event::SettingChanged { key: "campus.name".to_owned(), value: Some("North".to_owned()) };
        Entry { seq: Seq(seq), at: Moment::from_millis(1_772_000_000_000), by: Actor::Cli, event }
    }

    fn record(entries: u64) -> Record {
        let mut record = Record::after(HEAD, *b"a ledger");
        (7..7 + entries).fold(HEAD.chain, |chain, seq| record.push(&KEY, &chain, &entry(seq)).unwrap());
        record
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for entries in [1, 2, 100] {
            let mut written = record(entries);
            let bytes = written.sealed().unwrap().to_vec();
            assert_eq!((bytes.len() % BLOCK, u64::try_from(bytes.len()).unwrap()), (0, written.length()));
            let read = Record::read(&bytes).unwrap().unwrap();
            assert_eq!((read.first(), read.last()), (Seq(7), Seq(6 + entries)));
            assert!(Record::claims(&bytes, *b"a ledger") && !Record::claims(&bytes, *b"other!!!"));
            assert_eq!((read.before(), read.length()), (&HEAD.chain, written.length()));
            assert!(read.rows(0).eq(written.rows(7)));
            assert_eq!(read.rows(8).count(), written.rows(7).count() - 1);
        }
    }

    #[test]
    fn a_record_that_was_torn_or_changed_anywhere_is_none() {
        let mut written = record(3);
        let length = written.bytes.len();
        let bytes = written.sealed().unwrap().to_vec();
        for place in 0..length {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            assert!(Record::read(&changed).ok().flatten().is_none(), "changed at {place}");
            assert!(Record::read(&bytes[..place]).unwrap().is_none(), "cut at {place}");
        }
        assert!(Record::read(&[0; BLOCK]).unwrap().is_none());
    }

    #[test]
    fn a_record_of_a_newer_version_is_refused() {
        let mut written = record(1);
        let mut bytes = written.sealed().unwrap().to_vec();
        bytes[4] = VERSION + 1;
        Record::seal_again(&mut bytes);
        assert!(matches!(Record::read(&bytes), Err(StoreError::Newer { found: 2, known: 1 })));
    }
}
