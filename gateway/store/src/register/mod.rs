//! The people register: what identifies people and lets them in, beside the ledger and in its transactions.
//!
//! Promises: a row about a person is written with the event about them or not at all; what an event says is
//! gone is gone from the register in the same transaction; what tells something about somebody lies sealed,
//! and what lets somebody in lies sealed or as a keyed hash.
//!
//! Refuses: history. What a name was before belongs to the event that changed it.
//!
//! "Gone" means: no table has it, and nothing that reads the store finds it. The engine reuses the pages of
//! its file and does not write zeros over them, so the sealed bytes of a row may lie in a free page until
//! something else is put there, and in backups until those are thrown away. Who must be sure sooner replaces
//! the root key, or restores a backup into a new file.

mod details;
mod forget;
mod reseal;
mod secrets;
mod sign_in;
mod templates;
mod texts;

use std::sync::Arc;

use redb::{Key, ReadOnlyTable, ReadableDatabase as _, TableDefinition, TableError, Value};
use rollcall_domain::event::{Entry, Event};
use rollcall_domain::people::Personal;

use crate::append::Credential;
use crate::change::Change;
use crate::error::StoreError;
use crate::keys::Keys;
use crate::ledger::Ledger;

pub use templates::Template;
pub use texts::Text;

pub(crate) use forget::person as forget_person;
pub(crate) use reseal::Reseal;

/// Reads what identifies people and lets them in.
#[derive(Clone)]
pub struct Register {
    ledger: Arc<Ledger>,
}

impl Register {
    pub(crate) fn of(ledger: &Arc<Ledger>) -> Self {
        Register { ledger: Arc::clone(ledger) }
    }

    fn keys(&self) -> &Keys {
        &self.ledger.keys
    }

    /// `None` before anything was written to it.
    fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<Option<ReadOnlyTable<K, V>>, StoreError> {
        let opened = match self.ledger.database()?.begin_read()?.open_table(table) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        };
        self.ledger.noted(opened)
    }
}

/// Writes what comes with an event, and takes away what it says is gone.
pub(crate) fn write(
    change: &Change,
    keys: &Keys,
    entry: &Entry,
    personal: &[Personal],
) -> Result<(), StoreError> {
    forget::follow(change, &entry.event)?;
    for row in personal {
        match row {
            Personal::Text { field, about, text } => {
                texts::write(change, keys, (entry.seq, *field), *about, text)?;
            }
            row => details::write(change, keys, row)?,
        }
    }
    Ok(())
}

/// Writes the credentials of an append.
pub(crate) fn write_credentials(
    change: &Change,
    keys: &Keys,
    credentials: &[Credential],
) -> Result<(), StoreError> {
    for credential in credentials {
        match credential {
            Credential::Password { user, hash } => sign_in::put_password(change, keys, *user, hash)?,
            Credential::SecondFactor { user, secret } => {
                sign_in::put_second_factor(change, keys, *user, secret)?;
            }
            Credential::Template(template) => templates::put(change, keys, template)?,
            Credential::Gone(held) => forget::credential(change, held)?,
            secret => secrets::write(change, secret)?,
        }
    }
    Ok(())
}

/// Whether all that can be used once and is used by these is still there.
pub(crate) fn are_unused(change: &Change, credentials: &[Credential]) -> Result<bool, StoreError> {
    for credential in credentials {
        if !secrets::is_unused(change, credential)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Forgets whom these events erased; last of all that an append writes, so that nothing slips in behind it.
pub(crate) fn forget_erased(change: &Change, entries: &[Entry]) -> Result<(), StoreError> {
    for entry in entries {
        if let Event::Erased(person) = &entry.event {
            forget::person(change, *person)?;
        }
    }
    Ok(())
}
