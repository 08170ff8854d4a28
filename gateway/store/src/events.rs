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

/// Makes the entry after this one begin a row, if it is there. Tells which rows have no later entry: those that
/// begin before what is returned.
///
/// A row in which an entry does not tell where it ends stays as it is: one that is later may lie behind it.
pub(crate) fn divide(table: &mut Table<'_, u64, &'static [u8]>, last: u64) -> Result<u64, StoreError> {
    let Some((first, row)) = table.range(..=last)?.next_back().transpose()?.map(owned) else {
        return Ok(last + 1);
    };
    let ends = |(seq, entry): &(u64, &[u8])| {
        codec::length(entry).is_some_and(|(found, length)| found == *seq && length == entry.len() as u64)
    };
    let all: Vec<_> = entries(first, &row).collect();
    if !all.iter().all(ends) {
        return Ok(first);
    }
    let (before, after): (Vec<_>, Vec<_>) = all.into_iter().partition(|(seq, _)| *seq <= last);
    if !after.is_empty() {
        insert(table, before.into_iter())?;
        insert(table, after.into_iter())?;
    }
    Ok(last + 1)
}

fn owned((first, row): (redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &'static [u8]>)) -> (u64, Vec<u8>) {
    (first.value(), row.value().to_vec())
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

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;
    use redb::{Database, TableDefinition};
    use rollcall_domain::event::{Actor, Entry, Event};
    use rollcall_domain::ids::Seq;
    use rollcall_domain::moment::Moment;

    use super::*;

    const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

    fn entry(seq: u64) -> Vec<u8> {
        let (at, event) = (Moment::from_millis(0), Event::ClockConfirmed);
        let mut bytes = Vec::new();
        let entry = Entry { seq: Seq(seq), at, by: Actor::Cli, event };
        codec::encode(&[1; 32], &[0; 32], &entry, &mut bytes).unwrap();
        bytes
    }

    /// The rows after entries 1 to 9 were divided behind `last`, and what was told.
    fn divided(last: u64, change: impl FnOnce(&mut [Vec<u8>])) -> (Vec<u64>, u64) {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let write = database.begin_write().unwrap();
        let mut table = write.open_table(TABLE).unwrap();
        let mut all: Vec<Vec<u8>> = (1..10).map(entry).collect();
        change(&mut all);
        let rows = (1..10).zip(&all).map(|(seq, bytes)| (seq, bytes.as_slice()));
        insert(&mut table, rows.clone().take(6)).unwrap();
        insert(&mut table, rows.skip(6)).unwrap();
        let told = divide(&mut table, last).unwrap();
        let firsts = table.iter().unwrap().map(|row| row.unwrap().0.value()).collect();
        let mut found = Vec::new();
        read(&table, 1, 99, |seq, _| {
            found.push(seq);
            Ok(())
        })
        .unwrap();
        assert!(all[2] != entry(3) || found == (1..10).collect::<Vec<_>>(), "{found:?}");
        (firsts, told)
    }

    #[test]
    fn a_row_is_divided_where_it_holds_both_and_nothing_else_changes() {
        assert_eq!(divided(4, |_| {}), (vec![1, 5, 7], 5));
        assert_eq!(divided(6, |_| {}), (vec![1, 7], 7));
        assert_eq!(divided(7, |_| {}), (vec![1, 7, 8], 8));
        assert_eq!(divided(9, |_| {}), (vec![1, 7], 10));
        assert_eq!(divided(20, |_| {}), (vec![1, 7], 21));
    }

    #[test]
    fn a_row_in_which_an_entry_does_not_tell_where_it_ends_stays() {
        let damage = |all: &mut [Vec<u8>]| all[2][0] ^= 1;
        assert_eq!(divided(4, damage), (vec![1, 7], 1));
        assert_eq!(divided(8, damage), (vec![1, 7, 9], 9));
    }
}
