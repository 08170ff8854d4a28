//! Takes away what the ledger does not begin with any more.
//!
//! Promises: so many rows at a time, each time in one transaction that takes a few milliseconds; nobody reads
//! what goes, so it can stop anywhere and begin again; the entries go last, so that as long as one of them
//! is there, everything is looked through once more after a restart. First of all, a copy of the row that a
//! power cut kept from being written is, or one that is not what was sealed.
//!
//! Refuses: anything after the last forgotten entry, although it lie in one row with it, and the checkpoint that
//! stands for it.

use std::ops::Bound;

use redb::{ReadableDatabase as _, ReadableTable as _, Table, TableError, WriteTransaction};
use rollcall_domain::ids::Seq;

use super::{COPIES, Copies, ROW, lacking, proven_start};
use crate::begin::begin_lasting;
use crate::error::StoreError;
use crate::events;
use crate::ledger::Ledger;
use crate::tables::{EVENTS, GAPS, TEXTS, TEXTS_ABOUT};

/// Rows that one step takes away.
const AT_ONCE: usize = 512;
/// Parts of a checkpoint that one step takes away; they are large.
const PARTS_AT_ONCE: usize = 8;
/// Rows that one step looks at.
const LOOKS: usize = 8_192;

/// How far it has got.
#[derive(Default)]
pub(crate) struct Sweep(At);

type About = (u8, u64, u64, u8);

#[derive(Default)]
enum At {
    #[default]
    Row,
    /// The last row looked at.
    About(Option<About>),
    Texts,
    Gaps,
    /// How many of the tables are through: each in transactions of its own, so that what stays of both does
    /// not come to lie on pages beside each other.
    Checkpoints(usize),
    Events,
}

/// Whether there is anything to take away.
pub(crate) fn is_unswept(ledger: &Ledger) -> Result<bool, StoreError> {
    let read = ledger.database()?.begin_read()?;
    let last = proven_start(&read, &ledger.keys)?.last;
    if lacking(&read, &ledger.keys)?.is_some() {
        return Ok(true);
    }
    for table in COPIES {
        let table = match read.open_table(table) {
            Err(TableError::TableDoesNotExist(_)) => continue,
            table => table?,
        };
        let ends = [table.first()?, table.last()?];
        if ends.into_iter().flatten().any(|(key, _)| key.value().0 != last.0) {
            return Ok(true);
        }
    }
    match read.open_table(EVENTS) {
        Err(TableError::TableDoesNotExist(_)) => Ok(false),
        table => Ok(table?.first()?.is_some_and(|(seq, _)| seq.value() <= last.0)),
    }
}

impl Sweep {
    /// One step; tells whether it was the last. Begins anew with the next one if it fails.
    pub(crate) fn step(&mut self, ledger: &Ledger) -> Result<bool, StoreError> {
        let last = ledger.start()?.last;
        let at = std::mem::take(&mut self.0);
        if let At::Row = at {
            self.0 = if write_row(ledger)? { At::Row } else { At::About(None) };
            return Ok(false);
        }
        if let At::About(after) = at {
            self.0 = about(ledger, last, after)?.map_or(At::Texts, |after| At::About(Some(after)));
            return Ok(false);
        }
        let transaction = begin_lasting(&*ledger.database()?)?;
        let (next, is_more) = match &at {
            At::Row | At::About(_) | At::Texts => (At::Gaps, texts(&transaction, last)?),
            At::Gaps => (At::Checkpoints(0), gaps(&transaction, last)?),
            At::Checkpoints(through) => match COPIES.get(*through) {
                Some(copies) => (At::Checkpoints(through + 1), checkpoints(&transaction, *copies, last)?),
                None => (At::Events, false),
            },
            At::Events => (At::default(), entries(&transaction, last)?),
        };
        transaction.commit()?;
        let is_done = matches!(at, At::Events) && !is_more;
        self.0 = if is_more { at } else { next };
        Ok(is_done)
    }
}

/// Tells whether one was lacking.
fn write_row(ledger: &Ledger) -> Result<bool, StoreError> {
    let database = ledger.database()?;
    let Some((row, copies)) = lacking(&database.begin_read()?, &ledger.keys)? else { return Ok(false) };
    let transaction = begin_lasting(&database)?;
    transaction.open_table(copies)?.insert((row.head.last.0, ROW), row.bytes().as_slice())?;
    transaction.commit()?;
    Ok(true)
}

/// They are in the order of people, so all are looked at. Tells how far this step has come.
fn about(ledger: &Ledger, last: Seq, after: Option<About>) -> Result<Option<About>, StoreError> {
    let table = match ledger.database()?.begin_read()?.open_table(TEXTS_ABOUT) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let (mut old, mut looked_at, mut reached) = (Vec::new(), 0, None);
    for row in table.range::<About>((from, Bound::Unbounded))? {
        let key = row?.0.value();
        if key.2 <= last.0 {
            old.push(key);
        }
        (looked_at, reached) = (looked_at + 1, Some(key));
        if looked_at == LOOKS || old.len() == AT_ONCE {
            break;
        }
    }
    let is_more = looked_at == LOOKS || old.len() == AT_ONCE;
    if !old.is_empty() {
        let transaction = begin_lasting(&*ledger.database()?)?;
        let mut table = transaction.open_table(TEXTS_ABOUT)?;
        for key in old {
            table.remove(key)?;
        }
        drop(table);
        transaction.commit()?;
    }
    Ok(reached.filter(|_| is_more))
}

fn texts(transaction: &WriteTransaction, last: Seq) -> Result<bool, StoreError> {
    let mut table = transaction.open_table(TEXTS)?;
    let gone = table.extract_from_if(..=(last.0, u8::MAX), |_, _| true)?;
    counted(gone.take(AT_ONCE), AT_ONCE)
}

fn entries(transaction: &WriteTransaction, last: Seq) -> Result<bool, StoreError> {
    let mut table = transaction.open_table(EVENTS)?;
    // A row can hold what goes and what stays.
    let end = events::divide(&mut table, last.0)?;
    let gone = table.extract_from_if(..end, |_, _| true)?;
    counted(gone.take(AT_ONCE), AT_ONCE)
}

fn gaps(transaction: &WriteTransaction, last: Seq) -> Result<bool, StoreError> {
    let mut table = transaction.open_table(GAPS)?;
    let gone = table.extract_from_if(..=last.0, |_, _| true)?;
    counted(gone.take(AT_ONCE), AT_ONCE)
}

/// Those before, and what was begun and never came to be one. What stays is not looked at: it is large.
fn checkpoints(transaction: &WriteTransaction, copies: Copies, last: Seq) -> Result<bool, StoreError> {
    let mut table: Table<'_, (u64, u32), &[u8]> = transaction.open_table(copies)?;
    let before = table.extract_from_if(..(last.0, ROW), |_, _| true)?;
    if counted(before.take(PARTS_AT_ONCE), PARTS_AT_ONCE)? {
        return Ok(true);
    }
    let after = table.extract_from_if((last.0 + 1, ROW).., |_, _| true)?;
    counted(after.take(PARTS_AT_ONCE), PARTS_AT_ONCE)
}

/// Takes all of them; tells whether there may be more.
fn counted<T>(
    gone: impl Iterator<Item = Result<T, redb::StorageError>>,
    most: usize,
) -> Result<bool, StoreError> {
    let mut count = 0;
    for row in gone {
        row?;
        count += 1;
    }
    Ok(count == most)
}
