//! Promise: `run` starts wholly or not at all, stops cleanly, and reloads without harm.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rollcall_tests::gateway::{Gateway, Signal, Started, rollcall};
use tempfile::{TempDir, tempdir};

/// How long a stop may take; nothing else here is measured.
const A_SECOND: Duration = Duration::from_secs(1);

/// What a pipe holds before whoever writes has to wait.
const PIPE: usize = 65_536;

/// A folder with a settings file.
fn campus(settings: &str) -> TempDir {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("rollcall.toml"), settings).unwrap();
    folder
}

fn make_data(folder: &Path, mode: u32) {
    fs::create_dir(folder.join("data")).unwrap();
    fs::set_permissions(folder.join("data"), fs::Permissions::from_mode(mode)).unwrap();
}

fn start(folder: &TempDir) -> Gateway {
    Gateway::start(&mut rollcall(folder.path(), &["--config", "rollcall.toml"]))
}

/// What a start that fails before it has anything to log says: one line, exit code 3.
fn refusal(folder: &Path, arguments: &[&str]) -> String {
    let said = all_of_a_refusal(folder, arguments);
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

/// The last line of a start that fails later.
fn last_words(folder: &Path, arguments: &[&str]) -> String {
    all_of_a_refusal(folder, arguments).lines().last().unwrap().to_owned()
}

fn all_of_a_refusal(folder: &Path, arguments: &[&str]) -> String {
    let mut gateway = Started(rollcall(folder, arguments).stderr(Stdio::piped()).spawn().unwrap());
    let mut said = String::new();
    for line in BufReader::new(gateway.0.stderr.take().unwrap()).lines().map(Result::unwrap) {
        // Whoever starts after all would not end by itself.
        assert!(!line.contains("rollcall is running"), "{said}");
        said.push_str(&line);
        said.push('\n');
    }
    assert_eq!(gateway.0.wait().unwrap().code(), Some(3), "{said}");
    said
}

#[test]
fn the_first_start_makes_folder_key_and_password_for_its_user_alone() {
    let folder = campus("");
    let gateway = start(&folder);
    let data = folder.path().join("data");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let (key, password) = (folder.path().join("data.key"), data.join("admin-password"));
    for file in [&data.join("lock"), &key, &password] {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    gateway.signal(Signal::TERM);
    let (said, _) = gateway.end();
    assert!(!said.contains(fs::read_to_string(&password).unwrap().trim()), "{said}");
    let before = (fs::read(&key).unwrap(), fs::read(&password).unwrap());
    start(&folder);
    assert_eq!((fs::read(&key).unwrap(), fs::read(&password).unwrap()), before);
}

#[test]
fn a_ledger_that_is_gone_is_not_replaced_by_an_empty_one_until_its_key_is_gone_too() {
    let folder = campus("");
    let gateway = start(&folder);
    gateway.signal(Signal::TERM);
    gateway.end();
    let (ledger, key) = (folder.path().join("data/ledger.redb"), folder.path().join("data.key"));
    fs::remove_file(&ledger).unwrap();
    for emptied in [false, true] {
        if emptied {
            fs::write(&ledger, "").unwrap();
        }
        let said = last_words(folder.path(), &["--config", "rollcall.toml"]);
        assert!(
            said.contains(
                "is gone; put the ledger back, or delete the key file and the data folder to begin anew"
            ),
            "{said}"
        );
    }
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    fs::remove_file(&key).unwrap();
    let gateway = start(&folder);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.end().1.code(), Some(0));
}

#[test]
fn a_first_start_that_fails_leaves_nothing_that_keeps_the_next_from_starting() {
    let folder = campus("");
    make_data(folder.path(), 0o700);
    // In the way of the ledger that is to be made.
    let obstacle = folder.path().join("data/ledger.redb.new");
    fs::create_dir(&obstacle).unwrap();
    last_words(folder.path(), &["--config", "rollcall.toml"]);
    assert!(!folder.path().join("data/ledger.redb").exists());
    fs::remove_dir(&obstacle).unwrap();
    let gateway = start(&folder);
    gateway.signal(Signal::TERM);
    let (said, status) = gateway.end();
    assert_eq!(status.code(), Some(0), "{said}");
    let beside = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut beside: Vec<_> = beside.collect();
    beside.sort();
    assert_eq!(beside, ["data", "data.key", "rollcall.toml"]);
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
    assert!(said.starts_with("rollcall: could not start: another gateway or command (process "), "{said}");
    assert!(
        said.ends_with("has the data folder data; stop it first, or wait until it is through\n"),
        "{said}"
    );
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
        "[limits]\nuser_per_hour = 5\n[log]\nlevel = \"debug\"\n[campus]\nname = \"North\"\n",
    )
    .unwrap();
    gateway.signal(Signal::HUP);
    let waits = gateway.wait_for("take effect after a restart");
    assert!(waits.contains("\"campus.name\""), "{waits}");
    let idle = gateway.wait_for("not built yet");
    assert!(idle.contains("\"limits.user_per_hour\""), "{idle}");
    let taken = gateway.wait_for("settings reloaded");
    assert!(taken.contains("\"log.level\""), "{taken}");
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
fn settings_that_nothing_goes_by_yet_are_named_at_the_start_unless_they_are_the_defaults() {
    let folder =
        campus("[limits]\nuser_per_hour = 5\nmarking_per_minute = 60\n[http]\nallowed_hosts = [\"a\"]\n");
    let gateway = start(&folder);
    gateway.signal(Signal::TERM);
    let (said, _) = gateway.end();
    let line = said.lines().find(|line| line.contains("these settings are not built yet")).unwrap();
    assert!(line.contains("\"http.allowed_hosts, limits.user_per_hour\""), "{line}");
}

#[test]
fn plain_text_is_never_served_where_tls_was_asked_for() {
    let https = "[http]\ntls_cert = \"a\"\ntls_key = \"b\"\n";
    let mqtt = "[mqtt]\ntls_listen = \"127.0.0.1:0\"\ntls_cert = \"a\"\ntls_key = \"b\"\nclient_ca = \"c\"\n";
    for (tls, why) in [
        (https, ": is not built yet; remove it, or everything would go in plain text"),
        (mqtt, "rollcall.toml:3:12: mqtt.tls_cert: a does not exist; check the path"),
    ] {
        let folder = campus(tls);
        let said = refusal(folder.path(), &["--config", "rollcall.toml"]);
        assert!(said.contains(why), "{said}");
        assert!(!folder.path().join("data").exists());
    }
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
fn an_address_of_another_machine_is_not_blamed_on_another_program() {
    for key in ["HTTP", "MQTT"] {
        let folder = campus("");
        let mut command = rollcall(folder.path(), &["--config", "rollcall.toml"]);
        command.env(format!("ROLLCALL__{key}__LISTEN"), "192.0.2.1:0");
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        let last = said.lines().last().unwrap();
        assert!(last.contains("this machine has no such address; set "), "{last}");
    }
}

#[test]
fn what_anybody_on_the_network_can_send_does_not_fill_the_log() {
    let folder = campus("");
    let gateway = start(&folder);
    let mut stream = TcpStream::connect(gateway.http()).unwrap();
    stream.write_all(b"nothing that is HTTP\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    for _ in 0..20 {
        let mut stream = TcpStream::connect(gateway.mqtt()).unwrap();
        // A ping of somebody who has not signed in.
        stream.write_all(&[0xC0, 0]).unwrap();
        // It ends either way.
        stream.read_to_string(&mut answer).ok();
    }
    gateway.signal(Signal::TERM);
    let (said, _) = gateway.end();
    let loud = said.lines().filter(|line| line.contains("\"ERROR\"") || line.contains("\"WARN\""));
    let loud: Vec<&str> = loud.collect();
    assert!(matches!(loud.as_slice(), [one] if one.contains("malformed")), "{said}");
}

#[test]
fn a_lock_that_is_a_link_is_not_followed_and_its_target_not_emptied() {
    let folder = campus("");
    make_data(folder.path(), 0o700);
    let precious = folder.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    symlink(&precious, folder.path().join("data/lock")).unwrap();
    let said = refusal(folder.path(), &["--config", "rollcall.toml"]);
    assert!(said.contains("data/lock is a link, which is not followed; remove it"), "{said}");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
}

#[test]
fn a_lock_that_is_no_file_is_refused() {
    let folder = campus("");
    make_data(folder.path(), 0o700);
    let lock = folder.path().join("data/lock");
    assert!(Command::new("mkfifo").arg(&lock).status().unwrap().success());
    let said = refusal(folder.path(), &["--config", "rollcall.toml"]);
    assert!(said.contains("data/lock is not a regular file; remove it"), "{said}");
}

#[test]
fn a_data_folder_that_others_may_write_is_refused() {
    for mode in [0o770, 0o707, 0o1777] {
        let folder = campus("");
        make_data(folder.path(), mode);
        let said = refusal(folder.path(), &["--config", "rollcall.toml"]);
        assert!(
            said.contains("other users may write in the data folder data; run chmod 700 on it"),
            "{said}"
        );
        assert!(!folder.path().join("data/lock").exists());
    }
}

#[test]
fn what_is_wrong_with_the_data_folder_comes_with_advice_and_without_the_systems_numbers() {
    let folder = campus("");
    symlink("nowhere", folder.path().join("dangling")).unwrap();
    symlink("loop", folder.path().join("loop")).unwrap();
    for (data, expected) in [
        ("dangling", "the data folder dangling is a link to nothing; make the folder it leads to"),
        (
            "rollcall.toml/data",
            "cannot make the data folder rollcall.toml/data: not a directory; mend that, or name",
        ),
        (
            "loop",
            "cannot look at the data folder loop: too many levels of symbolic links; mend that, or name",
        ),
    ] {
        let said = refusal(folder.path(), &["--config", "rollcall.toml", "--data-dir", data]);
        assert!(said.contains(expected) && !said.contains("os error"), "{said}");
    }
}

#[test]
fn the_sealing_key_may_not_lie_in_the_data_folder_by_whatever_path() {
    let folder = campus("");
    make_data(folder.path(), 0o700);
    fs::create_dir(folder.path().join("d")).unwrap();
    fs::write(folder.path().join("data/key"), "").unwrap();
    symlink("data", folder.path().join("link")).unwrap();
    let whole = folder.path().join("data/key");
    for (key, arguments) in [
        ("d/../data/key", &["--config", "rollcall.toml"][..]),
        ("link/key", &["--config", "rollcall.toml"]),
        ("link/new", &["--config", "rollcall.toml"]),
        (whole.to_str().unwrap(), &["--config", "rollcall.toml"]),
        ("link/key", &["--config", "rollcall.toml", "--data-dir", "data"]),
        ("key", &["--config", "rollcall.toml", "--data-dir", "."]),
    ] {
        fs::write(folder.path().join("rollcall.toml"), format!("store.key_file = \"{key}\"\n")).unwrap();
        let said = refusal(folder.path(), arguments);
        assert!(said.contains(&format!("the sealing key {key} lies in the data folder /")), "{said}");
    }
}

#[test]
fn the_log_names_data_and_settings_from_the_root() {
    let folder = campus("");
    let mut gateway = start(&folder);
    gateway.signal(Signal::TERM);
    gateway.wait_for("rollcall has stopped");
    let (said, _) = gateway.end();
    let root = folder.path().canonicalize().unwrap();
    assert!(said.contains(&format!("\"data\":\"{}\"", root.join("data").display())), "{said}");
    let settings = root.join("rollcall.toml");
    assert!(said.contains(&format!("\"settings\":\"{} and the environment\"", settings.display())), "{said}");
}

#[test]
fn a_variable_that_is_not_read_is_warned_about() {
    let folder = campus("");
    let mut command = rollcall(folder.path(), &["--config", "rollcall.toml"]);
    let gateway = Gateway::start(command.env("rollcall__http__listen", "127.0.0.1:1"));
    gateway.signal(Signal::TERM);
    assert!(
        gateway.end().0.contains("rollcall__http__listen is not read; did you mean ROLLCALL__HTTP__LISTEN?")
    );
}

#[test]
fn a_stop_is_heard_while_a_large_file_of_mistakes_is_reloaded() {
    let folder = campus("");
    let mut gateway = start(&folder);
    let mistakes: String = (0..6_000).map(|number| format!("a{number}=1\n")).collect();
    fs::write(folder.path().join("rollcall.toml"), mistakes).unwrap();
    gateway.signal(Signal::HUP);
    gateway.wait_for("6000 problems in the settings, the first 100 shown");
    gateway.signal(Signal::TERM);
    gateway.wait_at_most(A_SECOND, "rollcall has stopped");
    assert_eq!(gateway.end().1.code(), Some(0));
}

/// The start is held where it reports bad settings, because nobody reads what it says.
#[test]
fn a_signal_during_the_start_does_not_kill_it() {
    let folder = campus("[qr]\nrotate_seconds = -1\n");
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'.'; PIPE]).unwrap();
    let mut command = rollcall(folder.path(), &["--config", "rollcall.toml"]);
    let child = command.stderr(writer).spawn().unwrap();
    drop(command);
    let mut gateway = Started(child);
    gateway.wait_until_it_catches(Signal::HUP);
    gateway.signal(Signal::HUP);
    let mut said = Vec::new();
    reader.read_to_end(&mut said).unwrap();
    let status = gateway.0.wait().unwrap();
    assert_eq!(status.code(), Some(3), "{status}");
}

#[test]
fn a_data_folder_open_to_others_is_remarked() {
    let folder = campus("");
    make_data(folder.path(), 0o755);
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
    let (said, status) = gateway.end();
    assert_eq!(status.code(), Some(0));
    assert!(said.contains("\"settings\":\"defaults and the environment\""), "{said}");
    assert!(folder.path().join("data").is_dir());
}
