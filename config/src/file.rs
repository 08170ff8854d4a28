//! Which file is read, and what can go wrong before its first line.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::document::LARGEST;
use crate::problem::{Fault, Origin, Problem};

/// The file that is read when none is named, if it is there.
pub const STANDARD_FILE: &str = "/etc/rollcall/rollcall.toml";

/// Which file holds the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigFile {
    /// This one if it exists, else no file at all; see [`ConfigFile::standard`].
    IfPresent(PathBuf),
    /// This one; it must exist.
    Named(PathBuf),
}

/// The bytes of a file, by the name that people know it by.
#[derive(Debug, Clone)]
pub struct Source {
    pub(crate) path: Arc<Path>,
    pub(crate) bytes: Vec<u8>,
}

impl Source {
    /// Settings that are already in memory.
    #[must_use]
    pub fn new(path: &Path, bytes: Vec<u8>) -> Self {
        Self { path: Arc::from(path), bytes }
    }

    /// The folder that the file stands in.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }
}

impl ConfigFile {
    /// [`STANDARD_FILE`] if it exists.
    #[must_use]
    pub fn standard() -> Self {
        Self::IfPresent(PathBuf::from(STANDARD_FILE))
    }

    /// Where it is, or would be.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::IfPresent(path) | Self::Named(path) => path,
        }
    }

    /// Reads it; `None` when it does not exist and need not.
    pub(crate) fn read(&self) -> Result<Option<Source>, Box<Problem>> {
        let path = self.path();
        match bytes_of(path) {
            Ok(bytes) => Ok(Some(Source::new(path, bytes))),
            Err((Fault::FileMissing, _)) if matches!(self, Self::IfPresent(_)) => Ok(None),
            Err((fault, advice)) => {
                let origin = Origin::File { path: Arc::from(path), line: 0, column: 0 };
                Err(Box::new(Problem { origin, key: String::new(), fault, advice: advice.to_owned() }))
            }
        }
    }
}

/// The bytes, or what is wrong and what to do.
fn bytes_of(path: &Path) -> Result<Vec<u8>, (Fault, &'static str)> {
    let about = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if about.is_dir() {
        return Err((Fault::IsAFolder, "name the file itself, such as rollcall.toml in that folder"));
    }
    if !about.is_file() {
        return Err((Fault::NotAFile, "name a regular file; devices and pipes are not read"));
    }
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
        let fault = Fault::TooLarge { bytes: about.len(), limit: LARGEST };
        return Err((fault, "check that this is the settings file"));
    }
    Ok(bytes)
}

fn unreadable(error: &std::io::Error) -> (Fault, &'static str) {
    let advice = match error.kind() {
        ErrorKind::NotFound => {
            let advice = "check the path given with --config, or leave it out to run on the defaults";
            return (Fault::FileMissing, advice);
        }
        ErrorKind::PermissionDenied => "let the gateway's user read it",
        ErrorKind::NotADirectory => "check the path: what stands before a slash must be a folder",
        _ => "check the path, the links on it and the disk",
    };
    (Fault::Unreadable { reason: reason(error) }, advice)
}

/// The system's words without the number that only programmers look up, in the style of our own.
#[must_use]
pub fn reason(error: &std::io::Error) -> String {
    plain(&error.to_string()).to_lowercase()
}

/// The same within a longer text.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(')').map_or(part, |(_number, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_number_goes_wherever_it_stands() {
        for (text, said) in [
            ("No such file (os error 2)", "No such file"),
            ("a: No (os error 2); b (os error 17) c", "a: No; b c"),
            ("nothing of the kind (2)", "nothing of the kind (2)"),
        ] {
            assert_eq!(plain(text), said);
        }
        assert_eq!(reason(&std::io::Error::from_raw_os_error(2)), "no such file or directory");
    }
}
