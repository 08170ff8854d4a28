//! The gateway's binary: command line, wiring, lifecycle, telemetry, the real clock. No rules.
//!
//! Promises: every outcome is an exit code of the contract; what fails says so in one line that a
//! person can act on; a reader that goes away (`| head`) is no failure.
//!
//! Refuses: deciding anything about attendance. What is true is decided in `rollcall-domain`.

mod check_config;
mod cli;
mod clock;
mod completions;
mod data_folder;
mod exit;
mod logging;
mod output;
mod run;

use std::process::ExitCode;

use clap::Parser as _;
use rollcall_config::Environment;

use crate::cli::{Cli, Command};
use crate::exit::Exit;

fn main() -> ExitCode {
    let (command, place) = match Cli::parse().resolve() {
        Ok(resolved) => resolved,
        Err(usage) => usage.exit(),
    };
    let exit = match command {
        Command::Run(_) => run::run(&place, environment()),
        Command::CheckConfig(_) => check_config::check_config(&place.config_file(), &environment()),
        Command::Completions { shell } => completions::completions(shell),
        unbuilt => not_built(&unbuilt.name()),
    };
    exit.into()
}

fn environment() -> Environment {
    Environment::from_pairs(std::env::vars_os())
}

fn not_built(name: &str) -> Exit {
    output::complain(&format!("rollcall {name} is not built yet; docs/features.md says what works"));
    Exit::NotBuilt
}
