//! Passwords and second factors.
//!
//! Promises: sealed, also the password's hash: whoever has the file alone cannot even begin to guess.
//!
//! Refuses: hashing and checking. The store keeps what it is given.

use redb::TableHandle as _;
use rollcall_domain::ids::UserId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Register;
use crate::change::Change;
use crate::error::StoreError;
use crate::keys::Keys;
use crate::tables::{CREDENTIALS, PASSWORD, SECOND_FACTOR};

impl Register {
    /// The hash of a user's password, in PHC form.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn password(&self, user: UserId) -> Result<Option<String>, StoreError> {
        self.credential((PASSWORD, user.0))
    }

    /// The secret that a user's second factor makes codes from. It is here from when it is offered; whether
    /// it counts is the ledger's.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn second_factor(&self, user: UserId) -> Result<Option<Vec<u8>>, StoreError> {
        self.credential((SECOND_FACTOR, user.0))
    }

    fn credential<T: DeserializeOwned>(&self, key: (u8, u64)) -> Result<Option<T>, StoreError> {
        let Some(table) = self.table(CREDENTIALS)? else { return Ok(None) };
        let Some(row) = table.get(key)? else { return Ok(None) };
        self.keys().open(CREDENTIALS.name(), &key, row.value()).map(Some)
    }
}

pub(super) fn put_password(change: &Change, keys: &Keys, user: UserId, hash: &str) -> Result<(), StoreError> {
    put(change, keys, (PASSWORD, user.0), &hash)
}

pub(super) fn put_second_factor(
    change: &Change,
    keys: &Keys,
    user: UserId,
    secret: &[u8],
) -> Result<(), StoreError> {
    put(change, keys, (SECOND_FACTOR, user.0), &secret)
}

fn put(change: &Change, keys: &Keys, key: (u8, u64), value: &impl Serialize) -> Result<(), StoreError> {
    let row = keys.seal(CREDENTIALS.name(), &key, value)?;
    change.open_table(CREDENTIALS)?.insert(key, row.as_slice())?;
    Ok(())
}

pub(super) fn remove_password(change: &Change, user: UserId) -> Result<(), StoreError> {
    change.open_table(CREDENTIALS)?.remove((PASSWORD, user.0))?;
    Ok(())
}

pub(super) fn remove_second_factor(change: &Change, user: UserId) -> Result<(), StoreError> {
    change.open_table(CREDENTIALS)?.remove((SECOND_FACTOR, user.0))?;
    Ok(())
}
