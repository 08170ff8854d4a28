//! Where the box's root key lies.
//!
//! Promises: one root key, from `store.key_file`, from a systemd credential, or made on the first start in
//! a file of its own beside the data folder, for this user alone.
//!
//! Refuses: printing it; making another one for a ledger that has one; beginning an empty campus where the
//! ledger of a key is gone.

use std::fs::{self, File, Metadata};
use std::io::{Error, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rollcall_config::reason;
use rollcall_store::{RootKey, Store};

use crate::private_file;

/// What systemd's `LoadCredential=` calls the key.
const CREDENTIAL: &str = "rollcall.key";
const BYTES: usize = RootKey::BYTES;
/// The ledger's file, as the store names it; a test holds the two together.
const LEDGER: &str = "ledger.redb";

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
/// A key that was named cannot be read, or does not look like one; the key of a ledger is missing, or the
/// ledger of a key.
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
        let key = read(&path, Keeper::Owner)?;
        if ledger_is_gone(data) {
            bail!(
                "the sealing key {} is there, but the ledger in {} is gone; put the ledger back, or delete the key file and the data folder to begin anew",
                path.display(),
                data.display()
            );
        }
        return Ok(key);
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

/// Whether no ledger is left in the folder: a file without a byte never was one.
fn ledger_is_gone(data: &Path) -> bool {
    !Store::is_in(data) || fs::metadata(data.join(LEDGER)).is_ok_and(|about| about.len() == 0)
}

fn read(path: &Path, keeper: Keeper) -> Result<RootKey> {
    let shown = path.display();
    let (about, bytes) = match content(path) {
        Ok(content) => content,
        Err(error) => bail!("cannot read the key file {shown}: {}", advise(&error)),
    };
    if keeper == Keeper::Owner && about.mode() & 0o077 != 0 {
        bail!("other users may read the key file {shown}; run chmod 600 on it");
    }
    let key = <[u8; BYTES]>::try_from(bytes.as_slice());
    key.map(RootKey::new).ok().with_context(|| {
        format!("{shown} is not a key: it should hold {BYTES} bytes; restore it from where you keep it")
    })
}

/// What the file is and what is in it, as far as a key may be long.
fn content(path: &Path) -> Result<(Metadata, Vec<u8>), Error> {
    let about = fs::metadata(path)?;
    if about.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    // A pipe would have to be waited for.
    if !about.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(1024).read_to_end(&mut bytes)?;
    Ok((about, bytes))
}

/// What is the matter, and what to do.
fn advise(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => {
            "there is no such file; restore it from where you keep it, or correct store.key_file".to_owned()
        }
        ErrorKind::IsADirectory => "it is a folder; set store.key_file to the file itself".to_owned(),
        ErrorKind::InvalidInput => "it is not a regular file; set store.key_file to one".to_owned(),
        ErrorKind::PermissionDenied => {
            "permission denied; make it the gateway's user's own (chown), for that user alone (chmod 600)"
                .to_owned()
        }
        _ => format!("{}; check the path, the links on it and the disk", reason(error)),
    }
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
        fs::write(data.join(LEDGER), "a ledger").unwrap();
        assert!(same(&made, &load(None, None, &data, bytes(2)).unwrap()));
        assert!(same(&made, &RootKey::new([1; BYTES])));
    }

    #[test]
    fn no_key_is_made_for_a_ledger_whose_own_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join(LEDGER), "").unwrap();
        assert!(Store::is_in(&data), "the store names its file otherwise");
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
    fn no_empty_campus_is_begun_where_the_ledger_of_a_key_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        load(None, None, &data, bytes(1)).unwrap();
        for emptied in [false, true] {
            if emptied {
                fs::write(data.join(LEDGER), "").unwrap();
            }
            let error = load(None, None, &data, bytes(2)).unwrap_err().to_string();
            assert!(error.contains("is gone; put the ledger back, or delete the key file"), "{error}");
        }
        fs::remove_file(folder.path().join("data.key")).unwrap();
        fs::remove_file(data.join(LEDGER)).unwrap();
        assert!(same(&load(None, None, &data, bytes(2)).unwrap(), &RootKey::new([2; BYTES])));
    }

    #[test]
    fn what_is_no_key_file_at_all_comes_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let named = |name: &str| {
            let path = folder.path().join(name);
            load(Some(&path), None, folder.path(), bytes(1)).unwrap_err().to_string()
        };
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(named("folder").ends_with("it is a folder; set store.key_file to the file itself"));
        assert!(named("nowhere").contains("there is no such file; restore it"));
        let denied = advise(&ErrorKind::PermissionDenied.into());
        assert!(denied.contains("chown") && denied.contains("chmod 600"), "{denied}");
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
