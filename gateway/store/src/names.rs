//! The names that files have in a real folder.
//!
//! Promises: a name that was given, changed or taken away stays so after a power cut once its folder is brought
//! to disk; a file that makes room for another is kept under a name that nothing else has.
//!
//! Refuses: looking into files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use rollcall_domain::moment::Moment;

use crate::error::StoreError;

/// Where a file lies.
pub(crate) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    Ok(File::open(folder).and_then(|folder| folder.sync_all()).map_err(redb::Error::Io)?)
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(redb::Error::Io(error).into()),
        _ => Ok(()),
    }
}

/// The same for what nobody needs any more: if it stays, that keeps nobody from going on.
pub(crate) fn clear_away(path: &Path) {
    if let Err(error) = remove_if_there(path) {
        tracing::warn!(path = %path.display(), %error, "a file of no use could not be removed; delete it");
    }
}

/// Gives the file a second name, under which it stays when something else takes its first.
pub(crate) fn keep_aside(path: &Path, why: &str, at: Moment) -> Result<PathBuf, StoreError> {
    let stamp = at.civil(&TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
    for number in 1.. {
        let more = if number == 1 { String::new() } else { format!("-{number}") };
        let aside = path.with_extension(format!("{why}-{stamp}{more}.redb"));
        match fs::hard_link(path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Ok(()) => return Ok(aside),
            // Not every file system knows second names.
            Err(_) => {
                fs::copy(path, &aside).map_err(redb::Error::Io)?;
                File::open(&aside).and_then(|file| file.sync_all()).map_err(redb::Error::Io)?;
                return Ok(aside);
            }
        }
    }
    Err(redb::Error::Io(io::ErrorKind::AlreadyExists.into()).into())
}
