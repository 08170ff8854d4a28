//! Files that hold a secret.
//!
//! Promises: whole or not at all, also after a power cut; for this user alone from the first byte on.
//!
//! Refuses: writing into a file, or through a link, that somebody else put in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes a secret; what was there before is replaced.
pub(crate) fn write(path: &Path, secret: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    // Left by a start that was cut off.
    match fs::remove_file(new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(secret)?;
    file.sync_all()?;
    rename(new, path)
}

/// Gives a secret its name, which a power cut does not take back.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    match to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_secret_is_for_this_user_alone_whatever_lay_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let (secret, other) = (folder.path().join("secret"), folder.path().join("other"));
        for stale in ["secret", "secret.new"] {
            fs::write(folder.path().join(stale), "old").unwrap();
            fs::set_permissions(folder.path().join(stale), fs::Permissions::from_mode(0o666)).unwrap();
        }
        write(&secret, b"first").unwrap();
        assert_eq!(fs::read(&secret).unwrap(), b"first");
        assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);

        fs::write(&other, "untouched").unwrap();
        symlink(&other, folder.path().join("secret.new")).unwrap();
        write(&secret, b"second").unwrap();
        assert_eq!(fs::read(&secret).unwrap(), b"second");
        assert_eq!(fs::read(&other).unwrap(), b"untouched");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
