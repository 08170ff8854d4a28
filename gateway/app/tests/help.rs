//! Promise: the help is enough to work from, and lists what the contract lists.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{output, text};

#[test]
fn help_lists_every_command() {
    let help = text(&output(&["--help"]).stdout);
    for command in [
        "run",
        "demo",
        "init",
        "check-config",
        "user",
        "device",
        "import",
        "export",
        "backup",
        "restore",
        "verify",
        "simulate",
        "doctor",
        "openapi",
        "completions",
    ] {
        assert!(help.lines().any(|line| line.starts_with(&format!("  {command} "))), "{command}:\n{help}");
    }
}

#[test]
fn help_of_the_groups_lists_what_is_inside() {
    for (group, commands) in [
        ("user", &["add", "list", "passwd", "disable", "reset-2fa"][..]),
        ("device", &["add", "list", "revoke", "rotate", "test"]),
        ("import", &["roster", "timetable"]),
    ] {
        let help = text(&output(&[group, "--help"]).stdout);
        for command in commands {
            assert!(help.lines().any(|line| line.starts_with(&format!("  {command} "))), "{group} {command}");
        }
    }
}

#[test]
fn help_fits_a_terminal_and_names_the_exit_codes() {
    let output = output(&["--help"]);
    let help = text(&output.stdout);
    assert!(output.status.success());
    assert!(
        help.contains(
            "0 ok, 1 the check failed, 2 wrong usage, 3 could not start, 4 not built yet, 130 ended"
        )
    );
    assert!(help.lines().all(|line| line.chars().count() <= 110), "{help}");
}

#[test]
fn version_is_one_line() {
    assert_eq!(text(&output(&["--version"]).stdout), format!("rollcall {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_shell_gets_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = output(&["completions", shell]);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("check-config"), "{shell}");
    }
}
