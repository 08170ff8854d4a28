//! What the tests of the settings share.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::ffi::OsString;
use std::path::Path;

use rollcall_config::{Environment, Loaded, Problems, Source, load_source};

pub(crate) fn no_environment() -> Environment {
    Environment::default()
}

pub(crate) fn environment(pairs: &[(&str, &str)]) -> Environment {
    Environment::from_pairs(pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

pub(crate) fn load_text(text: &str, environment: &Environment) -> Result<Loaded, Problems> {
    load_bytes(text.as_bytes(), environment)
}

pub(crate) fn load_bytes(bytes: &[u8], environment: &Environment) -> Result<Loaded, Problems> {
    load_source(&Source::new(Path::new("rollcall.toml"), bytes.to_vec()), environment)
}

/// All problems of a text, one a line; empty if there are none.
pub(crate) fn complaints(text: &str) -> String {
    load_text(text, &no_environment()).err().map(|problems| problems.to_string()).unwrap_or_default()
}
