//! Asking the gateway that has the data folder.
//!
//! Promises: a result, or one line that says why there is none; an answer that ends before its last line is
//! no result; only the folder's owner and root are asked.
//!
//! Refuses: an answer with a line longer than any that a gateway writes.

use std::io::{self, BufRead, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;

use rollcall_config::reason;

use super::socket::{Peer, connect_in};
use super::{Answer, FILE, Report, Request, Trouble};
use crate::data::{Screen, Told as _};
use crate::data_folder::Held;

/// Of one line in bytes: far more than a piece of an export with the longest entry in it.
const LONGEST_ANSWER: u64 = 16 << 20;

/// Carries a request to the gateway that has a folder.
pub(crate) fn ask(held: &Held, request: &Request, screen: &mut Screen) -> Result<Report, Trouble> {
    let mut stream = connect_in(&held.path).map_err(|error| no_answer(held, &error))?;
    is_the_owners(&stream, held)?;
    let line = serde_json::to_string(request)
        .map_err(|_not_text| Trouble::at_start("a path that is not UTF-8 cannot be told to the gateway"))?;
    match stream.write_all(format!("{line}\n").as_bytes()) {
        // It refuses before it has read; the reason is on its way.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.map_err(|error| broke_off(&error))?,
    }
    let mut answers = BufReader::new(stream);
    while let Some(line) = next_line(&mut answers)? {
        let answer = serde_json::from_slice(&line).map_err(|error| {
            Trouble::found(format!(
                "the gateway's answer makes no sense ({error}); is it of another version?"
            ))
        })?;
        match answer {
            Answer::Progress(step) => screen.show(step),
            Answer::Text(text) => screen.text(&text)?,
            Answer::Result(report) => return Ok(report),
            Answer::Error(trouble) => return Err(trouble),
        }
    }
    Err(broke_off(&ErrorKind::UnexpectedEof.into()))
}

/// One that ends in the middle is no line.
fn next_line(answers: &mut impl BufRead) -> Result<Option<Vec<u8>>, Trouble> {
    let mut line = Vec::new();
    answers.take(LONGEST_ANSWER).read_until(b'\n', &mut line).map_err(|error| broke_off(&error))?;
    if line.last() == Some(&b'\n') {
        return Ok(Some(line));
    }
    match u64::try_from(line.len()) == Ok(LONGEST_ANSWER) {
        true => Err(Trouble::found("the gateway's answer has no end; is it of another version?")),
        false => Ok(None),
    }
}

/// Whoever may write in the folder could have put the socket there.
fn is_the_owners(stream: &UnixStream, held: &Held) -> Result<(), Trouble> {
    let look = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let owner = std::fs::metadata(&held.path)?.uid();
        Ok(Peer::of(stream, runtime.handle())?.may_answer_for(owner))
    };
    match look() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Trouble::at_start(format!(
            "neither the owner of {} nor root answers on its {FILE}; find out who does, and stop that",
            held.path.display()
        ))),
        Err(error) => Err(no_answer(held, &error)),
    }
}

fn broke_off(error: &io::Error) -> Trouble {
    Trouble::found(format!(
        "the gateway broke off before it was through ({}); look at its log, and try again",
        reason(error)
    ))
}

fn no_answer(held: &Held, error: &io::Error) -> Trouble {
    let Held { path: folder, holder } = held;
    let socket = folder.join(FILE);
    Trouble::at_start(match error.kind() {
        ErrorKind::PermissionDenied => {
            format!("{} is for the gateway's user alone; run this as that user or as root", socket.display())
        }
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => format!(
            "somebody{holder} has the data folder {} and does not answer on {FILE}: a gateway that is starting \
             or stopping, or another command; try again in a moment",
            folder.display()
        ),
        _ => format!("cannot ask the gateway on {}: {}", socket.display(), reason(error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_answer_only_with_its_end_and_not_without_bounds() {
        let mut answers = BufReader::new(b"one\ntwo".as_slice());
        assert_eq!(next_line(&mut answers).unwrap(), Some(b"one\n".to_vec()));
        assert_eq!(next_line(&mut answers).unwrap(), None);
        let mut endless = BufReader::new(io::repeat(b'x'));
        assert!(next_line(&mut endless).unwrap_err().message.contains("has no end"));
    }
}
