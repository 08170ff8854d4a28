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
            || starts(&bytes, 0).any(|start| Record::begins(start) && matches!(Record::read(start), Ok(None)))
    })
}

/// Whether these are records of another ledger: there is a whole one, and none of this one.
pub(crate) fn is_foreign(bytes: &Bytes, ledger: LedgerId) -> bool {
    !starts(bytes, 0).any(|start| Record::claims(start, ledger)) && has_record(bytes)
}

/// Whether a record lies there, whosever it is.
pub(super) fn has_record(bytes: &Bytes) -> bool {
    starts(bytes, 0).any(|start| matches!(Record::read(start), Ok(Some(_)) | Err(_)))
}

/// Whether entries lie there that the file does not have.
pub(crate) fn lacks_something(
    database: &Database,
    bytes: &Bytes,
    ledger: LedgerId,
) -> Result<bool, StoreError> {
    Ok(belonging(bytes, head_of(database)?, ledger)?.is_some_and(|records| !records.is_empty()))
}

/// The last entry of those records of which the disk does not give a part: it was there.
pub(crate) fn last_unread(bytes: &Bytes, ledger: LedgerId) -> Seq {
    let places = (0..).step_by(BLOCK).zip(starts(bytes, 0));
    let extents = places.filter_map(|(at, start)| Some((at, Record::extent(start, ledger)?)));
    let unread = extents.filter(|(at, (_, length))| is_unread(bytes, *at, *length));
    unread.map(|(_, (last, _))| last).max().unwrap_or_default()
}

/// Whether the disk does not give a part of this stretch.
fn is_unread(bytes: &Bytes, at: usize, length: usize) -> bool {
    let blocks = at / BLOCK..at.saturating_add(length).div_ceil(BLOCK);
    bytes.unread.iter().any(|block| blocks.contains(block))
}

/// From each place from this one on where a record may begin, to the end.
fn starts(bytes: &Bytes, from: usize) -> impl Iterator<Item = &[u8]> {
    (from..bytes.all.len()).step_by(BLOCK).map(|at| bytes.all.get(at..).unwrap_or_default())
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
    missing(bytes, at, last, ledger)?;
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
    let ours = |at| bytes.all.get(at..).filter(|start| Record::claims(start, ledger));
    while let Some(record) = ours(at).map(Record::read).transpose()?.flatten() {
        let is_next = record.first().0 == end.0 + 1;
        if !is_next && record.last() > end {
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
/// was begun: a later one that is whole tells that this one was, too. What cannot be read may have been.
fn missing(bytes: &Bytes, at: usize, last: Seq, ledger: LedgerId) -> Result<(), StoreError> {
    let rest = bytes.all.get(at..).unwrap_or_default();
    let mut more = match Record::extent(rest, ledger) {
        Some((its_last, length)) => its_last > last && is_unread(bytes, at, length),
        None => is_unread(bytes, at, BLOCK),
    };
    for start in starts(bytes, at).filter(|start| Record::claims(start, ledger)) {
        more |= Record::read(start)?.is_some_and(|record| record.last() > last);
    }
    match more.then(|| Record::first_damaged(rest)) {
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

#[cfg(test)]
mod tests {
    use rollcall_domain::event::{Actor, Entry, Event};
    use rollcall_domain::moment::Moment;

    use super::*;
    use crate::tail::record::VERSION;

    const OURS: LedgerId = *b"this one";
    const OTHER: LedgerId = *b"another!";
    const BEFORE: Head = Head { last: Seq(6), chain: [9; 32] };

    /// A record of one entry after this one, as it lies in the file.
    fn record(before: &mut Head, ledger: LedgerId, length: usize) -> Vec<u8> {
        let mut record = Record::after(*before, ledger);
        let seq = Seq(before.last.0 + 1);
        let event = Event::SettingChanged { key: "campus.name".to_owned(), value: Some("x".repeat(length)) };
        let entry = Entry { seq, at: Moment::from_millis(0), by: Actor::Cli, event };
        let chain = record.push(&[3; 32], &before.chain, &entry).unwrap();
        *before = Head { last: seq, chain };
        record.sealed().unwrap().to_vec()
    }

    fn read(bytes: &Bytes) -> Result<Option<Vec<Seq>>, StoreError> {
        let records = belonging(bytes, BEFORE, OURS)?;
        Ok(records.map(|records| records.iter().map(Record::last).collect()))
    }

    /// A record of one block, and one of three.
    fn two() -> Vec<u8> {
        let mut head = BEFORE;
        [record(&mut head, OURS, 10), record(&mut head, OURS, 9_000)].concat()
    }

    /// As a disk gives them that does not give this block.
    fn without(all: &[u8], block: usize) -> Bytes {
        let mut all = all.to_vec();
        all.resize(8 * BLOCK, 0);
        all[block * BLOCK..][..BLOCK].fill(0);
        Bytes { all, unread: vec![block] }
    }

    #[test]
    fn a_last_record_of_which_a_part_cannot_be_read_is_damaged_and_not_passed_over() {
        for block in 0..8 {
            let bytes = without(&two(), block);
            let (found, last) = (read(&bytes), last_unread(&bytes, OURS));
            match block {
                0 => assert!(matches!(found, Err(StoreError::Hole { seq: 7 }))),
                // It is not known what lay there, if anything did.
                1 | 4 => assert!(matches!(found, Err(StoreError::Hole { .. })), "{block}"),
                2 | 3 => {
                    assert!(matches!(found, Err(StoreError::Damaged { seq: 8, .. })), "{block}");
                    assert_eq!(last, Seq(8));
                    continue;
                }
                _ => assert_eq!(found.unwrap().unwrap(), [Seq(7), Seq(8)]),
            }
            assert_eq!(last, Seq(0));
        }
    }

    #[test]
    fn a_part_of_what_lies_about_from_earlier_may_be_unreadable() {
        let bytes = without(&two(), 2);
        let before = Head { last: Seq(20), chain: [8; 32] };
        assert!(belonging(&bytes, before, OURS).unwrap().unwrap().is_empty());
    }

    #[test]
    fn what_looks_like_a_record_of_another_ledger_within_ours_is_not_believed() {
        let mut head = Head { last: Seq(90), chain: [7; 32] };
        let other = record(&mut head, OTHER, 10);
        let newer = {
            let mut newer = record(&mut head, OTHER, 10);
            newer[4] = VERSION + 1;
            Record::seal_again(&mut newer);
            newer
        };
        for forged in [other, newer] {
            assert!(is_foreign(&Bytes { all: forged.clone(), unread: vec![] }, OURS));
            let bytes = Bytes { all: [two(), forged].concat(), unread: vec![] };
            assert!(!is_foreign(&bytes, OURS));
            assert_eq!(read(&bytes).unwrap().unwrap(), [Seq(7), Seq(8)]);
        }
    }
}
