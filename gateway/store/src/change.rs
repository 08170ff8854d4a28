//! A transaction that begins with the first table that is asked for.
//!
//! Promises: whether anything but entries is written is known by what was done, not by who remembered to say
//! so; what is not committed has not happened.
//!
//! Refuses: being held across commits.

use std::cell::OnceCell;
use std::sync::Arc;

use redb::{Database, Key, Table, TableDefinition, Value, WriteTransaction};

use crate::begin::begin_lasting;
use crate::error::StoreError;

pub(crate) struct Change {
    database: Arc<Database>,
    begun: OnceCell<WriteTransaction>,
}

impl Change {
    pub(crate) fn of(database: Arc<Database>) -> Self {
        Change { database, begun: OnceCell::new() }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.get().is_some()
    }

    pub(crate) fn transaction(&self) -> Result<&WriteTransaction, StoreError> {
        if let Some(begun) = self.begun.get() {
            return Ok(begun);
        }
        let transaction = begin_lasting(&self.database)?;
        Ok(self.begun.get_or_init(|| transaction))
    }

    pub(crate) fn open_table<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<Table<'_, K, V>, StoreError> {
        Ok(self.transaction()?.open_table(table)?)
    }

    /// Brings what was done to the disk.
    pub(crate) fn commit(self) -> Result<(), StoreError> {
        self.begun.into_inner().map_or(Ok(()), |transaction| Ok(transaction.commit()?))
    }
}
