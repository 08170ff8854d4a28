//! Where the box's root key lies.
//!
//! Promises: one root key, from `store.key_file`, from a systemd credential, or made on the first start in
//! a file of its own beside the data folder, for this user alone.
//!
//! Refuses: printing it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rollcall_store::RootKey;

/// What systemd's `LoadCredential=` calls the key.
const CREDENTIAL: &str = "rollcall.key";
const BYTES: usize = RootKey::BYTES;

/// Reads the key, or makes it if nothing names one and there is none.
///
/// # Errors
/// A key that was named cannot be read, or does not look like one.
pub(crate) fn load(
    key_file: Option<&Path>,
    credentials: Option<&Path>,
    data: &Path,
    random: impl FnOnce(&mut [u8]) -> Result<()>,
) -> Result<RootKey> {
    if let Some(path) = key_file {
        return read(path);
    }
    if let Some(path) = credentials.map(|folder| folder.join(CREDENTIAL)).filter(|path| path.exists()) {
        return read(&path);
    }
    let path = beside(data)?;
    if path.exists() { read(&path) } else { make(&path, random) }
}

/// `data` -> `data.key` in the same folder: outside the data, so that a copy of the data is not a copy of
/// the key.
fn beside(data: &Path) -> Result<PathBuf> {
    let data = fs::canonicalize(data).with_context(|| format!("cannot find {}", data.display()))?;
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(".key");
    Ok(data.with_file_name(name))
}

fn read(path: &Path) -> Result<RootKey> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read the key file {shown}"))?;
    let mode = file.metadata().with_context(|| format!("cannot look at the key file {shown}"))?.mode();
    if mode & 0o077 != 0 {
        bail!("other users may read the key file {shown}; run chmod 600 on it");
    }
    let mut bytes = Vec::new();
    file.take(1024).read_to_end(&mut bytes).with_context(|| format!("cannot read the key file {shown}"))?;
    let key = <[u8; BYTES]>::try_from(bytes.as_slice());
    key.map(RootKey::new).ok().with_context(|| {
        format!("{shown} is not a key: it should hold {BYTES} bytes; restore it from where you keep it")
    })
}

/// Written whole under another name first, so that a crash leaves no half of a key.
fn make(path: &Path, random: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<RootKey> {
    let mut key = [0; BYTES];
    random(&mut key)?;
    let shown = path.display();
    let new = path.with_extension("key.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .with_context(|| format!("cannot make the key file {shown}; name another with store.key_file"))?;
    file.write_all(&key)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("cannot write the key file {shown}"))?;
    tracing::info!(key_file = %shown, "made the sealing key; keep a copy apart from the data");
    Ok(RootKey::new(key))
}
