//! The one place that prints.
//!
//! Promises: printing never panics; a reader that went away ends the output, not the command.

use std::io::{self, ErrorKind, Write};

/// Prints what a command was asked for.
///
/// # Errors
/// The output cannot take it, e.g. a full disk; a closed pipe is not an error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Says what is wrong, on one line. When even that cannot be written, the exit code is left.
pub(crate) fn complain(text: &str) {
    let mut out = io::stderr().lock();
    writeln!(out, "{text}").ok();
}
