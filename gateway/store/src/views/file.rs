//! `views.redb`: opened, made anew, brought forward.
//!
//! Promises: rows of another format, of another ledger, or that cannot be read are thrown away and made
//! anew from the ledger; what is shown is in the rows first.
//!
//! Refuses: failing because of what is in the file. Only the disk can make it fail.

use std::fs;
use std::path::{Path, PathBuf};

use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _};
use rollcall_domain::event::Entry;
use rollcall_domain::ids::SessionId;
use rollcall_domain::parts::{Part, restore};
use rollcall_domain::session::{Meeting, Session};
use rollcall_domain::state::State;

use super::near::{Near, first_day};
use super::rows::{PLACE, Place, value, write, write_parts};
use super::snapshot::Snapshot;
use super::tables::{BY_DATE, MEETINGS, META, OPEN, PARTS, day, each};
use super::working::Working;
use crate::error::StoreError;
use crate::ledger::Head;

/// Pages that may stay in memory.
const CACHE_BYTES: usize = 32 << 20;

pub(crate) struct ViewsFile {
    path: PathBuf,
    /// Absent only while it is opened again.
    database: Option<Database>,
    working: Working,
    place: Place,
    /// Something was committed that a power cut would take.
    volatile: bool,
}

impl ViewsFile {
    /// Opens the file in `folder`, or makes it. `is_known` tells whether the ledger has this place.
    pub(crate) fn open(folder: &Path, is_known: impl FnOnce(Head) -> bool) -> Result<Self, StoreError> {
        let path = folder.join("views.redb");
        let found = open_database(&path).and_then(|database| Self::load(path.clone(), database));
        match found {
            Ok(file) if file.place.head().is_some_and(is_known) => Ok(file),
            Ok(file) if file.place.last.0 == 0 => Ok(file),
            Ok(file) => {
                tracing::warn!(path = %path.display(), "the views are not of this ledger; they are made anew");
                drop(file);
                Self::anew(path)
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the views cannot be read; they are made anew");
                Self::anew(path)
            }
        }
    }

    /// Throws away what there is.
    fn anew(path: PathBuf) -> Result<Self, StoreError> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(redb::Error::Io(error).into());
            }
            _ => {}
        }
        let database = open_database(&path)?;
        Self::load(path, database)
    }

    /// After something went wrong: goes on from what is on disk, or from nothing.
    pub(crate) fn open_again(&mut self, is_known: impl FnOnce(Head) -> bool) -> Result<(), StoreError> {
        let folder = self.path.parent().unwrap_or(Path::new(".")).to_owned();
        // The engine refuses to open a file twice, so this one has to be closed first.
        self.database = None;
        *self = Self::open(&folder, is_known)?;
        Ok(())
    }

    fn load(path: PathBuf, database: Database) -> Result<Self, StoreError> {
        create_tables(&database)?;
        let read = database.begin_read()?;
        let place = match read.open_table(META)?.get(PLACE)? {
            Some(place) => value(place.value())?,
            None => Place::new(Head::START, None),
        };
        let mut parts: Vec<Part> = Vec::new();
        for row in read.open_table(PARTS)?.iter()? {
            parts.push(value(row?.1.value())?);
        }
        let (campus, office) = restore(parts);
        let mut state = State::default();
        (state.campus, state.office) = (campus.into(), office.into());
        (state.last, state.last_at) = (place.last, place.last_at);
        let near = load_near(&read, &place)?;
        Ok(ViewsFile {
            path,
            database: Some(database),
            working: Working::new(state, near),
            place,
            volatile: false,
        })
    }

    fn database(&self) -> Result<&Database, StoreError> {
        self.database.as_ref().ok_or(StoreError::Down)
    }

    /// Where the views are.
    pub(crate) fn head(&self) -> Head {
        self.place.head().unwrap_or(Head::START)
    }

    pub(crate) fn is_volatile(&self) -> bool {
        self.volatile
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot {
            campus: self.working.state.campus.clone(),
            office: self.working.state.office.clone(),
            near: self.working.near.clone(),
            place: self.place.clone(),
            read: self.database()?.begin_read()?,
        })
    }

    /// Folds entries in; `latest` is what was committed last, where sessions that are not at hand are.
    pub(crate) fn fold(&mut self, latest: &Snapshot, entries: &[Entry]) -> Result<(), StoreError> {
        let bring = |id: SessionId| -> Result<Option<Session>, StoreError> { latest.session(id) };
        entries.iter().try_for_each(|entry| self.working.apply(entry, bring))
    }

    /// Writes what was folded in; `head` is the last entry and its link of the chain.
    pub(crate) fn commit(&mut self, head: Head, lasting: bool) -> Result<(), StoreError> {
        self.working.follow_meetings();
        let place = Place::new(head, self.working.state.last_at);
        let mut transaction = self.database()?.begin_write()?;
        let durability = if lasting { Durability::Immediate } else { Durability::None };
        transaction.set_durability(durability).map_err(redb::Error::from)?;
        write(&transaction, &self.working, &place)?;
        if lasting {
            write_parts(&transaction, &self.working)?;
        }
        transaction.commit()?;
        if lasting {
            self.working.kept = (self.working.state.campus.clone(), self.working.state.office.clone());
        }
        self.working.written();
        self.place = place;
        self.volatile = !lasting;
        Ok(())
    }
}

fn open_database(path: &Path) -> Result<Database, StoreError> {
    let opened = Database::builder().set_cache_size(CACHE_BYTES).create(path);
    opened.map_err(|error| StoreError::Open { path: path.to_owned(), why: Box::new(error.into()) })
}

/// So that nobody who reads finds a table missing.
fn create_tables(database: &Database) -> Result<(), StoreError> {
    let transaction = database.begin_write()?;
    macro_rules! create {
        ($($table:ident),+) => { $(transaction.open_table(super::tables::$table)?;)+ };
    }
    each!(create);
    transaction.commit()?;
    Ok(())
}

fn load_near(read: &redb::ReadTransaction, place: &Place) -> Result<Near, StoreError> {
    let mut near = Near::default();
    let Some(at) = place.last_at else { return Ok(near) };
    let first = first_day(at);
    let meetings = read.open_table(MEETINGS)?;
    let mut put = |id: u64| -> Result<(), StoreError> {
        if let Some(row) = meetings.get(id)? {
            let (_, meeting): (u64, Meeting) = value(row.value())?;
            near.put(&meeting, first);
        }
        Ok(())
    };
    for row in read.open_table(BY_DATE)?.range((day(first), 0)..)? {
        put(row?.0.value().1)?;
    }
    for row in read.open_table(OPEN)?.iter()? {
        put(row?.0.value())?;
    }
    Ok(near)
}
