//! `views.redb`: opened, made anew, brought forward.
//!
//! Promises: rows of another format, of another ledger, or that cannot be read are thrown away and made
//! anew from the ledger; what is shown is in the rows first; while rows are made anew, those that were
//! shown can be read on; a file in a real folder that is only looked at stays as it is.
//!
//! Refuses: failing because of what is in the file, unless it is only looked at. Only the disk can make it
//! fail.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use jiff::civil::Date;
use redb::{Database, ReadableDatabase as _, ReadableTable as _};
use rollcall_domain::event::{Entry, Event, RetentionEvent};
use rollcall_domain::ids::{Seq, SessionId};
use rollcall_domain::parts::{Part, restore};
use rollcall_domain::session::{Meeting, Session};
use rollcall_domain::state::State;

use super::doubts::Doubts;
use super::near::{Near, first_day};
use super::rows::{FORGOTTEN, PARTS_PLACE, PLACE, Place as Reached, value, write, write_parts};
use super::scans::Scans;
use super::snapshot::Snapshot;
use super::tables::{BY_DATE, MEETINGS, META, OPEN, PARTS, day, each};
use super::working::Working;
use crate::begin::{begin, begin_lasting};
use crate::caught::{caught, let_go};
use crate::disk::Place;
use crate::error::StoreError;
use crate::ledger::Head;
use crate::overlay::{Look, look_at, open_unchanged};

/// Pages that may stay in memory.
const CACHE_BYTES: usize = 16 << 20;
const FILE: &str = "views.redb";
/// Views of a ledger that is being salvaged: what they show is not in the new one, but they tell how far
/// the old one went.
const OF_DAMAGED: &str = "views.redb.damaged-ledger";

/// What is there when it is only looked at.
pub(crate) enum Kept {
    Absent,
    /// Of another ledger, or of another format.
    Foreign,
    File(Box<ViewsFile>),
}

pub(crate) struct ViewsFile {
    place: Place,
    /// Absent only while it is opened again.
    database: Option<Database>,
    /// What was in use before, for those who read it, while the rows are made anew.
    before: Option<Database>,
    pub(super) working: Working,
    scans: Scans,
    reached: Reached,
    /// Of those who read what is in use.
    doubts: Doubts,
    /// Something was committed that a power cut would take.
    volatile: bool,
}

impl ViewsFile {
    /// Opens the file, or makes it. `is_known` tells whether the ledger has what the views have reached.
    pub(crate) fn open(
        place: &Place,
        is_known: impl FnOnce(Head) -> Result<bool, StoreError>,
    ) -> Result<Self, StoreError> {
        Self::open_found(place, Self::find(place), is_known)
    }

    /// What is in the file, or nothing in a new one, whatever ledger it is of.
    pub(crate) fn find(place: &Place) -> Result<Self, StoreError> {
        caught(|| {
            look(place)?;
            Self::load(place.clone(), place.open(CACHE_BYTES, FILE, true)?)
        })
    }

    /// The rest of opening.
    pub(crate) fn open_found(
        place: &Place,
        found: Result<Self, StoreError>,
        is_known: impl FnOnce(Head) -> Result<bool, StoreError>,
    ) -> Result<Self, StoreError> {
        let path = place.disk.path(FILE);
        match found {
            Ok(file) => {
                let known = file.reached.head().map_or(Ok(false), is_known)?;
                if known {
                    return Ok(file);
                }
                tracing::warn!(path = %path.display(), "the views are not of this ledger; they are made anew");
                let_go(file);
            }
            Err(error) if error.is_damage() => {
                tracing::warn!(path = %path.display(), %error, "the views cannot be read; they are made anew");
            }
            Err(error) => return Err(error),
        }
        Self::anew(place)
    }

    /// Opens the file to look at it: in a real folder, whatever is written is forgotten.
    ///
    /// # Errors
    /// It is damaged, besides what the disk may do.
    pub(crate) fn open_as_it_is(
        place: &Place,
        is_known: impl FnOnce(Head) -> Result<bool, StoreError>,
    ) -> Result<Kept, StoreError> {
        let database = match place.disk.folder() {
            Some(folder) if look(place)? => open_unchanged(&folder.join(FILE))?,
            None if place.disk.has(FILE).map_err(redb::Error::Io)? => place.open(CACHE_BYTES, FILE, false)?,
            _ => return Ok(Kept::Absent),
        };
        let file = Self::load(place.clone(), database)?;
        let known = file.reached.head().map_or(Ok(false), is_known)?;
        Ok(if known { Kept::File(Box::new(file)) } else { Kept::Foreign })
    }

    /// Throws away what there is.
    fn anew(place: &Place) -> Result<Self, StoreError> {
        place.disk.remove(FILE).map_err(redb::Error::Io)?;
        Self::load(place.clone(), place.open(CACHE_BYTES, FILE, true)?)
    }

    /// After something went wrong with the disk: goes on from what is on it, or from nothing. What was kept
    /// for readers is kept on, also when this fails.
    pub(crate) fn open_again(
        &mut self,
        is_known: impl FnOnce(Head) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        // The engine refuses to open a file twice, so this one has to be closed first.
        let_go(self.database.take());
        let opened = Self::open(&self.place, is_known)?;
        let before = self.before.take();
        *self = ViewsFile { before, ..opened };
        Ok(())
    }

    /// After something went wrong with the rows: goes on from nothing, while what was shown is kept.
    pub(crate) fn make_anew(&mut self) -> Result<(), StoreError> {
        let fresh = Self::anew(&self.place)?;
        let mut damaged = std::mem::replace(self, fresh);
        // Not those that were never shown.
        self.before = damaged.before.take().or_else(|| damaged.database.take());
        let_go(damaged);
        Ok(())
    }

    /// The rows show what those before them did.
    pub(crate) fn let_go_of_those_before(&mut self) {
        let_go(self.before.take());
    }

    /// Rows were written that memory does not know.
    pub(super) fn load_again(&mut self) -> Result<(), StoreError> {
        let Some(database) = self.database.take() else { return Err(StoreError::Down) };
        let before = self.before.take();
        *self = ViewsFile { before, ..Self::load(self.place.clone(), database)? };
        Ok(())
    }

    fn load(place: Place, database: Database) -> Result<Self, StoreError> {
        create_tables(&database)?;
        let read = database.begin_read()?;
        let meta = read.open_table(META)?;
        let reached = match meta.get(PLACE)? {
            Some(reached) => value(reached.value())?,
            None => Reached::new(Head::START, None),
        };
        let parts_reached = match meta.get(PARTS_PLACE)? {
            Some(reached) => value(reached.value())?,
            None => Reached::new(Head::START, None),
        };
        // The engine puts on disk what was in memory alone when the file is closed after a failure, but
        // campus and office are written with the lasting commits only.
        if reached != parts_reached {
            return Err(StoreError::DamagedViews);
        }
        let mut parts: Vec<Part> = Vec::new();
        for row in read.open_table(PARTS)?.iter()? {
            parts.push(value(row?.1.value())?);
        }
        let (campus, office) = restore(parts);
        let mut state = State::default();
        (state.campus, state.office) = (campus.into(), office.into());
        (state.last, state.last_at) = (reached.last, reached.last_at);
        if let Some(forgotten) = meta.get(FORGOTTEN)? {
            state.forgotten = value(forgotten.value())?;
        }
        let working = Working::new(state, load_near(&read, reached.last_at.map_or(Date::MIN, first_day))?);
        let scans = Scans::load(&read)?;
        let (database, before) = (Some(database), None);
        let doubts = Doubts::default();
        Ok(ViewsFile { place, database, before, working, scans, reached, doubts, volatile: false })
    }

    pub(super) fn database(&self) -> Result<&Database, StoreError> {
        self.database.as_ref().ok_or(StoreError::Down)
    }

    /// Where the views are.
    pub(crate) fn head(&self) -> Head {
        self.reached.head().unwrap_or(Head::START)
    }

    pub(crate) fn is_volatile(&self) -> bool {
        self.volatile
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot {
            campus: self.working.state.campus.clone(),
            office: self.working.state.office.clone(),
            near: self.working.near.clone(),
            place: self.reached.clone(),
            read: self.database()?.begin_read()?,
            scans: self.scans.clone(),
            doubts: self.doubts.clone(),
            forgotten: self.working.state.forgotten,
        })
    }

    /// Folds entries in; `latest` is what was committed last, where sessions that are not at hand are.
    pub(crate) fn fold(&mut self, latest: &Snapshot, entries: &[Entry]) -> Result<(), StoreError> {
        let bring = |id: SessionId| -> Result<Option<Session>, StoreError> { latest.session(id) };
        entries.iter().try_for_each(|entry| {
            match &entry.event {
                Event::Retention(RetentionEvent::Records { before }) => {
                    let sessions = latest.sessions_before(*before)?.into_iter().map(|(id, _)| id);
                    let unmatched = latest.unmatched_before(*before)?.into_iter().map(|(seq, _)| seq);
                    self.working.forget(sessions, unmatched);
                }
                Event::Upstream(answer) => self.working.hear(answer, |id| latest.has_session(id))?,
                _ => {}
            }
            self.working.apply(entry, bring)
        })
    }

    /// What somebody who read it could not read.
    pub(crate) fn doubt(&self) -> Option<StoreError> {
        self.doubts.worst()
    }

    /// Writes what was folded in; `head` is the last entry and its link of the chain.
    pub(crate) fn commit(&mut self, head: Head, lasting: bool) -> Result<(), StoreError> {
        self.follow_meetings()?;
        let reached = Reached::new(head, self.working.state.last_at);
        let transaction = begin(self.database()?, lasting)?;
        write(&transaction, &self.working, &reached)?;
        let added = self.scans.write(&transaction, &self.working.touched.scans)?;
        if lasting {
            write_parts(&transaction, &self.working, &reached)?;
        }
        transaction.commit()?;
        if lasting {
            self.working.kept = (self.working.state.campus.clone(), self.working.state.office.clone());
        }
        self.scans.written(added);
        self.working.written();
        self.reached = reached;
        self.volatile = !lasting;
        Ok(())
    }

    /// Brings the meetings in memory up to what was folded in. After a clock that ran ahead was set right,
    /// days are near that were let go; their meetings are in the rows.
    fn follow_meetings(&mut self) -> Result<(), StoreError> {
        let Some(first) = self.working.state.last_at.map(first_day) else { return Ok(()) };
        if first < self.working.near.first() {
            let near = load_near(&self.database()?.begin_read()?, first)?;
            self.working.near = Arc::new(near);
        }
        self.working.follow_meetings(first);
        Ok(())
    }
}

/// The engine does not look at the checksums of pages that it reads. Tells whether a file lies in a real
/// folder.
fn look(place: &Place) -> Result<bool, StoreError> {
    let Some(path) = place.disk.folder().map(|folder| folder.join(FILE)) else { return Ok(false) };
    match look_at(&path)? {
        Look::Damaged(what) => Err(StoreError::Broken { path, what }),
        Look::Absent => Ok(false),
        Look::Whole | Look::Unclosed => Ok(true),
    }
}

/// How far the views in a real folder had followed the ledger, if they can still tell.
pub(crate) fn last_in(folder: &Path) -> Seq {
    [FILE, OF_DAMAGED].map(|file| last_of(&folder.join(file))).into_iter().max().unwrap_or_default()
}

/// So that those of a ledger that is not there any more are never opened.
pub(crate) fn put_aside(folder: &Path) -> io::Result<()> {
    match fs::rename(folder.join(FILE), folder.join(OF_DAMAGED)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Once the new ledger tells how far the old one went.
pub(crate) fn forget_put_aside(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(OF_DAMAGED)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn last_of(path: &Path) -> Seq {
    if look_at(path).is_ok_and(|look| matches!(look, Look::Absent | Look::Damaged(_))) {
        return Seq(0);
    }
    let read = caught(|| {
        let read = open_unchanged(path)?.begin_read()?;
        let table = read.open_table(META)?;
        table.get(PLACE)?.map(|reached| value::<Reached>(reached.value())).transpose()
    });
    read.ok().flatten().and_then(|reached| reached.head()).map_or(Seq(0), |head| head.last)
}

/// So that nobody who reads finds a table missing.
fn create_tables(database: &Database) -> Result<(), StoreError> {
    let transaction = begin_lasting(database)?;
    macro_rules! create {
        ($($table:ident),+) => { $(transaction.open_table(super::tables::$table)?;)+ };
    }
    each!(create);
    transaction.commit()?;
    Ok(())
}

/// The open meetings, and those of the days from `first` on.
fn load_near(read: &redb::ReadTransaction, first: Date) -> Result<Near, StoreError> {
    let mut near = Near::starting(first);
    let meetings = read.open_table(MEETINGS)?;
    let mut put = |id: u64| -> Result<(), StoreError> {
        if let Some(row) = meetings.get(id)? {
            let (_, meeting): (u64, Meeting) = value(row.value())?;
            near.put(&meeting);
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use redb::{Builder, DatabaseError, StorageError};

    use super::*;
    use crate::disk::Disk;

    /// A folder whose files cannot be opened while it refuses.
    struct Stubborn {
        folder: tempfile::TempDir,
        refuses: AtomicBool,
    }

    impl Disk for Stubborn {
        fn open(&self, _: &Builder, file: &str, _: bool) -> Result<Database, DatabaseError> {
            if self.refuses.load(Ordering::Relaxed) {
                return Err(StorageError::Io(io::ErrorKind::StorageFull.into()).into());
            }
            // Nothing can be read from memory that cannot be read from the file.
            Database::builder().set_cache_size(0).create(self.path(file))
        }

        fn raw(&self, _: &str, _: bool) -> io::Result<Box<dyn redb::StorageBackend>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn has(&self, file: &str) -> io::Result<bool> {
            self.path(file).try_exists()
        }

        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            std::fs::rename(self.path(from), self.path(to))
        }

        fn remove(&self, file: &str) -> io::Result<()> {
            std::fs::remove_file(self.path(file))
        }

        fn free(&self) -> io::Result<u64> {
            Ok(u64::MAX)
        }

        fn path(&self, file: &str) -> PathBuf {
            self.folder.path().join(file)
        }
    }

    #[test]
    fn rows_that_readers_have_can_be_read_on_while_those_made_anew_cannot_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Stubborn { folder, refuses: AtomicBool::new(false) });
        let mut file = ViewsFile::open(&Place::on(Arc::<Stubborn>::clone(&disk)), |_| Ok(true)).unwrap();
        file.commit(Head::START, true).unwrap();
        let shown = file.snapshot().unwrap();
        let readable = || shown.read.open_table(META).is_ok_and(|table| table.get(PLACE).is_ok());
        file.make_anew().unwrap();
        assert!(readable());
        disk.refuses.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            assert!(file.open_again(|_| Ok(true)).is_err());
            assert!(readable());
        }
        disk.refuses.store(false, Ordering::Relaxed);
        file.open_again(|_| Ok(true)).unwrap();
        assert!(readable());
        file.let_go_of_those_before();
        assert!(!readable());
    }
}
