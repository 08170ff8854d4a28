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
    ("simulate", "simulate --url mqtt://127.0.0.1 --devices 5 --rate 9 --duration 3"),
    (
        "simulate",
        "simulate --url mqtt://127.0.0.1 --devices 5 --rate 9 --duration 3 --profile zkteco --offline-replay --json",
    ),
    ("doctor", "doctor"),
    ("openapi", "openapi"),
];

/// Of a command that is built.
const UNBUILT_PARTS: &[(&str, &str)] = &[
    ("export records", "export records --format csv --from 2026-09-01 --to 2026-12-31 --class C-1"),
    ("export sessions", "export sessions --format xlsx"),
    ("export students", "export students --format jsonl"),
    ("export ledger --format xlsx", "export ledger --format xlsx"),
];

#[test]
fn each_command_that_is_not_built_says_so_and_exits_with_4() {
    for (name, line) in UNBUILT.iter().chain(UNBUILT_PARTS) {
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
    let export = text(&output(&["export", "--help"]).stdout);
    for part in ["records", "sessions", "students", "xlsx"] {
        let line = export.lines().find(|line| line.trim_start().starts_with(&format!("- {part}:"))).unwrap();
        assert!(line.ends_with("(not built yet)"), "{line}");
    }
    for built in ["run", "check-config", "completions", "backup", "restore", "verify"] {
        assert!(!marked(&help, built), "{built}");
        assert!(!text(&output(&[built, "--help"]).stdout).contains("(not built yet)"), "{built}");
    }
}
