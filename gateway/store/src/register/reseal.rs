//! Sealing rows anew after the root key was replaced.
//!
//! Promises: goes through every sealed row once, so many at a time, each in a transaction with others of its
//! step; when none lies under an older key, those are dropped from the row of keys. Nothing depends on it
//! getting through: until then every row opens, and after a restart it begins again.
//!
//! Refuses: touching a row that does not open. It stays as it is, and is named in the log.

use std::ops::Bound;

use redb::{Key, ReadableTable as _, TableDefinition, TableHandle as _, Value, WriteTransaction};
use serde::Serialize;

use crate::begin::begin_lasting;
use crate::error::StoreError;
use crate::keys::Keys;
use crate::ledger::Ledger;
use crate::tables::{CREDENTIALS, DEVICES, PEOPLE, Sealed, TEMPLATES, TEXTS};

/// Rows that one step looks at: a few milliseconds, which an append may have to wait.
const AT_ONCE: usize = 512;

/// How far the rows are gone through: the last row looked at in the table that it is in now.
#[derive(Default)]
pub(crate) struct Reseal(At);

enum At {
    People(Option<(u8, u64)>),
    Devices(Option<String>),
    Texts(Option<(u64, u8)>),
    Templates(Option<(u64, u8, u16)>),
    Credentials(Option<(u8, u64)>),
    End,
}

impl Default for At {
    fn default() -> Self {
        At::People(None)
    }
}

impl Reseal {
    /// One step; begins anew with the next one if it fails.
    pub(crate) fn step(&mut self, ledger: &Ledger) -> Result<(), StoreError> {
        let keys = &ledger.keys;
        let at = std::mem::take(&mut self.0);
        let transaction = begin_lasting(&*ledger.database()?)?;
        let next =
            match at {
                At::People(after) => some(&transaction, keys, PEOPLE, after)?
                    .map_or(At::Devices(None), |at| At::People(Some(at))),
                At::Devices(after) => some(&transaction, keys, DEVICES, after)?
                    .map_or(At::Texts(None), |at| At::Devices(Some(at))),
                At::Texts(after) => some(&transaction, keys, TEXTS, after)?
                    .map_or(At::Templates(None), |at| At::Texts(Some(at))),
                At::Templates(after) => some(&transaction, keys, TEMPLATES, after)?
                    .map_or(At::Credentials(None), |at| At::Templates(Some(at))),
                At::Credentials(after) => some(&transaction, keys, CREDENTIALS, after)?
                    .map_or(At::End, |at| At::Credentials(Some(at))),
                At::End => At::End,
            };
        let is_done = matches!(next, At::End);
        if is_done {
            keys.drop_older(&transaction)?;
        }
        transaction.commit()?;
        self.0 = next;
        if is_done {
            keys.set_resealed();
            tracing::info!("everything is sealed with the new key; the older one is not needed any more");
        }
        Ok(())
    }
}

/// Goes on after a row; answers with the last row looked at, or nothing at the table's end.
fn some<K>(
    transaction: &WriteTransaction,
    keys: &Keys,
    table: TableDefinition<'_, K, Sealed>,
    after: Option<K>,
) -> Result<Option<K>, StoreError>
where
    K: Key + for<'a> Value<SelfType<'a> = K> + Clone + Serialize,
{
    let mut rows = transaction.open_table(table)?;
    let mut last = None;
    let mut looked_at = 0;
    let mut anew = Vec::new();
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    for row in rows.range::<K>((from, Bound::Unbounded))?.take(AT_ONCE) {
        let (key, row) = row?;
        let key = key.value();
        match keys.resealed(table.name(), &key, row.value()) {
            Ok(Some(row)) => anew.push((key.clone(), row)),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "a row stays under the older key"),
        }
        last = Some(key);
        looked_at += 1;
    }
    for (key, row) in anew {
        rows.insert(key, row.as_slice())?;
    }
    Ok(last.filter(|_| looked_at == AT_ONCE))
}
