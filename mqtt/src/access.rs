//! Who a connection acts for, and the port through which `gateway/app` says so.
//!
//! Promises: a password is handed to [`Access`] and to nothing else, and is never printed; who shows a
//! certificate is asked about under the name in it and under no other.
//!
//! Refuses: knowing secrets or accounts.

use std::fmt;

use rollcall_domain::ids::{DeviceId, UserId};

use crate::codec::Password;

/// Who a connection acts for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    Device(DeviceId),
    /// Somebody who may watch `rollcall/#`.
    Monitor(UserId),
    /// Somebody without a name, where the settings allow it.
    Anonymous,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Device(device) => device.fmt(f),
            Identity::Monitor(user) => user.fmt(f),
            Identity::Anonymous => f.write_str("nobody"),
        }
    }
}

/// What a client showed at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// With a certificate, the name that is in it.
    pub user_name: String,
    pub proof: Proof,
}

/// By what a client proves its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    Password(Password),
    /// A certificate of an authority that the settings name: the name is proven already.
    Certificate,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No such name, or not its secret; the client is not told which.
    BadLogin,
    /// Known, but switched off, or not one who may use MQTT.
    NotAllowed,
    /// It cannot be found out now.
    Unavailable,
}

/// Knows names and secrets.
pub trait Access: Send + Sync {
    /// Called on a thread that may block, so it may read a disk and compute a hash.
    ///
    /// # Errors
    /// The client is not let in.
    fn check(&self, credentials: &Credentials) -> Result<Identity, Denied>;
}
