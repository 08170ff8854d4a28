//! Sealing: how a value lies on disk so that only who has the key can read it, and only where it was put.
//!
//! Promises: a sealed row opens with its key, in its table, under its row's key, and nowhere else; one
//! changed bit and it does not open. Two different values share a nonce only if a keyed hash of 96 bits
//! collides, whatever the machine's random source is worth: there is none, the nonce is that hash of the
//! value and its place.
//!
//! Refuses: hiding how long a value is, or that a row was written again with the value that it had.
//!
//! ```text
//! version  generation  nonce  sealed value  tag
//!    1        4 LE       12    as the value  16
//! ```
//!
//! AES-256-GCM; bound to it, beside the first five bytes, is the place: table and row's key, in postcard.
//! The generation tells which root key it was sealed under ([`crate::keys`]). Why the nonce is made so, and
//! not drawn: docs/adr/0008.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use serde::Serialize;

use crate::error::StoreError;

const VERSION: u8 = 1;
const HEADER: usize = 1 + 4;
const NONCE: usize = 12;

/// Which root key a value was sealed under, counted from the ledger's first.
pub(crate) type Generation = u32;

/// Where a row lies; it opens nowhere else.
pub(crate) struct Place(Vec<u8>);

impl Place {
    pub(crate) fn of(table: &str, key: &impl Serialize) -> Result<Self, StoreError> {
        postcard::to_allocvec(&(table, key)).map(Place).map_err(StoreError::Encode)
    }
}

/// A key that seals and opens.
pub(crate) struct Seal {
    cipher: Aes256Gcm,
    nonces: [u8; 32],
}

impl Seal {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let derive = |purpose| blake3::derive_key(purpose, key);
        let sealing = Key::<Aes256Gcm>::from(derive("rollcall seal v1"));
        Seal { cipher: Aes256Gcm::new(&sealing), nonces: derive("rollcall seal nonce v1") }
    }

    /// A row of the register.
    pub(crate) fn row(
        &self,
        generation: Generation,
        place: &Place,
        value: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let header = header(generation);
        let sealed = self.close(&[&header, place.0.as_slice()].concat(), value)?;
        Ok([header.as_slice(), &sealed].concat())
    }

    /// What a row says; nothing if it is not this key's, not of this place, or damaged.
    pub(crate) fn open_row(&self, place: &Place, row: &[u8]) -> Option<Vec<u8>> {
        let (header, sealed) = row.split_first_chunk::<HEADER>()?;
        self.open(&[header.as_slice(), &place.0].concat(), sealed)
    }

    /// Nonce, sealed value and tag.
    pub(crate) fn close(&self, bound: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let nonce = self.nonce(bound, value);
        let payload = Payload { msg: value, aad: bound };
        let sealed = self.cipher.encrypt(&Nonce::from(nonce), payload);
        let sealed = sealed.map_err(|_too_long| StoreError::Sealing)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    pub(crate) fn open(&self, bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        self.cipher.decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: bound }).ok()
    }

    fn nonce(&self, bound: &[u8], value: &[u8]) -> [u8; NONCE] {
        let mut hasher = blake3::Hasher::new_keyed(&self.nonces);
        // The length first, so that no byte can move from what is bound into the value.
        hasher.update(&(bound.len() as u64).to_le_bytes()).update(bound).update(value);
        let mut nonce = [0; NONCE];
        hasher.finalize_xof().fill(&mut nonce);
        nonce
    }
}

/// The generation that a row was sealed under.
pub(crate) fn generation(row: &[u8]) -> Option<Generation> {
    let (version, rest) = row.split_first()?;
    let (generation, _) = rest.split_first_chunk::<4>()?;
    (*version == VERSION).then(|| Generation::from_le_bytes(*generation))
}

fn header(generation: Generation) -> [u8; HEADER] {
    let [a, b, c, d] = generation.to_le_bytes();
    [VERSION, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn place(table: &str, key: u64) -> Place {
        Place::of(table, &(1_u8, key)).unwrap()
    }

    fn seal() -> Seal {
        Seal::new(&[3; 32])
    }

    #[test]
    fn a_row_opens_only_with_its_key_in_its_table_and_under_its_own_key() {
        let row = seal().row(1, &place("people", 5), b"Ann").unwrap();
        assert_eq!(seal().open_row(&place("people", 5), &row).as_deref(), Some(b"Ann".as_slice()));
        assert_eq!(seal().open_row(&place("people", 6), &row), None);
        assert_eq!(seal().open_row(&place("texts", 5), &row), None);
        assert_eq!(Seal::new(&[4; 32]).open_row(&place("people", 5), &row), None);
    }

    #[test]
    fn a_row_that_was_changed_or_cut_anywhere_does_not_open() {
        let row = seal().row(1, &place("people", 5), b"Ann").unwrap();
        for at in 0..row.len() {
            let mut changed = row.clone();
            changed[at] ^= 1;
            assert_eq!(seal().open_row(&place("people", 5), &changed), None, "changed at {at}");
            assert_eq!(seal().open_row(&place("people", 5), &row[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn a_row_does_not_pass_for_one_of_another_generation() {
        let mut row = seal().row(1, &place("people", 5), b"Ann").unwrap();
        assert_eq!(generation(&row), Some(1));
        row[1] = 2;
        assert_eq!(generation(&row), Some(2));
        assert_eq!(seal().open_row(&place("people", 5), &row), None);
    }

    proptest! {
        #[test]
        fn every_value_comes_back_and_no_two_share_a_nonce(
            rows in prop::collection::vec((0..4_u64, prop::collection::vec(any::<u8>(), 0..6)), 1..40),
        ) {
            let mut used: BTreeMap<Vec<u8>, (u64, Vec<u8>)> = BTreeMap::new();
            for (key, value) in rows {
                let row = seal().row(1, &place("people", key), &value).unwrap();
                prop_assert_eq!(seal().open_row(&place("people", key), &row), Some(value.clone()));
                let first = used.entry(row[HEADER..HEADER + NONCE].to_vec()).or_insert((key, value.clone()));
                prop_assert_eq!(&*first, &(key, value));
            }
        }

        #[test]
        fn any_bytes_are_refused(row in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(seal().open_row(&place("people", 5), &row), None);
        }
    }
}
