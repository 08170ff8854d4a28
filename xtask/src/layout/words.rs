//! Words that may not stay in the tree.
//!
//! Promises: no test is switched off, no test waits for time to pass, nothing is left half done, and no
//! merge is left half resolved. What is inside a string literal is not looked at.

use super::Finding;
use super::rust_text::{Line, body_length, has_word, split, uses};
use super::sources::is_all_tests;
use crate::files::Tree;

/// Checks every file for conflict markers and every Rust file for the rest.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = tree.texts("").flat_map(|(path, text)| conflicts(path, text)).collect();
    for (path, text) in tree.texts(".rs") {
        let body = if is_all_tests(path) { 0 } else { body_length(text) };
        for (index, line) in split(text).iter().enumerate() {
            let wrong = [unfinished(line), switched_off(line), waiting(line).filter(|_| index >= body)];
            findings.extend(wrong.into_iter().flatten().map(|what| Finding::at_line(path, index + 1, what)));
        }
    }
    findings
}

fn conflicts(path: &str, text: &str) -> Vec<Finding> {
    let is_marker = |line: &str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
    let marked = text.lines().enumerate().filter(|(_, line)| is_marker(line));
    marked.map(|(index, _)| Finding::at_line(path, index + 1, "conflict marker: finish the merge")).collect()
}

fn unfinished(line: &Line) -> Option<&'static str> {
    let macros = ["todo", "unimplemented"];
    let notes = ["FIXME", "XXX"];
    if macros.iter().any(|name| followed_by(&line.code, name, '!')) {
        return Some("unfinished code: finish it, or return an error that says what is missing");
    }
    let noted = notes.iter().any(|note| has_word(&line.comment, note) || has_word(&line.code, note));
    noted.then_some("a note to come back: do it now, or say in docs/features.md that it is open")
}

fn switched_off(line: &Line) -> Option<&'static str> {
    let attribute = line.code.trim_start().starts_with('#') && has_word(&line.code, "ignore");
    let fence = line.comment.split_once("```").is_some_and(|(_, info)| has_word(info, "ignore"));
    (attribute || fence).then_some("a test that is switched off: make it pass, or delete it")
}

fn waiting(line: &Line) -> Option<&'static str> {
    let names = ["sleep", "sleep_until", "sleep_ms"];
    let called = names.iter().any(|name| followed_by(&line.code, name, '('));
    let imported = ["thread::sleep", "time::sleep"].iter().any(|path| line.code.contains(path));
    (called || imported)
        .then_some("a test that sleeps: wait for what can be observed (a message, a file, a line of output)")
}

/// Whether `text` has `word` used with `next` right behind it; a definition (`fn word(`) is no use.
fn followed_by(text: &str, word: &str, next: char) -> bool {
    uses(text, word).any(|(before, after)| after.starts_with(next) && !before.ends_with("fn "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::tree;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&tree(&[(path, text)])).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn unfinished_code_and_notes_are_found_with_their_line() {
        for text in ["\ntodo!();", "\nstd::unimplemented!(\"x\");", "\n// FIXME: later", "\n/// XXX"] {
            let said = findings("a/src/b.rs", text);
            assert!(said.first().is_some_and(|said| said.starts_with("a/src/b.rs:2: ")), "{text}: {said:?}");
        }
    }

    #[test]
    fn literals_and_longer_words_pass() {
        for text in
            ["f(\"todo!() FIXME\");", "// XXXL shirts", "let todo = 1;", "#[ignored_field] x", "a.ignore();"]
        {
            assert_eq!(findings("a/src/b.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn tests_and_examples_that_are_switched_off_are_found() {
        for text in [
            "#[ignore]",
            "    #[ignore = \"slow\"]",
            "#[cfg_attr(miri, ignore)]",
            "/// ```ignore",
            "//! ```rust,ignore",
        ] {
            assert_eq!(findings("a/src/b.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn tests_may_not_sleep_wherever_they_are() {
        let foot = "//! x\n#[cfg(test)]\nmod tests {\n    thread::sleep(d);\n}\n";
        let said = findings("a/src/b.rs", foot);
        assert!(
            said.first().is_some_and(|said| said.starts_with("a/src/b.rs:4: a test that sleeps")),
            "{said:?}"
        );
        for text in
            ["tokio::time::sleep(d).await;", "use tokio::time::sleep;", "sleep(d);", "time::sleep_until(t)"]
        {
            assert_eq!(findings("gateway/store/tests/crash.rs", text).len(), 1, "{text}");
            assert_eq!(findings("gateway/store/src/backoff.rs", text), [""; 0], "{text}");
        }
        assert_eq!(findings("tests/src/a.rs", "fn sleep(x: u8) {} let sleepy = asleep(1);"), [""; 0]);
    }

    #[test]
    fn conflict_markers_are_found_in_every_kind_of_file() {
        let text = format!("a\n{} ours\nb\n=======\nc\n{} theirs\n", "<".repeat(7), ">".repeat(7));
        assert_eq!(
            findings("docs/notes.md", &text),
            [
                "docs/notes.md:2: conflict marker: finish the merge",
                "docs/notes.md:6: conflict marker: finish the merge",
            ]
        );
        assert_eq!(findings("docs/notes.md", "Title\n=======\n"), [""; 0]);
    }
}
