//! Promise: what is not built parses its arguments, says so in one plain line, and exits with 4.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{output, text};

const UNBUILT: &[(&str, &str)] = &[
    ("init", "init"),
    ("init", "init --tls"),
    ("user add", "user add ada --role teacher --teacher T-1"),
    ("user list", "user list --config rollcall.toml"),
    ("user passwd", "user passwd ada"),
    ("user disable", "user disable ada"),
    ("user reset-2fa", "user reset-2fa ada"),
    ("device add", "device add gate-1 --type face --room R-1 --name Gate --dialect zkteco"),
    ("device list", "device list"),
    ("device revoke", "device revoke gate-1"),
    ("device rotate", "device rotate gate-1 --data-dir data"),
    ("device test", "device test gate-1 sample.json"),
    ("import roster", "import roster a.csv b.csv --dry-run --accounts claim.csv"),
    ("import timetable", "import timetable term.ics --dry-run"),
    ("export", "export records --format csv --from 2026-09-01 --to 2026-12-31 --class C-1"),
    ("export", "export sessions --format xlsx"),
    ("export", "export students --format jsonl"),
    ("export", "export ledger --format jsonl"),
    ("backup", "--data-dir data backup copy.rollcall"),
    ("restore", "restore copy.rollcall --force"),
    ("verify", "verify --rebuild"),
    ("simulate", "simulate --url mqtt://127.0.0.1 --devices 5 --rate 9 --duration 3"),
    (
        "simulate",
        "simulate --url mqtt://127.0.0.1 --devices 5 --rate 9 --duration 3 --profile zkteco --offline-replay --json",
    ),
    ("doctor", "doctor"),
    ("openapi", "openapi"),
];

#[test]
fn each_command_that_is_not_built_says_so_and_exits_with_4() {
    for (name, line) in UNBUILT {
        let arguments: Vec<&str> = line.split(' ').collect();
        let output = output(&arguments);
        assert_eq!(output.status.code(), Some(4), "{line}: {}", text(&output.stderr));
        assert_eq!(
            text(&output.stderr),
            format!("rollcall {name} is not built yet; rollcall --help marks what is not\n")
        );
        assert!(output.stdout.is_empty(), "{line}");
    }
}

#[test]
fn the_help_marks_what_is_not_built_and_nothing_else() {
    let marked = |help: &str, command: &str| {
        let line = help.lines().find(|line| line.starts_with(&format!("  {command} "))).unwrap();
        line.contains(" (not built yet) ")
    };
    let help = text(&output(&["--help"]).stdout);
    for (name, _) in UNBUILT {
        let mut words = name.split(' ');
        let (first, inside) = (words.next().unwrap(), words.next());
        assert!(marked(&help, first), "{first}:\n{help}");
        assert!(text(&output(&[first, "--help"]).stdout).contains("(not built yet)"), "{first}");
        if let Some(inside) = inside {
            let help = text(&output(&[first, "--help"]).stdout);
            assert!(marked(&help, inside), "{name}:\n{help}");
        }
    }
    for built in ["run", "check-config", "completions"] {
        assert!(!marked(&help, built), "{built}");
        assert!(!text(&output(&[built, "--help"]).stdout).contains("(not built yet)"), "{built}");
    }
}
