//! `rollcall backup`, `rollcall verify`, `rollcall export`.
//!
//! Promises: with a gateway on the data folder they ask it, else they open the files themselves; results go
//! to standard output, progress to a terminal, and what went wrong to standard error.

use std::path::{Path, PathBuf};

use rollcall_config::{Environment, Loaded, Settings, load, reason};
use rollcall_domain::moment::Moment;
use rollcall_store::Upgrade;

use super::export::{Style, Wanted};
use super::screen::{Screen, cannot_print};
use super::{Source, carry_out, interrupt, trouble};
use crate::cli::{Export, Place};
use crate::clock::RealClock;
use crate::control::{self, Compared, Lost, Report, Request, Trouble};
use crate::data_folder::{DataFolder, Taken, of_another};
use crate::exit::Exit;
use crate::run::one_line;
use crate::{keys, output};

const FOREIGN_TAIL: &str = "ledger.tail is the end of another ledger than ledger.redb beside it, and was left out; \
     if scans are missing, bring back the ledger.redb that it belongs to, else start the gateway, which sets it aside";

/// Copies the data to a file.
pub(crate) fn backup(file: &Path, evidence: bool, place: &Place, environment: &Environment) -> Exit {
    ended("backup", || {
        let target = std::path::absolute(file).map_err(|error| {
            Trouble::at_start(format!("cannot tell where {} is: {}", file.display(), reason(&error)))
        })?;
        let report = ask(place, environment, |_| Request::Backup { target: target.clone(), evidence })?;
        let Report::BackedUp { entries, rows, last, evidence, is_tail_foreign } = report else {
            return Err(Report::of_another_kind());
        };
        let items = evidence.map_or(String::new(), |items| format!(", and {items} items of evidence,"));
        print(&format!(
            "backed up {entries} entries of the ledger, up to entry {last}, and {rows} rows of the register{items} to {}\n\
             it can be restored only with the sealing key, which is not in it\n",
            target.display()
        ))?;
        if is_tail_foreign {
            print(&format!("but {FOREIGN_TAIL}\n"))?;
        }
        Ok(Exit::Done)
    })
}

/// Looks whether everything is as it was written.
pub(crate) fn verify(rebuild: bool, place: &Place, environment: &Environment) -> Exit {
    ended("verify", || {
        let Report::Verified { last, forgotten, lost, is_tail_foreign, views } =
            ask(place, environment, |_| Request::Verify { rebuild })?
        else {
            return Err(Report::of_another_kind());
        };
        print(&format!("the chain of the ledger is whole up to entry {last}\n"))?;
        if let Some(to) = forgotten {
            print(&format!("entries up to {to} were forgotten by age\n"))?;
        }
        for Lost { first, last, at } in lost {
            print(&format!("but entries {first} to {last} are lost, as was found at {at}\n"))?;
        }
        match views {
            Compared::NotAsked => {}
            Compared::Same => print("the views are what the ledger makes them\n")?,
            Compared::Differ(difference) => {
                return Err(Trouble::found(format!(
                    "the views are not what the ledger makes them: {difference}; stop the gateway, delete \
                     views.redb in the data folder, and start it: they are made anew"
                )));
            }
        }
        if is_tail_foreign { Err(Trouble::found(FOREIGN_TAIL)) } else { Ok(Exit::Done) }
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
        let Report::Exported = ask(place, environment, request)? else {
            return Err(Report::of_another_kind());
        };
        // What is left in the buffer.
        print("")?;
        Ok(Exit::Done)
    })
}

/// How a command ended, after saying what went wrong.
pub(super) fn ended(name: &str, work: impl FnOnce() -> Result<Exit, Trouble>) -> Exit {
    work().unwrap_or_else(|trouble| {
        // Names of files, and what comes from a gateway, may hold what a terminal takes for commands.
        let line: String = trouble.message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
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

/// Says it before anything is made in it, or refused in the system's words.
pub(super) fn of_this_user(folder: &Path) -> Result<(), Trouble> {
    of_another(folder).map_or(Ok(()), |refusal| Err(Trouble::at_start(refusal)))
}

/// A ledger that is half changed, or half restored, is none that anything could be said of.
fn is_through(folder: &Path) -> Result<(), Trouble> {
    let unfinished = Upgrade::unfinished(folder).map_err(|error| trouble(&error))?;
    unfinished.map_or(Ok(()), |Upgrade { is_restore, .. }| {
        let (what, becomes) = match is_restore {
            true => ("a restore", "completes"),
            false => ("a change of the stored format", "undoes"),
        };
        Err(Trouble::at_start(format!(
            "{what} was cut short; start the gateway, which {becomes} it, then try again"
        )))
    })
}

pub(super) fn print(text: &str) -> Result<(), Trouble> {
    output::print(text).map_err(|error| cannot_print(&error))
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
    let another = of_another(&path).filter(|_| rustix::process::geteuid().is_root());
    let taken = if let Some(refusal) = another {
        let held = DataFolder::visit(&path, keys::files(store))?;
        Taken::Held(held.ok_or_else(|| Trouble::at_start(refusal))?)
    } else {
        of_this_user(&path)?;
        DataFolder::find(&path, keys::files(store))?
    };
    let report = match taken {
        Taken::Held(held) => control::ask(&held, &request, &mut screen),
        Taken::Free(folder) => {
            is_through(folder.path())?;
            let unfinished = super::unfinished(&request, folder.path());
            if !unfinished.is_empty() {
                interrupt::takes_away(request.name(), move || unfinished.clone())?;
            }
            let keys = keys::of_ledger(store, folder.path())?;
            let source = Source::Closed { folder: folder.path(), keys: &keys };
            carry_out(&request, &source, &RealClock::new(), &mut screen)
        }
    };
    screen.clear();
    match report {
        // What was printed is all that somebody wanted to see.
        Err(_) if screen.is_gone => Ok(Report::Exported),
        report => report,
    }
}
