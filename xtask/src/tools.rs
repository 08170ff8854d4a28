//! Rust tools that a run needs beyond the toolchain's minimum. What comes from Debian is in `debian.rs`.
//!
//! Promises: a tool is looked for first, its version checked, and an installation announced before it
//! starts; one that cannot be had fails the step with the command to run by hand.
//!
//! Refuses: installing into the system or the home folder, except a component of the toolchain in use.
//! Crates go to `target/tools`, which a later run finds again.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use crate::process::{cargo, output_of, program, run};

/// A part of the Rust toolchain that rustup can add.
pub(crate) struct Component {
    name: &'static str,
    /// The subcommand of cargo that it brings.
    subcommand: &'static str,
}

/// A program from the crate registry, at one version so that every machine judges alike.
pub(crate) struct Crate {
    name: &'static str,
    version: &'static str,
    /// How long its installation takes on two cores, for the announcement.
    takes: &'static str,
}

pub(crate) const RUSTFMT: Component = Component { name: "rustfmt", subcommand: "fmt" };
pub(crate) const CLIPPY: Component = Component { name: "clippy", subcommand: "clippy" };
pub(crate) const CARGO_DENY: Crate = Crate { name: "cargo-deny", version: "0.20.2", takes: "a minute" };

impl Component {
    /// Makes sure that the component is there.
    pub(crate) fn ensure(&self, root: &Path) -> Result<()> {
        let found = || output_of(cargo(root).args([self.subcommand, "--version"]));
        if found().is_ok() {
            return Ok(());
        }
        let by_hand = format!("rustup component add {}", self.name);
        println!("adding {} to the Rust toolchain, once: {by_hand}", self.name);
        run(program("rustup", root).args(["component", "add", self.name]))
            .and_then(|()| found())
            .with_context(|| {
                format!("cannot get {}: run `{by_hand}`, or install your system's package of it", self.name)
            })
            .map(drop)
    }
}

impl Crate {
    /// Makes sure that the program is there, and returns what to call.
    pub(crate) fn ensure(&self, root: &Path) -> Result<OsString> {
        let tools = root.join("target/tools");
        let ours = tools.join("bin").join(self.name).into_os_string();
        for candidate in [ours.clone(), OsString::from(self.name)] {
            if self.is_right(candidate.clone(), root) {
                return Ok(candidate);
            }
        }
        println!("installing {} {} into target/tools, about {}, once", self.name, self.version, self.takes);
        let by_hand =
            format!("cargo install {} --version {} --locked --root target/tools", self.name, self.version);
        let failed = || format!("cannot get {}: run `{by_hand}` at the root of the repository", self.name);
        self.install(root, &tools).with_context(failed)?;
        if self.is_right(ours.clone(), root) { Ok(ours) } else { Err(anyhow!(failed())) }
    }

    fn is_right(&self, candidate: OsString, root: &Path) -> bool {
        output_of(program(candidate, root).arg("--version")).is_ok_and(|said| self.is_version(&said))
    }

    fn is_version(&self, said: &str) -> bool {
        said.split_whitespace().eq([self.name, self.version])
    }

    /// Without optimisation or debug information: it builds sooner, and is fast enough for a tree of hundreds of crates.
    fn install(&self, root: &Path, tools: &Path) -> Result<()> {
        let build = tools.join("build");
        run(cargo(root)
            .args(["install", self.name, "--version", self.version, "--locked"])
            .args(["--debug", "--quiet", "--force"])
            .arg("--root")
            .arg(tools)
            .arg("--target-dir")
            .arg(&build)
            .env("CARGO_PROFILE_DEV_DEBUG", "0"))?;
        fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_version_is_right() {
        assert!(CARGO_DENY.is_version("cargo-deny 0.20.2\n"));
        assert!(!CARGO_DENY.is_version("cargo-deny 0.20.3\n"));
        assert!(!CARGO_DENY.is_version("cargo-deny\n"));
        assert!(!CARGO_DENY.is_version(""));
    }
}
