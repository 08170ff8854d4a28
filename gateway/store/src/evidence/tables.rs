//! Every table of `evidence.redb`, with its key order and the range scan it serves.
//!
//! Promises: no other file defines a table of the evidence. Everything but the totals is keyed by time in
//! the end, so that whatever is scanned comes oldest first.

use redb::TableDefinition;
use rollcall_domain::moment::Moment;

use super::{ItemId, Subject};

/// (milliseconds of its time, number): an item's place.
pub(crate) type Key = (i64, u64);

/// Name -> the format, and what all items come to. Looked up one at a time.
pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// (time, number) -> everything about an item but its bytes. By time: a page of what came in then, and
/// from the beginning what has to go first.
pub(crate) const ITEMS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("items");

/// (time, number) -> the bytes as they came. Looked up one at a time; apart from [`ITEMS`], so that a page
/// of items does not read them.
pub(crate) const BYTES: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("bytes");

/// (device, time, number). By device, then time: what one device sent.
pub(super) const BY_DEVICE: TableDefinition<'_, (&str, i64, u64), ()> = TableDefinition::new("by_device");

/// (kind of subject, its id, time, number). By subject, then time: what an entry or a scan came from, and
/// all that an erasure has to find.
pub(super) const BY_SUBJECT: TableDefinition<'_, (u8, u128, i64, u64), ()> =
    TableDefinition::new("by_subject");

/// Calls a macro with every table that is not made of the others.
macro_rules! each_copied {
    ($call:ident) => {
        $call!(META, ITEMS, BYTES)
    };
}
pub(crate) use each_copied;

/// The one row of [`META`].
pub(super) const TOTALS: &str = "totals";

/// The part of a key of [`BY_SUBJECT`] that names the subject.
pub(super) fn subject(subject: &Subject) -> (u8, u128) {
    match subject {
        Subject::Student(id) => (1, id.0.into()),
        Subject::Event(seq) => (2, seq.0.into()),
        Subject::Scan(key) => (3, u128::from_be_bytes(key.bytes())),
    }
}

pub(super) fn key(id: ItemId) -> Key {
    (id.at.millis(), id.number)
}

pub(super) fn id((millis, number): Key) -> ItemId {
    ItemId { at: Moment::from_millis(millis), number }
}
