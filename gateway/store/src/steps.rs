//! A new file that rows are put into, a step at a time.
//!
//! Promises: what waits to be written, and what the engine keeps of the file, is bounded by rows and by bytes,
//! however much there is in all.
//!
//! Refuses: being of use to anybody before all steps are taken.

use std::path::Path;

use redb::{Database, WriteTransaction};

use crate::error::StoreError;

/// What goes into one transaction: so many rows, or, if they are large, as many as come to so many bytes.
const ROWS: u64 = 16_384;
const BYTES: usize = 8 << 20;
/// Pages that may stay in memory.
const CACHE_BYTES: usize = 16 << 20;

pub(crate) struct Steps {
    database: Database,
    transaction: Option<WriteTransaction>,
    /// In it.
    rows: u64,
    bytes: usize,
}

impl Steps {
    pub(crate) fn into_new(path: &Path) -> Result<Self, StoreError> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        Ok(Steps { database, transaction: None, rows: 0, bytes: 0 })
    }

    /// Whether this one is to be ended before another row comes.
    pub(crate) fn is_full(&self) -> bool {
        self.rows >= ROWS || self.bytes >= BYTES
    }

    /// What a row of so many bytes goes into.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<&WriteTransaction, StoreError> {
        self.rows += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        match &mut self.transaction {
            Some(transaction) => Ok(transaction),
            none => Ok(none.insert(self.database.begin_write()?)),
        }
    }

    /// What has been taken since the last end.
    pub(crate) fn taken(&self) -> Option<&WriteTransaction> {
        self.transaction.as_ref()
    }

    pub(crate) fn end(&mut self) -> Result<(), StoreError> {
        (self.rows, self.bytes) = (0, 0);
        self.transaction.take().map_or(Ok(()), |transaction| Ok(transaction.commit()?))
    }
}

#[cfg(test)]
mod tests {
    use redb::TableDefinition;

    use super::*;

    const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");

    /// After how many rows of so many bytes a step is full.
    fn full_after(bytes: usize) -> u64 {
        let folder = tempfile::tempdir().unwrap();
        let (mut steps, row) = (Steps::into_new(&folder.path().join("f")).unwrap(), vec![1; bytes]);
        for number in 0.. {
            if steps.is_full() {
                steps.end().unwrap();
                assert!(!steps.is_full() && steps.taken().is_none());
                return number;
            }
            steps.take(bytes).unwrap().open_table(TABLE).unwrap().insert(number, row.as_slice()).unwrap();
        }
        0
    }

    #[test]
    fn a_step_is_bounded_by_rows_and_by_bytes() {
        assert_eq!(full_after(1), ROWS);
        assert_eq!(full_after(64 << 10), 128);
        assert_eq!(full_after(20 << 20), 1);
    }
}
