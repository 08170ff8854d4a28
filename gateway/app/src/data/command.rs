//! `rollcall backup`, `rollcall verify`, `rollcall export`.
//!
//! Promises: with a gateway on the data folder they ask it, else they open the files themselves; results go
//! to standard output, progress to a terminal, and what went wrong to standard error.

use std::fs;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rollcall_config::{Environment, Loaded, Settings, load, reason};
use rollcall_domain::moment::Moment;

use super::export::{Style, Wanted};
use super::{Source, Step, Told, carry_out};
use crate::cli::{Export, Place};
use crate::clock::RealClock;
use crate::control::{self, Compared, Lost, Report, Request, Trouble};
use crate::data_folder::{DataFolder, Taken};
use crate::exit::Exit;
use crate::run::one_line;
use crate::{keys, output};

/// Copies the data to a file.
pub(crate) fn backup(file: &Path, evidence: bool, place: &Place, environment: &Environment) -> Exit {
    ended("backup", || {
        let target = std::path::absolute(file).map_err(|error| {
            Trouble::at_start(format!("cannot tell where {} is: {error}", file.display()))
        })?;
        let report = ask(place, environment, |_| Request::Backup { target: target.clone(), evidence })?;
        if let Report::BackedUp { entries, rows, last, evidence } = report {
            let items = evidence.map_or(String::new(), |items| format!(", and {items} items of evidence,"));
            print(&format!(
                "backed up {entries} entries of the ledger, up to entry {last}, and {rows} rows of the register{items} to {}\n\
                 it can be restored only with the sealing key, which is not in it\n",
                target.display()
            ))?;
        }
        Ok(Exit::Done)
    })
}

/// Looks whether everything is as it was written.
pub(crate) fn verify(rebuild: bool, place: &Place, environment: &Environment) -> Exit {
    ended("verify", || {
        let Report::Verified { last, lost, views } =
            ask(place, environment, |_| Request::Verify { rebuild })?
        else {
            return Ok(Exit::CheckFailed);
        };
        print(&format!("the chain of the ledger is whole up to entry {last}\n"))?;
        for Lost { first, last, at } in lost {
            print(&format!("but entries {first} to {last} are lost, as was found at {at}\n"))?;
        }
        match views {
            Compared::NotAsked => Ok(Exit::Done),
            Compared::Same => {
                print("the views are what the ledger makes them\n")?;
                Ok(Exit::Done)
            }
            Compared::Differ(difference) => Err(Trouble::found(format!(
                "the views are not what the ledger makes them: {difference}; stop the gateway, delete views.redb \
                 in the data folder, and start it: they are made anew"
            ))),
        }
    })
}

/// Writes the ledger to standard output.
pub(crate) fn export(export: &Export, style: Style, place: &Place, environment: &Environment) -> Exit {
    ended("export", || {
        let request = |settings: &Settings| {
            let midnight =
                |day: jiff::civil::Date| Moment::from_civil(day.at(0, 0, 0, 0), &settings.campus.timezone);
            Request::ExportLedger(Wanted {
                style,
                from: export.from.map(midnight),
                before: export.to.and_then(|day| day.tomorrow().ok()).map(midnight),
                class: export.class.clone(),
            })
        };
        ask(place, environment, request)?;
        // What is left in the buffer.
        print("")?;
        Ok(Exit::Done)
    })
}

/// How a command ended, after saying what went wrong.
pub(super) fn ended(name: &str, work: impl FnOnce() -> Result<Exit, Trouble>) -> Exit {
    work().unwrap_or_else(|trouble| {
        let line = trouble.message.replace('\n', " ");
        output::complain(&format!("rollcall {name}: {line}"));
        trouble.exit()
    })
}

/// The settings, and the data folder that they or the command line name.
pub(super) fn settings(place: &Place, environment: &Environment) -> Result<(Loaded, PathBuf), Trouble> {
    let file = place.config_file();
    let loaded = load(&file, environment).and_then(Loaded::ready);
    let loaded = loaded.map_err(|problems| one_line(&file, &problems))?;
    let folder = place.data_dir.clone().unwrap_or_else(|| loaded.settings.store.path.clone());
    Ok((loaded, folder))
}

/// Says it before anything is refused in the system's words. Root may look at everything, but what it makes
/// belongs to it.
pub(super) fn of_this_user(folder: &Path, or_root: bool) -> Result<(), Trouble> {
    let user = rustix::process::geteuid();
    let is_own = fs::metadata(folder).map_or(true, |about| about.uid() == user.as_raw());
    if is_own || or_root && user.is_root() {
        return Ok(());
    }
    Err(Trouble::at_start(format!(
        "the data folder {} is another user's; run this as that user, such as with sudo -u",
        folder.display()
    )))
}

pub(super) fn print(text: &str) -> Result<(), Trouble> {
    output::print(text).map_err(|error| cannot_print(&error))
}

fn cannot_print(error: &std::io::Error) -> Trouble {
    Trouble::found(format!("cannot print this: {}", reason(error)))
}

/// Has a request carried out by whoever has the data folder.
fn ask(
    place: &Place,
    environment: &Environment,
    request: impl FnOnce(&Settings) -> Request,
) -> Result<Report, Trouble> {
    let (loaded, path) = settings(place, environment)?;
    let store = &loaded.settings.store;
    let request = request(&loaded.settings);
    let mut screen = Screen::new();
    of_this_user(&path, true)?;
    let report = match DataFolder::find(&path, keys::files(store))? {
        Taken::Held { path, holder } => control::ask(&path, &holder, &request, &mut screen),
        Taken::Free(folder) => {
            let keys = keys::of_ledger(store, folder.path())?;
            let source = Source::Closed { folder: folder.path(), keys: &keys };
            carry_out(&request, &source, &RealClock::new(), &mut screen)
        }
    };
    screen.clear();
    match report {
        // What was printed is all that somebody wanted to see.
        Err(_) if screen.is_gone => Ok(Report::Exported { entries: 0 }),
        report => report,
    }
}

/// The terminal of whoever gave the command, if it is one.
struct Screen {
    shows: bool,
    dirty: bool,
    /// Whoever read what was printed has gone.
    is_gone: bool,
}

impl Screen {
    fn new() -> Self {
        Screen { shows: std::io::stderr().is_terminal(), dirty: false, is_gone: false }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.dirty) {
            write!(std::io::stderr().lock(), "\r\x1b[K").ok();
        }
    }
}

impl Told for Screen {
    fn progress(&mut self, step: Step) -> ControlFlow<()> {
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
