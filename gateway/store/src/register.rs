//! The people register: what identifies people, beside the ledger and in its transactions.
//!
//! Promises: a row about a person is written with the event about them or not at all.
//!
//! Refuses: history. What a name was before belongs to the event that changed it.

use std::sync::Arc;

use redb::{ReadableDatabase as _, TableError, WriteTransaction};
use rollcall_domain::ids::{DeviceId, Seq, StudentId, TeacherId, UserId};
use rollcall_domain::people::{Personal, StudentDetails, TeacherDetails, UserDetails};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::append::Credential;
use crate::error::StoreError;
use crate::ledger::Ledger;
use crate::tables::{CREDENTIALS, DEVICE_SECRET, DEVICES, PASSWORD, PEOPLE, STUDENT, TEACHER, TEXTS, USER};

/// Reads what identifies people.
#[derive(Clone)]
pub struct Register {
    ledger: Arc<Ledger>,
}

impl Register {
    pub(crate) fn of(ledger: &Arc<Ledger>) -> Self {
        Register { ledger: Arc::clone(ledger) }
    }

    /// # Errors
    /// The register cannot be read.
    pub fn student(&self, id: StudentId) -> Result<Option<StudentDetails>, StoreError> {
        self.person(STUDENT, id.0)
    }

    /// # Errors
    /// The register cannot be read.
    pub fn teacher(&self, id: TeacherId) -> Result<Option<TeacherDetails>, StoreError> {
        self.person(TEACHER, id.0)
    }

    /// # Errors
    /// The register cannot be read.
    pub fn user(&self, id: UserId) -> Result<Option<UserDetails>, StoreError> {
        self.person(USER, id.0)
    }

    /// The hash of a user's password.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn password(&self, user: UserId) -> Result<Option<String>, StoreError> {
        self.credential(PASSWORD, &user.to_string())
    }

    /// The hash of a device's secret.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn device_secret(&self, device: &DeviceId) -> Result<Option<String>, StoreError> {
        self.credential(DEVICE_SECRET, device.as_str())
    }

    fn person<T: DeserializeOwned>(&self, kind: u8, id: u64) -> Result<Option<T>, StoreError> {
        let read = self.ledger.database()?.begin_read()?;
        let table = match read.open_table(PEOPLE) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table?,
        };
        let Some(row) = table.get((kind, id))? else { return Ok(None) };
        let details = postcard::from_bytes(row.value());
        details.map(Some).map_err(|_unreadable| StoreError::Row { row: format!("person {kind}/{id}") })
    }

    fn credential(&self, kind: u8, name: &str) -> Result<Option<String>, StoreError> {
        let read = self.ledger.database()?.begin_read()?;
        let table = match read.open_table(CREDENTIALS) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table?,
        };
        Ok(table.get((kind, name))?.map(|row| row.value().to_owned()))
    }
}

/// Writes what an event says of people.
pub(crate) fn write(
    transaction: &WriteTransaction,
    seq: Seq,
    personal: &[Personal],
) -> Result<(), StoreError> {
    for row in personal {
        match row {
            Personal::Student(id, details) => put(transaction, (STUDENT, id.0), details)?,
            Personal::Teacher(id, details) => put(transaction, (TEACHER, id.0), details)?,
            Personal::User(id, details) => put(transaction, (USER, id.0), details)?,
            Personal::Device(id, details) => {
                let value = postcard::to_allocvec(details).map_err(StoreError::Encode)?;
                transaction.open_table(DEVICES)?.insert(id.as_str(), value.as_slice())?;
            }
            Personal::Text { field, about, text } => {
                let value = postcard::to_allocvec(&(about, text)).map_err(StoreError::Encode)?;
                let key = (seq.0, *field as u8);
                transaction.open_table(TEXTS)?.insert(key, value.as_slice())?;
            }
        }
    }
    Ok(())
}

fn put(transaction: &WriteTransaction, key: (u8, u64), details: &impl Serialize) -> Result<(), StoreError> {
    let value = postcard::to_allocvec(details).map_err(StoreError::Encode)?;
    transaction.open_table(PEOPLE)?.insert(key, value.as_slice())?;
    Ok(())
}

pub(crate) fn write_credentials(
    transaction: &WriteTransaction,
    credentials: &[Credential],
) -> Result<(), StoreError> {
    for credential in credentials {
        let mut table = transaction.open_table(CREDENTIALS)?;
        match credential {
            Credential::Password { user, hash } => {
                table.insert((PASSWORD, user.to_string().as_str()), hash.as_str())?
            }
            Credential::DeviceSecret { device, hash } => {
                table.insert((DEVICE_SECRET, device.as_str()), hash.as_str())?
            }
        };
    }
    Ok(())
}
