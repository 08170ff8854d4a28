//! What the project checks itself with: `cargo xtask test`; and measures itself with: `cargo xtask bench`.
//!
//! Promises: CI runs this command and nothing else; it stops at the first step that fails, says what
//! failed and how to repeat only that step; nothing is left out of a run without being named.
//!
//! Refuses: tests of its own about the gateway. It runs them, and it holds the source tree to the
//! project's layout; what is true of attendance is tested where it is decided.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a terminal program: printing is its output")]

use std::env;
use std::process::ExitCode;

use crate::args::Command;

mod args;
mod bench;
mod clients;
mod debian;
mod files;
mod layout;
mod process;
mod run;
mod steps;
mod tally;
mod tools;

fn main() -> ExitCode {
    match args::parse(env::args().skip(1)) {
        Ok(Command::Help) => {
            println!("{}", args::help());
            ExitCode::SUCCESS
        }
        Ok(Command::Test(plan)) => run::test(&plan),
        Ok(Command::Bench(bench)) => run::bench(&bench),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}
