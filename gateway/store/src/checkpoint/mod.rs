//! What the ledger begins with, once its oldest entries are forgotten.
//!
//! Promises: a ledger with a checkpoint is checked from the entry that the checkpoint stands for on, as one
//! without is from its first; views made anew begin with what the checkpoint holds; each part of it, and its
//! row, lie in two tables, and are written there by two transactions, so that they do not lie beside each
//! other either: pages that are damaged together lose neither; parts without a row mean nothing.
//!
//! Refuses: deciding what is forgotten ([`crate::retention`]), and taking it away ([`sweep`]).

pub(crate) mod frame;
mod sweep;

use redb::{ReadTransaction, ReadableDatabase as _, TableDefinition, TableError};
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;
use rollcall_domain::session::Session;

pub(crate) use frame::Row;
pub(crate) use sweep::{Sweep, is_unswept};

use crate::error::StoreError;
use crate::keys::Keys;
use crate::ledger::{Head, Ledger};
use crate::tables::{CHECKPOINT, CHECKPOINT_AGAIN};
use crate::views::{Item, ViewsFile};

/// After so many items of views that are begun anew it is asked whether to go on.
const ITEMS: usize = 256;

/// The part with this number is the row.
pub(crate) const ROW: u32 = 0;

/// A table of rows and parts.
pub(crate) type Copies = TableDefinition<'static, (u64, u32), &'static [u8]>;

/// There are two of everything.
pub(crate) const COPIES: [Copies; 2] = [CHECKPOINT, CHECKPOINT_AGAIN];

/// Entries that the ledger was told to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// Every entry up to this one.
    pub to: Seq,
    /// How many there were.
    pub entries: u64,
    /// When this was written down.
    pub at: Moment,
}

impl From<Row> for Forgotten {
    fn from(row: Row) -> Self {
        Forgotten { to: row.head.last, entries: row.entries, at: row.at }
    }
}

type Table = redb::ReadOnlyTable<(u64, u32), &'static [u8]>;

/// Both tables, as far as they are there.
struct Tables(Vec<Table>);

impl Tables {
    fn open(read: &ReadTransaction) -> Result<Self, StoreError> {
        let mut tables = Vec::with_capacity(2);
        for table in COPIES {
            match read.open_table(table) {
                Err(TableError::TableDoesNotExist(_)) => {}
                table => tables.push(table?),
            }
        }
        Ok(Tables(tables))
    }

    /// Its copies that can be read.
    fn rows(&self, last: u64) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::with_capacity(2);
        for table in &self.0 {
            if let Some(bytes) = table.get((last, ROW))? {
                rows.extend(Row::read(bytes.value())?.filter(|row| row.head.last.0 == last));
            }
        }
        Ok(rows)
    }

    fn row(&self, last: u64) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(last)?.first().copied())
    }

    /// The latest checkpoint that has its row.
    fn latest(&self) -> Result<Option<Row>, StoreError> {
        let mut end = (u64::MAX, u32::MAX);
        loop {
            let mut last = None;
            for table in &self.0 {
                last = last.max(table.range(..=end)?.next_back().transpose()?.map(|(key, _)| key.value().0));
            }
            let Some(last) = last else { return Ok(None) };
            if let Some(row) = self.row(last)? {
                return Ok(Some(row));
            }
            let Some(before) = last.checked_sub(1) else { return Ok(None) };
            end = (before, u32::MAX);
        }
    }

    /// A part that is whole, from whichever table.
    fn part(&self, row: &Row, number: u32) -> Result<Vec<u8>, StoreError> {
        for table in &self.0 {
            if let Some(bytes) = table.get((row.head.last.0, number))?
                && frame::part_header(bytes.value()).is_some_and(|header| header.is_of(row, number))
                && frame::is_whole_part(bytes.value())?
            {
                return Ok(bytes.value().to_vec());
            }
        }
        Err(StoreError::Checkpoint { seq: row.head.last.0 })
    }
}

/// Where the ledger begins, for who does not have the key: the seal of the row is not looked at.
pub(crate) fn start(read: &ReadTransaction) -> Result<Head, StoreError> {
    Ok(Tables::open(read)?.latest()?.map_or(Head::START, |row| row.head))
}

/// The same, if whoever has the key says so.
pub(crate) fn proven_start(read: &ReadTransaction, keys: &Keys) -> Result<Head, StoreError> {
    Ok(proven(read, keys)?.map_or(Head::START, |row| row.head))
}

/// The latest checkpoint as who has the key wrote it, in whichever copy.
fn proven(read: &ReadTransaction, keys: &Keys) -> Result<Option<Row>, StoreError> {
    let tables = Tables::open(read)?;
    let Some(latest) = tables.latest()? else { return Ok(None) };
    let last = latest.head.last;
    let genuine = tables.rows(last.0)?.into_iter().find(|row| row.is_genuine(keys.chain(last)));
    genuine.map(Some).ok_or(StoreError::Chain { seq: last.0 })
}

/// What the ledger was told to forget.
pub(crate) fn known(ledger: &Ledger) -> Result<Option<Forgotten>, StoreError> {
    Ok(proven(&ledger.database()?.begin_read()?, &ledger.keys)?.map(Forgotten::from))
}

/// The row, and a table that lacks it: the power went between the two, or what is there was changed since.
fn lacking(read: &ReadTransaction, keys: &Keys) -> Result<Option<(Row, Copies)>, StoreError> {
    let Some(row) = proven(read, keys)? else { return Ok(None) };
    for copies in COPIES {
        let is_there = match read.open_table(copies) {
            Err(TableError::TableDoesNotExist(_)) => false,
            table => table?.get((row.head.last.0, ROW))?.is_some_and(|bytes| bytes.value() == row.bytes()),
        };
        if !is_there {
            return Ok(Some((row, copies)));
        }
    }
    Ok(None)
}

/// Hands every item of the checkpoint to `each`; ends with an error if they are not those that were written,
/// of which some were handed out then.
fn items(
    read: &ReadTransaction,
    row: &Row,
    mut each: impl FnMut(Item) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let last = row.head.last;
    parts(read, row, |_number, bytes| frame::items(last, bytes)?.into_iter().try_for_each(&mut each))
}

/// Hands out the checkpoint's row, and each of its parts, from whichever copy is whole and, of the row, sealed.
pub(crate) fn rows(
    read: &ReadTransaction,
    keys: &Keys,
    mut each: impl FnMut((u64, u32), &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Some(row) = proven(read, keys)? else { return Ok(()) };
    let last = row.head.last.0;
    each((last, ROW), &row.bytes())?;
    parts(read, &row, |number, bytes| each((last, number), bytes))
}

/// Hands out every part, and ends with an error if they are not those that were written.
fn parts(
    read: &ReadTransaction,
    row: &Row,
    mut each: impl FnMut(u32, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let tables = Tables::open(read)?;
    let mut hasher = blake3::Hasher::new();
    for number in 1..=row.parts {
        let bytes = tables.part(row, number)?;
        hasher.update(&bytes);
        each(number, &bytes)?;
    }
    if *hasher.finalize().as_bytes() == row.hash {
        Ok(())
    } else {
        Err(StoreError::Checkpoint { seq: row.head.last.0 })
    }
}

/// Looks at both copies of everything.
pub(crate) fn check(ledger: &Ledger) -> Result<Option<Forgotten>, StoreError> {
    let read = ledger.database()?.begin_read()?;
    let Some(row) = proven(&read, &ledger.keys)? else { return Ok(None) };
    for table in Tables::open(&read)?.0 {
        let one = Tables(vec![table]);
        let mut hasher = blake3::Hasher::new();
        for number in 1..=row.parts {
            hasher.update(&one.part(&row, number)?);
        }
        if one.row(row.head.last.0)? != Some(row) || *hasher.finalize().as_bytes() != row.hash {
            return Err(StoreError::Checkpoint { seq: row.head.last.0 });
        }
    }
    Ok(Some(row.into()))
}

/// Why views were not begun anew.
pub(crate) enum Unbegun {
    /// Whoever was asked did not want it any more.
    Stopped,
    /// The checkpoint cannot be read.
    Ledger(StoreError),
    Views(StoreError),
}

impl From<Unbegun> for StoreError {
    fn from(why: Unbegun) -> Self {
        match why {
            Unbegun::Stopped => StoreError::Ended,
            Unbegun::Ledger(error) | Unbegun::Views(error) => error,
        }
    }
}

/// Begins views anew that are not as far as the ledger's beginning; tells whether they are there now. Asks before
/// anything is written, and now and then, whether to go on; those that were begun then are nothing yet.
pub(crate) fn begin_views(
    ledger: &Ledger,
    file: &mut ViewsFile,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<bool, Unbegun> {
    let (read, row) = match behind(ledger, file.head()).map_err(Unbegun::Ledger)? {
        Some(behind) => behind,
        None => return Ok(false),
    };
    if !go_on() {
        return Err(Unbegun::Stopped);
    }
    file.make_anew().map_err(Unbegun::Views)?;
    let (mut restoring, mut taken, mut stopped) = (file.restoring(), 0_usize, None);
    let mut stop = |why| {
        stopped = Some(why);
        Err(StoreError::Ended)
    };
    let read = items(&read, &row, |item| {
        taken += 1;
        if taken.is_multiple_of(ITEMS) && !go_on() {
            return stop(Unbegun::Stopped);
        }
        restoring.take(item).or_else(|error| stop(Unbegun::Views(error)))
    });
    if let Some(why) = stopped {
        return Err(why);
    }
    read.map_err(Unbegun::Ledger)?;
    restoring.end(row.head).map_err(Unbegun::Views)?;
    Ok(true)
}

/// The checkpoint, if views that are there are before it.
fn behind(ledger: &Ledger, head: Head) -> Result<Option<(ReadTransaction, Row)>, StoreError> {
    let read = ledger.database()?.begin_read()?;
    let row = proven(&read, &ledger.keys)?.filter(|row| head.last < row.head.last);
    Ok(row.map(|row| (read, row)))
}

/// The sessions in the checkpoint.
pub(crate) fn sessions(ledger: &Ledger, mut each: impl FnMut(Session)) -> Result<(), StoreError> {
    let read = ledger.database()?.begin_read()?;
    let Some(row) = proven(&read, &ledger.keys)? else { return Ok(()) };
    items(&read, &row, |item| {
        if let Item::Session(session) = item {
            each(*session);
        }
        Ok(())
    })
}
