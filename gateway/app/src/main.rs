//! The gateway's binary: command line, wiring, lifecycle, telemetry, the real clock. No rules.
//!
//! Promises: every outcome is an exit code of the contract; what fails says so in one line that a
//! person can act on; a reader that goes away (`| head`) is no failure.
//!
//! Refuses: deciding anything about attendance. What is true is decided in `rollcall-domain`.

mod allocator;
mod check_config;
mod cli;
mod clock;
mod completions;
mod control;
mod data;
mod data_folder;
mod exit;
mod gateway;
mod keys;
mod logging;
mod output;
mod private_file;
mod run;

use std::process::ExitCode;

use rollcall_config::Environment;

use crate::cli::{Cli, Command};
use crate::exit::Exit;

fn main() -> ExitCode {
    let (command, place) = match Cli::from_line().and_then(Cli::resolve) {
        Ok(resolved) => resolved,
        Err(answer) => return usage(&answer),
    };
    let exit = match command {
        Command::Run(_) => run::run(&place, environment()),
        Command::Demo => run::demo(),
        Command::CheckConfig(_) => check_config::check_config(&place.config_file(), &environment()),
        Command::Completions { shell } => completions::completions(shell),
        Command::Backup { file, with_evidence, .. } => {
            data::backup(&file, with_evidence, &place, &environment())
        }
        Command::Restore { file, force, .. } => data::restore(&file, force, &place, &environment()),
        Command::Verify { rebuild, .. } => data::verify(rebuild, &place, &environment()),
        Command::Export(export) => match export.style() {
            Ok(style) => data::export(&export, style, &place, &environment()),
            Err(name) => not_built(name),
        },
        Command::Unbuilt(unbuilt) => not_built(&unbuilt.name()),
    };
    exit.into()
}

fn environment() -> Environment {
    Environment::from_pairs(std::env::vars_os())
}

/// Prints what the command line parser has to say: help, version, or what is wrong.
fn usage(answer: &clap::Error) -> ExitCode {
    if answer.use_stderr() {
        // When even that cannot be written, the exit code is left.
        answer.print().ok();
        return Exit::WrongUsage.into();
    }
    match output::forgiving(answer.print()) {
        Ok(()) => Exit::Done,
        Err(error) => {
            output::complain(&format!("rollcall: cannot print this: {}", rollcall_config::reason(&error)));
            Exit::CheckFailed
        }
    }
    .into()
}

fn not_built(name: &str) -> Exit {
    output::complain(&format!("rollcall {name} is not built yet; rollcall --help marks what is not"));
    Exit::NotBuilt
}
