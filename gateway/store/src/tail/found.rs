//! What is found in a tail: which of its records are the end of the ledger.
//!
//! Promises: a record that was written is brought into the ledger's file, once; one that is missing before
//! others is damage, and said to be; what was torn, lies about from earlier or is another ledger's is not taken.
//!
//! Refuses: mending. That is [`crate::salvage`]'s.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase as _, WriteTransaction};
use rollcall_domain::ids::Seq;

use super::file::Bytes;
use super::file_in;
use super::record::{BLOCK, LedgerId, Record};
use crate::begin::begin_lasting;
use crate::error::StoreError;
use crate::events;
use crate::ledger::Head;
use crate::reading::Now;
use crate::tables::EVENTS;

/// The tail in a real folder, as it is; nothing if there is none.
pub(crate) fn bytes_in(folder: &Path) -> Result<Bytes, StoreError> {
    let file = match File::open(file_in(folder)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Bytes::default()),
        opened => opened.map_err(redb::Error::Io)?,
    };
    let length = file.metadata().map_err(redb::Error::Io)?.len();
    Ok(Bytes::read(usize::try_from(length).unwrap_or_default(), |at, out| file.read_exact_at(out, at)))
}

/// Whether a record in this folder's tail was begun and is not whole, or cannot be read. Those that were
/// overwritten have lost their beginning, too.
pub(crate) fn is_broken(folder: &Path) -> bool {
    bytes_in(folder).is_ok_and(|bytes| {
        !bytes.unread.is_empty()
            || starts(&bytes).any(|start| Record::begins(start) && matches!(Record::read(start), Ok(None)))
    })
}

/// Whether these are records of another ledger.
pub(crate) fn is_foreign(bytes: &Bytes, ledger: LedgerId) -> bool {
    starts(bytes).any(|start| matches!(Record::read(start), Ok(Some(record)) if !record.is_of(ledger)))
}

/// Whether entries lie there that the file, which ends here, does not have.
pub(crate) fn lacks_something(
    database: &Database,
    bytes: &Bytes,
    ledger: LedgerId,
) -> Result<bool, StoreError> {
    Ok(belonging(bytes, head_of(database)?, ledger)?.is_some_and(|records| !records.is_empty()))
}

/// From each place where a record may begin, to the end.
fn starts(bytes: &Bytes) -> impl Iterator<Item = &[u8]> {
    (0..bytes.all.len()).step_by(BLOCK).map(|at| bytes.all.get(at..).unwrap_or_default())
}

/// Where the ledger's file ends.
pub(super) fn head_of(database: &Database) -> Result<Head, StoreError> {
    let now = Now::of(database.begin_read()?, Vec::new());
    let last = now.end()?;
    Ok(Head { last, chain: now.link_at(last)? })
}

/// Whether the ledger in a file that ends at `end` is the one that was here, which was at `known`.
pub(super) fn goes_through(database: &Database, end: Seq, known: Head) -> Result<(), StoreError> {
    if end < known.last {
        return Err(StoreError::Lost { seq: known.last.0 });
    }
    let link = Now::of(database.begin_read()?, Vec::new()).link_at(known.last)?;
    if link == known.chain { Ok(()) } else { Err(StoreError::Chain { seq: known.last.0 }) }
}

/// The records that the file of a ledger lacks, which ends at `head`; nothing if they are another ledger's, or
/// follow something else.
pub(super) fn belonging(
    bytes: &Bytes,
    head: Head,
    ledger: LedgerId,
) -> Result<Option<Vec<Record>>, StoreError> {
    if is_foreign(bytes, ledger) {
        return Ok(None);
    }
    let (records, at) = following(bytes, head.last, ledger)?;
    if records.first().is_some_and(|first| *first.before() != head.chain) {
        return Ok(None);
    }
    let last = records.last().map_or(head.last, Record::last);
    missing(bytes, at, last)?;
    Ok(Some(records))
}

/// Writes records into the file that follow its last entry.
pub(super) fn bring_in(database: &Database, records: &[Record]) -> Result<(), StoreError> {
    write(database, records.iter())
}

/// Writes those of records that are known to have been on disk which follow the file's last entry.
pub(super) fn bring_in_known(database: &Database, records: &[Arc<Record>]) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let end = head_of(database)?;
    let mut following =
        records.iter().skip_while(|record| record.last() <= end.last).map(AsRef::as_ref).peekable();
    let follows = |first: &&Record| first.first().0 == end.last.0 + 1 && *first.before() == end.chain;
    if following.peek().is_some_and(follows) { write(database, following) } else { Ok(()) }
}

/// The records that follow this entry, and where they end.
fn following(bytes: &Bytes, mut end: Seq, ledger: LedgerId) -> Result<(Vec<Record>, usize), StoreError> {
    let (mut records, mut at) = (Vec::new(), 0_usize);
    while let Some(record) = bytes.all.get(at..).map(Record::read).transpose()?.flatten() {
        let is_next = record.first().0 == end.0 + 1;
        if !record.is_of(ledger) || !is_next && record.last() > end {
            break;
        }
        at = at.saturating_add(usize::try_from(record.length()).unwrap_or(usize::MAX));
        if is_next {
            end = record.last();
            records.push(record);
        }
    }
    Ok((records, at))
}

/// Refuses a tail in which more lay after `last`, which ends at `at`. Each record was on disk before the next
/// was begun: a later one that is whole tells that this one was, too.
fn missing(bytes: &Bytes, at: usize, last: Seq) -> Result<(), StoreError> {
    let rest = || bytes.all.get(at..).unwrap_or_default();
    let mut more = bytes.unread.contains(&(at / BLOCK));
    for at in (at..bytes.all.len()).step_by(BLOCK) {
        let found = Record::read(bytes.all.get(at..).unwrap_or_default())?;
        more |= found.is_some_and(|record| record.last() > last);
    }
    match more.then(|| Record::first_damaged(rest())) {
        None => Ok(()),
        Some(Some(seq)) => Err(StoreError::Damaged { seq, what: "in ledger.tail" }),
        Some(None) => Err(StoreError::Hole { seq: last.0 + 1 }),
    }
}

fn write<'r>(database: &Database, records: impl Iterator<Item = &'r Record>) -> Result<(), StoreError> {
    let mut records = records.peekable();
    if records.peek().is_none() {
        return Ok(());
    }
    let transaction = begin_lasting(database)?;
    put(&transaction, records)?;
    Ok(transaction.commit()?)
}

pub(super) fn put<'r>(
    transaction: &WriteTransaction,
    records: impl Iterator<Item = &'r Record>,
) -> Result<(), StoreError> {
    let entries = records.flat_map(|record| record.rows(0));
    events::insert(&mut transaction.open_table(EVENTS)?, entries)
}
