//! All of the evidence, out of one file and into another: what a backup needs.
//!
//! Promises: what is read belongs together, as it was at one moment; what is read and what is put in is checked:
//! every item has its bytes, and all of them come to what the totals say; memory holds one row at a time, and what the
//! engine keeps of a transaction.
//!
//! Refuses: knowing what a backup looks like.

use std::path::Path;

use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase as _, TableError, TableHandle as _, Value};

use super::Evidence;
use super::file::totals_in;
use super::rows::{Row, Rows, Totals};
use super::tables::{BYTES, ITEMS, Key, META, TOTALS};
use crate::caught::caught;
use crate::error::StoreError;
use crate::overlay::{Look, look_at, open_unchanged};
use crate::steps::Steps;

impl Evidence {
    /// Reads from one moment, after all that was handed over by now, if the disk takes it. What goes wrong
    /// with the backup is not held against the file.
    pub(crate) fn look<T>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.settle().ok();
        self.read(|read| match look(read) {
            Err(error @ StoreError::Backup { .. }) => Ok(Err(error)),
            looked => Ok(Ok(looked?)),
        })?
    }
}

/// Reads from a file that nobody has open, and changes nothing in it; nothing if there is none.
pub(crate) fn look_at_closed<T>(
    path: &Path,
    look: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    match look_at(path)? {
        Look::Absent => return Ok(None),
        Look::Damaged(what) => return Err(StoreError::Broken { path: path.to_owned(), what }),
        Look::Whole | Look::Unclosed => {}
    }
    caught(|| {
        let database = open_unchanged(path)?;
        totals_in(&database)?;
        look(&database.begin_read()?).map(Some)
    })
}

/// What is counted of rows on their way into a backup: that they could be brought back.
pub(crate) struct Proof {
    items: Option<ReadOnlyTable<Key, &'static [u8]>>,
    counted: Totals,
    /// Items whose bytes have come.
    whole: u64,
    told: Option<Totals>,
}

impl Proof {
    pub(crate) fn of(read: &ReadTransaction) -> Result<Self, StoreError> {
        let items = match read.open_table(ITEMS) {
            Err(TableError::TableDoesNotExist(_)) => None,
            items => Some(items?),
        };
        let (counted, told) = Default::default();
        Ok(Proof { items, counted, whole: 0, told })
    }

    /// Looks at a row of one of the tables that are copied.
    pub(crate) fn see(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if table == META.name() && key == TOTALS.as_bytes() {
            self.told = Some(Totals::read(value)?);
        } else if table == ITEMS.name() {
            self.counted.count(&Row::read(value)?);
        } else if table == BYTES.name() {
            let item = self.items.as_ref().map(|items| items.get(<Key as Value>::from_bytes(key)));
            let row = item.transpose()?.flatten().map(|row| Row::read(row.value())).transpose()?;
            if row.is_none_or(|row| !row.is_of(value)) {
                return Err(StoreError::DamagedEvidence);
            }
            self.whole += 1;
        }
        Ok(())
    }

    /// All have come.
    pub(crate) fn end(&self) -> Result<(), StoreError> {
        are_all(&self.told.unwrap_or_default(), &self.counted, self.whole)
    }
}

fn are_all(told: &Totals, counted: &Totals, whole: u64) -> Result<(), StoreError> {
    let all = told.are_those_of(counted) && whole == counted.items;
    if all { Ok(()) } else { Err(StoreError::DamagedEvidence) }
}

/// A new file that rows are put into.
pub(crate) struct Loading {
    steps: Steps,
    /// As counted by the rows.
    counted: Totals,
    /// Items whose bytes have come.
    whole: u64,
    told: Option<Totals>,
}

impl Loading {
    pub(crate) fn into_new(path: &Path) -> Result<Self, StoreError> {
        let (counted, told) = Default::default();
        Ok(Loading { steps: Steps::into_new(path)?, counted, whole: 0, told })
    }

    /// Takes a row of one of the tables that are copied; the others are made of these.
    pub(crate) fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if table == META.name() {
            if key == TOTALS.as_bytes() {
                self.told = Some(Totals::read(value)?);
            }
            return Ok(());
        }
        if self.steps.is_full() {
            self.steps.end()?;
        }
        let transaction = self.steps.take(key.len() + value.len())?;
        let (mut rows, key) = (Rows::of(transaction)?, <Key as Value>::from_bytes(key));
        if table == ITEMS.name() {
            rows.put_row(&mut self.counted, key, &Row::read(value)?)?;
        } else if table == BYTES.name() {
            rows.put_bytes(key, value)?;
            self.whole += 1;
        }
        Ok(())
    }

    /// All has come.
    pub(crate) fn end(mut self) -> Result<(), StoreError> {
        let told = self.told.unwrap_or_default();
        are_all(&told, &self.counted, self.whole)?;
        let transaction = self.steps.take(0)?;
        Rows::of(transaction)?;
        told.write(transaction)?;
        self.steps.end()
    }
}
