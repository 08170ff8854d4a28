//! What a damaged ledger begins with, if entries were forgotten.
//!
//! Promises: of the checkpoints that lie in the file and that who has the key wrote, the latest is taken of
//! which every part is there; it is taken whole, in the bytes in which it was written.
//!
//! Refuses: a ledger that was told to forget entries of which some are not there, when no checkpoint stands for
//! them: what followed from those entries is in no other place of it, and would be missing without anybody
//! knowing what it was. Whether such an entry was taken away or is damaged, nobody can tell. One that was told
//! to forget, and has everything, is as good as one that was not.

use redb::{Database, WriteTransaction};
use rollcall_domain::ids::Seq;

use super::choose::Chosen;
use super::scan::{Scan, Source};
use crate::checkpoint::{Copies, ROW, Row};
use crate::error::StoreError;
use crate::ledger::Head;

/// Bytes written in one transaction, or some more.
const AT_ONCE: usize = 4 << 20;

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

/// Whether everything is there, or known to be lost, that something in the file says was to be forgotten, and that
/// no checkpoint stands for.
pub(crate) fn check(
    begun: Option<&Begun>,
    scan: &Scan,
    chosen: &Chosen,
    key: &dyn Fn(u64) -> [u8; 32],
) -> Result<(), StoreError> {
    let start = begun.map_or(Seq(0), |begun| begun.row.head.last);
    let genuine = scan.checkpoints.iter().filter(|row| row.is_genuine(&key(row.head.last.0)));
    let rows = genuine.map(|row| row.head.last);
    let parts = scan.parts.iter().map(|(part, _)| part.last);
    let told = rows.chain(parts).fold(chosen.forgotten, Seq::max);
    if told <= start {
        return Ok(());
    }
    let kept = chosen.kept.last().map_or(start, |kept| Seq(kept.found.seq));
    let end = chosen.gaps.last().map_or(kept, |row| kept.max(row.gap.last));
    let mut new = chosen.gaps.iter().filter(|row| !scan.gaps.contains(row));
    if end < told || new.any(|row| row.gap.first <= told) {
        return Err(StoreError::Checkpoint { seq: told.0 });
    }
    Ok(())
}

impl Begun {
    pub(crate) fn head(&self) -> Head {
        self.row.head
    }

    /// Writes it into a table of a new ledger. Something else has to be written before the other is.
    pub(crate) fn write(
        &self,
        database: &Database,
        source: &Source,
        copies: Copies,
    ) -> Result<(), StoreError> {
        let mut parts = (1..).zip(&self.parts).peekable();
        while parts.peek().is_some() {
            let transaction = database.begin_write()?;
            let mut size = 0;
            while size < AT_ONCE
                && let Some((number, (offset, length))) = parts.next()
            {
                self.put(&transaction, copies, number, &source.read(*offset, *length))?;
                size += length;
            }
            transaction.commit()?;
        }
        let transaction = database.begin_write()?;
        self.put(&transaction, copies, ROW, &self.row.bytes())?;
        Ok(transaction.commit()?)
    }

    fn put(
        &self,
        transaction: &WriteTransaction,
        copies: Copies,
        number: u32,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        transaction.open_table(copies)?.insert((self.row.head.last.0, number), bytes)?;
        Ok(())
    }
}
