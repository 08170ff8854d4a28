//! `cargo xtask bench`: the figures of the whole gateway, and their page in the documentation.
//!
//! Promises: what is written to the documentation is what the run printed; a run that misses a bar fails,
//! after it has said so.
//!
//! Refuses: measuring. That is the bench target of `tests/`.

use std::fs;
use std::io::stdout;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::debian;
use crate::process::{cargo, run_reading};

/// Where the figures go.
const PAGE: &str = "docs/benchmarks.md";
/// Between these lines of the page.
const BEGIN: &str = "<!-- figures: written by cargo xtask bench --write -->";
const END: &str = "<!-- end of figures -->";
/// The first words of a table: without one there is nothing to write down.
const TABLE: &str = "| figure |";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Bench {
    /// All, if there is none.
    pub(crate) names: Vec<String>,
    pub(crate) write: bool,
}

/// Measures, and writes the page if that was asked for.
pub(crate) fn bench(bench: &Bench, root: &Path) -> Result<()> {
    debian::ensure_peers(root)?;
    let mut command = cargo(root);
    command.args(["bench", "--locked", "--package", "rollcall-tests", "--bench", "gateway", "--"]);
    command.args(&bench.names).env("PATH", debian::path()?);
    let mut printed = String::new();
    let ended = run_reading(&mut command, &mut stdout(), |line| printed.push_str(line));
    if bench.write && printed.contains(TABLE) {
        let path = root.join(PAGE);
        let page = fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
        fs::write(&path, with_figures(&page, &printed)?).with_context(|| format!("cannot write {PAGE}"))?;
        println!("written to {PAGE}");
    }
    ended
}

/// The page with what stood between the two lines replaced.
fn with_figures(page: &str, figures: &str) -> Result<String> {
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else { bail!("{PAGE} has no lines {BEGIN} and {END}") };
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", figures.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_lines_is_replaced() {
        let page = format!("# Title\n{BEGIN}\nold\n{END}\nmore\n");
        let written = with_figures(&page, "\nnew\n\n").expect("both lines are there");
        assert_eq!(written, format!("# Title\n{BEGIN}\nnew\n{END}\nmore\n"));
        assert!(with_figures("# Title", "new").is_err());
    }

    #[test]
    fn the_page_of_the_project_has_both_lines() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE);
        let page = fs::read_to_string(page).expect("the page");
        assert!(with_figures(&page, "new").is_ok());
    }
}
