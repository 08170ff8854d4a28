//! Reading what was kept.
//!
//! Promises: pages come oldest first and go on where the last one ended; reading waits for nobody. What
//! stands in the way of a reader is told to the thread, which deals with it.

use std::sync::Arc;

use redb::{ReadTransaction, ReadableDatabase as _};
use rollcall_domain::ids::DeviceId;
use rollcall_domain::moment::Moment;

use super::file::guarded;
use super::rows::{Row, Totals};
use super::tables::{BY_DEVICE, BY_SUBJECT, BYTES, ITEMS, Key, META, TOTALS, id, key, subject};
use super::{Evidence, ItemId, Kept, Subject};
use crate::error::StoreError;

impl Evidence {
    /// Up to `limit` items from `from` on and before `until`.
    ///
    /// # Errors
    /// The evidence cannot be read now.
    pub fn between(&self, from: ItemId, until: Moment, limit: usize) -> Result<Vec<Kept>, StoreError> {
        self.read(|read| {
            let until = (until.millis(), 0);
            let items = read.open_table(ITEMS)?;
            let found = items.range(key(from)..until.max(key(from)))?.take(limit).map(|row| {
                let (key, row) = row?;
                Ok(Row::read(row.value())?.kept(id(key.value())))
            });
            found.collect()
        })
    }

    /// Up to `limit` items that came from a device, from `from` on.
    ///
    /// # Errors
    /// The evidence cannot be read now.
    pub fn of_device(&self, device: &DeviceId, from: ItemId, limit: usize) -> Result<Vec<Kept>, StoreError> {
        self.read(|read| {
            let (at, number) = key(from);
            let range = (device.as_str(), at, number)..=(device.as_str(), i64::MAX, u64::MAX);
            let found = read.open_table(BY_DEVICE)?.range(range)?.take(limit).map(|row| {
                let (_, at, number) = row?.0.value();
                Ok((at, number))
            });
            kept(read, found)
        })
    }

    /// Up to `limit` items about a student, an entry of the ledger or a scan, from `from` on.
    ///
    /// # Errors
    /// The evidence cannot be read now.
    pub fn about(&self, about: &Subject, from: ItemId, limit: usize) -> Result<Vec<Kept>, StoreError> {
        self.read(|read| {
            let ((kind, id), (at, number)) = (subject(about), key(from));
            let range = (kind, id, at, number)..=(kind, id, i64::MAX, u64::MAX);
            let found = read.open_table(BY_SUBJECT)?.range(range)?.take(limit).map(|row| {
                let (_, _, at, number) = row?.0.value();
                Ok((at, number))
            });
            kept(read, found)
        })
    }

    /// The bytes of an item, as they came.
    ///
    /// # Errors
    /// The evidence cannot be read now.
    pub fn bytes(&self, id: ItemId) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|read| Ok(read.open_table(BYTES)?.get(key(id))?.map(|bytes| bytes.value().to_vec())))
    }

    /// How many items there are, and what they count for.
    ///
    /// # Errors
    /// The evidence cannot be read now.
    pub fn size(&self) -> Result<(u64, u64), StoreError> {
        self.read(|read| {
            let totals = read.open_table(META)?.get(TOTALS)?.map(|row| Totals::read(row.value()));
            let totals = totals.transpose()?.unwrap_or_default();
            Ok((totals.items, totals.bytes))
        })
    }

    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let database = self.shared().database()?;
        let read_from = Arc::downgrade(&database);
        // The database is closed by whoever lets go of it last, which may be this reader.
        let done = guarded(move || read(&database.begin_read()?));
        done.map_err(|error| {
            // Another one may have been opened meanwhile, which is not to blame.
            let current = self.shared().database();
            if current.is_ok_and(|current| read_from.ptr_eq(&Arc::downgrade(&current))) {
                self.shared().change(|waiting| waiting.trouble = Some(error));
            }
            StoreError::Down
        })
    }
}

fn kept(
    read: &ReadTransaction,
    keys: impl Iterator<Item = Result<Key, StoreError>>,
) -> Result<Vec<Kept>, StoreError> {
    let items = read.open_table(ITEMS)?;
    keys.map(|key| {
        let key = key?;
        let row = items.get(key)?.ok_or(StoreError::DamagedEvidence)?;
        Ok(Row::read(row.value())?.kept(id(key)))
    })
    .collect()
}
