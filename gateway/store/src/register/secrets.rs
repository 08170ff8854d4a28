//! Device secrets, API tokens, backup codes and claim codes: kept by keyed hash, found by keyed hash.
//!
//! Promises: a secret that was replaced, used up or removed lets nobody in from that commit on; a code that
//! can be used once is used once, also by two at the same time.
//!
//! Looking a hash up in a tree takes longer the more of it fits, but whoever measures that learns about the
//! hash, which they cannot steer without its key. Where a hash that was found is compared with one that was
//! made, it is in constant time.

use redb::ReadableTable as _;
use rollcall_domain::ids::{ApiTokenId, DeviceId, UserId};

use super::Register;
use crate::append::{Claimant, Credential, Held};
use crate::change::Change;
use crate::error::StoreError;
use crate::secrets::SecretHash;
use crate::tables::{API_TOKEN, BACKUP_CODE, DEVICE_CLAIM, DEVICE_SECRET, SECRETS, SECRETS_OF, USER_CLAIM};

impl Register {
    /// Whether a device may sign in with this secret. It takes as long for a device that nobody knows.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn is_device_secret(&self, device: &DeviceId, secret: &[u8]) -> Result<bool, StoreError> {
        let shown = self.keys().secrets().device(secret);
        let Some(table) = self.table(SECRETS_OF)? else { return Ok(false) };
        let known = table.get((DEVICE_SECRET, device.as_str(), 0))?;
        Ok(known.is_some_and(|known| SecretHash(known.value()) == shown))
    }

    /// The device that this secret belongs to.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn device_of_secret(&self, secret: &[u8]) -> Result<Option<DeviceId>, StoreError> {
        let owner = self.owner(DEVICE_SECRET, self.keys().secrets().device(secret))?;
        owner.map(|(device, _)| device_id(&device)).transpose()
    }

    /// The user who gave this token to a program, and the token's id.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn user_of_token(&self, token: &[u8]) -> Result<Option<(UserId, ApiTokenId)>, StoreError> {
        let owner = self.owner(API_TOKEN, self.keys().secrets().api_token(token))?;
        owner.map(|(user, number)| Ok((user_id(&user)?, ApiTokenId(number)))).transpose()
    }

    /// The ids of a user's API tokens.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn api_tokens(&self, user: UserId) -> Result<Vec<ApiTokenId>, StoreError> {
        Ok(self.numbers(API_TOKEN, user)?.into_iter().map(ApiTokenId).collect())
    }

    /// The hash of a backup code of this user, if it is one that is not used up; to be handed on as
    /// [`Credential::BackupCodeUsed`].
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn backup_code(&self, user: UserId, code: &str) -> Result<Option<SecretHash>, StoreError> {
        let shown = self.keys().secrets().backup_code(user, code);
        Ok(self.owner(BACKUP_CODE, shown)?.map(|_| shown))
    }

    /// How many backup codes a user has left.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn backup_codes(&self, user: UserId) -> Result<usize, StoreError> {
        Ok(self.numbers(BACKUP_CODE, user)?.len())
    }

    /// Whom a claim code is for, if it is not used up, and its hash, to be handed on as
    /// [`Credential::ClaimCodeUsed`].
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn claim_code(&self, code: &str) -> Result<Option<(Claimant, SecretHash)>, StoreError> {
        let shown = self.keys().secrets().claim_code(code);
        if let Some((user, _)) = self.owner(USER_CLAIM, shown)? {
            return Ok(Some((Claimant::User(user_id(&user)?), shown)));
        }
        let device = self.owner(DEVICE_CLAIM, shown)?;
        device.map(|(device, _)| Ok((Claimant::Device(device_id(&device)?), shown))).transpose()
    }

    fn owner(&self, kind: u8, hash: SecretHash) -> Result<Option<(String, u64)>, StoreError> {
        let Some(table) = self.table(SECRETS)? else { return Ok(None) };
        let found = table.get((kind, hash.0))?;
        Ok(found.map(|found| {
            let (owner, number) = found.value();
            (owner.to_owned(), number)
        }))
    }

    fn numbers(&self, kind: u8, user: UserId) -> Result<Vec<u64>, StoreError> {
        let Some(table) = self.table(SECRETS_OF)? else { return Ok(Vec::new()) };
        let owner = user.to_string();
        let rows = table.range((kind, owner.as_str(), 0)..=(kind, owner.as_str(), u64::MAX))?;
        rows.map(|row| Ok(row?.0.value().2)).collect()
    }
}

fn user_id(owner: &str) -> Result<UserId, StoreError> {
    owner.parse().map_err(|_no_user| damaged())
}

fn device_id(owner: &str) -> Result<DeviceId, StoreError> {
    DeviceId::parse(owner).map_err(|_no_device| damaged())
}

fn damaged() -> StoreError {
    StoreError::Row { table: "secrets".to_owned() }
}

/// Sets, replaces and uses up.
pub(super) fn write(change: &Change, credential: &Credential) -> Result<(), StoreError> {
    match credential {
        Credential::DeviceSecret { device, hash } => put(change, DEVICE_SECRET, (device.as_str(), 0), *hash),
        Credential::ApiToken { user, token, hash } => {
            put(change, API_TOKEN, (&user.to_string(), token.0), *hash)
        }
        Credential::BackupCodes { user, hashes } => {
            let owner = user.to_string();
            remove(change, BACKUP_CODE, &owner, None)?;
            let numbered = (0..).zip(hashes);
            numbered.into_iter().try_for_each(|(n, hash)| put(change, BACKUP_CODE, (&owner, n), *hash))
        }
        Credential::ClaimCode { of, hash } => {
            let (kind, owner) = claim(of);
            put(change, kind, (&owner, 0), *hash)
        }
        Credential::BackupCodeUsed { hash, .. } => use_up(change, BACKUP_CODE, *hash),
        Credential::ClaimCodeUsed { of, hash } => use_up(change, claim(of).0, *hash),
        // The others are not hashes.
        Credential::Password { .. }
        | Credential::SecondFactor { .. }
        | Credential::Template(_)
        | Credential::Gone(_) => Ok(()),
    }
}

/// Whether what this uses up is still there, and its owner's.
pub(super) fn is_unused(change: &Change, credential: &Credential) -> Result<bool, StoreError> {
    let (kind, owner, hash) = match credential {
        Credential::BackupCodeUsed { user, hash } => (BACKUP_CODE, user.to_string(), hash),
        Credential::ClaimCodeUsed { of, hash } => {
            let (kind, owner) = claim(of);
            (kind, owner, hash)
        }
        _ => return Ok(true),
    };
    let table = change.open_table(SECRETS)?;
    let found = table.get((kind, hash.0))?;
    Ok(found.is_some_and(|found| found.value().0 == owner))
}

/// Removes what is held as a hash.
pub(super) fn remove_held(change: &Change, held: &Held) -> Result<(), StoreError> {
    match held {
        Held::BackupCodes(user) => remove(change, BACKUP_CODE, &user.to_string(), None),
        Held::ApiToken(user, token) => remove(change, API_TOKEN, &user.to_string(), Some(token.0)),
        Held::ApiTokens(user) => remove(change, API_TOKEN, &user.to_string(), None),
        Held::DeviceSecret(device) => remove(change, DEVICE_SECRET, device.as_str(), None),
        Held::ClaimCode(of) => {
            let (kind, owner) = claim(of);
            remove(change, kind, &owner, None)
        }
        // The others are not hashes.
        Held::Password(_) | Held::SecondFactor(_) | Held::Template { .. } | Held::Templates(_) => Ok(()),
    }
}

fn claim(of: &Claimant) -> (u8, String) {
    match of {
        Claimant::User(user) => (USER_CLAIM, user.to_string()),
        Claimant::Device(device) => (DEVICE_CLAIM, device.as_str().to_owned()),
    }
}

fn put(change: &Change, kind: u8, (owner, number): (&str, u64), hash: SecretHash) -> Result<(), StoreError> {
    remove(change, kind, owner, Some(number))?;
    // A secret is one owner's: whoever had the same has it no more. With random secrets nobody has.
    use_up(change, kind, hash)?;
    change.open_table(SECRETS)?.insert((kind, hash.0), (owner, number))?;
    change.open_table(SECRETS_OF)?.insert((kind, owner, number), hash.0)?;
    Ok(())
}

/// Removes an owner's secret with this number; all of this kind if no number is given.
fn remove(change: &Change, kind: u8, owner: &str, number: Option<u64>) -> Result<(), StoreError> {
    let mut secrets = change.open_table(SECRETS)?;
    let mut of = change.open_table(SECRETS_OF)?;
    let (from, to) = number.map_or((0, u64::MAX), |number| (number, number));
    for row in of.extract_from_if((kind, owner, from)..=(kind, owner, to), |_, _| true)? {
        secrets.remove((kind, row?.1.value()))?;
    }
    Ok(())
}

fn use_up(change: &Change, kind: u8, hash: SecretHash) -> Result<(), StoreError> {
    let mut secrets = change.open_table(SECRETS)?;
    let Some(found) = secrets.remove((kind, hash.0))? else { return Ok(()) };
    let (owner, number) = found.value();
    change.open_table(SECRETS_OF)?.remove((kind, owner, number))?;
    Ok(())
}
