//! The files of the repository, read once for all layout rules.
//!
//! Promises: what git tracks, and what it would track if it were added; what git ignores is not seen.
//! Without git, or outside a checkout, it says so and walks the folder instead.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::process::{output_of, program};

/// Folders at the root that a walk without git leaves alone: what `.gitignore` names, and git's own.
const NOT_SOURCE: [&str; 3] = [".git", "target", "data"];

/// Paths from the root, with `/`, to the text of each file; `None` for a file that is not text.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads the repository at `root`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let paths = match from_git(root) {
            Ok(paths) => paths,
            Err(error) => {
                println!("walking the folder, as git cannot list it: {error:#}");
                let mut paths = Vec::new();
                walk(root, "", &mut paths)?;
                paths
            }
        };
        let mut files = BTreeMap::new();
        for path in paths {
            // Gone from disk but still in git's index: a deletion that is not committed yet.
            if let Ok(bytes) = fs::read(root.join(&path)) {
                files.insert(path, String::from_utf8(bytes).ok());
            }
        }
        Ok(Self { files })
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Files whose name ends in `ending`, with their text.
    pub(crate) fn texts<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.ends_with(ending))
            .filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Whether `path` is a file or a folder that holds one; `""` is the root.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.has_file(path)
            || self.files.range(folder.clone()..).next().is_some_and(|(next, _)| next.starts_with(&folder))
    }
}

fn from_git(root: &Path) -> Result<Vec<String>> {
    // Asked inside some other checkout, git would answer for that one.
    if !root.join(".git").exists() {
        bail!("{} is not a git checkout", root.display());
    }
    let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = output_of(program("git", root).args(listed))?;
    Ok(output.split_terminator('\0').map(str::to_owned).collect())
}

fn walk(root: &Path, folder: &str, paths: &mut Vec<String>) -> Result<()> {
    let here = root.join(folder);
    let unreadable = || format!("cannot list {}", here.display());
    for entry in fs::read_dir(&here).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().with_context(unreadable)?;
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if kind.is_dir() {
            if !(folder.is_empty() && NOT_SOURCE.contains(&name.as_str())) {
                walk(root, &path, paths)?;
            }
        } else if kind.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A tree of these files, for the tests of every rule.
    pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned())));
        Tree { files: files.collect() }
    }

    #[test]
    fn every_pattern_of_gitattributes_matches_a_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let tree = Tree::read(root).expect("a readable checkout");
        let patterns = tree.text(".gitattributes").expect("attributes").lines();
        for pattern in patterns.filter_map(|line| line.split_whitespace().next()) {
            let ending = pattern.trim_start_matches('*');
            assert!(tree.paths().any(|path| path.ends_with(ending)), "`{pattern}` matches nothing");
        }
    }

    #[test]
    fn folders_exist_through_their_files() {
        let tree = tree(&[("gateway/domain/src/lib.rs", ""), ("gateway-notes.md", "")]);
        assert!(tree.has("") && tree.has("gateway") && tree.has("gateway/domain/src"));
        assert!(tree.has("gateway/domain/src/lib.rs"));
        assert!(!tree.has("gate") && !tree.has("gateway/dom") && !tree.has("gateway/app"));
    }

    #[test]
    fn a_walk_finds_this_file_and_leaves_build_output_alone() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let mut paths = Vec::new();
        walk(root, "", &mut paths).expect("a readable folder");
        assert!(paths.iter().any(|path| path == "xtask/src/files.rs"));
        assert!(!paths.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
    }
}
