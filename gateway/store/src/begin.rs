//! Beginning to write to a database.
//!
//! Promises: what is committed lastingly is on disk, with a note of which pages are free, so that a file that
//! was not closed is open at once, instead of being read from end to end; it can never be taken for one whose
//! last commit is unfinished.
//!
//! Refuses: nothing.

use redb::{Database, Durability, WriteTransaction};

use crate::error::StoreError;

/// A transaction that will have outlived a power cut once it is committed.
pub(crate) fn begin_lasting(database: &Database) -> Result<WriteTransaction, StoreError> {
    begin(database, true)
}

/// A transaction; `lasting` if that is to outlive a power cut.
pub(crate) fn begin(database: &Database, lasting: bool) -> Result<WriteTransaction, StoreError> {
    let mut transaction = database.begin_write()?;
    let durability = if lasting { Durability::Immediate } else { Durability::None };
    transaction.set_durability(durability).map_err(redb::Error::from)?;
    transaction.set_quick_repair(lasting);
    Ok(transaction)
}
