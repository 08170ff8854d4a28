//! The command tree.
//!
//! Promises: every command and argument of the contract parses, whether its work is built or not;
//! the help is enough to work from.
//!
//! Refuses: doing anything. What a command does is in the module of its name.

mod data;
mod people;
mod unbuilt;
mod values;
mod words;

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;
use rollcall_config::ConfigFile;

pub(crate) use data::Export;
pub(crate) use unbuilt::Unbuilt;

const EXAMPLES: &str = "\
Examples:
  rollcall
      start on the defaults: data in ./data, MQTT on 1883, pages on 8080
  rollcall run --config /etc/rollcall/rollcall.toml
      start on the settings of a file
  ROLLCALL__HTTP__LISTEN=127.0.0.1:8080 rollcall
      override listen in [http]
  rollcall check-config
      name every mistake in the settings, or show what is in force

Exit codes:
  0 ok, 1 the check failed, 2 wrong usage, 3 could not start, 4 not built yet, 130 ended";

/// Attendance gateway for a campus: takes scans from terminals, shows classes fill up live, and
/// keeps working with the internet cut
#[derive(Debug, Parser)]
#[command(name = "rollcall", version, after_help = EXAMPLES, max_term_width = 110, subcommand_help_heading = "Commands (run is the default)")]
pub(crate) struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where the settings and the data are.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Place {
    /// Settings file [default: /etc/rollcall/rollcall.toml if it exists]
    #[arg(long, value_name = "F")]
    pub(crate) config: Option<PathBuf>,
    /// Data folder; overrides store.path of the settings
    #[arg(long, value_name = "D")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Where the settings alone are.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Config {
    /// Settings file [default: /etc/rollcall/rollcall.toml if it exists]
    #[arg(long, value_name = "F")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the gateway (what happens when no command is given)
    #[command(
        long_about = "Starts the gateway and runs until it is told to stop.\n\nSIGTERM or Ctrl-C stops it cleanly, a second Ctrl-C at once. SIGHUP reads the settings again and says which of them took effect; bad ones leave the old in force.",
        after_help = "Example:\n  rollcall run --config /etc/rollcall/rollcall.toml --data-dir /var/lib/rollcall"
    )]
    Run(Place),
    /// Try it out: a sample campus with simulated terminals, thrown away at the end
    #[command(
        long_about = "Starts the gateway on this machine alone, with a sample campus of 24 classes and 432 students, six of whose sessions are open and fill up by simulated terminals.\n\nPrints where to look and how to sign in. Ctrl-C ends it; its data is thrown away."
    )]
    Demo,
    /// Name every mistake in the settings, or show what is in force and who set it
    #[command(
        long_about = "Checks the settings file and the environment without starting anything.\n\nGood settings are printed as TOML, each with who set it, secrets masked. Otherwise every mistake is named with its key, its line or variable, and what to write instead; the exit code is then 1.",
        after_help = "Example:\n  rollcall check-config --config ./rollcall.toml"
    )]
    CheckConfig(Config),
    /// Print the script that completes this command line in a shell
    #[command(after_help = "Example:\n  rollcall completions bash > /etc/bash_completion.d/rollcall")]
    Completions {
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Copy the data to one file, also while the gateway runs
    #[command(
        long_about = "Writes ledger, register and keys of the ledger to one file, as they are at one moment. A gateway that runs on the data folder writes it, as its own user, and goes on meanwhile.\n\nThe sealing key is not in the file, and without it the backup cannot be restored.",
        after_help = "Example:\n  rollcall backup /var/backups/rollcall/2026-11-21.rollcall-backup"
    )]
    Backup {
        /// File to write; must not exist
        #[arg(value_name = "F")]
        file: PathBuf,
        /// Also what devices sent, as it came: large, and kept for days only
        #[arg(long)]
        with_evidence: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Bring back the data of a backup
    #[command(
        long_about = "Makes the ledger of the data folder anew from a backup, once that was checked to its end. No gateway may be running on the folder. A ledger that is there is replaced only with --force, and kept under another name.\n\nThe sealing key that the backup was made under has to be there.",
        after_help = "Example:\n  rollcall restore /var/backups/rollcall/2026-11-21.rollcall-backup --data-dir /var/lib/rollcall"
    )]
    Restore {
        /// File that `rollcall backup` wrote
        #[arg(value_name = "F")]
        file: PathBuf,
        /// Replace the ledger that is there
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Walk the ledger's chain; exit code 1 if something is not as it was written
    #[command(
        long_about = "Checks that every entry of the ledger is as it was written, by the chain that holds them together, and names the first that is not. With a gateway on the data folder that gateway looks, and goes on meanwhile; without one every page of the file is looked at, too.",
        after_help = "Example:\n  rollcall verify --rebuild --data-dir /var/lib/rollcall"
    )]
    Verify {
        /// Also recompute every view and compare; names the first difference
        #[arg(long)]
        rebuild: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Write the ledger to standard output; records, sessions and students are not built yet
    #[command(
        long_about = "Writes the ledger to standard output, entry by entry, as it is at the start of the command; also while the gateway runs. A scan carries the device's own id for it. Names of people are not in the ledger.\n\nDays are those of the campus's time zone, and count by when an entry was written.",
        after_help = "Example:\n  rollcall export ledger --format csv --from 2026-09-01 --class CS-101 > ledger.csv"
    )]
    Export(Export),
    #[command(flatten)]
    Unbuilt(Unbuilt),
}

impl Place {
    /// Which settings file to read.
    pub(crate) fn config_file(&self) -> ConfigFile {
        self.config.clone().map_or_else(ConfigFile::standard, ConfigFile::Named)
    }

    fn is_empty(&self) -> bool {
        self.config.is_none() && self.data_dir.is_none()
    }

    /// What stands behind the command comes before what stands in front of it.
    fn or(self, front: Self) -> Self {
        Self { config: self.config.or(front.config), data_dir: self.data_dir.or(front.data_dir) }
    }
}

impl Cli {
    /// What stands on the command line.
    ///
    /// # Errors
    /// Wrong usage, or help or version was asked for instead.
    pub(crate) fn from_line() -> Result<Self, clap::Error> {
        let mut command = Self::tree();
        let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }

    /// The command tree with a mark on what is not built.
    pub(crate) fn tree() -> clap::Command {
        Self::command().mut_subcommands(|command| {
            if Unbuilt::has_subcommand(command.get_name()) { unbuilt::mark(command) } else { command }
        })
    }

    /// The command to carry out and the place it works on, wherever the options stood.
    ///
    /// # Errors
    /// Options in front of a command that does not take them.
    pub(crate) fn resolve(self) -> Result<(Command, Place), clap::Error> {
        let Some(command) = self.command else {
            return Ok((Command::Run(Place::default()), self.place));
        };
        if let Command::Export(export) = &command {
            export.check().map_err(|why| Self::command().error(ErrorKind::ValueValidation, why))?;
        }
        let takes_data_dir = !matches!(command, Command::CheckConfig(_));
        match command.place() {
            Some(place) if takes_data_dir || self.place.data_dir.is_none() => {
                Ok((command, place.or(self.place)))
            }
            None if self.place.is_empty() => Ok((command, Place::default())),
            taken => {
                let option =
                    if taken.is_some() || self.place.config.is_none() { "--data-dir" } else { "--config" };
                let message = format!("rollcall {} does not take {option}", command.name());
                Err(Self::command().error(ErrorKind::ArgumentConflict, message))
            }
        }
    }
}

impl Command {
    /// The place given behind the command; `None` if it takes none.
    fn place(&self) -> Option<Place> {
        match self {
            Self::Run(place) => Some(place.clone()),
            Self::CheckConfig(Config { config }) => Some(Place { config: config.clone(), data_dir: None }),
            Self::Demo | Self::Completions { .. } => None,
            Self::Backup { place, .. } | Self::Restore { place, .. } | Self::Verify { place, .. } => {
                Some(place.clone())
            }
            Self::Export(export) => Some(export.place.clone()),
            Self::Unbuilt(unbuilt) => unbuilt.place().cloned(),
        }
    }

    /// The command as it is typed, e.g. `user add`.
    fn name(&self) -> String {
        match self {
            Self::Run(_) => "run".to_owned(),
            Self::Demo => "demo".to_owned(),
            Self::CheckConfig(_) => "check-config".to_owned(),
            Self::Completions { .. } => "completions".to_owned(),
            Self::Backup { .. } => "backup".to_owned(),
            Self::Restore { .. } => "restore".to_owned(),
            Self::Verify { .. } => "verify".to_owned(),
            Self::Export(_) => "export".to_owned(),
            Self::Unbuilt(unbuilt) => unbuilt.name(),
        }
    }
}
