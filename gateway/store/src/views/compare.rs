//! Two views of one ledger, row by row.
//!
//! Promises: every table is compared, and the first row that differs is named.

use std::fmt::Debug;

use redb::{Key, ReadOnlyTable, ReadableTable as _, Value};

use super::rows::{PARTS_PLACE, Place, value};
use super::snapshot::Snapshot;
use super::tables::{META, each};
use crate::error::StoreError;
use crate::ledger::Head;

/// How far the views are, and how far their rows of campus and office: those are written less often.
pub(crate) fn heads(kept: &Snapshot) -> Result<(Head, Head), StoreError> {
    let meta = kept.read.open_table(META)?;
    let parts = meta.get(PARTS_PLACE)?.map(|place| value::<Place>(place.value())).transpose()?;
    let head = |place: &Place| place.head().unwrap_or(Head::START);
    Ok((head(&kept.place), parts.as_ref().map_or(Head::START, head)))
}

/// After so many rows whoever waits is asked whether it is still to go on.
const ASK_AFTER: usize = 4_096;

/// The first row in which `kept` is not as `anew`.
pub(crate) fn difference(
    kept: &Snapshot,
    anew: &Snapshot,
    go_on: &mut dyn FnMut() -> Result<(), StoreError>,
) -> Result<Option<String>, StoreError> {
    macro_rules! compare {
        ($($table:ident),+) => {$(
            let tables = (
                kept.read.open_table(super::tables::$table)?,
                anew.read.open_table(super::tables::$table)?,
            );
            if let Some(row) = first_difference(&tables.0, &tables.1, go_on)? {
                return Ok(Some(format!("{}: {row}", stringify!($table).to_lowercase())));
            }
        )+};
    }
    each!(compare);
    Ok(None)
}

fn first_difference<K: Key + 'static, V: Value + 'static>(
    kept: &ReadOnlyTable<K, V>,
    anew: &ReadOnlyTable<K, V>,
    go_on: &mut dyn FnMut() -> Result<(), StoreError>,
) -> Result<Option<String>, StoreError>
where
    for<'k> K::SelfType<'k>: Debug,
{
    let (mut kept, mut anew) = (kept.iter()?, anew.iter()?);
    for number in 1_usize.. {
        if number.is_multiple_of(ASK_AFTER) {
            go_on()?;
        }
        let (is, should) = (kept.next().transpose()?, anew.next().transpose()?);
        match (&is, &should) {
            (None, None) => return Ok(None),
            (Some((key, _)), None) => return Ok(Some(format!("{:?} should not be there", key.value()))),
            (None, Some((key, _))) => return Ok(Some(format!("{:?} is missing", key.value()))),
            (Some((key, value)), Some((wanted, wanted_value))) => {
                let order =
                    K::compare(K::as_bytes(&key.value()).as_ref(), K::as_bytes(&wanted.value()).as_ref());
                if order.is_lt() {
                    return Ok(Some(format!("{:?} should not be there", key.value())));
                }
                if order.is_gt() {
                    return Ok(Some(format!("{:?} is missing", wanted.value())));
                }
                if V::as_bytes(&value.value()).as_ref() != V::as_bytes(&wanted_value.value()).as_ref() {
                    return Ok(Some(format!("{:?} has another value", key.value())));
                }
            }
        }
    }
    Ok(None)
}
