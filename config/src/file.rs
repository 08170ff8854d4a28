//! Which file is read, and what can go wrong before its first line.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::document::LARGEST;
use crate::problem::{Fault, Origin, Problem};

/// The file that is read when none is named, if it exists.
pub const STANDARD_FILE: &str = "/etc/rollcall/rollcall.toml";

/// Which file holds the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigFile {
    /// [`STANDARD_FILE`] if it exists, else no file at all.
    Standard,
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
    /// Reads it; `None` when no file is named and the standard one does not exist.
    pub(crate) fn read(&self) -> Result<Option<Source>, Vec<Problem>> {
        let (path, named) = match self {
            Self::Standard => (Path::new(STANDARD_FILE), false),
            Self::Named(path) => (path.as_path(), true),
        };
        match bytes_of(path) {
            Ok(bytes) => Ok(Some(Source::new(path, bytes))),
            Err(Fault::FileMissing) if !named => Ok(None),
            Err(fault) => Err(vec![file_problem(path, fault)]),
        }
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Fault> {
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Fault::FileMissing,
        _ => Fault::Unreadable { reason: reason(&error) },
    };
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(Fault::NotAFile);
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
        return Err(Fault::TooLarge { bytes: about.len(), limit: LARGEST });
    }
    Ok(bytes)
}

/// The system's words without the number that only programmers look up.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn file_problem(path: &Path, fault: Fault) -> Problem {
    let advice = match &fault {
        Fault::FileMissing => "check the path given with --config, or leave it out to run on the defaults",
        Fault::NotAFile => "name the file itself, such as rollcall.toml in that folder",
        Fault::TooLarge { .. } => "check that this is the settings file",
        _ => "let the gateway's user read it",
    };
    let origin = Origin::File { path: Arc::from(path), line: 0, column: 0 };
    Problem { origin, key: String::new(), fault, advice: advice.to_owned() }
}
