//! Where the box's root key lies.
//!
//! Promises: one root key, from `store.key_file`, from a systemd credential, or made on the first start in
//! a file of its own beside the data folder, for this user alone.
//!
//! Refuses: printing it; making another one for a ledger that has one.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rollcall_store::{RootKey, Store};

use crate::private_file;

/// What systemd's `LoadCredential=` calls the key.
const CREDENTIAL: &str = "rollcall.key";
const BYTES: usize = RootKey::BYTES;

/// Who looks after a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    /// Whoever runs the gateway; a mistake with its permissions is told.
    Owner,
    /// systemd hands it to the service alone, which shows as a permission of its group.
    Systemd,
}

/// Reads the key, or makes it if nothing names one and there is neither a key nor a ledger.
///
/// # Errors
/// A key that was named cannot be read, or does not look like one; the key of a ledger is missing.
pub(crate) fn load(
    key_file: Option<&Path>,
    credentials: Option<&Path>,
    data: &Path,
    random: impl FnOnce(&mut [u8]) -> Result<()>,
) -> Result<RootKey> {
    if let Some(path) = key_file {
        return read(path, Keeper::Owner);
    }
    if let Some(path) = credentials.map(|folder| folder.join(CREDENTIAL)).filter(|path| path.exists()) {
        return read(&path, Keeper::Systemd);
    }
    let path = beside(data)?;
    if path.exists() {
        return read(&path, Keeper::Owner);
    }
    if Store::is_in(data) {
        bail!(
            "the sealing key {} is missing, and the ledger in {} cannot be read without it; put it back, or name it with store.key_file",
            path.display(),
            data.display()
        );
    }
    make(&path, random)
}

/// `data` -> `data.key` in the same folder: outside the data, so that a copy of the data is not a copy of
/// the key.
fn beside(data: &Path) -> Result<PathBuf> {
    let data = fs::canonicalize(data).with_context(|| format!("cannot find {}", data.display()))?;
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(".key");
    Ok(data.with_file_name(name))
}

fn read(path: &Path, keeper: Keeper) -> Result<RootKey> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read the key file {shown}"))?;
    let mode = file.metadata().with_context(|| format!("cannot look at the key file {shown}"))?.mode();
    if keeper == Keeper::Owner && mode & 0o077 != 0 {
        bail!("other users may read the key file {shown}; run chmod 600 on it");
    }
    let mut bytes = Vec::new();
    file.take(1024).read_to_end(&mut bytes).with_context(|| format!("cannot read the key file {shown}"))?;
    let key = <[u8; BYTES]>::try_from(bytes.as_slice());
    key.map(RootKey::new).ok().with_context(|| {
        format!("{shown} is not a key: it should hold {BYTES} bytes; restore it from where you keep it")
    })
}

fn make(path: &Path, random: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<RootKey> {
    let mut key = [0; BYTES];
    random(&mut key)?;
    let shown = path.display();
    private_file::write(path, &key)
        .with_context(|| format!("cannot write the key file {shown}; name another with store.key_file"))?;
    tracing::info!(key_file = %shown, "made the sealing key; keep a copy apart from the data");
    Ok(RootKey::new(key))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn bytes(fill: u8) -> impl FnOnce(&mut [u8]) -> Result<()> {
        move |bytes| {
            bytes.fill(fill);
            Ok(())
        }
    }

    fn put(path: &Path, mode: u32) {
        fs::write(path, [7; BYTES]).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn same(one: &RootKey, other: &RootKey) -> bool {
        one.fingerprint() == other.fingerprint()
    }

    #[test]
    fn a_key_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let made = load(None, None, &data, bytes(1)).unwrap();
        assert!(same(&made, &load(None, None, &data, bytes(2)).unwrap()));
        assert!(same(&made, &RootKey::new([1; BYTES])));
    }

    #[test]
    fn no_key_is_made_for_a_ledger_whose_own_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("ledger.redb"), "").unwrap();
        let error = load(None, None, &data, bytes(1)).unwrap_err().to_string();
        assert!(error.contains("data.key is missing"), "{error}");
        assert!(!folder.path().join("data.key").exists());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_but_not_one_that_systemd_keeps() {
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("named");
        put(&named, 0o640);
        let error = load(Some(&named), None, folder.path(), bytes(1)).unwrap_err().to_string();
        assert!(error.contains("run chmod 600"), "{error}");
        put(&folder.path().join(CREDENTIAL), 0o440);
        let credential = load(None, Some(folder.path()), folder.path(), bytes(1)).unwrap();
        assert!(same(&credential, &RootKey::new([7; BYTES])));
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("named");
        put(&named, 0o600);
        for length in [0, BYTES - 1, BYTES + 1] {
            fs::write(&named, vec![7; length]).unwrap();
            assert!(load(Some(&named), None, folder.path(), bytes(1)).is_err(), "{length}");
        }
    }
}
