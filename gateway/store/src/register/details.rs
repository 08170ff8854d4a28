//! Names, numbers, cards and addresses: one sealed row for each person, one for each device.
//!
//! Promises: the last that was written of somebody is read; a kind of people can be read from end to end.

use redb::TableHandle as _;
use rollcall_domain::ids::{DeviceId, StudentId, TeacherId, UserId};
use rollcall_domain::people::{DeviceDetails, Person, Personal, StudentDetails, TeacherDetails, UserDetails};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Register;
use crate::change::Change;
use crate::error::StoreError;
use crate::keys::Keys;
use crate::tables::{DEVICES, PEOPLE, STUDENT, TEACHER, USER};

impl Register {
    /// # Errors
    /// The register cannot be read.
    pub fn student(&self, id: StudentId) -> Result<Option<StudentDetails>, StoreError> {
        self.person((STUDENT, id.0))
    }

    /// # Errors
    /// The register cannot be read.
    pub fn teacher(&self, id: TeacherId) -> Result<Option<TeacherDetails>, StoreError> {
        self.person((TEACHER, id.0))
    }

    /// # Errors
    /// The register cannot be read.
    pub fn user(&self, id: UserId) -> Result<Option<UserDetails>, StoreError> {
        self.person((USER, id.0))
    }

    /// Up to `limit` students from this one on, by id.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn students(
        &self,
        from: StudentId,
        limit: usize,
    ) -> Result<Vec<(StudentId, StudentDetails)>, StoreError> {
        self.people(STUDENT, from.0, limit, StudentId)
    }

    /// Up to `limit` teachers from this one on, by id.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn teachers(
        &self,
        from: TeacherId,
        limit: usize,
    ) -> Result<Vec<(TeacherId, TeacherDetails)>, StoreError> {
        self.people(TEACHER, from.0, limit, TeacherId)
    }

    /// Up to `limit` sign-ins from this one on, by id.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn users(&self, from: UserId, limit: usize) -> Result<Vec<(UserId, UserDetails)>, StoreError> {
        self.people(USER, from.0, limit, UserId)
    }

    /// Where a device is reached.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn device(&self, id: &DeviceId) -> Result<Option<DeviceDetails>, StoreError> {
        let Some(table) = self.table(DEVICES)? else { return Ok(None) };
        let key = id.as_str().to_owned();
        let Some(row) = table.get(&key)? else { return Ok(None) };
        self.keys().open(DEVICES.name(), &key, row.value()).map(Some)
    }

    fn person<T: DeserializeOwned>(&self, key: (u8, u64)) -> Result<Option<T>, StoreError> {
        let Some(table) = self.table(PEOPLE)? else { return Ok(None) };
        let Some(row) = table.get(key)? else { return Ok(None) };
        self.keys().open(PEOPLE.name(), &key, row.value()).map(Some)
    }

    fn people<I, T: DeserializeOwned>(
        &self,
        kind: u8,
        from: u64,
        limit: usize,
        id: impl Fn(u64) -> I,
    ) -> Result<Vec<(I, T)>, StoreError> {
        let Some(table) = self.table(PEOPLE)? else { return Ok(Vec::new()) };
        let rows = table.range((kind, from)..=(kind, u64::MAX))?.take(limit);
        rows.map(|row| {
            let (key, row) = row?;
            let details = self.keys().open(PEOPLE.name(), &key.value(), row.value())?;
            Ok((id(key.value().1), details))
        })
        .collect()
    }
}

/// A person as tables have them.
pub(super) fn key(person: Person) -> (u8, u64) {
    match person {
        Person::Student(id) => (STUDENT, id.0),
        Person::Teacher(id) => (TEACHER, id.0),
        Person::User(id) => (USER, id.0),
    }
}

/// Writes a row about a person or a device.
pub(super) fn write(change: &Change, keys: &Keys, row: &Personal) -> Result<(), StoreError> {
    match row {
        Personal::Student(id, details) => put(change, keys, Person::Student(*id), details),
        Personal::Teacher(id, details) => put(change, keys, Person::Teacher(*id), details),
        Personal::User(id, details) => put(change, keys, Person::User(*id), details),
        Personal::Device(id, details) => {
            let key = id.as_str().to_owned();
            let row = keys.seal(DEVICES.name(), &key, details)?;
            change.open_table(DEVICES)?.insert(&key, row.as_slice())?;
            Ok(())
        }
        // Texts have tables of their own.
        Personal::Text { .. } => Ok(()),
    }
}

fn put(change: &Change, keys: &Keys, person: Person, details: &impl Serialize) -> Result<(), StoreError> {
    let key = key(person);
    let row = keys.seal(PEOPLE.name(), &key, details)?;
    change.open_table(PEOPLE)?.insert(key, row.as_slice())?;
    Ok(())
}
