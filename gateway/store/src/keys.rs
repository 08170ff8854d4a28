//! The box's root key, and what is derived from it.
//!
//! Promises: every use has a key of its own, so that none of them tells anything about another; whoever
//! opens a campus's files with the same root key reads them the same.
//!
//! Refuses: printing any of them, and knowing where the root key lies.

use std::fmt;

use rollcall_domain::code::Pseudonyms;

use crate::ledger::ChainKey;

/// The one secret from which all others of the box come.
#[derive(Clone)]
pub struct RootKey([u8; RootKey::BYTES]);

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(secret)")
    }
}

impl RootKey {
    pub const BYTES: usize = 32;

    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        RootKey(bytes)
    }

    /// Chains the ledger.
    pub fn chain(&self) -> ChainKey {
        ChainKey(self.derive("rollcall ledger chain v1"))
    }

    /// Hashes personal numbers.
    pub fn pseudonyms(&self) -> Pseudonyms {
        Pseudonyms::new(self.derive("rollcall pseudonyms v1"))
    }

    /// Signs access tokens.
    pub fn tokens(&self) -> [u8; 32] {
        self.derive("rollcall access tokens v1")
    }

    fn derive(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, &self.0)
    }
}
