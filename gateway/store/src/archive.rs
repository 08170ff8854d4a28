//! The format of a backup: one file that tells of itself whether it is whole.
//!
//! Promises: a file that was cut short, added to or changed anywhere is refused, and what is wrong with it
//! is said; it tells whether a key is the one it was made with, and does not hold the key; it can be read
//! and written in bounded memory.
//!
//! Refuses: knowing what the rows mean. They are the tables' own bytes.
//!
//! ```text
//! "RCBK"  version   then blocks:  kind  length  payload  checksum
//!    4       1                      1    4 LE    length     16
//! ```
//!
//! The first block is the header, the last one the end; between them lie rows. A checksum is over the
//! block's number and everything in it, so that blocks cannot change places. The end holds a keyed hash
//! over all that comes before it.

use std::io::{self, Read, Write};

use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::keys::{Fingerprint, Keyring, RootKey};

const MAGIC: &[u8; 4] = b"RCBK";
/// Without evidence. What holds no more is written like this, so that older versions can read it.
pub(crate) const PLAIN: u8 = 1;
pub(crate) const WITH_EVIDENCE: u8 = 2;
/// The latest that is known.
pub(crate) const VERSION: u8 = WITH_EVIDENCE;
const HEADER: u8 = 1;
const ROWS: u8 = 2;
const END: u8 = 3;
const CHECKSUM: usize = 16;
/// How much goes into a block before it is written.
const BLOCK: usize = 1 << 18;
/// The longest block that is believed: one row can be as long as the longest event.
const LONGEST: u32 = 1 << 30;

/// What a backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) made_at: Moment,
    /// The end of the ledger.
    pub(crate) last: Seq,
    /// The root key that seals it and what is in it.
    pub(crate) sealed_under: Fingerprint,
}

impl Header {
    pub(crate) fn new(made_at: Moment, last: Seq, key: &RootKey) -> Self {
        Header { made_at, last, sealed_under: key.fingerprint() }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct End {
    /// Rows of each table.
    counts: Vec<(String, u64)>,
    seal: [u8; 32],
}

/// What is wrong with a file.
#[derive(Debug)]
pub(crate) enum Wrong {
    Io(io::Error),
    Newer(u8),
    OtherKey(Fingerprint),
    /// Says what.
    Damaged(String),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Wrong::Damaged("it is cut short".to_owned()),
            _ => Wrong::Io(error),
        }
    }
}

/// Writes a backup.
pub(crate) struct Writer<W> {
    out: W,
    seal: blake3::Hasher,
    number: u64,
    rows: Vec<u8>,
    counts: Vec<(String, u64)>,
}

impl<W: Write> Writer<W> {
    pub(crate) fn begin(out: W, version: u8, header: &Header, key: &RootKey) -> io::Result<Self> {
        let seal = blake3::Hasher::new_keyed(&key.backups());
        let mut writer = Writer { out, seal, number: 0, rows: Vec::new(), counts: Vec::new() };
        writer.put(&[MAGIC.as_slice(), &[version]].concat())?;
        writer.block(HEADER, &postcard::to_allocvec(header).map_err(io::Error::other)?)?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.seal.update(bytes);
        self.out.write_all(bytes)
    }

    fn block(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let head = [[kind].as_slice(), &length.to_le_bytes()].concat();
        let sum = checksum(self.number, &head, payload);
        self.number += 1;
        self.put(&head)?;
        self.put(payload)?;
        self.put(&sum)
    }

    /// The rows that follow are this table's.
    pub(crate) fn table(&mut self, name: &str) -> io::Result<()> {
        self.flush_rows()?;
        self.counts.push((name.to_owned(), 0));
        Ok(())
    }

    pub(crate) fn row(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        for part in [key, value] {
            self.rows.extend(u32::try_from(part.len()).map_err(io::Error::other)?.to_le_bytes());
            self.rows.extend(part);
        }
        if let Some((_, count)) = self.counts.last_mut() {
            *count += 1;
        }
        if self.rows.len() < BLOCK { Ok(()) } else { self.flush_rows() }
    }

    fn flush_rows(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let Some((name, _)) = self.counts.last().filter(|_| !rows.is_empty()) else { return Ok(()) };
        let length = u8::try_from(name.len()).map_err(io::Error::other)?;
        let payload = [[length].as_slice(), name.as_bytes(), &rows].concat();
        self.block(ROWS, &payload)
    }

    /// Ends the file and hands it back.
    pub(crate) fn end(mut self) -> io::Result<W> {
        self.flush_rows()?;
        let seal = *self.seal.finalize().as_bytes();
        let end = End { counts: std::mem::take(&mut self.counts), seal };
        self.block(END, &postcard::to_allocvec(&end).map_err(io::Error::other)?)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Reads a backup; what it hands out was whole, but whether all of it is there is known at the end only.
pub(crate) struct Reader<R> {
    input: R,
    /// Absent without the key.
    seal: Option<blake3::Hasher>,
    number: u64,
    pub(crate) version: u8,
    pub(crate) header: Header,
    counts: Vec<(String, u64)>,
}

impl<R: Read> Reader<R> {
    /// Reads the header. Without the key everything but the seal is checked.
    pub(crate) fn begin(mut input: R, keys: Option<&Keyring>) -> Result<Self, Wrong> {
        let mut start = [0; 5];
        input.read_exact(&mut start)?;
        let [magic @ .., version] = start;
        if magic != *MAGIC {
            return Err(Wrong::Damaged(
                "it is no backup of Rollcall, or its beginning is damaged".to_owned(),
            ));
        }
        if version > VERSION {
            return Err(Wrong::Newer(version));
        }
        let (kind, payload, bytes) = block(&mut input, 0)?;
        if kind != HEADER {
            return Err(Wrong::Damaged("it does not begin with a header".to_owned()));
        }
        let header: Header = read(&payload)?;
        let wanted = header.sealed_under;
        let seal = keys.map(|keys| keys.find(wanted).ok_or(Wrong::OtherKey(wanted))).transpose()?;
        let mut seal = seal.map(|key| blake3::Hasher::new_keyed(&key.backups()));
        if let Some(seal) = &mut seal {
            seal.update(&start).update(&bytes);
        }
        Ok(Reader { input, seal, number: 1, version, header, counts: Vec::new() })
    }

    fn block(&mut self) -> Result<(u8, Vec<u8>), Wrong> {
        let (kind, payload, bytes) = block(&mut self.input, self.number)?;
        self.number += 1;
        if let Some(seal) = self.seal.as_mut().filter(|_| kind != END) {
            seal.update(&bytes);
        }
        Ok((kind, payload))
    }

    /// Hands every row to `each`, with its table's name, and checks that nothing is missing. Tells how many
    /// rows each table has.
    pub(crate) fn rows<E: From<Wrong>>(
        mut self,
        mut each: impl FnMut(&str, &[u8], &[u8]) -> Result<(), E>,
    ) -> Result<Vec<(String, u64)>, E> {
        loop {
            let sealed = self.seal.as_ref().map(|seal| *seal.finalize().as_bytes());
            match self.block()? {
                (ROWS, payload) => {
                    let number = self.number - 1;
                    let bad = || Wrong::Damaged(format!("rows in its block {number} cannot be told apart"));
                    let (name, mut rows) = named(&payload).ok_or_else(bad)?;
                    while !rows.is_empty() {
                        let (key, value) = part(&mut rows).zip(part(&mut rows)).ok_or_else(bad)?;
                        self.count(name);
                        each(name, key, value)?;
                    }
                }
                (END, payload) => return Ok(self.check_end(read(&payload)?, sealed)?),
                (kind, _) => {
                    return Err(Wrong::Damaged(format!("it has a block of an unknown kind {kind}")).into());
                }
            }
        }
    }

    fn count(&mut self, table: &str) {
        match self.counts.last_mut().filter(|(name, _)| name == table) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((table.to_owned(), 1)),
        }
    }

    fn check_end(mut self, end: End, sealed: Option<[u8; 32]>) -> Result<Vec<(String, u64)>, Wrong> {
        let expected: Vec<_> = end.counts.into_iter().filter(|(_, count)| *count > 0).collect();
        if self.counts != expected {
            return Err(Wrong::Damaged("rows are missing from it".to_owned()));
        }
        if sealed.is_some_and(|sealed| sealed != end.seal) {
            return Err(Wrong::Damaged("it was changed by somebody without the key".to_owned()));
        }
        if self.input.read(&mut [0])? > 0 {
            return Err(Wrong::Damaged("something follows its end".to_owned()));
        }
        Ok(expected)
    }
}

/// What kind the next block is, its payload, and all its bytes.
fn block(input: &mut impl Read, number: u64) -> Result<(u8, Vec<u8>, Vec<u8>), Wrong> {
    let mut head = [0; 5];
    input.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let length = u32::from_le_bytes(length);
    let damaged = || Wrong::Damaged(format!("its block {number} is damaged"));
    if length > LONGEST {
        return Err(damaged());
    }
    // A length can be damaged too; nothing is set aside for what is not there.
    let mut payload = Vec::new();
    input.by_ref().take(u64::from(length)).read_to_end(&mut payload)?;
    let mut sum = [0; CHECKSUM];
    input.read_exact(&mut sum)?;
    if checksum(number, &head, &payload) != sum {
        return Err(damaged());
    }
    let bytes = [head.as_slice(), &payload, &sum].concat();
    Ok((kind, payload, bytes))
}

fn checksum(number: u64, head: &[u8], payload: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_le_bytes()).update(head).update(payload).finalize_xof().fill(&mut sum);
    sum
}

fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Wrong> {
    postcard::from_bytes(payload)
        .map_err(|_unreadable| Wrong::Damaged("its description cannot be read".to_owned()))
}

fn named(payload: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = payload.split_first()?;
    let (name, rows) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(name).ok()?, rows))
}

fn part<'r>(rows: &mut &'r [u8]) -> Option<&'r [u8]> {
    let (length, rest) = rows.split_first_chunk()?;
    let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *rows = rest;
    Some(part)
}
