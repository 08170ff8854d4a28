//! What was asked for: words of the command line to a plan of steps.
//!
//! Promises: a word it does not know is an error that lists the words it knows.

use anyhow::{Result, bail};

use crate::bench::Bench;
use crate::steps::Step;

/// Each command as it is typed, with what it does: for the help text and for a word that is not known.
const COMMANDS: [(&str, &str); 7] = [
    ("test", "everything that CI runs"),
    ("test --fast", "the inner loop: leaves out the steps marked slow"),
    ("test --only STEP", "one step (repeat the option for more)"),
    ("bench", "the figures of the whole gateway, each beside its floor or peer"),
    ("bench NAME", "one measurement (name several for more)"),
    ("bench --write", "and their page, docs/benchmarks.md"),
    ("help", "this text"),
];

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Test(Plan),
    Bench(Bench),
}

/// The steps of one run, in their fixed order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    /// Steps this run leaves out, so that it can say so.
    pub(crate) fn left_out(&self) -> Vec<Step> {
        Step::ALL.into_iter().filter(|step| !self.steps.contains(step)).collect()
    }
}

/// Reads the words after `cargo xtask`.
pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Command> {
    match words.next().as_deref() {
        None | Some("help" | "--help" | "-h") => Ok(Command::Help),
        Some("test") => parse_test(words),
        Some("bench") => parse_bench(words),
        Some(other) => bail!("unknown command `{other}`: use {}", command_names()),
    }
}

fn parse_test(mut words: impl Iterator<Item = String>) -> Result<Command> {
    let mut fast = false;
    let mut only: Vec<Step> = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--fast" => fast = true,
            "--help" | "-h" => return Ok(Command::Help),
            "--only" => match words.next() {
                Some(name) => only.push(step_named(&name)?),
                None => bail!("`--only` needs the name of a step: {}", step_names()),
            },
            other => bail!("unknown option `{other}` of `test`: use `--fast` or `--only STEP`"),
        }
    }
    if fast && !only.is_empty() {
        bail!("`--fast` and `--only` each choose the steps: use one of them");
    }
    let wanted = |step: &Step| {
        if only.is_empty() { !(fast && step.is_slow()) } else { only.contains(step) }
    };
    Ok(Command::Test(Plan { steps: Step::ALL.into_iter().filter(wanted).collect() }))
}

/// Which measurements there are is known to the one that makes them.
fn parse_bench(words: impl Iterator<Item = String>) -> Result<Command> {
    let mut bench = Bench::default();
    for word in words {
        match word.as_str() {
            "--write" => bench.write = true,
            "--help" | "-h" => return Ok(Command::Help),
            option if option.starts_with('-') => bail!("unknown option `{option}` of `bench`: use `--write`"),
            _ => bench.names.push(word),
        }
    }
    if bench.write && !bench.names.is_empty() {
        bail!("the page holds every figure: use `--write` without names");
    }
    Ok(Command::Bench(bench))
}

fn step_named(name: &str) -> Result<Step> {
    match Step::ALL.into_iter().find(|step| step.name() == name) {
        Some(step) => Ok(step),
        None => bail!("unknown step `{name}`: use one of {}", step_names()),
    }
}

fn step_names() -> String {
    Step::ALL.map(Step::name).join(", ")
}

/// The commands without their options.
fn command_names() -> String {
    let names = COMMANDS.iter().filter(|(usage, _)| !usage.contains(' '));
    names.map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

/// The text of `cargo xtask help`.
pub(crate) fn help() -> String {
    let commands = COMMANDS.iter().map(|(usage, about)| format!("cargo xtask {usage:<18} {about}\n"));
    let mut text: String = commands.collect();
    text.push_str("\nsteps of `test`, in the order they run:\n");
    for step in Step::ALL {
        let slow = if step.is_slow() { " (slow)" } else { "" };
        text.push_str(&format!("  {:<14} {}{slow}\n", step.name(), step.about()));
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn parsed(line: &str) -> Result<Command> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn steps(line: &str) -> Vec<Step> {
        match parsed(line) {
            Ok(Command::Test(plan)) => plan.steps,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn plain_test_runs_every_step_in_order() {
        assert_eq!(steps("test"), Step::ALL);
    }

    #[test]
    fn fast_leaves_out_only_the_slow_steps_and_can_name_them() {
        let Ok(Command::Test(plan)) = parsed("test --fast") else { panic!("not a test run") };
        assert_eq!(plan.left_out(), [Step::GatewayTests]);
    }

    #[test]
    fn only_may_be_repeated_and_keeps_the_fixed_order() {
        assert_eq!(steps("test --only clippy --only fmt"), [Step::Fmt, Step::Clippy]);
    }

    #[test]
    fn words_it_does_not_know_are_refused_with_what_it_knows() {
        for (line, part) in [
            ("tset", "use `test` or `bench` or `help`"),
            ("test --quick", "--fast"),
            ("test --only lint", "clippy"),
            ("test --only", "needs the name of a step"),
            ("test --fast --only fmt", "use one of them"),
            ("bench --fast", "use `--write`"),
            ("bench --write busy", "without names"),
        ] {
            let error = parsed(line).expect_err(line).to_string();
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn the_alias_that_starts_this_program_refuses_a_stale_lock_file() {
        let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cargo/config.toml");
        let text = fs::read_to_string(settings).expect("the settings of cargo");
        let alias = text.lines().find(|line| line.starts_with("xtask =")).expect("an alias");
        assert!(alias.contains("run ") && alias.contains(" --locked "), "{alias}");
    }

    #[test]
    fn a_bench_takes_the_names_of_measurements() {
        let Ok(Command::Bench(bench)) = parsed("bench busy lone") else { panic!("not a bench") };
        assert_eq!((bench.names, bench.write), (vec!["busy".to_owned(), "lone".to_owned()], false));
    }

    #[test]
    fn every_command_of_the_help_text_is_known() {
        for (usage, _) in COMMANDS {
            let line = usage.replace("STEP", Step::ALL[0].name());
            assert!(parsed(&line).is_ok(), "{line}");
            assert!(help().contains(&format!("cargo xtask {usage} ")), "{usage}");
        }
    }

    #[test]
    fn help_names_every_step() {
        for step in Step::ALL {
            assert!(help().contains(step.name()));
        }
        assert_eq!(parsed("help").expect("help"), Command::Help);
        assert_eq!(parsed("").expect("nothing"), Command::Help);
    }
}
