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
        "simulate --url http:nonsense --devices 1 --rate 1 --duration 1",
        "simulate --url http://x --devices 1 --rate 1 --duration 1",
        "simulate --url mqtt:// --devices 1 --rate 1 --duration 1",
        "export records --format csv --from 2026-12-31 --to 2026-09-01",
        "device add gate/1 --type face",
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
fn empty_names_and_codes_are_wrong_usage() {
    for arguments in [
        &["user", "add", "", "--role", "admin"][..],
        &["user", "add", " ", "--role", "admin"],
        &["user", "add", "ada", "--role", "teacher", "--teacher", ""],
        &["user", "passwd", ""],
        &["device", "add", "", "--type", "face"],
        &["device", "revoke", ""],
        &["export", "records", "--format", "csv", "--class", ""],
    ] {
        assert_eq!(output(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn what_the_gateway_could_not_keep_as_a_code_or_a_name_is_wrong_usage() {
    for (arguments, said) in [
        (&["user", "add", "ada", "--role", "teacher", "--teacher", "tch_1"][..], "'tch_1' looks like an id"),
        (&["user", "add", "ada", "--role", "student", "--student", "S/1"], "may not contain"),
        (&["device", "add", "gate-1", "--type", "face", "--room", "rm_7"], "'rm_7' looks like an id"),
        (
            &["device", "add", "gate-1", "--type", "face", "--dialect", "ZK Teco"],
            "is not a name; use 1 to 32",
        ),
        (&["export", "records", "--format", "csv", "--class", "cls_1"], "'cls_1' looks like an id"),
    ] {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
}

#[test]
fn a_word_of_a_list_that_is_not_on_it_comes_with_the_list() {
    for (line, list) in [
        ("user add ada --role king", "[possible values: admin, teacher, student, monitor]"),
        (
            "device add gate-1 --type nose",
            "[possible values: fingerprint, face, iris, palm, card, qr, camera]",
        ),
    ] {
        let said = text(&output(&line.split(' ').collect::<Vec<_>>()).stderr);
        assert!(said.contains(list), "{said}");
    }
}

#[test]
fn a_day_that_does_not_exist_is_refused_in_our_own_words() {
    for day in ["2026-13-01", "2026-02-30", "yesterday"] {
        let output = output(&["export", "records", "--format", "csv", "--from", day]);
        assert_eq!(output.status.code(), Some(2));
        let said = text(&output.stderr);
        let first = said.lines().next().unwrap();
        assert_eq!(
            first,
            format!(
                "error: invalid value '{day}' for '--from <DATE>': write a day of the calendar, such as 2026-09-01"
            )
        );
    }
}

#[test]
fn days_in_the_wrong_order_are_named() {
    let line = "export records --format csv --from 2026-12-31 --to 2026-09-01";
    let said = text(&output(&line.split(' ').collect::<Vec<_>>()).stderr);
    assert!(said.contains("--from 2026-12-31 is after --to 2026-09-01"), "{said}");
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
