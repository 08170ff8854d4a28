//! Secrets that people and machines show to be let in, as the register knows them.
//!
//! Promises: a device's secret, an API token, a backup code and a claim code are kept and found by a keyed
//! hash only, so that the file lets nobody in; two hashes are compared in the same time wherever they
//! differ; a code that somebody typed is the same in small letters and without its dashes.
//!
//! Refuses: passwords. People choose those, so they need a slow hash, which is made where they are checked.

use std::fmt;

use rollcall_domain::ids::UserId;
use subtle::ConstantTimeEq as _;

/// What the register keeps of a secret.
#[derive(Clone, Copy)]
pub struct SecretHash(pub(crate) [u8; 32]);

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(secret)")
    }
}

/// Hashes secrets. It stays the same for a ledger, also when the root key is replaced: a hash cannot be made
/// anew without the secret, which only its owner has.
#[derive(Clone)]
pub struct Secrets([u8; 32]);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(secret)")
    }
}

impl Secrets {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Secrets(key)
    }

    /// Of a device's secret.
    pub fn device(&self, secret: &[u8]) -> SecretHash {
        self.hash(&[b"device", secret])
    }

    /// Of the whole token, as its owner shows it.
    pub fn api_token(&self, token: &[u8]) -> SecretHash {
        self.hash(&[b"token", token])
    }

    /// Of a code that stands in for a second factor. Each user's are their own.
    pub fn backup_code(&self, user: UserId, code: &str) -> SecretHash {
        self.hash(&[b"backup", &user.0.to_le_bytes(), typed(code).as_bytes()])
    }

    /// Of a code by which somebody takes over a sign-in or a device that was made for them.
    pub fn claim_code(&self, code: &str) -> SecretHash {
        self.hash(&[b"claim", typed(code).as_bytes()])
    }

    /// No two lists of parts share a hash by moving bytes between parts.
    fn hash(&self, parts: &[&[u8]]) -> SecretHash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        SecretHash(*hasher.finalize().as_bytes())
    }
}

fn typed(code: &str) -> String {
    code.chars().filter(|c| !(c.is_whitespace() || *c == '-')).map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        Secrets::new([7; 32])
    }

    #[test]
    fn a_typed_code_is_the_same_in_small_letters_and_without_its_dashes() {
        assert_eq!(secrets().claim_code("ABCD-EF23"), secrets().claim_code(" abcdef23 "));
        let backup = |code| secrets().backup_code(UserId(1), code);
        assert_eq!(backup("1234-5678"), backup("12345678"));
        assert_ne!(backup("12345678"), backup("12345679"));
    }

    #[test]
    fn what_is_not_typed_counts_as_it_is() {
        assert_ne!(secrets().device(b"ab"), secrets().device(b"AB"));
        assert_ne!(secrets().api_token(b"a-b"), secrets().api_token(b"ab"));
    }

    #[test]
    fn the_same_text_is_another_secret_for_another_use_user_or_ledger() {
        let all = [
            secrets().device(b"X"),
            secrets().api_token(b"X"),
            secrets().claim_code("X"),
            secrets().backup_code(UserId(1), "X"),
            secrets().backup_code(UserId(2), "X"),
            Secrets::new([8; 32]).device(b"X"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == one), Some(at));
        }
    }

    #[test]
    fn neither_the_key_nor_a_hash_is_printed() {
        assert_eq!(format!("{:?}", secrets()), "Secrets(secret)");
        assert_eq!(format!("{:?}", secrets().device(b"X")), "SecretHash(secret)");
    }
}
