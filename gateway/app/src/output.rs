//! The one place that prints.
//!
//! Promises: printing never panics; a reader that went away ends the output, not the command.

use std::io::{self, ErrorKind, Write};

/// Prints what a command was asked for.
///
/// # Errors
/// The output cannot take it, e.g. a full disk; a closed pipe is not an error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    forgiving(io::stdout().lock().write_all(text.as_bytes()))
}

/// The outcome of printing to the end, where a reader that went away is no failure.
///
/// # Errors
/// The output cannot take it.
pub(crate) fn forgiving(printed: io::Result<()>) -> io::Result<()> {
    match printed.and_then(|()| io::stdout().lock().flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Says what is wrong, on one line. When even that cannot be written, the exit code is left.
pub(crate) fn complain(text: &str) {
    let mut out = io::stderr().lock();
    writeln!(out, "{text}").ok();
}
