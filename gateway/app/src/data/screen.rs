//! The terminal of whoever gave a command.
//!
//! Promises: progress is seen only there, on one line that goes again; what is printed goes to standard
//! output as it comes.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::ops::ControlFlow;

use rollcall_config::reason;

use super::{Step, Told};
use crate::control::Trouble;

/// It, if there is one.
pub(crate) struct Screen {
    shows: bool,
    dirty: bool,
    /// Whoever read what was printed has gone.
    pub(super) is_gone: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        Screen { shows: std::io::stderr().is_terminal(), dirty: false, is_gone: false }
    }

    /// How far it is.
    pub(crate) fn show(&mut self, step: Step) {
        if self.shows {
            self.dirty = true;
            let text = match step {
                Step::Bytes(bytes) => format!("{} MiB", bytes >> 20),
                Step::Entries(entries) => format!("{entries} entries"),
                Step::Part(done, of) => format!("{done} of {of} entries"),
            };
            // A terminal that has gone shows nothing; the work goes on.
            write!(std::io::stderr().lock(), "\r\x1b[K{text}").ok();
        }
    }

    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.dirty) {
            write!(std::io::stderr().lock(), "\r\x1b[K").ok();
        }
    }
}

impl Told for Screen {
    fn progress(&mut self, step: Step) -> ControlFlow<()> {
        self.show(step);
        ControlFlow::Continue(())
    }

    fn text(&mut self, text: &str) -> Result<(), Trouble> {
        self.clear();
        match std::io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_gone = true;
                Err(Trouble::found("nobody reads it"))
            }
            written => written.map_err(|error| cannot_print(&error)),
        }
    }
}

pub(super) fn cannot_print(error: &std::io::Error) -> Trouble {
    Trouble::found(format!("cannot print this: {}", reason(error)))
}
