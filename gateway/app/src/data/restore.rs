//! `rollcall restore`: a backup as the ledger of a data folder.
//!
//! Promises: what is there is replaced only if that was said, and kept under another name; a gateway that has
//! the folder is left alone; where the sealing key is missing, it says where it should be; what fails leaves
//! everything as it was, or says that the next start completes it.
//!
//! Refuses: working on another user's folder, or making one for another user's key: the gateway could not
//! read what is made.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rollcall_config::{Environment, settings};
use rollcall_domain::ports::Clock as _;
use rollcall_store::{Overwrite, Restored, Upgrade, unneeded_parts};

use super::command::{self, ended, of_this_user, print};
use super::{interrupt, trouble};
use crate::cli::Place;
use crate::clock::RealClock;
use crate::control::Trouble;
use crate::data_folder::DataFolder;
use crate::exit::Exit;
use crate::keys;

/// Brings a backup back.
pub(crate) fn restore(file: &Path, force: bool, place: &Place, environment: &Environment) -> Exit {
    ended("restore", || {
        let (loaded, path) = command::settings(place, environment)?;
        let store = &loaded.settings.store;
        of_this_user(&path)?;
        is_there(file)?;
        let keys = keys::of_ledger(store, &path).map_err(|error| {
            Trouble::at_start(format!("the backup {} is sealed, and {error:#}", file.display()))
        })?;
        of_the_keys_user(store, &path)?;
        let folder = DataFolder::open(&path, keys::files(store))?;
        let within = folder.path().to_owned();
        interrupt::takes_away("restore", move || unneeded_parts(&within))?;
        let overwrite = if force { Overwrite::SetAside } else { Overwrite::Refuse };
        let restored =
            rollcall_store::restore(file, folder.path(), Some(&keys), overwrite, RealClock::new().now());
        let restored = restored.map_err(|error| in_the_middle(trouble(&error), folder.path()));
        if restored.is_err() && folder.created() {
            folder.unmake();
        }
        let Restored { backup, set_aside, tail_set_aside, evidence_set_aside } = restored?;
        print(&format!(
            "restored {} entries of the ledger, up to entry {}, and {} rows of the register, as of {}\n",
            backup.entries, backup.last, backup.rows, backup.made_at
        ))?;
        if let Some(items) = backup.evidence {
            print(&format!("restored {items} items of evidence\n"))?;
        }
        for (what, path) in [
            ("ledger that was there is kept as", set_aside),
            ("end of that ledger, which belongs to it, is kept as", tail_set_aside),
            ("evidence that was there is kept as", evidence_set_aside),
        ] {
            if let Some(path) = path {
                print(&format!("the {what} {}\n", path.display()))?;
            }
        }
        Ok(Exit::Done)
    })
}

/// Says in plain words what would come as an error of the disk.
fn is_there(file: &Path) -> Result<(), Trouble> {
    match fs::metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Trouble::found(format!("there is no backup {}; look how it is spelt", file.display())))
        }
        Ok(about) if !about.is_file() => {
            Err(Trouble::found(format!("{} is not a file; name the backup itself", file.display())))
        }
        // What else may be wrong shows when it is read.
        _ => Ok(()),
    }
}

/// A folder that is not there is nobody's yet. What root makes for the gateway of another user would be of
/// no use to it; whose it is shows by the key, which is for the gateway's user alone.
fn of_the_keys_user(store: &settings::Store, folder: &Path) -> Result<(), Trouble> {
    let user = rustix::process::geteuid();
    match keys::owner(store, folder)? {
        Some(owner) if owner != user.as_raw() && !folder.exists() => Err(Trouble::at_start(format!(
            "the sealing key is another user's, whose gateway could not read what is made now; make the data \
             folder {} for that user, and run this as that user, such as with sudo -u",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// Says so if something was replaced already.
fn in_the_middle(mut trouble: Trouble, folder: &Path) -> Trouble {
    if Upgrade::unfinished(folder).is_ok_and(|left| left.is_some_and(|left| left.is_restore)) {
        trouble.message.push_str("; it was under way: the next start completes it, or restore again");
    }
    trouble
}
