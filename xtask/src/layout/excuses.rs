//! Who may excuse itself from which lint, and which settings the lints are read with.
//!
//! Promises: nobody but the clock's own file excuses itself from the ban on clocks; a panic is excused
//! in tests alone; no whole group of lints is switched off, and no folder brings settings of its own,
//! because either would switch off a ban without naming it.
//!
//! Refuses: whether an excuse is a good one. It has a reason beside it, which is for the reader.

use super::Finding;
use super::rust_text::{attributes, body_length, code, has_word, split, until_closed, uses};
use super::sources::is_all_tests;
use crate::files::Tree;

/// Who may read a clock in spite of the lint: the gateway's one clock, and what times steps and figures.
const CLOCK_READERS: [&str; 3] =
    ["gateway/app/src/clock.rs", "tests/benches/gateway/stopwatch.rs", "xtask/src/run.rs"];

/// Clippy's groups: an excuse from one of these covers lints that it does not name.
const GROUPS: [&str; 10] = [
    "all",
    "cargo",
    "complexity",
    "correctness",
    "nursery",
    "pedantic",
    "perf",
    "restriction",
    "style",
    "suspicious",
];

/// What may panic. `items_after_test_module` is among them because this file takes all that stands
/// below a test module for tests.
const PANICS: [&str; 6] =
    ["expect_used", "indexing_slicing", "items_after_test_module", "panic", "string_slice", "unwrap_used"];

/// Settings that each tool takes from the nearest folder, and with a dot before the ones without.
const SETTINGS: [&str; 4] = [".clippy.toml", ".rustfmt.toml", "clippy.toml", "rustfmt.toml"];
/// Where they may be.
const AT_THE_ROOT: [&str; 2] = ["clippy.toml", "rustfmt.toml"];

/// Checks the settings of the tools, and the attributes of every Rust file.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = tree.paths().filter_map(settings).collect();
    for (path, text) in tree.texts(".rs") {
        findings.extend(clocks(path, text));
        findings.extend(lints(path, text));
    }
    findings
}

fn settings(path: &str) -> Option<Finding> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let what = "hides the settings at the root from this folder: delete it, and change those at the root";
    (SETTINGS.contains(&name) && !AT_THE_ROOT.contains(&path)).then(|| Finding::in_file(path, what))
}

/// Any mention counts, so that a macro cannot carry the excuse.
fn clocks(path: &str, text: &str) -> Vec<Finding> {
    if CLOCK_READERS.contains(&path) {
        return Vec::new();
    }
    let what = "a clock or a sleep behind the lint's back: take the time from the Clock port";
    let lines = split(text);
    let excused = lines.iter().enumerate().filter(|(_, line)| has_word(&line.code, "disallowed_methods"));
    excused.map(|(index, _)| Finding::at_line(path, index + 1, what)).collect()
}

fn lints(path: &str, text: &str) -> Vec<Finding> {
    let body = if is_all_tests(path) { 0 } else { body_length(text) };
    let mut findings = Vec::new();
    for (line, attribute) in attributes(&code(text)) {
        for lint in excused(attribute) {
            let name = lint.strip_prefix("clippy::");
            if lint == "warnings" || name.is_some_and(|name| GROUPS.contains(&name)) {
                let what =
                    format!("`{lint}` switches off lints that nobody named: name the one that is meant");
                findings.push(Finding::at_line(path, line, what));
            } else if line <= body && name.is_some_and(|name| PANICS.contains(&name)) {
                let what =
                    format!("`{lint}` is excused in tests alone: return an error that says what is wrong");
                findings.push(Finding::at_line(path, line, what));
            }
        }
    }
    findings
}

/// The lints that an attribute allows or expects, also behind a `cfg_attr`.
fn excused(attribute: &str) -> Vec<String> {
    let lists = ["allow", "expect"].into_iter().flat_map(|word| uses(attribute, word));
    let lists = lists.filter_map(|(_, after)| after.trim_start().strip_prefix('('));
    lists
        .flat_map(|list| until_closed(list, '(', ')').split(','))
        .map(|lint| lint.chars().filter(|c| !c.is_whitespace()).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::tree;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&tree(&[(path, text)])).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn only_the_clocks_own_file_excuses_itself_from_the_ban_on_clocks() {
        let text = "#[expect(clippy::disallowed_methods, reason = \"x\")]";
        assert_eq!(findings("gateway/app/src/clock.rs", text), [""; 0]);
        assert_eq!(findings("gateway/store/src/a.rs", text).len(), 1);
        assert_eq!(findings("tests/tests/a.rs", text).len(), 1);
    }

    #[test]
    fn of_the_tooling_only_the_file_that_times_steps_reads_a_clock() {
        let text = "#[expect(clippy::disallowed_methods, reason = \"x\")]";
        assert_eq!(findings("xtask/src/run.rs", text), [""; 0]);
        assert_eq!(findings("xtask/src/steps.rs", text).len(), 1);
    }

    #[test]
    fn a_group_of_lints_is_not_switched_off_anywhere_or_in_any_spelling() {
        for text in [
            "#[allow(clippy::style, reason = \"x\")]",
            "#[expect(clippy::all)]",
            "#![allow(\n    dead_code,\n    clippy::restriction,\n    reason = \"x\"\n)]",
            "#![cfg_attr(not(test), allow(clippy::nursery))]",
            "#[allow(clippy :: cargo)]",
            "#![allow(warnings)]",
        ] {
            for path in ["gateway/domain/src/a.rs", "tests/tests/a.rs", "xtask/src/run.rs"] {
                let said = findings(path, text);
                assert!(said.len() == 1 && said.iter().all(|s| s.contains(":1: `")), "{text}: {said:?}");
            }
        }
    }

    #[test]
    fn one_named_lint_with_a_reason_passes_and_so_does_turning_groups_on() {
        for text in [
            "#[allow(clippy::too_many_lines, reason = \"a table\")]",
            "#![warn(clippy::pedantic)]",
            "// #[allow(clippy::all)]",
            "f(\"#[allow(clippy::all)]\");",
            "fn all() { style.expect(warnings) }",
        ] {
            assert_eq!(findings("gateway/domain/src/a.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn what_may_panic_is_excused_in_tests_alone() {
        for lint in PANICS {
            let text = format!("#[allow(clippy::{lint}, reason = \"x\")]\nfn a() {{}}\n");
            let said = findings("gateway/store/src/a.rs", &text);
            assert!(said.len() == 1 && said.iter().all(|said| said.contains(lint)), "{lint}: {said:?}");
            for path in ["gateway/store/tests/a.rs", "tests/src/lib.rs", "config/src/tests.rs"] {
                assert_eq!(findings(path, &text), [""; 0], "{path}");
            }
            let foot = format!("fn a() {{}}\n\n#[cfg(test)]\n#[expect(clippy::{lint})]\nmod tests {{\n}}\n");
            assert_eq!(findings("gateway/store/src/a.rs", &foot), [""; 0]);
        }
    }

    #[test]
    fn a_folder_may_not_bring_settings_of_its_own() {
        for path in [
            "gateway/domain/clippy.toml",
            "gateway/.clippy.toml",
            "mqtt/rustfmt.toml",
            "mqtt/src/.rustfmt.toml",
            ".clippy.toml",
            ".rustfmt.toml",
        ] {
            let said = findings(path, "");
            assert!(said.iter().any(|said| said.contains("hides the settings at the root")), "{path}");
        }
        assert_eq!(findings("clippy.toml", ""), [""; 0]);
        assert_eq!(findings("rustfmt.toml", ""), [""; 0]);
    }
}
