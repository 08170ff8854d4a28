//! What must outlive a root key, as it lies in the ledger.
//!
//! Promises: sealed under the current root key, in one row, so that replacing that key is replacing the row;
//! with the current key alone everything that was ever written can be read and the whole chain walked.
//!
//! Refuses: what can be derived again.
//!
//! ```text
//! "RCK1"  generation  fingerprint  nonce  sealed  tag
//!    4       4 LE          8         12            16
//! ```
//!
//! The first four bytes are the format, and let a search through the raw pages of a damaged file find it.

use rollcall_domain::code::Pseudonyms;
use serde::{Deserialize, Serialize};

use super::{Fingerprint, RootKey};
use crate::error::StoreError;
use crate::seal::{Generation, Seal};
use crate::secrets::Secrets;

pub(crate) const MAGIC: &[u8; 4] = b"RCK1";
const HEADER: usize = 4 + 4 + 8;

/// The row of keys.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Drawn once, when the ledger is made. Numbers and secrets are hashed by what comes of it: those hashes
    /// are in events and cannot be made anew.
    pub(crate) lasting: [u8; 32],
    /// From which sequence on which key chains; in order.
    pub(crate) chains: Vec<(u64, [u8; 32])>,
    /// Keys of older generations under which rows of the register may still lie.
    pub(crate) rows: Vec<(Generation, [u8; 32])>,
}

impl Kept {
    pub(crate) fn seal(&self, root: &RootKey, generation: Generation) -> Result<Vec<u8>, StoreError> {
        let header = [MAGIC.as_slice(), &generation.to_le_bytes(), &root.fingerprint().0].concat();
        let value = postcard::to_allocvec(self).map_err(StoreError::Encode)?;
        let sealed = Seal::new(&root.keys()).close(&header, &value)?;
        Ok([header, sealed].concat())
    }

    pub(crate) fn open(row: &[u8], root: &RootKey) -> Result<(Self, Generation), StoreError> {
        let (generation, _) = header(row)?;
        let (header, sealed) = row.split_first_chunk::<HEADER>().ok_or(StoreError::Keys)?;
        let value = Seal::new(&root.keys()).open(header, sealed).ok_or(StoreError::Keys)?;
        let kept = postcard::from_bytes(&value).map_err(|_unreadable| StoreError::Keys)?;
        Ok((kept, generation))
    }

    pub(crate) fn pseudonyms(&self) -> Pseudonyms {
        Pseudonyms::new(blake3::derive_key("rollcall pseudonyms v1", &self.lasting))
    }

    pub(crate) fn secrets(&self) -> Secrets {
        Secrets::new(blake3::derive_key("rollcall secret hashes v1", &self.lasting))
    }
}

/// The longest row that is looked for in a damaged file: that of a root key replaced some fifty times, and
/// no resealing finished.
pub(crate) const LONGEST: usize = 4_096;

/// The root key that the row is sealed under.
pub(crate) fn sealed_under(row: &[u8]) -> Result<Fingerprint, StoreError> {
    header(row).map(|(_, fingerprint)| fingerprint)
}

fn header(row: &[u8]) -> Result<(Generation, Fingerprint), StoreError> {
    let (magic, rest) = row.split_first_chunk::<4>().ok_or(StoreError::Keys)?;
    let (generation, rest) = rest.split_first_chunk::<4>().ok_or(StoreError::Keys)?;
    let (fingerprint, _) = rest.split_first_chunk::<8>().ok_or(StoreError::Keys)?;
    if magic != MAGIC {
        return Err(StoreError::Keys);
    }
    Ok((Generation::from_le_bytes(*generation), Fingerprint(*fingerprint)))
}
