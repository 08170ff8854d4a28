//! Commands whose arguments parse but whose work is not built.
//!
//! Promises: a command is marked in the help, and refused with exit code 4, if and only if it
//! stands here. Whoever builds one moves it to [`super::Command`].

use clap::Subcommand;

use super::Place;
use super::data::{Import, Simulate};
use super::people::{Device, User};

#[derive(Debug, Subcommand)]
pub(crate) enum Unbuilt {
    /// Write a commented settings file, and certificates if asked for
    Init {
        /// Also make a campus authority and a server certificate
        #[arg(long)]
        tls: bool,
    },
    /// Accounts: add, list, change passwords, disable, reset second factors
    #[command(subcommand)]
    User(User),
    /// Terminals: add, list, revoke, rotate secrets, test payloads
    #[command(subcommand)]
    Device(Device),
    /// Read rosters and timetables
    #[command(subcommand)]
    Import(Import),
    /// Be many terminals, and measure how fast scans are acknowledged
    Simulate(Simulate),
    /// Check clock, disk, ports, certificates, permissions and upstream; exit code 1 if something is wrong
    Doctor(Place),
    /// Print the description of the HTTP interface (OpenAPI)
    Openapi,
}

/// The command with a mark before what it says about itself, and on all that is inside.
pub(super) fn mark(command: clap::Command) -> clap::Command {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    command.about(format!("(not built yet) {about}")).mut_subcommands(mark)
}

impl Unbuilt {
    /// The place given behind the command; `None` if it takes none.
    pub(super) fn place(&self) -> Option<&Place> {
        match self {
            Self::Doctor(place) => Some(place),
            Self::User(user) => Some(user.place()),
            Self::Device(device) => Some(device.place()),
            Self::Import(import) => Some(import.place()),
            Self::Init { .. } | Self::Simulate(_) | Self::Openapi => None,
        }
    }

    /// The command as it is typed, e.g. `user add`.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Init { .. } => "init".to_owned(),
            Self::User(user) => format!("user {}", user.name()),
            Self::Device(device) => format!("device {}", device.name()),
            Self::Import(import) => format!("import {}", import.name()),
            Self::Simulate(_) => "simulate".to_owned(),
            Self::Doctor(_) => "doctor".to_owned(),
            Self::Openapi => "openapi".to_owned(),
        }
    }
}
