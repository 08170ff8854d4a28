//! `docs/features.md`: one row for each thing the gateway was asked to do.
//!
//! Promises: every id has one row; a row that says `done` or `part` names code and tests that exist.
//!
//! In the last two columns a path stands in backticks, from the root of the repository. A name behind
//! it (`path.rs::name`) must be in that file's code, and where it is a test, be one: a function that a
//! test attribute stands before (inside `proptest!` as well: without one nothing runs it). What stands
//! in backticks and is no path (a command, a route) is left alone.

use std::collections::BTreeMap;

use super::Finding;
use super::rust_text::{code, has_word, is_word, uses};
use crate::files::Tree;

const TABLE: &str = "docs/features.md";
const COLUMNS: [&str; 5] = ["id", "what", "state", "code", "tests"];
/// Each letter with its highest number.
const IDS: [(&str, usize); 6] = [("G", 11), ("A", 8), ("B", 19), ("C", 9), ("D", 8), ("E", 5)];
const ENDINGS: [&str; 12] =
    [".rs", ".toml", ".md", ".json", ".html", ".css", ".js", ".sh", ".yaml", ".yml", ".service", ".conf"];

/// One row of the table.
struct Row<'a> {
    line: usize,
    id: &'a str,
    state: &'a str,
    code: String,
    tests: String,
}

/// Checks the table against the files.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(TABLE) else {
        return vec![Finding::in_file(TABLE, "missing: write the table of features, one row for each id")];
    };
    let (rows, mut findings) = read(text);
    findings.extend(check_ids(&rows));
    for row in &rows {
        findings.extend(check_row(tree, row));
    }
    findings
}

/// The rows of every table with the right columns; other tables are left alone.
fn read(text: &str) -> (Vec<Row<'_>>, Vec<Finding>) {
    let (mut rows, mut findings) = (Vec::new(), Vec::new());
    let mut in_table = false;
    for (index, line) in text.lines().enumerate() {
        let Some(cells) = cells(line) else {
            in_table = false;
            continue;
        };
        if cells == COLUMNS {
            in_table = true;
        } else if in_table && !cells.iter().all(|cell| is_rule(cell)) {
            match cells.as_slice() {
                [id, _, state, code, tests] => {
                    let (code, tests) = (code.replace("\\|", "|"), tests.replace("\\|", "|"));
                    rows.push(Row { line: index + 1, id: plain(id), state: plain(state), code, tests });
                }
                _ => {
                    let what = format!("{} cells, the table has {}", cells.len(), COLUMNS.join(" | "));
                    findings.push(Finding::at_line(TABLE, index + 1, what));
                }
            }
        }
    }
    (rows, findings)
}

/// The cells of a table's line, split at each `|` that is not escaped.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inside = line.trim().strip_prefix('|')?;
    let inside = inside.strip_suffix('|').filter(|rest| !rest.ends_with('\\')).unwrap_or(inside);
    let mut cells = Vec::new();
    let mut start = 0;
    for (at, _) in inside.match_indices('|') {
        let cell = inside.get(start..at)?;
        if !cell.ends_with('\\') {
            cells.push(cell.trim());
            start = at + 1;
        }
    }
    cells.push(inside.get(start..)?.trim());
    Some(cells)
}

/// The line below a table's heading.
fn is_rule(cell: &str) -> bool {
    !cell.is_empty() && cell.chars().all(|c| c == '-' || c == ':')
}

/// A cell without emphasis or backticks.
fn plain(cell: &str) -> &str {
    cell.trim_matches(['*', '`', '_', ' '])
}

fn all_ids() -> impl Iterator<Item = String> {
    IDS.into_iter().flat_map(|(letter, last)| (1..=last).map(move |number| format!("{letter}{number}")))
}

fn check_ids(rows: &[Row<'_>]) -> Vec<Finding> {
    let mut lines: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for row in rows {
        lines.entry(row.id).or_default().push(row.line);
    }
    let mut findings = Vec::new();
    for id in all_ids() {
        match lines.remove(id.as_str()).as_deref() {
            None => {
                let what = format!("no row for {id}: add one, `open` if need be");
                findings.push(Finding::in_file(TABLE, what));
            }
            Some([_, again, ..]) => {
                findings.push(Finding::at_line(
                    TABLE,
                    *again,
                    format!("a second row for {id}: join the two"),
                ));
            }
            Some(_) => {}
        }
    }
    let unknown = lines.iter().filter_map(|(id, lines)| Some((id, lines.first()?)));
    findings.extend(unknown.map(|(id, line)| Finding::at_line(TABLE, *line, format!("unknown id `{id}`"))));
    findings
}

fn check_row(tree: &Tree, row: &Row<'_>) -> Vec<Finding> {
    let at = |what: String| Finding::at_line(TABLE, row.line, format!("{}: {what}", row.id));
    if !["done", "part", "open"].contains(&row.state) {
        return vec![at(format!("unknown state `{}`: use done, part or open", row.state))];
    }
    let mut findings = Vec::new();
    for (column, cell, as_test) in [("code", &row.code, false), ("tests", &row.tests, true)] {
        let named = paths(cell, tree);
        if named.is_empty() && row.state != "open" {
            findings.push(at(format!(
                "`{}` needs a path in backticks in column `{column}`, or the state `open`",
                row.state
            )));
        }
        findings.extend(named.into_iter().filter_map(|path| wrong(tree, path, as_test)).map(at));
    }
    findings
}

/// What stands in backticks and is meant as a path.
fn paths<'a>(cell: &'a str, tree: &Tree) -> Vec<&'a str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    let is_path = |word: &&str| {
        let path = word.split_once("::").map_or(*word, |(path, _)| path);
        let relative = path.contains('/') && !path.starts_with('/');
        let usual = ENDINGS.iter().any(|ending| path.ends_with(ending));
        !word.contains(char::is_whitespace) && (relative || usual || tree.has(path))
    };
    quoted.filter(|word| !word.is_empty()).filter(is_path).collect()
}

/// What is wrong with a path, or nothing.
fn wrong(tree: &Tree, named: &str, as_test: bool) -> Option<String> {
    let (path, name) = match named.split_once("::") {
        Some((path, rest)) => (path, rest.rsplit("::").next()),
        None => (named, None),
    };
    let path = path.trim_end_matches('/');
    let Some(name) = name else {
        return (!tree.has(path)).then(|| format!("`{path}` does not exist: correct the path"));
    };
    let Some(text) = tree.text(path) else {
        return Some(format!("`{path}` is not a text file of the repository: correct the path of `{named}`"));
    };
    let searched = if path.ends_with(".rs") { code(text) } else { text.to_owned() };
    if as_test {
        return (!is_test(&searched, name))
            .then(|| format!("`{path}` has no test `{name}`: correct the name"));
    }
    (!has_word(&searched, name)).then(|| format!("`{path}` has no `{name}`: correct the name"))
}

/// Whether `code` has a function `name` with a test attribute among those before it.
fn is_test(code: &str, name: &str) -> bool {
    let is_function =
        |before: &&str| before.trim_end().ends_with("fn") && before.ends_with(char::is_whitespace);
    let mut functions = uses(code, name).map(|(before, _)| before).filter(is_function);
    functions.any(|before| attributes_before(before).iter().any(|attribute| is_test_attribute(attribute)))
}

/// The attributes at the end of `before`, which ends with the words of a function up to its name.
fn attributes_before(before: &str) -> Vec<&str> {
    let words = |c: char| is_word(c) || c.is_whitespace() || c == '(' || c == ')';
    let mut rest = before.trim_end_matches(words);
    let mut attributes = Vec::new();
    while let Some(attribute) = rest.strip_suffix(']') {
        let Some(start) = opening(attribute) else { break };
        let (Some(outside), Some(inside)) = (attribute.get(..start), attribute.get(start + 1..)) else {
            break;
        };
        let Some(outside) = outside.trim_end().strip_suffix('#') else { break };
        attributes.push(inside);
        rest = outside.trim_end();
    }
    attributes
}

/// Where the bracket is that a `]` behind `text` closes.
fn opening(text: &str) -> Option<usize> {
    let mut depth = 1_usize;
    text.char_indices().rev().find_map(|(at, c)| {
        match c {
            ']' => depth += 1,
            '[' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

/// `test`, or a runtime's own such as `tokio::test(start_paused = true)`.
fn is_test_attribute(attribute: &str) -> bool {
    let path = attribute.split('(').next().unwrap_or_default();
    path.rsplit("::").next().is_some_and(|name| name.trim() == "test")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::tree;

    const HEAD: &str = "| id | what | state | code | tests |\n|---|---|---|---|---|\n";
    const RULE: &str = "gateway/domain/src/marks.rs";
    const CODE: &str = "pub fn late() {}\n#[test]\nfn late_is_inclusive() {}\n";

    /// All ids as `open`, but for one row that is given.
    fn table(id: &str, row: &str) -> String {
        let open =
            |other: &String| if other == id { row.to_owned() } else { format!("| {other} | x | open | | |") };
        format!("{HEAD}{}\n", all_ids().map(|other| open(&other)).collect::<Vec<_>>().join("\n"))
    }

    fn findings(table: &str) -> Vec<String> {
        let files = [(TABLE, table), (RULE, CODE), ("README.md", "")];
        check(&tree(&files)).iter().map(Finding::to_string).collect()
    }

    fn row(row: &str) -> Vec<String> {
        findings(&table("A1", &format!("| A1 | x | {row} |")))
    }

    #[test]
    fn sixty_ids_have_one_row_each() {
        assert_eq!(all_ids().count(), 60);
        assert_eq!(row("open | | "), [""; 0]);
    }

    #[test]
    fn rows_that_name_what_exists_pass() {
        for cells in [
            "done | `gateway/domain/src/marks.rs` | `gateway/domain/src/marks.rs::late_is_inclusive`",
            "part | `gateway/domain/`, `README.md` | `gateway/domain/src/marks.rs::tests::late_is_inclusive`",
            "**done** | `gateway/domain/src/marks.rs::late` | `gateway/domain` (`cargo xtask test`, `/readyz`)",
            "done | `README.md` a \\| b | `README.md`",
        ] {
            assert_eq!(row(cells), [""; 0], "{cells}");
        }
    }

    #[test]
    fn rows_that_name_what_does_not_exist_fail() {
        for (cells, part) in [
            (
                "done | `gateway/domain/src/gone.rs` | `README.md`",
                "`gateway/domain/src/gone.rs` does not exist",
            ),
            ("part | `README.md` | `gateway/domain/src/marks.rs::late_is`", "has no test `late_is`"),
            ("part | `README.md` | `gateway/domain/src/marks.rs::late`", "has no test `late`"),
            ("part | `gateway/domain/src/marks.rs::later` | `README.md`", "has no `later`"),
            ("part | `README.md` | `gateway/domain::late`", "`gateway/domain` is not a text file"),
            ("done | `README.md` | soon", "path in backticks in column `tests`"),
            ("done | | `README.md`", "path in backticks in column `code`"),
            ("open | `gateway/gone.rs` | ", "does not exist"),
            ("almost | | ", "unknown state `almost`"),
            ("done | `README.md`", "4 cells"),
        ] {
            let said = row(cells);
            assert!(said.iter().any(|said| said.contains(part) && said.contains(TABLE)), "{cells}: {said:?}");
        }
    }

    #[test]
    fn a_comment_a_literal_or_a_function_that_nothing_runs_is_no_test() {
        for text in [
            "// #[test]\n// fn late() {}",
            "/* #[test] fn late() {} */",
            "f(\"#[test]\nfn late() {}\");",
            "fn late() {}",
            "#[test]\nfn other() {}\n\nfn late() {}",
            "#[cfg(test)]\nfn late() {}",
            "#[test]\nfn late_is_inclusive() {}",
            "#[test]\nfn other() { late(); }",
            "proptest! {\n    fn late(x in 0..9) {}\n}",
        ] {
            assert!(!is_test(&code(text), "late"), "{text}");
        }
    }

    #[test]
    fn tests_of_every_runner_are_found_whatever_stands_between() {
        for text in [
            "#[test]\nfn late() {}",
            "#[test] fn late() {}",
            "#[tokio::test(start_paused = true)]\nasync fn late() {}",
            "#[actix_web::test]\npub(crate) async fn late() {}",
            "/// Says.\n#[test]\n#[should_panic(expected = \"x]\")]\n// why\nfn late() {}",
            "#[cfg_attr(a, b([c]))]\n#[test]\n\nfn late() {}",
            "proptest! {\n    #[test]\n    fn late(x in 0..9) {}\n}",
        ] {
            assert!(is_test(&code(text), "late"), "{text}");
        }
    }

    #[test]
    fn a_name_in_the_code_column_is_not_found_in_a_comment() {
        let tree = tree(&[("a.rs", "// late\nfn f() { g(\"late\") }"), ("a.toml", "late = 1 # x\n")]);
        assert!(wrong(&tree, "a.rs::late", false).is_some());
        assert_eq!(wrong(&tree, "a.rs::f", false), None);
        assert_eq!(wrong(&tree, "a.toml::late", false), None);
    }

    #[test]
    fn missing_doubled_and_unknown_ids_are_named() {
        let text = table("A1", "| A2 | x | open | | |\n| Z9 | x | open | | |");
        let said = findings(&text).join("\n");
        for part in ["no row for A1", "a second row for A2", "unknown id `Z9`"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn other_tables_and_several_tables_are_fine() {
        let (first, rest) =
            ("| A1 | x | open | | |\n\n| state | meaning |\n|---|---|\n| done | yes |\n\n", HEAD);
        assert_eq!(findings(&table("A1", &format!("{first}{}", rest.trim_end()))), [""; 0]);
    }

    #[test]
    fn a_repository_without_the_table_is_told_so() {
        let said = check(&tree(&[]));
        assert!(said.first().is_some_and(|said| said.to_string().contains("docs/features.md: missing")));
    }
}
