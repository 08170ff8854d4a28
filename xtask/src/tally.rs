//! How many tests ran: adds up the `test result:` lines of the test runner.
//!
//! Promises: what it prints is what the runner said; a line it cannot read counts nothing. A binary
//! that announced its tests and died before its result counts as one failure.

use std::fmt;

/// Tests that passed, failed, and were skipped.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// A binary said how many tests it has, and its result is not here yet.
    running: bool,
}

impl Tally {
    /// Adds one line of output, if it is a result line.
    pub(crate) fn read(&mut self, line: &str) {
        let line = without_colour(line);
        if is_announcement(line.trim_end()) {
            self.end();
            self.running = true;
        }
        let Some(result) = line.trim_start().strip_prefix("test result: ") else { return };
        self.running = false;
        let Some((_, counts)) = result.split_once(". ") else { return };
        for part in counts.split(';') {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    /// No more lines will come from the binary that was running.
    pub(crate) fn end(&mut self) {
        self.failed += u64::from(self.running);
        self.running = false;
    }

    /// Tests that were carried out.
    pub(crate) fn ran(self) -> u64 {
        self.passed + self.failed
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// `running 3 tests`, alone on its line.
fn is_announcement(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    matches!(words.as_slice(), ["running", count, "test" | "tests"] if count.parse::<u64>().is_ok())
}

/// The line without terminal colour codes (`ESC [ ... m`).
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        for line in lines {
            tally.read(line);
        }
        tally
    }

    #[test]
    fn result_lines_of_all_binaries_are_added_up() {
        let sum = tally(&[
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s",
            "running 2 tests",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ]);
        assert_eq!((sum.passed, sum.failed, sum.skipped), (4, 1, 1));
        assert_eq!(sum.ran(), 5);
        assert_eq!(sum.to_string(), "4 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn coloured_lines_count_as_well() {
        let sum = tally(&["test result: \u{1b}[32mok\u{1b}[m. 2 passed; 0 failed; 0 ignored; 0 measured"]);
        assert_eq!(sum.passed, 2);
    }

    #[test]
    fn a_binary_that_died_before_its_result_counts_as_one_failure() {
        let result = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured";
        let mut sum = tally(&["running 1 test\n", "running 2 tests\n", result, "running 3 tests\n"]);
        sum.end();
        sum.end();
        assert_eq!(sum.to_string(), "2 passed, 2 failed, 0 skipped");
    }

    #[test]
    fn other_lines_count_nothing() {
        let sum =
            tally(&["test result: ok", "12 passed; 3 failed", "test result: ok. many passed; x failed"]);
        assert_eq!(sum, Tally::default());
    }
}
