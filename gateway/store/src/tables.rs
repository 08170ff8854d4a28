//! Every table of the store, with its key order and the range scan it serves.
//!
//! Promises: no other file defines a table; a table whose rows are [`Sealed`] holds nothing else.

use redb::TableDefinition;

/// Rows as [`crate::seal`] makes them.
pub(crate) type Sealed = &'static [u8];

/// Sequence -> framed event ([`crate::codec`]), and those that follow it, as many as have room in the row
/// ([`crate::events`]). In the order of sequences: what the views, the senders
/// and a reconnecting screen read on from where they were.
pub(crate) const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

/// First lost sequence -> what was lost there ([`crate::gaps`]). All of them, whenever the chain is walked.
pub(crate) const GAPS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("gaps");

/// (last forgotten entry, number) -> a part of the checkpoint there, or, with number 0, its row
/// ([`crate::checkpoint`]). By entry, then number: what the ledger begins with, in its order.
pub(crate) const CHECKPOINT: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("checkpoint");

/// The same as [`CHECKPOINT`] on other pages.
pub(crate) const CHECKPOINT_AGAIN: TableDefinition<'_, (u64, u32), &[u8]> =
    TableDefinition::new("checkpoint_again");

/// One row: what must outlive a root key ([`crate::keys`]).
pub(crate) const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");

/// (kind of person, id) -> their details. By kind, then id: all students, all teachers, all users.
pub(crate) const PEOPLE: TableDefinition<'_, (u8, u64), Sealed> = TableDefinition::new("people");

/// (student, student who turned out to be them). By student: who else must be forgotten with them.
pub(crate) const MERGED: TableDefinition<'_, (u64, u64), ()> = TableDefinition::new("merged");

/// Device id -> where it is reached. Looked up one at a time.
pub(crate) const DEVICES: TableDefinition<'_, String, Sealed> = TableDefinition::new("devices");

/// (sequence, field) -> a text that belongs to that event. By event: everything said in one entry.
pub(crate) const TEXTS: TableDefinition<'_, (u64, u8), Sealed> = TableDefinition::new("texts");

/// (kind of person, id, sequence, field): a text in [`TEXTS`] about them. By person, then sequence:
/// everything said about somebody, found without reading what was said about others.
pub(crate) const TEXTS_ABOUT: TableDefinition<'_, (u8, u64, u64, u8), ()> =
    TableDefinition::new("texts_about");

/// (student, method, number) -> a biometric template. By student: all that is held of their body.
pub(crate) const TEMPLATES: TableDefinition<'_, (u64, u8, u16), Sealed> = TableDefinition::new("templates");

/// (kind, user) -> a password's hash, or what makes codes for a second factor. Looked up one at a time.
pub(crate) const CREDENTIALS: TableDefinition<'_, (u8, u64), Sealed> = TableDefinition::new("credentials");

/// (kind, keyed hash of a secret) -> (owner, number): whose it is. Looked up by hash, one at a time.
pub(crate) const SECRETS: TableDefinition<'_, (u8, [u8; 32]), (&str, u64)> = TableDefinition::new("secrets");

/// (kind, owner, number) -> the keyed hash in [`SECRETS`]. By kind, then owner: all backup codes, all API
/// tokens of a user.
pub(crate) const SECRETS_OF: TableDefinition<'_, (u8, &str, u64), [u8; 32]> =
    TableDefinition::new("secrets_of");

/// One row, there for as long as it takes to see that a disk which refused takes writes again.
pub(crate) const PROOF: TableDefinition<'_, (), &[u8]> = TableDefinition::new("proof");

/// Calls a macro with every table of the register.
macro_rules! each_of_register {
    ($call:ident) => {
        $call!(PEOPLE, MERGED, DEVICES, TEXTS, TEXTS_ABOUT, TEMPLATES, CREDENTIALS, SECRETS, SECRETS_OF)
    };
}
pub(crate) use each_of_register;

/// Kinds of people in [`PEOPLE`] and [`TEXTS_ABOUT`].
pub(crate) const STUDENT: u8 = 1;
pub(crate) const TEACHER: u8 = 2;
pub(crate) const USER: u8 = 3;

/// Kinds of credentials in [`CREDENTIALS`].
pub(crate) const PASSWORD: u8 = 1;
pub(crate) const SECOND_FACTOR: u8 = 2;

/// Kinds of secrets in [`SECRETS`] and [`SECRETS_OF`].
pub(crate) const DEVICE_SECRET: u8 = 1;
pub(crate) const API_TOKEN: u8 = 2;
pub(crate) const BACKUP_CODE: u8 = 3;
pub(crate) const USER_CLAIM: u8 = 4;
pub(crate) const DEVICE_CLAIM: u8 = 5;
