//! Arguments of `rollcall import`, `rollcall export` and `rollcall simulate`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::civil::Date;
use rollcall_domain::code::Code;
use url::Url;

use super::Place;
use super::values::{broker, day};
use crate::data::export::Style;

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Read people, classes and enrolments: CSV files, or a OneRoster 1.1 or 1.2 zip
    #[command(after_help = "Example:\n  rollcall import roster students.csv classes.csv --dry-run")]
    Roster {
        #[arg(value_name = "F", required = true)]
        files: Vec<PathBuf>,
        /// Also make sign-ins, and write a sheet of one-time claim codes to this file
        #[arg(long, value_name = "F")]
        accounts: Option<PathBuf>,
        #[command(flatten)]
        dry: DryRun,
        #[command(flatten)]
        place: Place,
    },
    /// Read a timetable: CSV or iCalendar (.ics)
    #[command(after_help = "Example:\n  rollcall import timetable term-1.ics --dry-run")]
    Timetable {
        #[arg(value_name = "F")]
        file: PathBuf,
        #[command(flatten)]
        dry: DryRun,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DryRun {
    /// Print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    pub(super) fn place(&self) -> &Place {
        match self {
            Self::Roster { place, .. } | Self::Timetable { place, .. } => place,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Roster { .. } => "roster",
            Self::Timetable { .. } => "timetable",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[arg(value_enum, value_name = "WHAT")]
    what: Exported,
    #[arg(long, value_enum)]
    format: Format,
    /// First day, such as 2026-09-01
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub(crate) from: Option<Date>,
    /// Last day, included
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub(crate) to: Option<Date>,
    /// Code of the one class wanted
    #[arg(long, value_name = "CODE", value_parser = Code::parse)]
    pub(crate) class: Option<Code>,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Export {
    /// What no single argument tells.
    ///
    /// # Errors
    /// The days leave nothing to export.
    pub(super) fn check(&self) -> Result<(), String> {
        match (self.from, self.to) {
            (Some(from), Some(to)) if from > to => {
                Err(format!("--from {from} is after --to {to}; write the earlier day with --from"))
            }
            _ => Ok(()),
        }
    }

    /// How the ledger is to look.
    ///
    /// # Errors
    /// What is asked for is not built; this is its name.
    pub(crate) fn style(&self) -> Result<Style, &'static str> {
        match (self.what, self.format) {
            (Exported::Ledger, Format::Jsonl) => Ok(Style::Jsonl),
            (Exported::Ledger, Format::Csv) => Ok(Style::Csv),
            (Exported::Ledger, Format::Xlsx) => Err("export ledger --format xlsx"),
            (Exported::Records, _) => Err("export records"),
            (Exported::Sessions, _) => Err("export sessions"),
            (Exported::Students, _) => Err("export students"),
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Exported {
    /// Every entry of the ledger
    Ledger,
    /// (not built yet)
    Records,
    /// (not built yet)
    Sessions,
    /// (not built yet)
    Students,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// A line of JSON for each row
    Jsonl,
    /// Comma separated values, with a line of names first
    Csv,
    /// (not built yet)
    Xlsx,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  rollcall simulate --url mqtt://127.0.0.1:1883 --devices 50 --rate 200 --duration 60"
)]
pub(crate) struct Simulate {
    /// Gateway to send to
    #[arg(long, value_name = "mqtt://…", value_parser = broker)]
    url: Url,
    /// Number of terminals
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    devices: u32,
    /// Scans a second, of all terminals together
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Seconds to run
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    duration: u32,
    /// How the terminals speak
    #[arg(long, value_enum, default_value_t = Profile::Native)]
    profile: Profile,
    /// Collect scans offline first, then replay them all
    #[arg(long)]
    offline_replay: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Profile {
    Native,
    Facesluice,
    Zkteco,
}
