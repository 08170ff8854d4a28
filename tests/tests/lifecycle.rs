//! Promise: `run` starts wholly or not at all, stops cleanly, and reloads without harm.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rollcall_tests::gateway::{Gateway, Signal, rollcall};
use tempfile::{TempDir, tempdir};

/// How long a stop may take; nothing else here is measured.
const A_SECOND: Duration = Duration::from_secs(1);

/// A folder with a settings file.
fn campus(settings: &str) -> TempDir {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("rollcall.toml"), settings).unwrap();
    folder
}

fn start(folder: &TempDir) -> Gateway {
    Gateway::start(&mut rollcall(folder.path(), &["--config", "rollcall.toml"]))
}

/// What a start that fails says: one line, exit code 3.
fn refusal(folder: &Path, arguments: &[&str]) -> String {
    let output = rollcall(folder, arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn it_makes_the_data_folder_for_its_user_alone_and_says_what_it_cannot_do_yet() {
    let folder = campus("");
    let mut gateway = start(&folder);
    let data = folder.path().join("data");
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(data.join("lock")).unwrap().permissions().mode() & 0o777, 0o600);
    gateway.signal(Signal::TERM);
    gateway.wait_for("rollcall has stopped");
    let (said, _) = gateway.end();
    assert!(said.contains("this build has no listeners yet"), "{said}");
}

#[test]
fn sigterm_and_ctrl_c_stop_it_cleanly_within_a_second() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let folder = campus("");
        let mut gateway = start(&folder);
        gateway.signal(signal);
        let line = gateway.wait_at_most(A_SECOND, "rollcall stops");
        assert!(line.contains(name), "{line}");
        gateway.wait_at_most(A_SECOND, "rollcall has stopped");
        let (said, status) = gateway.end();
        assert_eq!(status.code(), Some(0), "{said}");
    }
}

#[test]
fn a_second_gateway_on_the_same_folder_is_refused_until_the_first_has_stopped() {
    let folder = campus("");
    let mut first = start(&folder);
    let said = refusal(folder.path(), &["run", "--config", "rollcall.toml"]);
    assert!(said.starts_with("rollcall: could not start: another gateway (process "), "{said}");
    assert!(said.ends_with("is running on the data folder data; stop it first\n"), "{said}");
    first.signal(Signal::TERM);
    first.wait_for("rollcall has stopped");
    first.end();
    let second = start(&folder);
    second.signal(Signal::TERM);
    assert_eq!(second.end().1.code(), Some(0));
}

#[test]
fn a_lock_file_left_by_a_killed_gateway_stops_nobody() {
    let folder = campus("");
    let first = start(&folder);
    first.signal(Signal::KILL);
    first.end();
    let second = start(&folder);
    second.signal(Signal::TERM);
    assert_eq!(second.end().1.code(), Some(0));
}

#[test]
fn data_dir_overrides_the_settings() {
    let folder = campus("[store]\npath = \"elsewhere\"\n");
    let arguments = ["run", "--config", "rollcall.toml", "--data-dir", "here"];
    let gateway = Gateway::start(&mut rollcall(folder.path(), &arguments));
    gateway.signal(Signal::TERM);
    gateway.end();
    assert!(folder.path().join("here").is_dir() && !folder.path().join("elsewhere").exists());
}

#[test]
fn a_reload_takes_good_settings_and_says_which_wait_for_a_restart() {
    let folder = campus("");
    let mut gateway = start(&folder);
    fs::write(
        folder.path().join("rollcall.toml"),
        "[limits]\nuser_per_hour = 5\n[campus]\nname = \"North\"\n",
    )
    .unwrap();
    gateway.signal(Signal::HUP);
    let waits = gateway.wait_for("take effect after a restart");
    assert!(waits.contains("\"campus.name\""), "{waits}");
    let taken = gateway.wait_for("settings reloaded");
    assert!(taken.contains("\"limits.user_per_hour\""), "{taken}");
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.end().1.code(), Some(0));
}

#[test]
fn a_reload_of_bad_settings_keeps_the_old_and_says_why() {
    let folder = campus("");
    let mut gateway = start(&folder);
    fs::write(
        folder.path().join("rollcall.toml"),
        "[limits]\nuser_per_hour = 0\n[upstream.portal]\ntoken = [\"hunter2\"]\n",
    )
    .unwrap();
    gateway.signal(Signal::HUP);
    gateway.wait_for("limits.user_per_hour: 0 is out of range; write a whole number from 1");
    gateway.wait_for("settings not reloaded: the old ones stay in force");
    gateway.signal(Signal::TERM);
    let (said, status) = gateway.end();
    assert_eq!(status.code(), Some(0));
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_reload_changes_the_level_of_the_log() {
    let folder = campus("");
    let mut gateway = start(&folder);
    fs::write(folder.path().join("rollcall.toml"), "[log]\nlevel = \"error\"\n").unwrap();
    gateway.signal(Signal::HUP);
    // Said at the old level; what follows is not.
    let taken = gateway.wait_for("settings reloaded");
    assert!(taken.contains("\"log.level\""), "{taken}");
    gateway.signal(Signal::TERM);
    let (said, status) = gateway.end();
    assert_eq!(status.code(), Some(0));
    assert!(!said.contains("rollcall stops"), "{said}");
}

#[test]
fn bad_settings_stop_the_start_with_one_line_and_where_to_see_the_rest() {
    let folder = campus("[qr]\nrotate_seconds = -1\n[htp]\n");
    let said = refusal(folder.path(), &["--config", "rollcall.toml"]);
    assert_eq!(
        said,
        "rollcall: could not start: rollcall.toml:2:18: qr.rotate_seconds: -1 is out of range; \
         write a whole number from 0 to 3600 (and 1 more; see them with rollcall check-config --config rollcall.toml)\n"
    );
    assert!(!folder.path().join("data").exists());
}

#[test]
fn a_settings_file_that_does_not_exist_stops_the_start() {
    let folder = campus("");
    assert!(
        refusal(folder.path(), &["--config", "nowhere.toml"]).contains("nowhere.toml: there is no such file")
    );
}

#[test]
fn a_data_folder_that_cannot_be_used_stops_the_start() {
    let folder = campus("");
    let deep = refusal(folder.path(), &["--config", "rollcall.toml", "--data-dir", "a/b"]);
    assert!(deep.contains("cannot make the data folder a/b: the folder above it does not exist"), "{deep}");
    let file = refusal(folder.path(), &["--config", "rollcall.toml", "--data-dir", "rollcall.toml"]);
    assert!(file.contains("the data folder rollcall.toml is not a folder"), "{file}");
}

#[test]
fn a_data_folder_open_to_others_is_remarked() {
    let folder = campus("");
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::set_permissions(folder.path().join("data"), fs::Permissions::from_mode(0o755)).unwrap();
    let gateway = start(&folder);
    gateway.signal(Signal::TERM);
    assert!(gateway.end().0.contains("other users may look into the data folder; run chmod 700 on it"));
}

#[test]
fn away_from_a_terminal_the_log_is_json_also_when_the_journal_is_not_ours() {
    let folder = campus("[upstream.portal]\nurl = \"https://portal.example.org\"\ntoken = \"hunter2\"\n");
    let mut command = rollcall(folder.path(), &["--config", "rollcall.toml"]);
    let gateway = Gateway::start(command.env("JOURNAL_STREAM", "1:2"));
    gateway.signal(Signal::TERM);
    let (said, _) = gateway.end();
    for line in said.lines() {
        assert!(line.starts_with("{\"timestamp\":") && line.ends_with('}'), "{line}");
    }
    assert!(!said.contains("hunter2"));
}

#[test]
fn the_documented_settings_start_the_gateway() {
    let folder = campus(include_str!("../../config/rollcall.example.toml"));
    let mut gateway = start(&folder);
    gateway.signal(Signal::TERM);
    gateway.wait_for("rollcall has stopped");
    assert_eq!(gateway.end().1.code(), Some(0));
}

#[test]
fn without_any_settings_it_starts_on_the_defaults() {
    let folder = tempdir().unwrap();
    let gateway = Gateway::start(&mut rollcall(folder.path(), &[]));
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.end().1.code(), Some(0));
    assert!(folder.path().join("data").is_dir());
}
