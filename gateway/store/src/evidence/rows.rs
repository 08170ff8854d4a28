//! From items to rows and back, in one transaction.
//!
//! Promises: an item is in every table or in none; the totals are those of the rows. What lies in a row has
//! a version (that of the file) and a golden file.
//!
//! Refuses: committing, and deciding what goes.

use redb::{ReadableTable as _, Table, WriteTransaction};
use rollcall_domain::ids::DeviceId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::tables::{BY_DEVICE, BY_SUBJECT, BYTES, ITEMS, Key, META, TOTALS, id, subject};
use super::{Item, ItemId, Kept, Kind, Subject};
use crate::error::StoreError;

/// The format of the rows; a file of another one is set aside.
const FORMAT: u32 = 1;
/// What an item takes on disk besides its bytes, and what each of its subjects takes. Measured; so that
/// very many very small messages do not get around the cap.
const ITEM_ROWS: u64 = 192;
const SUBJECT_ROWS: u64 = 80;

/// What all items come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    format: u32,
    /// The number of the next item.
    next: u64,
    pub(super) items: u64,
    /// As [`cost`] counts them.
    pub(super) bytes: u64,
}

impl Default for Totals {
    fn default() -> Self {
        Totals { format: FORMAT, next: 1, items: 0, bytes: 0 }
    }
}

impl Totals {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        let totals: Totals = value(bytes)?;
        if totals.format == FORMAT { Ok(totals) } else { Err(StoreError::NotEvidence) }
    }

    /// Whether they say of the items what was counted.
    pub(super) fn are_those_of(&self, counted: &Totals) -> bool {
        (self.items, self.bytes) == (counted.items, counted.bytes)
    }

    pub(super) fn count(&mut self, row: &Row) {
        self.items += 1;
        self.bytes = self.bytes.saturating_add(row.cost());
    }

    pub(super) fn write(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
        let bytes = postcard::to_allocvec(self).map_err(StoreError::Encode)?;
        transaction.open_table(META)?.insert(TOTALS, bytes.as_slice())?;
        Ok(())
    }
}

/// What an item counts for.
pub(super) fn cost(bytes: usize, about: usize) -> u64 {
    let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let about = whole(about).saturating_mul(SUBJECT_ROWS);
    whole(bytes).saturating_add(ITEM_ROWS).saturating_add(about)
}

/// A row of [`ITEMS`].
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    device: DeviceId,
    kind: Kind,
    about: Vec<Subject>,
    /// How many bytes came.
    size: usize,
}

impl Row {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        value(bytes)
    }

    pub(super) fn cost(&self) -> u64 {
        cost(self.size, self.about.len())
    }

    /// Whether so many bytes came.
    pub(super) fn is_of(&self, bytes: &[u8]) -> bool {
        self.size == bytes.len()
    }

    pub(super) fn kept(self, id: ItemId) -> Kept {
        Kept { id, device: self.device, kind: self.kind, about: self.about, size: self.size }
    }
}

fn value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|_unreadable| StoreError::DamagedEvidence)
}

/// All tables, to be written.
pub(super) struct Rows<'t> {
    items: Table<'t, Key, &'static [u8]>,
    bytes: Table<'t, Key, &'static [u8]>,
    by_device: Table<'t, (&'static str, i64, u64), ()>,
    by_subject: Table<'t, (u8, u128, i64, u64), ()>,
}

impl<'t> Rows<'t> {
    /// Makes the tables that are not there.
    pub(super) fn of(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Rows {
            items: transaction.open_table(ITEMS)?,
            bytes: transaction.open_table(BYTES)?,
            by_device: transaction.open_table(BY_DEVICE)?,
            by_subject: transaction.open_table(BY_SUBJECT)?,
        })
    }

    pub(super) fn put(&mut self, totals: &mut Totals, item: &Item) -> Result<(), StoreError> {
        let key = (item.at.millis(), totals.next);
        let mut about = item.about.clone();
        about.sort_unstable();
        about.dedup();
        let row = Row { device: item.device.clone(), kind: item.kind, about, size: item.bytes.len() };
        self.put_row(totals, key, &row)?;
        self.bytes.insert(key, item.bytes.as_slice())?;
        totals.next += 1;
        Ok(())
    }

    /// Everything of an item but its bytes.
    pub(super) fn put_row(&mut self, totals: &mut Totals, key: Key, row: &Row) -> Result<(), StoreError> {
        for about in &row.about {
            let (kind, id) = subject(about);
            self.by_subject.insert((kind, id, key.0, key.1), ())?;
        }
        let bytes = postcard::to_allocvec(row).map_err(StoreError::Encode)?;
        self.items.insert(key, bytes.as_slice())?;
        self.by_device.insert((row.device.as_str(), key.0, key.1), ())?;
        totals.count(row);
        Ok(())
    }

    /// The bytes of an item that is there.
    pub(super) fn put_bytes(&mut self, key: Key, bytes: &[u8]) -> Result<(), StoreError> {
        let row = self.items.get(key)?.map(|row| Row::read(row.value())).transpose()?;
        if row.is_none_or(|row| !row.is_of(bytes)) {
            return Err(StoreError::DamagedEvidence);
        }
        self.bytes.insert(key, bytes)?;
        Ok(())
    }

    fn remove(&mut self, totals: &mut Totals, key: Key) -> Result<(), StoreError> {
        let Some(row) = self.items.remove(key)?.map(|row| Row::read(row.value())).transpose()? else {
            return Err(StoreError::DamagedEvidence);
        };
        self.bytes.remove(key)?;
        self.by_device.remove((row.device.as_str(), key.0, key.1))?;
        for about in &row.about {
            let (kind, id) = subject(about);
            self.by_subject.remove((kind, id, key.0, key.1))?;
        }
        totals.items = totals.items.saturating_sub(1);
        totals.bytes = totals.bytes.saturating_sub(row.cost());
        Ok(())
    }

    /// Removes up to `most` items, the oldest first, as long as `goes` says so of the oldest and of what all
    /// of them come to. Tells whether there may be more.
    pub(super) fn remove_oldest(
        &mut self,
        totals: &mut Totals,
        most: usize,
        goes: impl Fn(ItemId, u64) -> bool,
    ) -> Result<bool, StoreError> {
        let mut left = totals.bytes;
        let mut going = Vec::new();
        for row in self.items.iter()?.take(most) {
            let (key, row) = row?;
            if !goes(id(key.value()), left) {
                break;
            }
            left = left.saturating_sub(Row::read(row.value())?.cost());
            going.push(key.value());
        }
        let more = going.len() == most;
        going.into_iter().try_for_each(|key| self.remove(totals, key))?;
        Ok(more)
    }

    /// Removes up to `most` items about this; tells how many it were.
    pub(super) fn remove_about(
        &mut self,
        totals: &mut Totals,
        most: usize,
        about: &Subject,
    ) -> Result<usize, StoreError> {
        let (kind, id) = subject(about);
        let range = (kind, id, i64::MIN, 0)..=(kind, id, i64::MAX, u64::MAX);
        let mut going = Vec::new();
        for row in self.by_subject.range(range)?.take(most) {
            let (_, _, at, number) = row?.0.value();
            going.push((at, number));
        }
        let count = going.len();
        going.into_iter().try_for_each(|key| self.remove(totals, key))?;
        Ok(count)
    }
}
