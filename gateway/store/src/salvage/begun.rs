//! What a damaged ledger begins with, if entries were forgotten.
//!
//! Promises: of the checkpoints that lie in the file and that who has the key wrote, the latest is taken of
//! which every part is there; it is taken whole, in the bytes in which it was written.
//!
//! Refuses: a ledger that was told to forget entries and of which no checkpoint is whole: what followed from
//! those entries is in no other place of it, and would be missing without anybody knowing what it was.

use redb::WriteTransaction;

use super::scan::{Scan, Source};
use crate::checkpoint::{ROW, Row};
use crate::error::StoreError;
use crate::ledger::Head;
use crate::tables::{CHECKPOINT, CHECKPOINT_AGAIN};

/// A whole checkpoint.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) row: Row,
    /// Where each part lies, and how long it is.
    parts: Vec<(u64, usize)>,
}

/// What the ledger begins with.
pub(crate) fn begun(
    source: &Source,
    scan: &Scan,
    key: &dyn Fn(u64) -> [u8; 32],
) -> Result<Option<Begun>, StoreError> {
    let mut latest = None;
    for row in scan.checkpoints.iter().filter(|row| row.is_genuine(&key(row.head.last.0))) {
        if let Some(parts) = whole(source, scan, row) {
            return Ok(Some(Begun { row: *row, parts }));
        }
        latest = latest.or(Some(row.head.last.0));
    }
    latest.map_or(Ok(None), |seq| Err(StoreError::Checkpoint { seq }))
}

/// Its parts, if they are all there; of copies any will do.
fn whole(source: &Source, scan: &Scan, row: &Row) -> Option<Vec<(u64, usize)>> {
    let mut hasher = blake3::Hasher::new();
    let mut parts = Vec::new();
    let from = scan.parts.partition_point(|(part, _)| part.last < row.head.last);
    let mut rest = scan.parts.get(from..)?.iter().filter(|(part, _)| part.at == row.at);
    for number in 1..=row.parts {
        let (part, offset) = rest.find(|(part, _)| part.number >= number)?;
        if !part.is_of(row, number) {
            return None;
        }
        hasher.update(&source.read(*offset, part.length));
        parts.push((*offset, part.length));
    }
    (*hasher.finalize().as_bytes() == row.hash).then_some(parts)
}

impl Begun {
    pub(crate) fn head(&self) -> Head {
        self.row.head
    }

    /// Writes it into a new ledger.
    pub(crate) fn write(&self, transaction: &WriteTransaction, source: &Source) -> Result<(), StoreError> {
        let last = self.row.head.last.0;
        for table in [CHECKPOINT, CHECKPOINT_AGAIN] {
            let mut table = transaction.open_table(table)?;
            for (number, (offset, length)) in (1..).zip(&self.parts) {
                table.insert((last, number), source.read(*offset, *length).as_slice())?;
            }
            table.insert((last, ROW), self.row.bytes().as_slice())?;
        }
        Ok(())
    }
}
