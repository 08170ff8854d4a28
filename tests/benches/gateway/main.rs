//! The figures that Rollcall is held to, each beside what it is measured against.
//!
//! Promises: a figure and its floor or peer come from the same run on the same machine and disk, in turns,
//! so that a busy neighbour hurts both; every acknowledged scan is then looked for in the ledger, and a
//! figure that was got by losing or doubling one fails the run.
//!
//! Refuses: judging from inside. The gateway is the release binary, as a process of its own.
//!
//! `cargo xtask bench` runs it; words after that name the figures wanted.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a terminal program: printing is its output")]

mod backup;
mod figure;
mod floor;
mod full;
mod machine;
mod mosquitto;
mod scans;
mod stopwatch;
mod store;
mod terminals;
mod threads;

use std::process::ExitCode;

use anyhow::{Result, bail};
use mimalloc::MiMalloc;

use crate::figure::Figure;

/// A measurement by its name; one may give several figures.
type Measurement = (&'static str, fn() -> Result<Vec<Figure>>);

const MEASUREMENTS: [Measurement; 7] = [
    ("busy", scans::busy),
    ("lone", scans::lone),
    ("appends", store::appends),
    ("full", full::full),
    ("views", store::views),
    ("backup", backup::backup),
    ("ready", full::ready),
];

/// The gateway's own, for the figures of its store.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Cargo adds `--bench` to what it was given.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let done = match words.as_slice() {
        [word, folder] if word == full::FILL => full::fill_and_die(folder.as_ref()),
        _ => run(&words),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Measures, and tells whether every figure keeps to its bar.
fn run(words: &[String]) -> Result<bool> {
    let known = MEASUREMENTS.map(|(name, _)| name);
    if let Some(word) = words.iter().find(|word| !known.contains(&word.as_str())) {
        bail!("there is no measurement `{word}`: use {}", known.join(", "));
    }
    println!("{}\n", machine::facts()?);
    let mut figures = Vec::new();
    for (name, measure) in MEASUREMENTS {
        if words.is_empty() || words.iter().any(|word| word == name) {
            eprintln!("measuring {name}");
            figures.extend(measure()?);
        }
    }
    println!("{}", figure::table(&figures));
    Ok(figures.iter().all(Figure::is_met))
}
