//! The box's root key, and what is derived from it.
//!
//! Promises: every use has a key of its own, so that none of them tells anything about another; whoever
//! opens a campus's files with the same root key reads them the same.
//!
//! Refuses: printing any of them, and knowing where the root key lies.
//!
//! A root key can be replaced: the store is opened with the new one, and with the old one beside it for
//! that one time ([`Keyring`]). What must outlive a root key lies in the ledger, sealed under the current
//! one ([`kept`]); what an opened ledger works with is [`opened`].

mod kept;
mod opened;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use kept::{LONGEST, MAGIC};
pub(crate) use opened::{Keys, put};

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

    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        RootKey(bytes)
    }

    /// Signs access tokens. Replacing the root key ends those that are out.
    pub fn tokens(&self) -> [u8; 32] {
        self.derive("rollcall access tokens v1")
    }

    /// Tells root keys apart and nothing about them; may be shown.
    pub fn fingerprint(&self) -> Fingerprint {
        let [a, b, c, d, e, f, g, h, ..] = self.derive("rollcall root key fingerprint v1");
        Fingerprint([a, b, c, d, e, f, g, h])
    }

    /// Chains the ledger.
    pub(crate) fn chain(&self) -> [u8; 32] {
        self.derive("rollcall ledger chain v1")
    }

    /// Seals rows of the register.
    pub(crate) fn rows(&self) -> [u8; 32] {
        self.derive("rollcall register rows v1")
    }

    /// Seals the row of keys.
    pub(crate) fn keys(&self) -> [u8; 32] {
        self.derive("rollcall row of keys v1")
    }

    /// Seals backups.
    pub(crate) fn backups(&self) -> [u8; 32] {
        self.derive("rollcall backups v1")
    }

    fn derive(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, &self.0)
    }
}

/// A root key's name: it tells an operator which key a ledger wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(pub(crate) [u8; 8]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The root key, and those that it replaces.
///
/// A ledger that is sealed under one of the older keys is brought under the current one when the store is
/// opened. An older key is needed that once; kept longer, it would let whoever found it pass a ledger off
/// as one from before it was replaced.
#[derive(Debug, Clone)]
pub struct Keyring {
    current: RootKey,
    older: Vec<RootKey>,
}

impl Keyring {
    pub fn new(current: RootKey) -> Self {
        Keyring { current, older: Vec::new() }
    }

    /// The same with a key that was replaced.
    #[must_use]
    pub fn replacing(mut self, older: RootKey) -> Self {
        self.older.push(older);
        self
    }

    pub(crate) fn current(&self) -> &RootKey {
        &self.current
    }

    pub(crate) fn find(&self, fingerprint: Fingerprint) -> Option<&RootKey> {
        [&self.current].into_iter().chain(&self.older).find(|key| key.fingerprint() == fingerprint)
    }
}

impl From<RootKey> for Keyring {
    fn from(current: RootKey) -> Self {
        Keyring::new(current)
    }
}

#[cfg(test)]
mod tests {
    use rollcall_domain::code::KeyKind;
    use rollcall_domain::ids::UserId;

    use super::kept::Kept;
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// If this fails, no campus can read its own files any more.
    #[test]
    fn a_root_key_gives_the_same_keys_for_ever_and_another_for_each_use() {
        let root = RootKey::new([7; RootKey::BYTES]);
        let keys = [root.chain(), root.tokens(), root.rows(), root.keys(), root.backups()];
        let lines: Vec<String> = keys.iter().map(|key| hex(key)).collect();
        let keys = format!("{}\n{}\n", lines.join("\n"), root.fingerprint());
        assert_eq!(keys, include_str!("../../tests/golden/keys-v1.txt"), "{keys}");
    }

    /// If this fails, nobody is recognised any more by a number, a card or a secret.
    #[test]
    fn what_outlives_the_root_key_is_kept_and_used_as_version_1_did() {
        let root = RootKey::new([7; RootKey::BYTES]);
        let kept = Kept { lasting: [9; 32], chains: vec![(1, [1; 32])], rows: vec![(1, [2; 32])] };
        let row = kept.seal(&root, 2).unwrap();
        let person = hex(&postcard::to_allocvec(&kept.pseudonyms().key(KeyKind::Code, "S1")).unwrap());
        let secrets = kept.secrets();
        let hashes = [secrets.device(b"X"), secrets.api_token(b"X"), secrets.claim_code("X")];
        let hashes = hashes.into_iter().chain([secrets.backup_code(UserId(1), "X")]);
        let hashes: Vec<String> = hashes.map(|hash| hex(&hash.0)).collect();
        let lines = format!("{}\n{person}\n{}\n", hex(&row), hashes.join("\n"));
        assert_eq!(lines, include_str!("../../tests/golden/kept-v1.txt"), "{lines}");
        let (read, generation) = Kept::open(&row, &root).unwrap();
        assert_eq!(
            (read.lasting, read.chains, read.rows, generation),
            (kept.lasting, kept.chains, kept.rows, 2)
        );
    }

    #[test]
    fn a_key_is_never_printed() {
        let ring = Keyring::new(RootKey::new([7; 32])).replacing(RootKey::new([8; 32]));
        let printed = format!("{ring:?}");
        assert_eq!(printed, "Keyring { current: RootKey(secret), older: [RootKey(secret)] }");
    }
}
