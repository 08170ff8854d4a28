//! What every `Cargo.toml` has in common.
//!
//! Promises: each belongs to a package of the workspace, and so does each package that a path leads
//! to, because the rules about rooms see nothing else; each takes the workspace's lints.

use super::Finding;
use super::metadata::Package;
use crate::files::Tree;

/// Checks every manifest of the repository and every package of the workspace.
pub(super) fn check(packages: &[Package], tree: &Tree) -> Vec<Finding> {
    let mut findings = outsiders(packages, tree);
    findings.extend(packages.iter().flat_map(|package| paths_outside(package, packages)));
    findings.extend(packages.iter().filter_map(|package| without_lints(package, tree)));
    findings
}

/// Manifests that cargo does not count to the workspace.
fn outsiders(packages: &[Package], tree: &Tree) -> Vec<Finding> {
    let manifests = tree.paths().filter(|path| path.ends_with("/Cargo.toml"));
    manifests
        .filter(|path| !packages.iter().any(|package| package.manifest() == *path))
        .map(|path| {
            let what = "not a package of the workspace, so no rule sees it: add its folder to `members` in \
                        the root Cargo.toml (and take it out of `exclude`), or delete it";
            Finding::in_file(path, what)
        })
        .collect()
}

fn paths_outside(package: &Package, packages: &[Package]) -> Vec<Finding> {
    let outside = |path: &str| !packages.iter().any(|member| member.folder == path);
    let paths = package.dependencies.iter().filter_map(|d| Some((d, d.path.as_deref()?)));
    paths
        .filter(|(_, path)| outside(path))
        .map(|(dependency, path)| {
            let what = format!(
                "{} is taken from {path}, which is no package of the workspace: make it a room, or take it \
                 from the registry",
                dependency.name
            );
            Finding::in_file(&package.manifest(), what)
        })
        .collect()
}

fn without_lints(package: &Package, tree: &Tree) -> Option<Finding> {
    let manifest = package.manifest();
    let what = "does not take the workspace's lints: add `[lints]` and below it `workspace = true`";
    (!tree.text(&manifest).is_some_and(takes_lints)).then(|| Finding::in_file(&manifest, what))
}

/// Whether a manifest has `lints.workspace = true`, in any of the three ways to write it.
fn takes_lints(manifest: &str) -> bool {
    let mut table = String::new();
    for line in manifest.lines() {
        let line: String = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut table);
            continue;
        }
        let taken = match table.as_str() {
            "" => line == "lints.workspace=true" || line == "lints={workspace=true}",
            "lints" => line == "workspace=true",
            _ => false,
        };
        if taken {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::metadata::Kind;
    use super::super::metadata::tests::package;
    use super::*;
    use crate::files::tests::tree;

    const LINTS: &str = "[lints]\nworkspace = true\n";

    fn said(packages: &[Package], files: &[(&str, &str)]) -> Vec<String> {
        check(packages, &tree(files)).iter().map(Finding::to_string).collect()
    }

    /// What is said about one package with this manifest.
    fn lints(manifest: &str) -> Vec<String> {
        said(&[package("a", "a", &[])], &[("Cargo.toml", "[workspace]\n"), ("a/Cargo.toml", manifest)])
    }

    #[test]
    fn the_lints_of_the_workspace_may_be_taken_in_every_way_that_cargo_reads() {
        for manifest in [
            "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n",
            "[lints] # ours\n\n# all of them\nworkspace=true\n[dependencies]\n",
            "lints.workspace = true\n\n[package]\nname = \"a\"\n",
            "lints = { workspace = true }\n[package]\n",
        ] {
            assert_eq!(lints(manifest), [""; 0], "{manifest}");
        }
    }

    #[test]
    fn a_package_without_the_workspace_lints_is_refused() {
        for manifest in [
            "[package]\nname = \"b\"\n",
            "[lints]\nrust.unsafe_code = \"allow\"\n",
            "[lints]\n[dependencies.x]\nworkspace = true\n",
            "# lints.workspace = true\n[package]\nversion.workspace = true\n",
        ] {
            let said = lints(manifest);
            assert!(said.iter().any(|said| said.starts_with("a/Cargo.toml: does not take")), "{manifest}");
        }
    }

    #[test]
    fn a_manifest_that_the_workspace_excludes_is_refused() {
        let files = [("Cargo.toml", ""), ("a/Cargo.toml", LINTS), ("a/helpers/Cargo.toml", LINTS)];
        let said = said(&[package("a", "a", &[])], &files);
        assert_eq!(said.len(), 1);
        assert!(said.iter().all(|said| said.starts_with("a/helpers/Cargo.toml: not a package")), "{said:?}");
    }

    #[test]
    fn a_path_leads_to_a_package_of_the_workspace_or_is_refused() {
        let files = [("a/Cargo.toml", LINTS), ("b/Cargo.toml", LINTS)];
        let taking = |path: &str| {
            let mut a = package("a", "a", &[("b", Kind::Dev)]);
            a.dependencies.iter_mut().for_each(|dependency| dependency.path = Some(path.to_owned()));
            said(&[a, package("b", "b", &[])], &files)
        };
        assert_eq!(taking("b"), [""; 0]);
        for path in ["a/helpers", "/elsewhere/b"] {
            let said = taking(path);
            assert!(said.iter().any(|s| s.contains(&format!("b is taken from {path}"))), "{said:?}");
        }
    }
}
