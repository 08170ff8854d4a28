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
            .ends_with("is a folder, not a file; name the file itself, such as rollcall.toml in that folder")
    );
}

#[test]
fn an_empty_file_is_the_defaults() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(said(file.path()), "");
}

#[test]
fn a_file_of_more_than_64_kibibytes_is_refused_without_reading_on() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(64 * 1024 + 1).unwrap();
    assert!(said(file.path()).contains("is 65537 bytes long; settings need no more than 65536"));
    std::fs::write(file.path(), "#".repeat(64 * 1024)).unwrap();
    assert_eq!(said(file.path()), "");
}

#[test]
fn a_device_is_not_read_and_nobody_is_sent_to_a_folder_that_is_none() {
    for device in ["/dev/null", "/dev/zero"] {
        assert_eq!(
            said(Path::new(device)),
            format!("{device} is not a file; name a regular file; devices and pipes are not read")
        );
    }
}

#[test]
fn a_path_that_leads_nowhere_is_not_taken_for_a_lack_of_rights() {
    let folder = tempfile::tempdir().unwrap();
    let (around, file) = (folder.path().join("loop"), folder.path().join("file"));
    std::os::unix::fs::symlink(&around, &around).unwrap();
    std::fs::write(&file, "").unwrap();
    let said_of_loop = said(&around);
    assert!(said_of_loop.contains("(too many levels of symbolic links); check the path"), "{said_of_loop}");
    let said_of_file = said(&file.join("rollcall.toml"));
    assert!(
        said_of_file
            .ends_with("(not a directory); check the path: what stands before a slash must be a folder")
    );
}

#[test]
fn a_file_that_need_not_exist_is_taken_when_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = ConfigFile::IfPresent(folder.path().join("rollcall.toml"));
    assert_eq!(load(&file, &no_environment()).unwrap().file, None);
    std::fs::write(file.path(), "campus.name = \"North\"").unwrap();
    let loaded = load(&file, &no_environment()).unwrap();
    assert_eq!((loaded.file.as_deref(), loaded.settings.campus.name.as_str()), (Some(file.path()), "North"));
}
