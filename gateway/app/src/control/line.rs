//! What is read from a control connection, and written to it.
//!
//! Promises: a request is there in time and is one, or whoever asked is told what is wrong with it; nothing
//! more is sent to somebody who takes nothing.

use std::io::{self, Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;

use rollcall_config::reason;
use rollcall_domain::ports::Clock;

use super::server::House;
use super::{Answer, LONGEST, PATIENCE, Request, Trouble};
use crate::data::{Step, Told};

/// Reads the one line that is asked.
pub(super) fn read(mut stream: &UnixStream, clock: &dyn Clock) -> Result<Request, Trouble> {
    let gone =
        |error: io::Error| Trouble::at_start(format!("the request cannot be read: {}", reason(&error)));
    let until = clock.monotonic().saturating_add(PATIENCE);
    let (mut bytes, mut part) = (Vec::new(), [0; 4_096]);
    while !bytes.contains(&b'\n') {
        let left = until.saturating_sub(clock.monotonic());
        if left.is_zero() {
            return Err(Trouble::at_start("the request took too long"));
        }
        stream.set_read_timeout(Some(left)).map_err(gone)?;
        let read = match stream.read(&mut part) {
            Ok(0) => break,
            Ok(read) => read,
            // The time is up, or a signal came; the next round tells.
            Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind()) => {
                0
            }
            Err(error) => return Err(gone(error)),
        };
        bytes.extend(part.iter().take(read));
        if bytes.len() > LONGEST {
            return Err(Trouble::at_start(format!("the request is longer than {LONGEST} bytes")));
        }
    }
    let (line, rest) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
    if rest.len() > 1 {
        return Err(Trouble::at_start("one connection takes one request"));
    }
    serde_json::from_slice(line).map_err(|error| {
        Trouble::at_start(format!(
            "the gateway does not know this request: {error}; is it of another version?"
        ))
    })
}

pub(super) fn send(mut stream: &UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// The way back to whoever asked.
pub(super) struct Line<'a> {
    pub(super) stream: &'a UnixStream,
    pub(super) house: &'a House,
    /// Something could not be sent, so that nothing more is.
    pub(super) is_gone: bool,
}

impl Line<'_> {
    pub(super) fn send(&mut self, answer: &Answer) -> io::Result<()> {
        let sent = send(self.stream, answer);
        self.is_gone |= sent.is_err();
        sent
    }
}

impl Told for Line<'_> {
    fn progress(&mut self, step: Step) -> ControlFlow<()> {
        if self.house.is_stopping() || self.send(&Answer::Progress(step)).is_err() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn text(&mut self, text: &str) -> Result<(), Trouble> {
        let gone = |error: io::Error| Trouble::found(format!("whoever asked has gone: {}", reason(&error)));
        self.send(&Answer::Text(text.to_owned())).map_err(gone)
    }
}
