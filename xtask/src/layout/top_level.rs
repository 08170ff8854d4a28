//! What may stand at the top level of the repository.
//!
//! Promises: a newcomer who lists the root sees the rooms and nothing else.

use std::collections::BTreeSet;

use super::Finding;
use crate::files::Tree;

const FOLDERS: [&str; 9] =
    ["actors", "config", "dashboards", "docs", "gateway", "mqtt", "systemd", "tests", "xtask"];

const FILES: [&str; 10] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
];

/// Checks every name at the top level; names that begin with a dot belong to tools and pass.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let names: BTreeSet<(&str, bool)> = tree
        .paths()
        .map(|path| path.split_once('/').map_or((path, false), |(folder, _)| (folder, true)))
        .collect();
    names
        .into_iter()
        .filter(|(name, is_folder)| {
            let known = if *is_folder { FOLDERS.contains(name) } else { FILES.contains(name) };
            !known && !name.starts_with('.')
        })
        .map(|(name, is_folder)| {
            let kind = if is_folder { "folder" } else { "file" };
            let what = format!(
                "no {kind} of this name belongs at the top level: move it into the room it is about, or let \
                 git ignore it"
            );
            Finding::in_file(name, what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::tree;

    #[test]
    fn the_rooms_and_known_files_pass() {
        let tree = tree(&[
            ("Cargo.toml", ""),
            (".ci/run", ""),
            (".gitignore", ""),
            ("gateway/domain/src/lib.rs", ""),
            ("docs/features.md", ""),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn another_folder_or_file_is_named_once() {
        let tree = tree(&[("utils/a.rs", ""), ("utils/b.rs", ""), ("notes.txt", ""), ("docs", "")]);
        let found: Vec<_> = check(&tree).into_iter().map(|finding| finding.place).collect();
        assert_eq!(found, ["docs", "notes.txt", "utils"]);
    }
}
