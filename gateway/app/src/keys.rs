//! Where the box's root key lies.
//!
//! Promises: one root key, from `store.key_file`, from a systemd credential, or made on the first start in
//! a file of its own beside the data folder, for this user alone. A key that was made has another name until
//! there is a ledger under it, so that a first start may fail, or be cut off, and be tried again. Beside it
//! the key that it replaces, if `store.replaced_key_file` names one.
//!
//! Refuses: printing it; making another one for a ledger that has one; beginning an empty campus where the
//! ledger of a key is gone; making one for a command that only looks.

use std::fs::{self, File, Metadata};
use std::io::{Error, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rollcall_config::{reason, settings};
use rollcall_store::{Keyring, RootKey, Store};

use crate::private_file;

/// What systemd's `LoadCredential=` calls the key.
const CREDENTIAL: &str = "rollcall.key";
const BYTES: usize = RootKey::BYTES;
/// The ledger's file, as the store names it; a test holds the two together.
const LEDGER: &str = "ledger.redb";
/// The settings that name key files.
const CURRENT: &str = "store.key_file";
const REPLACED: &str = "store.replaced_key_file";

/// Who looks after a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    /// Whoever runs the gateway; a mistake with its permissions is told.
    Owner,
    /// systemd hands it to the service alone, which shows as a permission of its group.
    Systemd,
}

/// The root key, as it was found or made.
#[derive(Debug)]
pub(crate) struct Found {
    root: RootKey,
    pending: Option<Pending>,
}

/// A key that was made, and may have no ledger yet.
#[derive(Debug)]
struct Pending {
    lies_at: PathBuf,
    belongs_at: PathBuf,
}

impl Found {
    pub(crate) fn root(&self) -> RootKey {
        self.root.clone()
    }

    /// Gives a new key its name. To be called once there is a ledger under it: from then on neither is
    /// taken without the other.
    ///
    /// # Errors
    /// The file cannot be renamed; the next start tries again.
    pub(crate) fn settle(self) -> Result<RootKey> {
        if let Some(Pending { lies_at, belongs_at }) = self.pending {
            let shown = belongs_at.display();
            if let Err(error) = private_file::rename(&lies_at, &belongs_at) {
                bail!(
                    "cannot rename the key file {} to {shown}: {}; make the folder writable, or mend its disk",
                    lies_at.display(),
                    reason(&error)
                );
            }
            tracing::info!(key_file = %shown, "made the sealing key; keep a copy apart from the data");
        }
        Ok(self.root)
    }
}

impl From<RootKey> for Found {
    fn from(root: RootKey) -> Self {
        Found { root, pending: None }
    }
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
) -> Result<Found> {
    if let Some(key) = named(key_file, credentials)? {
        return Ok(key.into());
    }
    let path = beside(data, ".key")?;
    if path.exists() {
        let key = read(&path, Keeper::Owner, CURRENT)?;
        if ledger_is_gone(data) {
            bail!(
                "the sealing key {} is there, but the ledger in {} is gone; put the ledger back, or delete the key file and the data folder to begin anew",
                path.display(),
                data.display()
            );
        }
        return Ok(key.into());
    }
    // Of a start that came to no end; its ledger may have been made, or not.
    let pending = beside(data, ".key.pending")?;
    if !pending.exists() {
        if Store::is_in(data) {
            bail!(
                "the sealing key {} is missing, and the ledger in {} cannot be read without it; put it back, or name it with store.key_file",
                path.display(),
                data.display()
            );
        }
        make(&pending, random)?;
    }
    let root = read(&pending, Keeper::Owner, CURRENT)?;
    Ok(Found { root, pending: Some(Pending { lies_at: pending, belongs_at: path }) })
}

/// The key that somebody said where to find.
fn named(key_file: Option<&Path>, credentials: Option<&Path>) -> Result<Option<RootKey>> {
    named_at(key_file, credentials).map(|(path, keeper)| read(&path, keeper, CURRENT)).transpose()
}

fn named_at(key_file: Option<&Path>, credentials: Option<&Path>) -> Option<(PathBuf, Keeper)> {
    if let Some(path) = key_file {
        return Some((path.to_owned(), Keeper::Owner));
    }
    let credential = credentials.map(|folder| folder.join(CREDENTIAL)).filter(|path| path.exists());
    credential.map(|path| (path, Keeper::Systemd))
}

/// The file with the key of a ledger, if there is one.
fn at(store: &settings::Store, data: &Path) -> Result<Option<(PathBuf, Keeper)>> {
    let named = named_at(store.key_file.as_deref(), credentials().as_deref());
    if named.is_some() {
        return Ok(named);
    }
    // Until the gateway has said that it runs, the key has the second of these names.
    let beside = [beside(data, ".key")?, beside(data, ".key.pending")?].into_iter();
    Ok(beside.map(|path| (path, Keeper::Owner)).find(|(path, _)| path.exists()))
}

/// The user for whom alone the key of a ledger is, if a file tells.
///
/// # Errors
/// The folder above the data folder cannot be found.
pub(crate) fn owner(store: &settings::Store, data: &Path) -> Result<Option<u32>> {
    let file = at(store, data)?.filter(|(_, keeper)| *keeper == Keeper::Owner);
    Ok(file.and_then(|(path, _)| fs::metadata(path).ok()).map(|about| about.uid()))
}

/// The keys of a ledger that is there or is to be brought back; none is made, and the folder need not exist.
///
/// # Errors
/// There is no key, or it cannot be read. The message says where it should be.
pub(crate) fn of_ledger(store: &settings::Store, data: &Path) -> Result<Keyring> {
    let Some((path, keeper)) = at(store, data)? else {
        bail!(
            "the sealing key is missing: there is no {}; put it back, or name it with {CURRENT}",
            beside(data, ".key")?.display()
        );
    };
    let root = read(&path, keeper, CURRENT)?;
    ring(store, root)
}

/// The key, and beside it the one that it replaces.
///
/// # Errors
/// A replaced key was named and cannot be read.
pub(crate) fn ring(store: &settings::Store, root: RootKey) -> Result<Keyring> {
    let ring = Keyring::new(root);
    match &store.replaced_key_file {
        Some(path) => Ok(ring.replacing(read(path, Keeper::Owner, REPLACED)?)),
        None => Ok(ring),
    }
}

/// Where systemd puts what the unit hands to the service.
pub(crate) fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// The key files that the settings name.
pub(crate) fn files(store: &settings::Store) -> impl Iterator<Item = &PathBuf> {
    store.key_file.iter().chain(&store.replaced_key_file)
}

/// `data` -> `data.key` in the same folder: outside the data, so that a copy of the data is not a copy of
/// the key.
fn beside(data: &Path, ending: &str) -> Result<PathBuf> {
    let whole = fs::canonicalize(data).or_else(|error| match data.file_name() {
        // Not there yet; the folder above it is.
        Some(name) if error.kind() == ErrorKind::NotFound => {
            let above = data.parent().filter(|above| !above.as_os_str().is_empty());
            Ok(fs::canonicalize(above.unwrap_or(Path::new(".")))?.join(name))
        }
        _ => Err(error),
    });
    let data = whole.with_context(|| format!("cannot find {}", data.display()))?;
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    Ok(data.with_file_name(name))
}

/// Whether no ledger is left in the folder: a file without a byte never was one.
fn ledger_is_gone(data: &Path) -> bool {
    !Store::is_in(data) || fs::metadata(data.join(LEDGER)).is_ok_and(|about| about.len() == 0)
}

fn read(path: &Path, keeper: Keeper, setting: &str) -> Result<RootKey> {
    let shown = path.display();
    let (about, bytes) = match content(path) {
        Ok(content) => content,
        Err(error) => bail!("cannot read the key file {shown}: {}", advise(&error, setting)),
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
fn advise(error: &Error, setting: &str) -> String {
    match error.kind() {
        ErrorKind::NotFound => {
            format!("there is no such file; restore it from where you keep it, or correct {setting}")
        }
        ErrorKind::IsADirectory => format!("it is a folder; set {setting} to the file itself"),
        ErrorKind::InvalidInput => format!("it is not a regular file; set {setting} to one"),
        ErrorKind::PermissionDenied => {
            "permission denied; make it the gateway's user's own (chown), for that user alone (chmod 600)"
                .to_owned()
        }
        _ => format!("{}; check the path, the links on it and the disk", reason(error)),
    }
}

fn make(path: &Path, random: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<()> {
    let mut key = [0; BYTES];
    random(&mut key)?;
    private_file::write(path, &key).with_context(|| {
        format!("cannot write the key file {}; name another with store.key_file", path.display())
    })
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

    fn same(found: &Found, other: u8) -> bool {
        found.root.fingerprint() == RootKey::new([other; BYTES]).fingerprint()
    }

    /// A folder with an empty data folder in it.
    fn campus() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        (folder, data)
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_key_is_made_once() {
        let (folder, data) = campus();
        let made = load(None, None, &data, bytes(1)).unwrap();
        assert!(same(&made, 1));
        fs::write(data.join(LEDGER), "a ledger").unwrap();
        made.settle().unwrap();
        let found = load(None, None, &data, bytes(2)).unwrap();
        assert!(same(&found, 1));
        found.settle().unwrap();
        assert_eq!(names(folder.path()), ["data", "data.key"]);
    }

    #[test]
    fn a_start_that_was_cut_off_goes_on_with_its_key_whether_its_ledger_was_made_or_not() {
        for made in [false, true] {
            let (folder, data) = campus();
            drop(load(None, None, &data, bytes(1)).unwrap());
            if made {
                fs::write(data.join(LEDGER), "a ledger").unwrap();
            }
            assert_eq!(names(folder.path()), ["data", "data.key.pending"]);
            let again = load(None, None, &data, bytes(2)).unwrap();
            assert!(same(&again, 1), "{made}");
            again.settle().unwrap();
            assert_eq!(names(folder.path()), ["data", "data.key"]);
            let about = fs::metadata(folder.path().join("data.key")).unwrap();
            assert_eq!(about.permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_key_that_cannot_get_its_name_is_an_error_that_says_what_to_do() {
        let (folder, data) = campus();
        let made = load(None, None, &data, bytes(1)).unwrap();
        fs::create_dir(folder.path().join("data.key")).unwrap();
        let error = made.settle().unwrap_err().to_string();
        assert!(
            error.contains("data.key.pending to ") && error.contains("make the folder writable"),
            "{error}"
        );
        assert!(!error.contains("os error"), "{error}");
    }

    #[test]
    fn no_key_is_made_for_a_ledger_whose_own_is_missing() {
        let (folder, data) = campus();
        fs::write(data.join(LEDGER), "").unwrap();
        assert!(Store::is_in(&data), "the store names its file otherwise");
        let error = load(None, None, &data, bytes(1)).unwrap_err().to_string();
        assert!(error.contains("data.key is missing"), "{error}");
        assert_eq!(names(folder.path()), ["data"]);
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
        assert!(same(&credential, 7));
    }

    #[test]
    fn no_empty_campus_is_begun_where_the_ledger_of_a_key_is_gone() {
        let (folder, data) = campus();
        load(None, None, &data, bytes(1)).unwrap().settle().unwrap();
        for emptied in [false, true] {
            if emptied {
                fs::write(data.join(LEDGER), "").unwrap();
            }
            let error = load(None, None, &data, bytes(2)).unwrap_err().to_string();
            assert!(error.contains("is gone; put the ledger back, or delete the key file"), "{error}");
        }
        fs::remove_file(folder.path().join("data.key")).unwrap();
        fs::remove_file(data.join(LEDGER)).unwrap();
        assert!(same(&load(None, None, &data, bytes(2)).unwrap(), 2));
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
        let denied = advise(&ErrorKind::PermissionDenied.into(), CURRENT);
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

    #[test]
    fn a_command_finds_the_key_of_a_folder_that_is_not_there_and_makes_none() {
        let folder = tempfile::tempdir().unwrap();
        let (data, store) = (folder.path().join("data"), settings("path = \"data\""));
        let error = of_ledger(&store, &data).unwrap_err().to_string();
        assert!(error.contains("the sealing key is missing") && error.contains("data.key;"), "{error}");
        assert_eq!(names(folder.path()), [""; 0]);
        put(&folder.path().join("data.key"), 0o600);
        of_ledger(&store, &data).unwrap();
    }

    #[test]
    fn a_replaced_key_is_named_by_its_own_setting() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("old");
        let store = settings(&format!("replaced_key_file = {old:?}"));
        let error = ring(&store, RootKey::new([7; BYTES])).unwrap_err().to_string();
        assert!(error.ends_with("or correct store.replaced_key_file"), "{error}");
        put(&old, 0o600);
        let ring = format!("{:?}", ring(&store, RootKey::new([8; BYTES])).unwrap());
        assert_eq!(ring.matches("RootKey").count(), 2, "{ring}");
    }

    fn settings(store: &str) -> settings::Store {
        let source =
            rollcall_config::Source::new("test".as_ref(), format!("[store]\n{store}\n").into_bytes());
        rollcall_config::load_source(&source, &rollcall_config::Environment::default())
            .unwrap()
            .settings
            .store
    }
}
