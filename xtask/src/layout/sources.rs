//! The shape of a Rust file: how long it may be, and how it opens.
//!
//! Promises: a file can be read in one sitting, and its first line says what it promises.
//!
//! Refuses: the length of a function, which is clippy's `too_many_lines`.

use super::Finding;
use super::rust_text::body_length;
use crate::files::Tree;

/// Lines before the tests at the foot of a file.
const LONGEST_BODY: usize = 400;
/// Lines of a file that is all tests.
const LONGEST_TESTS: usize = 600;

/// Checks every Rust file.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.texts(".rs")
        .flat_map(|(path, text)| check_length(path, text).into_iter().chain(check_opening(path, text)))
        .collect()
}

/// Whether a file is all tests: below a folder `tests`, or a test module in its own file.
pub(super) fn is_all_tests(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

fn check_length(path: &str, text: &str) -> Option<Finding> {
    let (length, longest) = if is_all_tests(path) {
        (text.lines().count(), LONGEST_TESTS)
    } else {
        (body_length(text), LONGEST_BODY)
    };
    let what = format!("{length} lines, {longest} are allowed: split it by what its parts promise");
    (length > longest).then(|| Finding::in_file(path, what))
}

fn check_opening(path: &str, text: &str) -> Option<Finding> {
    let mut brackets = 0_usize;
    for line in text.lines().map(str::trim) {
        let in_attribute = brackets > 0 || line.starts_with("#![");
        if in_attribute {
            brackets = (brackets + line.matches('[').count()).saturating_sub(line.matches(']').count());
        } else if line.starts_with("//!") {
            return None;
        } else if !line.is_empty() {
            break;
        }
    }
    let what = "does not open with a `//!` comment: say first what it promises and what it refuses";
    Some(Finding::at_line(path, 1, what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::tree;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&tree(&[(path, text)])).iter().map(Finding::to_string).collect()
    }

    fn lines(count: usize) -> String {
        format!("//! Long.\n{}", "fn a() {}\n".repeat(count - 1))
    }

    #[test]
    fn a_body_of_four_hundred_lines_passes_and_one_more_does_not() {
        assert_eq!(findings("a/src/b.rs", &lines(400)), [""; 0]);
        let said = findings("a/src/b.rs", &lines(401));
        assert!(said.first().is_some_and(|said| said.contains("a/src/b.rs: 401 lines, 400")), "{said:?}");
    }

    #[test]
    fn tests_at_the_foot_of_a_file_do_not_count() {
        let text = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(400), "\n".repeat(300));
        assert_eq!(findings("a/src/b.rs", &text), [""; 0]);
    }

    #[test]
    fn a_file_that_is_all_tests_may_have_six_hundred() {
        for path in ["tests/src/restart.rs", "gateway/store/tests/crash.rs", "config/src/tests.rs"] {
            assert_eq!(findings(path, &lines(600)), [""; 0]);
            assert_eq!(findings(path, &lines(601)).len(), 1);
        }
    }

    #[test]
    fn a_file_opens_with_its_promise_after_attributes_at_most() {
        assert_eq!(findings("a.rs", "//! Says.\n"), [""; 0]);
        assert_eq!(findings("a.rs", "#![allow(\n    x,\n    reason = \"y\"\n)]\n\n//! Says.\n"), [""; 0]);
        for text in
            ["", "fn a() {}\n", "// Says.\n//! Late.\n", "use a;\n//! Late.\n", "#![allow(x)]\nfn a() {}"]
        {
            let said = findings("a.rs", text);
            assert!(said.first().is_some_and(|said| said.starts_with("a.rs:1: does not open")), "{text}");
        }
    }
}
