//! The packages of the workspace and what each depends on, from `cargo metadata`.
//!
//! Promises: what is declared, for every kind of dependency, feature and target; nothing is resolved
//! and nothing is fetched.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process::{cargo, output_of};

/// One package of the workspace.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    /// Its folder, from the root, with `/`.
    pub(super) folder: String,
    pub(super) dependencies: Vec<Dependency>,
}

impl Package {
    pub(super) fn manifest(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }
}

/// One declared dependency, by the package's own name even where it is renamed.
#[derive(Debug, Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    #[serde(default)]
    pub(super) kind: Kind,
    /// The folder that it is taken from, if it is: from the root where it is below the root.
    pub(super) path: Option<String>,
}

/// When a dependency is used. Cargo writes `null` for the usual kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "Option<String>")]
pub(super) enum Kind {
    #[default]
    Normal,
    Dev,
    Build,
}

impl From<Option<String>> for Kind {
    fn from(word: Option<String>) -> Self {
        match word.as_deref() {
            Some("dev") => Self::Dev,
            Some("build") => Self::Build,
            _ => Self::Normal,
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    packages: Vec<AnsweredPackage>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct AnsweredPackage {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

/// Asks cargo about the workspace at `root`.
pub(super) fn read(root: &Path) -> Result<Vec<Package>> {
    parse(&output_of(cargo(root).args(["metadata", "--no-deps", "--format-version", "1"]))?)
}

fn parse(json: &str) -> Result<Vec<Package>> {
    let answer: Answer = serde_json::from_str(json).context("cannot read what cargo metadata printed")?;
    let from_root = |folder: &Path| {
        let folder = folder.strip_prefix(&answer.workspace_root).unwrap_or(folder);
        folder.to_string_lossy().into_owned()
    };
    let package = |mut package: AnsweredPackage| {
        for dependency in &mut package.dependencies {
            dependency.path = dependency.path.take().map(|path| from_root(Path::new(&path)));
        }
        Package {
            folder: package.manifest_path.parent().map(from_root).unwrap_or_default(),
            name: package.name,
            dependencies: package.dependencies,
        }
    };
    Ok(answer.packages.into_iter().map(package).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A package with these dependencies, for the tests of the rules.
    pub(in super::super) fn package(name: &str, folder: &str, dependencies: &[(&str, Kind)]) -> Package {
        let dependencies = dependencies.iter().map(|(name, kind)| Dependency {
            name: (*name).to_owned(),
            kind: *kind,
            path: None,
        });
        Package { name: name.to_owned(), folder: folder.to_owned(), dependencies: dependencies.collect() }
    }

    #[test]
    fn names_folders_and_kinds_are_read() {
        let json = r#"{"workspace_root": "/r", "version": 1, "packages": [{
            "name": "rollcall-store", "manifest_path": "/r/gateway/store/Cargo.toml", "dependencies": [
                {"name": "redb", "kind": null, "rename": "database"},
                {"name": "proptest", "kind": "dev"},
                {"name": "cc", "kind": "build"}]}]}"#;
        let packages = parse(json).expect("readable");
        let store = packages.first().expect("one package");
        assert_eq!(store.manifest(), "gateway/store/Cargo.toml");
        let kinds: Vec<_> = store.dependencies.iter().map(|d| (d.name.as_str(), d.kind)).collect();
        assert_eq!(kinds, [("redb", Kind::Normal), ("proptest", Kind::Dev), ("cc", Kind::Build)]);
    }

    #[test]
    fn paths_are_read_from_the_root_where_they_are_below_it() {
        let json = r#"{"workspace_root": "/r", "version": 1, "packages": [{
            "name": "a", "manifest_path": "/r/a/Cargo.toml", "dependencies": [
                {"name": "b", "kind": null, "path": "/r/gateway/b"},
                {"name": "c", "kind": null, "path": "/elsewhere/c"},
                {"name": "serde", "kind": null}]}]}"#;
        let packages = parse(json).expect("readable");
        let dependencies = &packages.first().expect("one package").dependencies;
        let paths: Vec<_> = dependencies.iter().map(|d| d.path.as_deref()).collect();
        assert_eq!(paths, [Some("gateway/b"), Some("/elsewhere/c"), None]);
    }

    #[test]
    fn the_workspace_itself_can_be_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let packages = read(root).expect("cargo answers");
        assert!(packages.iter().any(|package| package.name == "xtask" && package.folder == "xtask"));
    }
}
