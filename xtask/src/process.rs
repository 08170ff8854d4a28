//! Running other programs for a step.
//!
//! Promises: a child has no standard input, its output appears as it is written, and it sees the
//! developer's environment rather than the one Cargo sets for this program.
//!
//! Refuses: a shell. Arguments are passed as they are.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tally::Tally;

/// The `cargo` that started this program, so that both use one toolchain.
pub(crate) fn cargo(root: &Path) -> Command {
    program(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")), root)
}

/// A program that will run at the root of the repository.
pub(crate) fn program(name: impl Into<OsString>, root: &Path) -> Command {
    let mut command = Command::new(name.into());
    command.current_dir(root).stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_set_by_cargo_run) {
            command.env_remove(name);
        }
    }
    command
}

/// Variables that `cargo run` sets about the xtask package. Left in place they reach build scripts,
/// some of which then rebuild each time this command and a plain `cargo` take turns.
fn is_set_by_cargo_run(name: &str) -> bool {
    name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_MANIFEST_")
        || ["CARGO_CRATE_NAME", "CARGO_BIN_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"].contains(&name)
}

/// Runs to the end with its output on the terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs to the end, passing its output on line by line and adding up the tests it reports.
pub(crate) fn run_counting(command: &mut Command, tally: &mut Tally, out: &mut impl Write) -> Result<()> {
    let ended = run_reading(command, out, |line| tally.read(line));
    tally.end();
    ended
}

/// Runs to the end, passing its output on line by line and showing each line to `each`.
pub(crate) fn run_reading(
    command: &mut Command,
    out: &mut impl Write,
    mut each: impl FnMut(&str),
) -> Result<()> {
    command.stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if let Some(output) = child.stdout.take() {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).context("cannot read what it prints")? > 0 {
            out.write_all(&line).context("cannot print what it prints")?;
            each(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs quietly and returns its standard output; what it says on standard error is part of the error.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` ended with {}: {}", shown(command), output.status, said.trim());
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed bytes that are not text", shown(command)))
}

/// The command as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or(program.as_os_str()).to_string_lossy()];
    words.extend(command.get_args().map(|word| word.to_string_lossy()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_about_this_package_are_not_passed_on() {
        assert!(is_set_by_cargo_run("CARGO_PKG_NAME"));
        assert!(is_set_by_cargo_run("CARGO_MANIFEST_DIR"));
        assert!(!is_set_by_cargo_run("CARGO_TARGET_DIR"));
        assert!(!is_set_by_cargo_run("CARGO_HOME"));
    }

    #[test]
    fn a_failing_program_is_named_with_its_status() {
        let error = run(program("false", Path::new(".")).arg("now")).expect_err("must fail").to_string();
        assert!(error.contains("`false now` ended with exit status: 1"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = output_of(&mut program("no-such-program", Path::new("."))).expect_err("must fail");
        assert!(error.to_string().contains("cannot start `no-such-program`"), "{error:#}");
    }

    #[test]
    fn counting_reads_what_passes_by() {
        let mut tally = Tally::default();
        let line = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured";
        let mut seen = Vec::new();
        run_counting(program("echo", Path::new(".")).arg(line), &mut tally, &mut seen).expect("echo runs");
        assert_eq!(tally.passed, 2);
        assert_eq!(String::from_utf8_lossy(&seen).trim_end(), line);
    }
}
