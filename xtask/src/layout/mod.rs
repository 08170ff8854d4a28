//! The layout rules: what keeps the source tree readable for the next person.
//!
//! Promises: every rule is a pure function from files or packages to findings, so each is tested; all
//! findings of a run are shown; each says what to do.
//!
//! Refuses: what clippy, rustfmt and cargo-deny check already.

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::files::Tree;

mod excuses;
mod features;
mod links;
mod manifests;
mod metadata;
mod rooms;
mod rust_text;
mod sources;
mod technologies;
mod top_level;
mod words;

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The file, with the line where one is known.
    place: String,
    what: String,
}

impl Finding {
    fn in_file(path: &str, what: impl Into<String>) -> Self {
        Self { place: path.to_owned(), what: what.into() }
    }

    /// `line` counts from one.
    fn at_line(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { place: format!("{path}:{line}"), what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.what)
    }
}

/// Holds the repository at `root` to every rule.
pub(crate) fn check(root: &Path) -> Result<()> {
    let packages = metadata::read(root)?;
    let tree = Tree::read(root)?;
    let mut findings = rooms::check(&packages);
    findings.extend(technologies::check(&packages));
    findings.extend(manifests::check(&packages, &tree));
    findings.extend(top_level::check(&tree));
    findings.extend(sources::check(&tree));
    findings.extend(words::check(&tree));
    findings.extend(excuses::check(&tree));
    findings.extend(features::check(&tree));
    findings.extend(links::check(&tree));
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("1 layout rule is broken, see above"),
        many => bail!("{many} layout rules are broken, see above"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_like_a_compiler_message() {
        assert_eq!(Finding::at_line("a.rs", 3, "too long").to_string(), "a.rs:3: too long");
        assert_eq!(Finding::in_file("a.rs", "too long").to_string(), "a.rs: too long");
    }
}
