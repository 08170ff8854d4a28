//! The keys of an opened ledger.
//!
//! Promises: a new ledger draws what must outlive its root key, once; a ledger that lies under an older key
//! of the keyring is brought under the current one in one transaction, from the next entry on; a ledger of
//! another key is left as it is, and so is one whose row of keys is lost.
//!
//! Refuses: sealing rows anew. That takes longer, and is done while the store runs
//! ([`crate::register::Reseal`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, ReadableDatabase as _, TableError, WriteTransaction};
use rollcall_domain::code::Pseudonyms;
use rollcall_domain::ids::Seq;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::kept::{Kept, sealed_under};
use super::{Keyring, RootKey};
use crate::begin::begin_lasting;
use crate::error::StoreError;
use crate::reading::Now;
use crate::seal::{Generation, Place, Seal, generation};
use crate::secrets::Secrets;
use crate::tables::KEYS;
use crate::tail::LedgerId;

/// The one row of [`KEYS`].
const ROW: &str = "keys";
const FIRST: Generation = 1;

/// What a ledger is read and written with.
pub(crate) struct Keys {
    root: RootKey,
    generation: Generation,
    kept: Kept,
    seals: BTreeMap<Generation, Seal>,
    /// Rows may lie under an older key.
    resealing: AtomicBool,
}

impl Keys {
    /// Those of the ledger, under the current root key from now on.
    pub(crate) fn settle(database: &Database, ring: &Keyring) -> Result<Self, StoreError> {
        match find(database)? {
            Some(row) => {
                let keys = Keys::unlock(&row, ring)?;
                if keys.root.fingerprint() == ring.current().fingerprint() {
                    return Ok(keys);
                }
                keys.replaced(database, ring.current())
            }
            None if last(database)? > Seq(0) => Err(StoreError::Keys),
            None => {
                let mut lasting = [0; 32];
                getrandom::fill(&mut lasting).map_err(StoreError::Random)?;
                let keys = Keys::of_new_ledger(ring.current(), lasting);
                let transaction = begin_lasting(database)?;
                keys.write(&transaction)?;
                transaction.commit()?;
                Ok(keys)
            }
        }
    }

    /// Those of the ledger as it is: nothing is made and nothing replaced.
    pub(crate) fn read(database: &Database, ring: &Keyring) -> Result<Self, StoreError> {
        match find(database)? {
            Some(row) => Keys::unlock(&row, ring),
            None if last(database)? > Seq(0) => Err(StoreError::Keys),
            // There is nothing that they could be asked for.
            None => Ok(Keys::of_new_ledger(ring.current(), [0; 32])),
        }
    }

    /// Those of a damaged file, and their row: one of `rows`, or what one of `perhaps` begins with, the
    /// likeliest first; only the seal tells where it ends.
    pub(crate) fn found(
        rows: &[Vec<u8>],
        perhaps: &[Vec<u8>],
        ring: &Keyring,
    ) -> Result<(Self, Vec<u8>), StoreError> {
        let mut refused = StoreError::Keys;
        for (number, bytes) in rows.iter().chain(perhaps).enumerate() {
            let Ok(wanted) = sealed_under(bytes) else { continue };
            let Some(root) = ring.find(wanted) else {
                refused = StoreError::OtherKey { wanted };
                // An older row, under a key that was replaced, does not chain what came since.
                if number < rows.len() {
                    return Err(refused);
                }
                continue;
            };
            let rows = (0..=bytes.len()).rev().filter_map(|end| bytes.get(..end));
            let opened = rows.filter_map(|row| Some((row, Kept::open(row, root).ok()?))).next();
            if let Some((row, (kept, generation))) = opened {
                return Ok((Keys::new(root.clone(), generation, kept), row.to_vec()));
            }
        }
        Err(refused)
    }

    /// What tells this ledger from every other, also after its root key was replaced.
    pub(crate) fn ledger(&self) -> LedgerId {
        let id = blake3::derive_key("rollcall ledger id v1", &self.kept.lasting);
        id.first_chunk().copied().unwrap_or_default()
    }

    /// The root key that they are sealed under.
    pub(crate) fn root(&self) -> &RootKey {
        &self.root
    }

    fn of_new_ledger(root: &RootKey, lasting: [u8; 32]) -> Self {
        let kept = Kept { lasting, chains: vec![(1, root.chain())], rows: Vec::new() };
        Keys::new(root.clone(), FIRST, kept)
    }

    fn new(root: RootKey, generation: Generation, kept: Kept) -> Self {
        let current = (generation, Seal::new(&root.rows()));
        let older = kept.rows.iter().map(|(generation, key)| (*generation, Seal::new(key)));
        let seals = older.chain([current]).collect();
        let resealing = AtomicBool::new(!kept.rows.is_empty());
        Keys { root, generation, kept, seals, resealing }
    }

    fn unlock(row: &[u8], ring: &Keyring) -> Result<Self, StoreError> {
        let wanted = sealed_under(row)?;
        let root = ring.find(wanted).ok_or(StoreError::OtherKey { wanted })?;
        let (kept, generation) = Kept::open(row, root)?;
        Ok(Keys::new(root.clone(), generation, kept))
    }

    /// The same ledger's under another root key, which chains from the next entry on.
    fn replaced(self, database: &Database, root: &RootKey) -> Result<Self, StoreError> {
        let last = last(database)?.0;
        let transaction = begin_lasting(database)?;
        let mut kept = self.kept;
        kept.chains.push((last + 1, root.chain()));
        kept.rows.push((self.generation, self.root.rows()));
        let keys = Keys::new(root.clone(), self.generation + 1, kept);
        keys.write(&transaction)?;
        transaction.commit()?;
        let (was, now) = (self.root.fingerprint(), root.fingerprint());
        tracing::info!(%was, %now, from = last + 1, "the sealing key was replaced; rows are being sealed anew");
        Ok(keys)
    }

    fn write(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
        let row = self.kept.seal(&self.root, self.generation)?;
        put(transaction, &row)
    }

    /// Whether the file is still under these keys: one from before they replaced others, or another ledger's,
    /// would be written with keys that it does not know.
    pub(crate) fn check(&self, database: &Database) -> Result<(), StoreError> {
        let row = find(database)?.ok_or(StoreError::Keys)?;
        let wanted = sealed_under(&row)?;
        if wanted != self.root.fingerprint() {
            return Err(StoreError::OtherKey { wanted });
        }
        let (kept, generation) = Kept::open(&row, &self.root)?;
        let same = generation == self.generation && kept.lasting == self.kept.lasting;
        if same { Ok(()) } else { Err(StoreError::Keys) }
    }

    /// The key that chains the entry with this sequence.
    pub(crate) fn chain(&self, seq: Seq) -> &[u8; 32] {
        let later = self.kept.chains.partition_point(|(from, _)| *from <= seq.0);
        let key = later.checked_sub(1).and_then(|at| self.kept.chains.get(at));
        // Sequences begin at 1, and so does the first range.
        key.map_or(&[0; 32], |(_, key)| key)
    }

    /// Hashes personal numbers; the same for as long as there is the ledger.
    pub(crate) fn pseudonyms(&self) -> Pseudonyms {
        self.kept.pseudonyms()
    }

    /// Hashes secrets; the same for as long as there is the ledger.
    pub(crate) fn secrets(&self) -> Secrets {
        self.kept.secrets()
    }

    /// A row as it goes into this table under this key.
    pub(crate) fn seal<K: Serialize>(
        &self,
        table: &str,
        key: &K,
        value: &impl Serialize,
    ) -> Result<Vec<u8>, StoreError> {
        let value = postcard::to_allocvec(value).map_err(StoreError::Encode)?;
        self.close(&Place::of(table, key)?, &value)
    }

    /// What a row says, whichever generation it was sealed under.
    pub(crate) fn open<K: Serialize, V: DeserializeOwned>(
        &self,
        table: &str,
        key: &K,
        row: &[u8],
    ) -> Result<V, StoreError> {
        let damaged = || StoreError::Row { table: table.to_owned() };
        let value = self.unsealed(&Place::of(table, key)?, row).ok_or_else(damaged)?;
        postcard::from_bytes(&value).map_err(|_unreadable| damaged())
    }

    /// The row under the current key, if it lies under another.
    pub(crate) fn resealed<K: Serialize>(
        &self,
        table: &str,
        key: &K,
        row: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if generation(row) == Some(self.generation) {
            return Ok(None);
        }
        let place = Place::of(table, key)?;
        let value = self.unsealed(&place, row).ok_or_else(|| StoreError::Row { table: table.to_owned() })?;
        self.close(&place, &value).map(Some)
    }

    fn close(&self, place: &Place, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let seal = self.seals.get(&self.generation).ok_or(StoreError::Keys)?;
        seal.row(self.generation, place, value)
    }

    fn unsealed(&self, place: &Place, row: &[u8]) -> Option<Vec<u8>> {
        self.seals.get(&generation(row)?)?.open_row(place, row)
    }

    /// Whether rows may lie under an older key.
    pub(crate) fn is_resealing(&self) -> bool {
        self.resealing.load(Ordering::Acquire)
    }

    /// Writes the row of keys without those that no row lies under any more.
    pub(crate) fn drop_older(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
        let kept = Kept { rows: Vec::new(), ..self.kept.clone() };
        let row = kept.seal(&self.root, self.generation)?;
        put(transaction, &row)
    }

    /// To be called once that is on disk.
    pub(crate) fn set_resealed(&self) {
        self.resealing.store(false, Ordering::Release);
    }
}

/// Puts the row of keys where it belongs.
pub(crate) fn put(transaction: &WriteTransaction, row: &[u8]) -> Result<(), StoreError> {
    transaction.open_table(KEYS)?.insert(ROW, row)?;
    Ok(())
}

fn find(database: &Database) -> Result<Option<Vec<u8>>, StoreError> {
    match database.begin_read()?.open_table(KEYS) {
        Ok(table) => Ok(table.get(ROW)?.map(|row| row.value().to_vec())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn last(database: &Database) -> Result<Seq, StoreError> {
    Now::of(database.begin_read()?, Vec::new()).end()
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    const OLD: RootKey = RootKey::new([3; 32]);
    const NEW: RootKey = RootKey::new([4; 32]);

    /// A ledger with so many entries, under the old key.
    fn ledger(entries: u64) -> Database {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        Keys::settle(&database, &OLD.into()).unwrap();
        let transaction = begin_lasting(&database).unwrap();
        for seq in 1..=entries {
            transaction.open_table(crate::tables::EVENTS).unwrap().insert(seq, b"".as_slice()).unwrap();
        }
        transaction.commit().unwrap();
        database
    }

    #[test]
    fn the_new_key_chains_from_the_first_entry_after_it_came() {
        for entries in [0, 1, 2] {
            let database = ledger(entries);
            let keys = Keys::settle(&database, &Keyring::new(NEW).replacing(OLD)).unwrap();
            let again = Keys::settle(&database, &NEW.into()).unwrap();
            for seq in 1..=entries + 2 {
                let by = if seq <= entries { OLD.chain() } else { NEW.chain() };
                assert_eq!((keys.chain(Seq(seq)), again.chain(Seq(seq))), (&by, &by), "{seq} of {entries}");
            }
        }
    }

    #[test]
    fn a_file_under_other_keys_is_noticed_also_when_its_root_key_is_the_same() {
        let database = ledger(1);
        let first = Keys::settle(&database, &OLD.into()).unwrap();
        first.check(&database).unwrap();
        assert!(matches!(first.check(&ledger(1)), Err(StoreError::Keys)));
        let second = Keys::settle(&database, &Keyring::new(NEW).replacing(OLD)).unwrap();
        assert!(matches!(first.check(&database), Err(StoreError::OtherKey { .. })));
        // The old key came back: it is the third generation now.
        let third = Keys::settle(&database, &Keyring::new(OLD).replacing(NEW)).unwrap();
        assert!(matches!(first.check(&database), Err(StoreError::Keys)));
        assert!(matches!(second.check(&database), Err(StoreError::OtherKey { .. })));
        third.check(&database).unwrap();
    }
}
