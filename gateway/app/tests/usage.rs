//! Promise: wrong usage exits with 2 and says what is wrong.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{output, text};

#[test]
fn wrong_usage_exits_with_2() {
    for line in [
        "chek-config",
        "run --colour",
        "user add ada",
        "user add ada --role king",
        "user add ada --role student --student S-1 --teacher T-1",
        "device add",
        "import roster",
        "export records",
        "export records --format pdf",
        "export records --format csv --from yesterday",
        "simulate --url x --devices 0 --rate 1 --duration 1",
        "completions cobol",
        "backup",
        "demo --config x",
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let output = output(&arguments);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(text(&output.stderr).starts_with("error: "), "{line}");
    }
}

#[test]
fn a_group_without_a_command_shows_its_help() {
    let output = output(&["user"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("reset-2fa"));
}

#[test]
fn options_in_front_of_a_command_that_takes_none_are_refused() {
    for (line, said) in [
        ("--config x demo", "rollcall demo does not take --config"),
        ("--data-dir x check-config", "rollcall check-config does not take --data-dir"),
        ("--data-dir x completions bash", "rollcall completions does not take --data-dir"),
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let output = output(&arguments);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
}
