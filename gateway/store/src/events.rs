//! How entries lie in the table of events: as many to a row as a page of the engine has room for.
//!
//! Promises: entries in their order, each with its own bytes, whether a row holds one or many; a row is named by
//! its first entry.
//!
//! Refuses: looking into an entry. Only where it ends must be told.
//!
//! A row for each entry would make the engine change a page for each, and leave its pages half empty.

use redb::{ReadableTable, Table};

use crate::codec;
use crate::error::StoreError;

/// With what the engine puts beside it, a row of so many bytes fills a page.
const ROW_BYTES: usize = 4_000;

/// Puts entries that follow each other into rows.
pub(crate) fn insert<'e>(
    table: &mut Table<'_, u64, &'static [u8]>,
    entries: impl Iterator<Item = (u64, &'e [u8])>,
) -> Result<(), StoreError> {
    let (mut first, mut next, mut row) = (0, 0, Vec::with_capacity(ROW_BYTES));
    for (seq, bytes) in entries {
        if !row.is_empty() && (seq != next || row.len() + bytes.len() > ROW_BYTES) {
            table.insert(first, row.as_slice())?;
            row.clear();
        }
        if row.is_empty() {
            first = seq;
        }
        row.extend_from_slice(bytes);
        next = seq + 1;
    }
    if !row.is_empty() {
        table.insert(first, row.as_slice())?;
    }
    Ok(())
}

/// Hands out so many entries from this sequence on, and tells how many there were.
pub(crate) fn read(
    table: &impl ReadableTable<u64, &'static [u8]>,
    from: u64,
    most: usize,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
) -> Result<usize, StoreError> {
    let start = table.range(..=from)?.next_back().transpose()?.map_or(from, |(first, _)| first.value());
    let mut count = 0;
    for row in table.range(start..)? {
        if count == most {
            break;
        }
        let (first, row) = row?;
        for (seq, bytes) in entries(first.value(), row.value()) {
            if seq >= from && count < most {
                each(seq, bytes)?;
                count += 1;
            }
        }
    }
    Ok(count)
}

/// The last sequence in the table; 0 if there is none.
pub(crate) fn last(table: &impl ReadableTable<u64, &'static [u8]>) -> Result<u64, StoreError> {
    let Some((first, row)) = table.last()? else { return Ok(0) };
    let first = first.value();
    let Some((seq, last)) = entries(first, row.value()).last() else { return Ok(first) };
    match codec::length(last) {
        Some((found, length)) if found == seq && usize::try_from(length) == Ok(last.len()) => Ok(seq),
        // There may be more behind it. One before it may have told a wrong end.
        _ => {
            let mut damaged = entries(first, row.value()).filter(|(_, bytes)| !codec::is_intact(bytes));
            let seq = damaged.next().map_or(seq, |(seq, _)| seq);
            Err(StoreError::Damaged { seq, what: "does not tell where it ends" })
        }
    }
}

/// The entries of a row.
fn entries(first: u64, row: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let (mut seq, mut rest) = (first, row);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = codec::length(rest).filter(|(found, _)| *found == seq);
        let split = length.and_then(|(_, length)| rest.split_at_checked(usize::try_from(length).ok()?));
        // One that does not tell where it ends is damaged, and whoever decodes it says how.
        let (entry, after) = split.unwrap_or((rest, &[]));
        let told = (seq, entry);
        (seq, rest) = (seq + 1, after);
        Some(told)
    })
}
