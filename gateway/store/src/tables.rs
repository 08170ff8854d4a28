//! Every table of the store, with its key order and the range scan it serves.
//!
//! Promises: no other file defines a table.

use redb::TableDefinition;

/// Sequence -> framed event ([`crate::codec`]). In the order of sequences: what the views, the senders
/// and a reconnecting screen read on from where they were.
pub(crate) const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

/// (kind of person, id) -> their details. By kind, then id: all students, all teachers, all users.
pub(crate) const PEOPLE: TableDefinition<'_, (u8, u64), &[u8]> = TableDefinition::new("people");

/// Device id -> where it is reached. Looked up one at a time.
pub(crate) const DEVICES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("devices");

/// (sequence, field) -> a text that belongs to that event. By event: everything said in one entry.
pub(crate) const TEXTS: TableDefinition<'_, (u64, u8), &[u8]> = TableDefinition::new("texts");

/// (kind, name) -> a password's hash or a device secret's. Looked up one at a time.
pub(crate) const CREDENTIALS: TableDefinition<'_, (u8, &str), &str> = TableDefinition::new("credentials");

/// Kinds of people in [`PEOPLE`].
pub(crate) const STUDENT: u8 = 1;
pub(crate) const TEACHER: u8 = 2;
pub(crate) const USER: u8 = 3;

/// Kinds of credentials in [`CREDENTIALS`].
pub(crate) const PASSWORD: u8 = 1;
pub(crate) const DEVICE_SECRET: u8 = 2;
