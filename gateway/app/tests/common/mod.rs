//! What the tests of the binary share: it is run from outside, as a person or systemd would.
#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary in a folder, without the variables of the person who runs the tests.
pub(crate) fn rollcall(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

pub(crate) fn output(arguments: &[&str]) -> Output {
    rollcall(Path::new("/"), arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
