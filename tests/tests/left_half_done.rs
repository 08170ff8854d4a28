//! Promise: a start undoes what an earlier one left half done, and takes a sealing key that replaces another.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rollcall_store::{RootKey, Upgrade};
use rollcall_tests::campus::{Campus, KEY};
use rollcall_tests::gateway::{Gateway, Signal, rollcall};

const CONFIG: [&str; 2] = ["--config", "rollcall.toml"];

fn verify(folder: &Path) -> bool {
    rollcall(folder, &["verify", "--rebuild", "--config", "rollcall.toml"]).output().unwrap().status.success()
}

/// Starts and stops it; tells what it logged.
fn once(folder: &Path) -> String {
    let gateway = Gateway::start(&mut rollcall(folder, &CONFIG));
    gateway.signal(Signal::TERM);
    let (said, status) = gateway.end();
    assert_eq!(status.code(), Some(0), "{said}");
    said
}

#[test]
fn a_change_of_format_that_was_cut_short_is_undone_before_the_store_is_opened() {
    let campus = Campus::new();
    let data = campus.folder.path().join("data");
    Upgrade::begin(&data, RootKey::new(KEY), campus.clock.now()).unwrap();
    let mut bytes = fs::read(data.join("ledger.redb")).unwrap();
    bytes[..20_000].fill(7);
    fs::write(data.join("ledger.redb"), bytes).unwrap();
    let said = once(campus.folder.path());
    assert!(said.contains("a change of the stored format was cut short; it is undone"), "{said}");
    assert!(said.contains("before-upgrade-"), "{said}");
    assert!(verify(campus.folder.path()));
    assert!(!once(campus.folder.path()).contains("cut short"));
}

#[test]
fn it_is_undone_also_when_no_ledger_is_left_for_the_key_that_lies_beside_the_data() {
    for emptied in [true, false] {
        let campus = Campus::new();
        let folder = campus.folder.path();
        fs::write(folder.join("rollcall.toml"), "").unwrap();
        fs::rename(folder.join("rollcall.key"), folder.join("data.key")).unwrap();
        let (data, ledger) = (folder.join("data"), folder.join("data/ledger.redb"));
        Upgrade::begin(&data, RootKey::new(KEY), campus.clock.now()).unwrap();
        if emptied {
            fs::write(&ledger, "").unwrap();
        } else {
            fs::remove_file(&ledger).unwrap();
        }
        let said = once(folder);
        assert!(said.contains("a change of the stored format was cut short; it is undone"), "{said}");
        assert!(verify(folder));
    }
}

#[test]
fn a_restore_is_not_undone_by_what_was_half_changed_before_it() {
    let campus = Campus::new();
    let data = campus.folder.path().join("data");
    once(campus.folder.path());
    let arguments = ["backup", "copy", CONFIG[0], CONFIG[1]];
    assert!(rollcall(campus.folder.path(), &arguments).output().unwrap().status.success());
    Upgrade::begin(&data, RootKey::new(KEY), campus.clock.now()).unwrap();
    let arguments = ["restore", "copy", "--force", CONFIG[0], CONFIG[1]];
    assert!(rollcall(campus.folder.path(), &arguments).output().unwrap().status.success());
    assert!(!once(campus.folder.path()).contains("cut short"));
}

#[test]
fn a_restore_that_failed_half_way_says_so_and_is_completed_by_the_next_start() {
    let campus = Campus::new();
    let (folder, data) = (campus.folder.path(), campus.folder.path().join("data"));
    once(folder);
    let said = |arguments: &[&str], code: i32| {
        let output = rollcall(folder, &[arguments, &CONFIG].concat()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), said.lines().count()),
            (Some(code), usize::from(code > 0)),
            "{said}"
        );
        said
    };
    said(&["backup", "copy", "--with-evidence"], 0);
    // It cannot be taken away, which is needed right before the ledger is replaced.
    fs::remove_file(data.join("views.redb")).unwrap();
    fs::create_dir_all(data.join("views.redb/x")).unwrap();
    let failed = said(&["restore", "copy", "--force"], 1);
    assert!(failed.contains("it was under way: the next start completes it, or restore again"), "{failed}");
    for line in [["backup", "another"].as_slice(), &["verify"], &["export", "ledger", "--format", "csv"]] {
        let refused = said(line, 3);
        assert!(
            refused.contains("a restore was cut short; start the gateway, which completes it"),
            "{refused}"
        );
    }
    fs::remove_dir_all(data.join("views.redb")).unwrap();
    // What was made is enough to go on. Only without it the backup is missed.
    fs::remove_file(folder.join("copy")).unwrap();
    let (part, away) = (data.join("ledger.restoring.redb"), folder.join("away"));
    fs::rename(&part, &away).unwrap();
    let output = rollcall(folder, &CONFIG).output().unwrap();
    let refused = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{refused}");
    assert!(refused.contains("cannot be completed; put that file back, or restore another"), "{refused}");
    assert!(refused.contains("upgrade.pending to go on with the ledger that is there now"), "{refused}");
    fs::rename(away, part).unwrap();
    let log = once(folder);
    assert!(log.contains("a restore was cut short; it is completed, and what was there is kept"), "{log}");
    assert!(verify(folder));
    assert!(!once(folder).contains("cut short"));
}

#[test]
fn a_ledger_goes_on_under_a_new_key_when_the_one_it_replaces_is_named() {
    let campus = Campus::new();
    let folder = campus.folder.path();
    let (new, old) = (folder.join("new.key"), folder.join("rollcall.key"));
    fs::write(&new, [9; RootKey::BYTES]).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    let settings = |replaced: bool| {
        let replaced = if replaced { format!("replaced_key_file = {old:?}\n") } else { String::new() };
        fs::write(folder.join("rollcall.toml"), format!("[store]\nkey_file = {new:?}\n{replaced}")).unwrap();
    };
    settings(false);
    let output = rollcall(folder, &CONFIG).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("or name it with store.replaced_key_file"), "{said}");
    settings(true);
    assert!(verify(folder));
    assert!(once(folder).contains("the sealing key was replaced"));
    settings(false);
    assert!(verify(folder));
    once(folder);
}
