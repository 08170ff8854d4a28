//! Ctrl-C and SIGTERM while a command works on the data by itself.
//!
//! Promises: the process ends at once, with a code that says so, and what it had begun to write is gone.
//!
//! Refuses: asking the work first. It may wait for a disk, and whatever it is cut off from, the data is as it
//! was; but for a restore that had come to replacing something, which the next start completes with what it made.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;

use rollcall_config::reason;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::control::Trouble;
use crate::exit::Exit;
use crate::output;

/// From here on a signal takes away what is unfinished then, up to the first that is not there, and ends the
/// process.
pub(super) fn takes_away(
    name: &'static str,
    unfinished: impl Fn() -> Vec<PathBuf> + Send + 'static,
) -> Result<(), Trouble> {
    listen(name, unfinished)
        .map_err(|error| Trouble::at_start(format!("cannot listen for signals: {}", reason(&error))))
}

fn listen(name: &'static str, unfinished: impl Fn() -> Vec<PathBuf> + Send + 'static) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        unfinished().iter().take_while(|path| remove(path)).for_each(drop);
        output::complain(&format!("rollcall {name}: it was ended before it was through"));
        process::exit(Exit::Interrupted.code().into());
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}

/// Tells whether it was there.
fn remove(path: &Path) -> bool {
    let gone = match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match gone {
        Err(error) if error.kind() == ErrorKind::NotFound => return false,
        Err(error) => {
            output::complain(&format!("{} stays ({}); delete it", path.display(), reason(&error)));
        }
        Ok(()) => {}
    }
    true
}
