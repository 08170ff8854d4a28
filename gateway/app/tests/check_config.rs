//! Promise: `check-config` names every mistake, or shows what is in force and who set it; never a
//! secret.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs::OpenOptions;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use common::{rollcall, text};

const CHECK: &[&str] = &["check-config", "--config"];

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn check(file: &str, variables: &[(&str, &str)]) -> Output {
    let arguments = [CHECK, &[file]].concat();
    rollcall(&golden(), &arguments).envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn good_settings_are_printed_with_who_set_them_and_masked_secrets() {
    let output = check(
        "settings.toml",
        &[
            ("ROLLCALL__MQTT__LISTEN", "127.0.0.1:1883"),
            ("ROLLCALL__AUTH__REQUIRE_2FA_FOR", "admin,teacher"),
            ("ROLLCALL_ADMIN_PASSWORD", "hunter2"),
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), include_str!("golden/settings.txt"));
    assert!(output.stderr.is_empty());
}

#[test]
fn every_mistake_in_file_and_environment_is_named_and_the_exit_code_is_1() {
    let output = check(
        "mistakes.toml",
        &[
            ("ROLLCALL__LIMITS__USER_PER_HOUR", "many"),
            ("ROLLCALL__MAIL__SMTP_URL", "smtp//me:hunter2@mail"),
            ("ROLLCALL__MQTT__LISTN", "x"),
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), include_str!("golden/mistakes.txt"));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_file_that_does_not_exist_exits_with_1_and_one_clear_line() {
    let output = check("nowhere.toml", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("nowhere.toml: there is no such file; check the path"));
}

#[test]
fn the_option_may_stand_in_front_of_the_command() {
    let output = rollcall(&golden(), &["--config", "settings.toml", "check-config"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("North Campus"));
}

#[test]
fn tls_that_was_asked_for_and_cannot_be_had_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[http]\ntls_cert = \"a\"\ntls_key = \"b\"\n";
    std::fs::write(folder.path().join("tls.toml"), text).unwrap();
    let output = rollcall(folder.path(), &["check-config", "--config", "tls.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = common::text(&output.stderr);
    assert!(said.starts_with("tls.toml:2:12: http.tls_cert: is not built yet; remove it, or "), "{said}");
    assert!(said.ends_with("\n2 problems in the settings\n"), "{said}");
}

#[test]
fn what_is_printed_is_itself_a_good_settings_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty.toml"), "").unwrap();
    let printed = rollcall(folder.path(), &["check-config", "--config", "empty.toml"]).output().unwrap();
    std::fs::write(folder.path().join("printed.toml"), &printed.stdout).unwrap();
    let again = rollcall(folder.path(), &["check-config", "--config", "printed.toml"]).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for arguments in
        [&["check-config", "--config", "settings.toml"][..], &["completions", "bash"], &["--help"]]
    {
        let mut child =
            rollcall(&golden(), arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}: {said}");
        assert_eq!(said, "", "{arguments:?}");
    }
}

#[test]
fn an_output_that_cannot_take_it_is_a_failure() {
    for arguments in [
        &["check-config", "--config", "settings.toml"][..],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = rollcall(&golden(), arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = text(&output.stderr);
        assert!(
            said.starts_with("rollcall: cannot print ") && said.ends_with("no space left on device\n"),
            "{said}"
        );
    }
}

#[test]
fn variables_that_are_not_read_are_warned_about_and_break_nothing() {
    let output = check("settings.toml", &[("ROLLCALL_HTTP_LISTEN", "hunter2")]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stderr),
        "warning: environment ROLLCALL_HTTP_LISTEN is not read; did you mean ROLLCALL__HTTP__LISTEN?\n"
    );
}

#[test]
fn credentials_pasted_as_their_path_are_not_printed() {
    let output = check("settings.toml", &[("FIREBASE_CREDENTIALS_PATH", "{\"private_key\":\"hunter2\"}")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!format!("{}{}", text(&output.stdout), text(&output.stderr)).contains("hunter2"));
}

#[test]
fn the_count_says_when_more_may_follow() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.toml"), "[http\n").unwrap();
    let output = rollcall(folder.path(), &["check-config", "--config", "broken.toml"]).output().unwrap();
    assert!(
        text(&output.stderr)
            .ends_with("\n1 problem in the settings; more may follow when the file can be read to its end\n")
    );
}

#[test]
fn every_file_of_the_tls_port_that_cannot_be_used_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[mqtt]\ntls_listen = \"127.0.0.1:0\"\ntls_cert = \"none.pem\"\ntls_key = \".\"\nclient_ca = \"tls.toml\"\n";
    std::fs::write(folder.path().join("tls.toml"), text).unwrap();
    let check = || {
        let output = rollcall(folder.path(), &["check-config", "--config", "tls.toml"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        common::text(&output.stderr)
    };
    let said = check();
    assert!(
        said.starts_with("tls.toml:3:12: mqtt.tls_cert: none.pem does not exist; check the path"),
        "{said}"
    );
    assert!(
        said.contains("\ntls.toml:4:11: mqtt.tls_key: . is not a file; name a regular PEM file\n"),
        "{said}"
    );
    assert!(said.ends_with("\n2 problems in the settings\n"), "{said}");
    std::fs::write(folder.path().join("none.pem"), "no PEM at all").unwrap();
    std::fs::write(folder.path().join("key.pem"), "no PEM either").unwrap();
    std::fs::write(folder.path().join("tls.toml"), text.replace("\".\"", "\"key.pem\"")).unwrap();
    let said = check();
    assert!(
        said.starts_with("tls.toml:3:12: mqtt.tls_cert: none.pem holds no certificate; name the"),
        "{said}"
    );
}
