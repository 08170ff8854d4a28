//! Promise: whatever stands where the settings file should be, the answer is a clear line.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;

use common::{environment, no_environment};
use rollcall_config::{ConfigFile, load};

fn said(path: &Path) -> String {
    let outcome = load(&ConfigFile::Named(path.to_owned()), &no_environment());
    outcome.err().map(|problems| problems.to_string()).unwrap_or_default()
}

#[test]
fn a_named_file_that_does_not_exist_is_a_problem() {
    assert_eq!(
        said(Path::new("nowhere/rollcall.toml")),
        "nowhere/rollcall.toml: there is no such file; \
         check the path given with --config, or leave it out to run on the defaults"
    );
}

#[test]
fn a_missing_file_does_not_hide_mistakes_in_the_environment() {
    let file = ConfigFile::Named("nowhere.toml".into());
    let problems = load(&file, &environment(&[("ROLLCALL__QR__ROTATE_SECONDS", "x")])).unwrap_err();
    assert_eq!(problems.iter().len(), 2);
}

#[test]
fn a_folder_is_not_a_settings_file() {
    let folder = tempfile::tempdir().unwrap();
    assert!(
        said(folder.path())
            .ends_with("is not a file; name the file itself, such as rollcall.toml in that folder")
    );
}

#[test]
fn an_empty_file_is_the_defaults() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(said(file.path()), "");
}

#[test]
fn a_file_of_more_than_a_mebibyte_is_refused_without_reading_on() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(1024 * 1024 + 1).unwrap();
    assert!(said(file.path()).contains("is 1048577 bytes long; settings need no more than 1048576"));
    std::fs::write(file.path(), "#".repeat(1024 * 1024)).unwrap();
    assert_eq!(said(file.path()), "");
}

#[test]
fn a_device_is_not_read() {
    assert!(said(Path::new("/dev/zero")).contains("is not a file"));
}
