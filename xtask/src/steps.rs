//! The steps of a run: their names, their order, and what each does.
//!
//! Promises: the order is the one that fails soonest; each step says what it needs; no step writes to
//! the source tree.

use std::io::stdout;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::clients;
use crate::debian;
use crate::layout;
use crate::process::{cargo, program, run, run_counting};
use crate::tally::Tally;
use crate::tools;

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Fmt,
    Layout,
    Clippy,
    Deny,
    Doc,
    Tests,
    GatewayTests,
}

impl Step {
    /// Every step, in the order they run. `Doc` reuses what `Clippy` checked, so it costs seconds and
    /// goes before the minutes that tests take.
    pub(crate) const ALL: [Self; 7] =
        [Self::Fmt, Self::Layout, Self::Clippy, Self::Deny, Self::Doc, Self::Tests, Self::GatewayTests];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Layout => "layout",
            Self::Clippy => "clippy",
            Self::Deny => "deny",
            Self::Doc => "doc",
            Self::Tests => "tests",
            Self::GatewayTests => "gateway-tests",
        }
    }

    /// One line for the help text and the heading.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Fmt => "formatting, as rustfmt.toml has it",
            Self::Layout => "rooms, arrows, file sizes, module docs, features table, links",
            Self::Clippy => "lints, every warning an error",
            Self::Deny => "dependencies: licences, bans, sources, duplicates (deny.toml)",
            Self::Doc => "documentation builds without a broken link",
            Self::Tests => "unit, property, golden and doc tests of every room",
            Self::GatewayTests => "whole-gateway tests against real peers",
        }
    }

    /// Left out by `--fast`.
    pub(crate) const fn is_slow(self) -> bool {
        matches!(self, Self::GatewayTests)
    }

    /// Adds to the count of tests.
    pub(crate) const fn runs_tests(self) -> bool {
        matches!(self, Self::Tests | Self::GatewayTests)
    }

    /// Carries the step out; an error means that the step failed.
    pub(crate) fn carry_out(self, root: &Path, tally: &mut Tally) -> Result<()> {
        match self {
            Self::Fmt => {
                tools::RUSTFMT.ensure(root)?;
                run(cargo(root).args(["fmt", "--all", "--check"]))
            }
            Self::Layout => layout::check(root),
            Self::Clippy => {
                tools::CLIPPY.ensure(root)?;
                run(cargo(root)
                    .args(["clippy", "--workspace", "--all-targets", "--locked", "--"])
                    .args(["-D", "warnings"]))
            }
            Self::Deny => {
                let deny = tools::CARGO_DENY.ensure(root)?;
                run(program(deny, root)
                    .args(["--locked", "--workspace", "check", "--hide-inclusion-graph"])
                    .args(["licenses", "bans", "sources"]))
            }
            Self::Doc => run(cargo(root)
                .args(["doc", "--workspace", "--no-deps", "--locked"])
                .env("RUSTDOCFLAGS", "-D warnings")),
            Self::Tests => {
                run_tests(cargo(root).args(TEST).args(["--workspace", "--exclude", "rollcall-tests"]), tally)
            }
            Self::GatewayTests => {
                debian::ensure_peers(root)?;
                clients::ensure(root)?;
                let mut command = cargo(root);
                command.args(TEST).args(["--package", "rollcall-tests"]).env("PATH", debian::path()?);
                run_tests(&mut command, tally)
            }
        }
    }
}

/// All failures of a run are shown, so a failing binary does not keep the next one from running.
const TEST: [&str; 3] = ["test", "--locked", "--no-fail-fast"];

fn run_tests(command: &mut Command, tally: &mut Tally) -> Result<()> {
    // A snapshot is accepted by a person, never by a run of the tests.
    command.env("CI", "true").env("INSTA_UPDATE", "no").env_remove("INSTA_FORCE_PASS");
    run_counting(command, tally, &mut stdout())
}
