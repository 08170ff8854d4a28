//! Finds entries in the raw bytes of a file.
//!
//! Promises: every framed entry and every framed gap that lies whole in the file is found, whatever became
//! of the pages above it; parts of the file that cannot be read are passed over; of copies that are the
//! same byte for byte, one is told.
//!
//! Refuses: choosing between entries that claim the same sequence. The engine writes a page anew when it
//! changes, and the old one lies about until its place is needed; also what was written and never
//! committed is found here.
//!
//! It works because the engine never splits a value: one that is larger than a page gets a larger page.

use std::borrow::Cow;
use std::io;

use crate::checkpoint::Row;
use crate::checkpoint::frame::{self, PartHeader};
use crate::codec;
use crate::error::StoreError;
use crate::gaps::{self, GapRow};
use crate::keys;
use crate::overlay::Held;

/// How much is read at a time.
const WINDOW: usize = 1 << 20;
/// What a disk gives or refuses as a whole.
const BLOCK: usize = 4_096;

/// So many places where a row of keys may begin are looked at; there are a few.
const MOST_KEYS: usize = 1_024;

/// Where an entry lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) seq: u64,
    /// Of its bytes; copies have the same.
    mark: u64,
    offset: u64,
    length: u32,
}

/// A file nobody else has, read in spite of what cannot be read, and behind it the ledger's tail.
pub(crate) struct Source {
    held: Held,
    /// Where the tail begins.
    tail_at: u64,
    tail: Vec<u8>,
    length: u64,
}

impl Source {
    pub(crate) fn new(held: Held, tail: Vec<u8>) -> Result<Self, StoreError> {
        let tail_at = held.len().map_err(redb::Error::Io)?;
        let length = tail_at + u64::try_from(tail.len()).unwrap_or_default();
        Ok(Source { held, tail_at, tail, length })
    }

    /// The same without a tail, which turned out to be another ledger's.
    pub(crate) fn without_tail(self) -> Self {
        Source { tail: Vec::new(), length: self.tail_at, ..self }
    }

    /// As many bytes as there are; zeros where the disk does not give them.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let there = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(there)];
        let of_file = usize::try_from(self.tail_at.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (of_file, of_tail) = bytes.split_at_mut(of_file.min(length.min(there)));
        let from = usize::try_from(offset.saturating_sub(self.tail_at)).unwrap_or(usize::MAX);
        if let Some(there) = self.tail.get(from..).and_then(|tail| tail.get(..of_tail.len())) {
            of_tail.copy_from_slice(there);
        }
        self.read_file(offset, of_file);
        bytes
    }

    fn read_file(&self, offset: u64, bytes: &mut [u8]) {
        if !bytes.is_empty() && self.held.read(offset, bytes).is_err() {
            let mut at = offset;
            for block in bytes.chunks_mut(BLOCK) {
                if let Err(error) = self.held.read(at, block) {
                    tracing::warn!(offset = at, %error, "a part of the damaged file cannot be read");
                    block.fill(0);
                }
                at += u64::try_from(BLOCK).unwrap_or_default();
            }
        }
    }

    pub(crate) fn entry(&self, found: &Found) -> Result<Vec<u8>, StoreError> {
        let length = usize::try_from(found.length)
            .map_err(|_wide| redb::Error::Io(io::ErrorKind::OutOfMemory.into()))?;
        Ok(self.read(found.offset, length))
    }
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// By sequence.
    pub(crate) entries: Vec<Found>,
    pub(crate) gaps: Vec<GapRow>,
    /// Rows of checkpoints, those that stand for the most entries first.
    pub(crate) checkpoints: Vec<Row>,
    /// Parts of checkpoints, and where they lie.
    pub(crate) parts: Vec<(PartHeader, u64)>,
    /// What may begin with a row of keys, those of the highest generation first.
    pub(crate) keys: Vec<Vec<u8>>,
}

/// Reads the whole file.
///
/// # Errors
/// An intact entry is of a newer version.
pub(crate) fn scan(source: &Source) -> Result<Scan, StoreError> {
    let mut scan = Scan::default();
    let mut at = 0;
    while at < source.length {
        let window = Window { at, bytes: source.read(at, WINDOW), source };
        at = scan.take_all(&window)?;
    }
    scan.entries.sort_unstable();
    scan.entries.dedup_by_key(|found| (found.seq, found.mark));
    scan.gaps.sort_unstable_by_key(|row| row.gap.first);
    scan.gaps.dedup();
    scan.checkpoints.sort_unstable_by_key(|row| (std::cmp::Reverse(row.head.last), row.hash));
    scan.checkpoints.dedup();
    scan.parts.sort_unstable();
    let generation = |bytes: &Vec<u8>| bytes.get(4..8)?.first_chunk().copied().map(u32::from_le_bytes);
    scan.keys.sort_by_key(|bytes| std::cmp::Reverse(generation(bytes)));
    Ok(scan)
}

struct Window<'s> {
    at: u64,
    bytes: Vec<u8>,
    source: &'s Source,
}

impl Window<'_> {
    /// Bytes that begin in the window and may end beyond it.
    fn bytes(&self, place: usize, length: usize) -> Cow<'_, [u8]> {
        match self.bytes.get(place..place.saturating_add(length)) {
            Some(bytes) => Cow::Borrowed(bytes),
            None => Cow::Owned(self.source.read(self.offset(place), length)),
        }
    }

    fn offset(&self, place: usize) -> u64 {
        self.at + u64::try_from(place).unwrap_or_default()
    }
}

/// Where a frame may begin.
fn next_magic(bytes: &[u8]) -> Option<usize> {
    let magics = [codec::MAGIC, gaps::MAGIC, keys::MAGIC, frame::ROW_MAGIC, frame::PART_MAGIC];
    bytes.windows(4).position(|four| four.starts_with(b"RC") && magics.iter().any(|magic| four == *magic))
}

impl Scan {
    /// Tells where to read on.
    fn take_all(&mut self, window: &Window<'_>) -> Result<u64, StoreError> {
        let mut place = 0;
        while let Some(found) = window.bytes.get(place..).and_then(next_magic) {
            place += found;
            place += self.take(window, place)?.unwrap_or(1);
        }
        // A frame that began here may end beyond; else one may begin in the last three bytes.
        let read = window.bytes.len();
        let is_last = window.offset(read) >= window.source.length;
        Ok(window.offset(if is_last { read } else { place.max(read - 3) }))
    }

    fn take_part(
        &mut self,
        window: &Window<'_>,
        place: usize,
        part: PartHeader,
    ) -> Result<Option<usize>, StoreError> {
        let offset = window.offset(place);
        let there = window.source.length.saturating_sub(offset);
        if u64::try_from(part.length).is_ok_and(|length| length <= there)
            && frame::is_whole_part(&window.bytes(place, part.length))?
        {
            self.parts.push((part, offset));
            return Ok(Some(part.length));
        }
        Ok(None)
    }

    /// Takes in the frame that begins at `place`, if one does, and tells how long it is.
    fn take(&mut self, window: &Window<'_>, place: usize) -> Result<Option<usize>, StoreError> {
        if let Some(row) = GapRow::read(&window.bytes(place, gaps::LENGTH))? {
            self.gaps.push(row);
            return Ok(Some(gaps::LENGTH));
        }
        if let Some(row) = Row::read(&window.bytes(place, frame::LENGTH))? {
            self.checkpoints.push(row);
            return Ok(Some(frame::LENGTH));
        }
        if let Some(part) = frame::part_header(&window.bytes(place, frame::HEADER)) {
            return self.take_part(window, place, part);
        }
        let bytes = window.bytes(place, 4);
        if bytes.as_ref() == keys::MAGIC {
            let there = self.keys.len() < MOST_KEYS;
            self.keys.extend(there.then(|| window.source.read(window.offset(place), keys::LONGEST)));
            return Ok(None);
        }
        let Some((seq, length)) = codec::length(&window.bytes(place, codec::HEADER)) else { return Ok(None) };
        let offset = window.offset(place);
        if length > window.source.length.saturating_sub(offset) {
            return Ok(None);
        }
        let (Ok(short), Ok(long)) = (u32::try_from(length), usize::try_from(length)) else { return Ok(None) };
        let bytes = window.bytes(place, long);
        match codec::is_intact(&bytes) {
            false => Ok(None),
            true => {
                codec::readable(&bytes)?;
                let mark = blake3::hash(&bytes);
                let mark = mark.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
                self.entries.push(Found { seq, mark, offset, length: short });
                Ok(Some(long))
            }
        }
    }
}
