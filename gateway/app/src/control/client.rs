//! Asking the gateway that has the data folder.
//!
//! Promises: a result, or one line that says why there is none; an answer that ends before its last line is
//! no result.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};

use rollcall_config::reason;

use super::socket::connect_in;
use super::{Answer, FILE, Report, Request, Trouble};
use crate::data::{Screen, Told as _};
use crate::data_folder::Held;

/// Carries a request to the gateway that has a folder.
pub(crate) fn ask(held: &Held, request: &Request, screen: &mut Screen) -> Result<Report, Trouble> {
    let mut stream = connect_in(&held.path).map_err(|error| no_answer(held, &error))?;
    let line = serde_json::to_string(request)
        .map_err(|_not_text| Trouble::at_start("a path that is not UTF-8 cannot be told to the gateway"))?;
    match stream.write_all(format!("{line}\n").as_bytes()) {
        // It refuses before it has read; the reason is on its way.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.map_err(|error| broke_off(&error))?,
    }
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(|error| broke_off(&error))?;
        let answer = serde_json::from_str(&line).map_err(|error| {
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
