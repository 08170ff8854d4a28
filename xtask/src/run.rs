//! Carrying out a plan: headings, durations, the summary, and the closing count.
//!
//! Promises: it stops at the first failing step, names it, and gives the command that repeats only
//! that step; a run that was to run tests ends with one line `N passed, N failed, N skipped`, and
//! fails if none ran.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow};

use crate::args::Plan;
use crate::bench::{self, Bench};
use crate::steps::Step;
use crate::tally::Tally;

/// How one step ended.
struct Ended {
    step: Step,
    took: Duration,
    result: Result<()>,
}

/// Runs the plan, tells the terminal about it, and says how it ended.
pub(crate) fn test(plan: &Plan) -> ExitCode {
    let root = match repository() {
        Ok(root) => root,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            return ExitCode::from(2);
        }
    };
    let mut tally = Tally::default();
    let ended = carry_out(plan, &root, &mut tally);
    print!("{}", summary(plan, &ended));
    let failure = verdict(plan, &ended, tally);
    if let Some(failure) = &failure {
        println!("{failure}");
    }
    if plan.steps.iter().any(|step| step.runs_tests()) {
        println!("{tally}");
    }
    if failure.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Measures, and says what went wrong.
pub(crate) fn bench(wanted: &Bench) -> ExitCode {
    match repository().and_then(|root| bench::bench(wanted, &root)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the repository that holds the current folder.
fn repository() -> Result<PathBuf> {
    let here = env::current_dir().context("cannot tell the current folder")?;
    here.ancestors()
        .find(|folder| folder.join("xtask/Cargo.toml").is_file() && folder.join("Cargo.toml").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| {
            anyhow!("no xtask/Cargo.toml in {} or above: run it inside the repository", here.display())
        })
}

fn carry_out(plan: &Plan, root: &Path, tally: &mut Tally) -> Vec<Ended> {
    let mut ended = Vec::new();
    for &step in &plan.steps {
        println!("\n== {}: {}", step.name(), step.about());
        let started = now();
        let result = step.carry_out(root, tally);
        let took = now().duration_since(started);
        println!("== {} {} after {}", step.name(), word_for(&result), seconds(took));
        let failed = result.is_err();
        ended.push(Ended { step, took, result });
        if failed {
            break;
        }
    }
    ended
}

#[expect(clippy::disallowed_methods, reason = "a duration for the terminal; no rule of the gateway sees it")]
fn now() -> Instant {
    Instant::now()
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

const fn word_for(result: &Result<()>) -> &'static str {
    if result.is_ok() { "ok" } else { "FAILED" }
}

/// One line a step of the plan, reached or not, and one for all that the plan left out.
fn summary(plan: &Plan, ended: &[Ended]) -> String {
    let mut text = String::from("\nsummary\n");
    for &step in &plan.steps {
        let (word, took) = match ended.iter().find(|end| end.step == step) {
            Some(end) => (word_for(&end.result), seconds(end.took)),
            None => ("not reached", String::new()),
        };
        let line = format!("  {:<14} {word:<12} {took:>8}", step.name());
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let total: Duration = ended.iter().map(|end| end.took).sum();
    text.push_str(&format!("  {:<14} {:<12} {:>8}\n", "all", "", seconds(total)));
    let left_out: Vec<_> = plan.left_out().into_iter().map(Step::name).collect();
    if !left_out.is_empty() {
        text.push_str(&format!("left out as asked: {}\n", left_out.join(", ")));
    }
    text
}

/// Why the run failed, or nothing.
fn verdict(plan: &Plan, ended: &[Ended], tally: Tally) -> Option<String> {
    for end in ended {
        if let Err(error) = &end.result {
            return Some(failure(end.step, error));
        }
    }
    if plan.steps.iter().any(|step| step.runs_tests()) && (tally.ran() == 0 || tally.failed > 0) {
        return Some(format!(
            "the test steps ended well, yet {} of {} tests passed",
            tally.passed,
            tally.ran()
        ));
    }
    None
}

fn failure(step: Step, error: &Error) -> String {
    let name = step.name();
    format!("{name} failed: {error:#}\nto repeat only this step: cargo xtask test --only {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64) -> Tally {
        let mut tally = Tally::default();
        (tally.passed, tally.failed) = (passed, failed);
        tally
    }

    fn end(step: Step, result: Result<()>) -> Ended {
        Ended { step, took: Duration::from_millis(1_250), result }
    }

    #[test]
    fn summary_says_which_steps_failed_were_not_reached_and_were_left_out() {
        let plan = Plan { steps: vec![Step::Fmt, Step::Layout, Step::Clippy] };
        let ended = [end(Step::Fmt, Ok(())), end(Step::Layout, Err(anyhow!("two rules broken")))];
        let text = summary(&plan, &ended);
        let line = |name: &str| {
            let found = text.lines().find(|line| line.trim_start().starts_with(name)).expect("a line a step");
            found.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("fmt"), "ok 1.2 s");
        assert_eq!(line("layout"), "FAILED 1.2 s");
        assert_eq!(line("clippy"), "not reached");
        assert!(!text.contains("deny  "), "{text}");
        assert!(text.ends_with("left out as asked: deny, doc, tests, gateway-tests\n"), "{text}");
    }

    #[test]
    fn a_failure_comes_with_the_command_that_repeats_it() {
        let plan = Plan { steps: vec![Step::Clippy] };
        let said = verdict(&plan, &[end(Step::Clippy, Err(anyhow!("lints")))], Tally::default());
        let said = said.expect("a failed step fails the run");
        assert!(said.contains("clippy failed: lints"), "{said}");
        assert!(said.contains("cargo xtask test --only clippy"), "{said}");
    }

    #[test]
    fn a_run_whose_tests_all_vanished_fails() {
        let plan = Plan { steps: vec![Step::Tests] };
        let ended = [end(Step::Tests, Ok(()))];
        assert!(verdict(&plan, &ended, Tally::default()).is_some());
        assert!(verdict(&plan, &ended, tally(1, 0)).is_none());
        assert!(verdict(&plan, &ended, tally(1, 1)).is_some());
    }

    #[test]
    fn a_run_that_was_to_run_no_test_needs_none() {
        let plan = Plan { steps: vec![Step::Fmt] };
        assert!(verdict(&plan, &[end(Step::Fmt, Ok(()))], Tally::default()).is_none());
    }
}
