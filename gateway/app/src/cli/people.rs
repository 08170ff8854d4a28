//! Arguments of `rollcall user` and `rollcall device`.

use std::path::PathBuf;

use clap::Subcommand;
use rollcall_domain::campus::DeviceKind;
use rollcall_domain::code::Code;
use rollcall_domain::ids::{DeviceId, Name};
use rollcall_domain::people::Role;

use super::Place;
use super::values::filled;
use super::words::{device_kind, role};

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add an account; prints a one-time claim code
    #[command(after_help = "Example:\n  rollcall user add ada --role teacher --teacher T-17")]
    Add {
        /// Name to sign in with
        #[arg(value_name = "USERNAME", value_parser = filled)]
        username: String,
        #[arg(long, value_parser = role())]
        role: Role,
        /// Code of the teacher this account belongs to
        #[arg(long, value_name = "CODE", value_parser = Code::parse, conflicts_with = "student")]
        teacher: Option<Code>,
        /// Code of the student this account belongs to
        #[arg(long, value_name = "CODE", value_parser = Code::parse)]
        student: Option<Code>,
        #[command(flatten)]
        place: Place,
    },
    /// List the accounts
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Give an account a new password; asked for on the terminal, or read from standard input
    Passwd {
        #[arg(value_name = "USERNAME", value_parser = filled)]
        username: String,
        #[command(flatten)]
        place: Place,
    },
    /// Refuse an account's sign-ins from now on
    Disable {
        #[arg(value_name = "USERNAME", value_parser = filled)]
        username: String,
        #[command(flatten)]
        place: Place,
    },
    /// Take away a lost second factor
    #[command(name = "reset-2fa")]
    Reset2fa {
        #[arg(value_name = "USERNAME", value_parser = filled)]
        username: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// Add a terminal; prints its secret once, and a QR code to provision it
    #[command(
        after_help = "Example:\n  rollcall device add gate-1 --name \"Main gate\" --type face --room R-101"
    )]
    Add {
        /// Name the terminal signs in with
        #[arg(value_name = "DEVICE_ID", value_parser = DeviceId::parse)]
        device_id: DeviceId,
        /// Name for people [default: the device id]
        #[arg(long, value_parser = filled)]
        name: Option<String>,
        #[arg(long = "type", value_parser = device_kind())]
        kind: DeviceKind,
        /// Code of the room it hangs in
        #[arg(long, value_name = "CODE", value_parser = Code::parse)]
        room: Option<Code>,
        /// How it speaks: native, facesluice, zkteco, or a name from [[dialects.mapped]]
        #[arg(long, default_value = "native", value_parser = Name::parse)]
        dialect: Name,
        #[command(flatten)]
        place: Place,
    },
    /// List the terminals
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Shut a terminal out, within a second
    Revoke {
        #[arg(value_name = "DEVICE_ID", value_parser = DeviceId::parse)]
        device_id: DeviceId,
        #[command(flatten)]
        place: Place,
    },
    /// Give a terminal a new secret; prints it once
    Rotate {
        #[arg(value_name = "DEVICE_ID", value_parser = DeviceId::parse)]
        device_id: DeviceId,
        #[command(flatten)]
        place: Place,
    },
    /// Show what a sample payload of a terminal becomes; stores nothing
    #[command(after_help = "Example:\n  rollcall device test gate-1 sample.json")]
    Test {
        #[arg(value_name = "DEVICE_ID", value_parser = DeviceId::parse)]
        device_id: DeviceId,
        /// File with the payload; - is standard input
        #[arg(value_name = "PAYLOAD", default_value = "-")]
        payload: PathBuf,
        #[command(flatten)]
        place: Place,
    },
}

impl User {
    pub(super) fn place(&self) -> &Place {
        match self {
            Self::Add { place, .. }
            | Self::List { place }
            | Self::Passwd { place, .. }
            | Self::Disable { place, .. }
            | Self::Reset2fa { place, .. } => place,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Add { .. } => "add",
            Self::List { .. } => "list",
            Self::Passwd { .. } => "passwd",
            Self::Disable { .. } => "disable",
            Self::Reset2fa { .. } => "reset-2fa",
        }
    }
}

impl Device {
    pub(super) fn place(&self) -> &Place {
        match self {
            Self::Add { place, .. }
            | Self::List { place }
            | Self::Revoke { place, .. }
            | Self::Rotate { place, .. }
            | Self::Test { place, .. } => place,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Add { .. } => "add",
            Self::List { .. } => "list",
            Self::Revoke { .. } => "revoke",
            Self::Rotate { .. } => "rotate",
            Self::Test { .. } => "test",
        }
    }
}
