//! The file that the tail lies in: as long as it is made, written from the start again and again.
//!
//! Promises: a record that was written is on disk; the file is there whole or not at all, so that writing
//! into it neither grows it nor needs room.
//!
//! Refuses: knowing which of the records still count.

use std::path::PathBuf;
use std::{fmt, io};

use redb::StorageBackend;

use super::record::{BLOCK, Record};
use crate::disk::Place;
use crate::error::StoreError;

pub(crate) const FILE: &str = "ledger.tail";
/// A new one, until it is one.
const UNFINISHED: &str = "ledger.tail.new";

/// One that is not this ledger's.
const FOREIGN: &str = "ledger.tail.foreign";
/// One that could not be read any more, which keeps its places on the disk from being used again. Only the
/// last is kept: on a disk that goes on failing there would be one after the other.
const DAMAGED: &str = "ledger.tail.damaged";
/// So many that are another ledger's are kept.
const MOST_FOREIGN: usize = 1_000;

pub(crate) struct TailFile {
    raw: Box<dyn StorageBackend>,
    length: u64,
    /// Where the next record goes.
    at: u64,
}

impl fmt::Debug for TailFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TailFile({} of {})", self.at, self.length)
    }
}

impl TailFile {
    /// The one that is there.
    pub(super) fn open(place: &Place) -> Result<Option<Self>, StoreError> {
        if !place.disk.has(FILE).map_err(redb::Error::Io)? {
            return Ok(None);
        }
        let raw = place.raw(FILE, false)?;
        let length = raw.len().map_err(redb::Error::Io)?;
        Ok(Some(TailFile { raw, length, at: 0 }))
    }

    /// A new one, of zeros. If that fails, nothing of it takes up room.
    pub(super) fn make(place: &Place) -> Result<Self, StoreError> {
        Self::try_to_make(place).inspect_err(|_why| {
            if let Err(error) = place.disk.remove(UNFINISHED) {
                tracing::debug!(%error, "what was begun of a tail stays");
            }
        })
    }

    fn try_to_make(place: &Place) -> Result<Self, StoreError> {
        let made = place.raw(UNFINISHED, true)?;
        let mut file = TailFile { raw: made, length: place.tail_bytes, at: 0 };
        file.raw.set_len(file.length).map_err(redb::Error::Io)?;
        file.wipe()?;
        place.disk.rename(UNFINISHED, FILE).map_err(redb::Error::Io)?;
        Ok(file)
    }

    pub(super) fn bytes(&self) -> Bytes {
        let read = |at: u64, out: &mut [u8]| self.raw.read(at, out);
        Bytes::read(usize::try_from(self.length).unwrap_or_default(), read)
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn has_room_for(&self, record: &Record) -> bool {
        self.at.saturating_add(record.length()) <= self.length
    }

    /// Brings a record to the disk.
    pub(super) fn write(&mut self, record: &mut Record) -> Result<(), StoreError> {
        let length = record.length();
        self.raw.write(self.at, record.sealed()?).map_err(redb::Error::Io)?;
        self.raw.sync_data().map_err(redb::Error::Io)?;
        self.at += length;
        Ok(())
    }

    /// The next record goes to the start.
    pub(super) fn start_over(&mut self) {
        self.at = 0;
    }

    /// Nothing that lies in it is there any more.
    pub(super) fn wipe(&mut self) -> Result<(), StoreError> {
        let zeros = vec![0; BLOCK * 64];
        let mut at = 0;
        while at < self.length {
            let here = usize::try_from(self.length - at).unwrap_or(usize::MAX).min(zeros.len());
            self.raw.write(at, zeros.get(..here).unwrap_or_default()).map_err(redb::Error::Io)?;
            at += u64::try_from(here).unwrap_or_default();
        }
        self.raw.sync_data().map_err(redb::Error::Io)?;
        self.at = 0;
        Ok(())
    }
}

/// Gives it another name, under which nobody looks.
pub(super) fn put_foreign_aside(place: &Place) -> Result<PathBuf, StoreError> {
    let names = (1..MOST_FOREIGN).map(|number| format!("{FOREIGN}-{number}"));
    for name in std::iter::once(FOREIGN.to_owned()).chain(names) {
        if !place.disk.has(&name).map_err(redb::Error::Io)? {
            return rename(place, &name);
        }
    }
    Err(redb::Error::Io(io::ErrorKind::AlreadyExists.into()).into())
}

/// The same with one that is damaged.
pub(super) fn put_damaged_aside(place: &Place) -> Result<PathBuf, StoreError> {
    rename(place, DAMAGED)
}

fn rename(place: &Place, name: &str) -> Result<PathBuf, StoreError> {
    place.disk.rename(FILE, name).map_err(redb::Error::Io)?;
    Ok(place.disk.path(name))
}

/// What lies in a tail.
#[derive(Default)]
pub(crate) struct Bytes {
    pub(crate) all: Vec<u8>,
    /// Blocks that the disk does not give; zeros stand in for them.
    pub(crate) unread: Vec<usize>,
}

impl Bytes {
    /// In spite of what cannot be read.
    pub(super) fn read(length: usize, read: impl Fn(u64, &mut [u8]) -> io::Result<()>) -> Self {
        let mut bytes = Bytes { all: vec![0; length], unread: Vec::new() };
        if read(0, &mut bytes.all).is_err() {
            for (number, block) in bytes.all.chunks_mut(BLOCK).enumerate() {
                if let Err(error) = read(u64::try_from(number * BLOCK).unwrap_or(u64::MAX), block) {
                    tracing::warn!(block = number, %error, "a part of the ledger's tail cannot be read");
                    block.fill(0);
                    bytes.unread.push(number);
                }
            }
        }
        bytes
    }

    /// Whether nothing was ever written there, or it was wiped.
    pub(super) fn is_blank(&self) -> bool {
        self.unread.is_empty() && self.all.iter().all(|byte| *byte == 0)
    }
}
