//! The end of the ledger, until it lies in the ledger's own file.
//!
//! Promises: a commit is one write to one place and one sync, where the tree of the engine would write many
//! pages in different places; what was written here is in the ledger for everybody who reads it; after a kill
//! or a power cut it is brought into the file before anybody reads.
//!
//! Refuses: rows of the register. A commit that has some goes into the file itself, with all that lies here,
//! in one transaction of the engine.
//!
//! The records lie in `ledger.tail`, one after the other. From time to time they are moved into the ledger's
//! file, which costs the engine little when there are many; once that is lasting, the next record goes to the
//! start of the tail again. Which of those that lie there still count is told by their sequences: what the
//! file has is passed over, what follows it is brought in, and where nothing follows, the tail ends.
//!
//! Until it is lasting, memory has the records as well: a failing disk may give them back from neither place.

mod file;
mod found;
mod record;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use redb::{Database, WriteTransaction};
use rollcall_domain::ids::Seq;

use crate::disk::Place;
use crate::error::StoreError;
use crate::ledger::Head;
pub(crate) use file::FILE;
use file::TailFile;
use found::{belonging, bring_in, bring_in_known, goes_through, head_of, put};
pub(crate) use found::{bytes_in, is_broken, is_foreign, lacks_something, last_unread};
pub(crate) use record::{LedgerId, Record};

/// How long something may be in the tail alone before the next append, or the next quiet moment, moves it. It is on
/// disk there, too, so nothing hurries.
const LASTING: Duration = Duration::from_secs(5);

/// Where the tail of the ledger in this folder lies.
pub(crate) fn file_in(folder: &Path) -> PathBuf {
    folder.join(file::FILE)
}

#[derive(Debug, Default)]
pub(crate) struct Tail {
    kept: RwLock<Kept>,
    state: Mutex<State>,
}

/// What the ledger's file does not have lastingly.
#[derive(Debug, Default)]
struct Kept {
    records: Vec<Arc<Record>>,
    /// So many of the first were moved into the file, from where a power cut or a failure would take them.
    moved: usize,
}

impl Kept {
    /// What the ledger's file does not have at all.
    fn unmoved(&self) -> &[Arc<Record>] {
        self.records.get(self.moved..).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct State {
    /// Absent until something is written.
    file: Option<TailFile>,
    /// Something from before lies in it.
    used: bool,
    /// Of the records that are not in the ledger's file yet.
    bytes: u64,
    /// When it was first asked about what is not in the ledger's file lastingly.
    since: Option<Duration>,
}

impl Tail {
    /// Brings what lies in the tail of a ledger into its file.
    ///
    /// # Errors
    /// Entries between the file and the tail are missing, or the disk fails.
    pub(crate) fn open(place: &Place, database: &Database, ledger: LedgerId) -> Result<Self, StoreError> {
        let tail = Tail::default();
        let lies = read(place, head_of(database)?, ledger)?;
        bring_in(database, lies.following())?;
        tail.take(place, lies)?;
        Ok(tail)
    }

    /// The same after a failure: what was written up to `known` is brought in whatever became of the tail, for
    /// memory has what the ledger's file lacks. Neither that nor what lies in the folder is let go before
    /// [`Tail::begin_anew`].
    ///
    /// # Errors
    /// The file does not go through `known`, so that it is not this ledger's; or the disk fails.
    pub(crate) fn open_again(
        &self,
        place: &Place,
        database: &Database,
        ledger: LedgerId,
        known: Head,
    ) -> Result<Lies, StoreError> {
        *self.state() = State::default();
        bring_in_known(database, &self.kept().records)?;
        let head = head_of(database)?;
        let lies = read(place, head, ledger);
        goes_through(database, head.last, known)?;
        let lies = lies.unwrap_or_else(Lies::Damaged);
        bring_in(database, lies.following())?;
        Ok(lies)
    }

    /// Once the ledger's file has everything lastingly. The next record can be written then: in a new file, if
    /// the one that is there takes nothing.
    pub(crate) fn begin_anew(&self, place: &Place, lies: Lies) -> Result<(), StoreError> {
        self.take(place, lies)?;
        let mut state = self.state();
        let wiped = state.file.take().map(|mut file| file.wipe().map(|()| file));
        let file = match wiped {
            Some(Ok(file)) => file,
            Some(Err(error)) => {
                tracing::warn!(%error, "the ledger's tail cannot be written; another one is made");
                TailFile::make(place)?
            }
            None => TailFile::make(place)?,
        };
        (state.file, state.used) = (Some(file), false);
        *self.kept_mut() = Kept::default();
        Ok(())
    }

    /// Goes on with what lies in the folder.
    fn take(&self, place: &Place, lies: Lies) -> Result<(), StoreError> {
        match lies {
            Lies::Nothing => {}
            Lies::Foreign => {
                let aside = file::put_foreign_aside(place)?;
                tracing::warn!(aside = %aside.display(), "the tail is of another ledger than the one beside it; it is kept, and left out");
            }
            Lies::Damaged(error) => {
                let aside = file::put_damaged_aside(place)?;
                tracing::error!(
                    %error, aside = %aside.display(),
                    "the ledger's tail is damaged; the ledger has all that was in it, and another tail is made: check the disk"
                );
            }
            Lies::Ours { file, used, .. } => {
                // One of another length is made anew when something is written.
                let file = (file.length() == place.tail_bytes).then_some(file);
                *self.state() = State { file, used, ..State::default() };
            }
        }
        Ok(())
    }

    /// Brings what lies in a tail that is only looked at into a file of which nothing is kept. Tells whether it
    /// is another ledger's, which is left out.
    pub(crate) fn look(folder: &Path, database: &Database, ledger: LedgerId) -> Result<bool, StoreError> {
        match belonging(&bytes_in(folder)?, head_of(database)?, ledger)? {
            Some(following) => bring_in(database, &following).map(|()| false),
            None => Ok(true),
        }
    }

    /// Takes away what lies in it from before, which must not lie about among what is written next.
    pub(crate) fn clean(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.used
            && let Some(file) = &mut state.file
        {
            file.wipe()?;
            state.used = false;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept_mut(&self) -> RwLockWriteGuard<'_, Kept> {
        self.kept.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records with entries from this sequence on that the ledger's file does not have.
    pub(crate) fn since(&self, from: Seq) -> Vec<Arc<Record>> {
        let kept = self.kept();
        let skipped = kept.unmoved().partition_point(|record| record.last() < from);
        kept.unmoved().get(skipped..).unwrap_or_default().to_vec()
    }

    /// Whether a record has room before what is there is moved.
    pub(crate) fn has_room_for(&self, record: &Record) -> bool {
        self.state().file.as_ref().is_none_or(|file| file.has_room_for(record))
    }

    /// Brings a record to the disk; afterwards everybody reads it.
    pub(crate) fn write(&self, place: &Place, mut record: Record) -> Result<(), StoreError> {
        self.clean()?;
        let mut state = self.state();
        let file = match state.file.take() {
            Some(file) => file,
            None => TailFile::make(place)?,
        };
        state.file.insert(file).write(&mut record)?;
        state.bytes += record.length();
        drop(state);
        self.kept_mut().records.push(Arc::new(record));
        Ok(())
    }

    /// Whether it should be moved now, and, if so, whether lastingly.
    pub(crate) fn is_due(&self, place: &Place, now: Duration) -> Option<bool> {
        if !self.is_open() {
            return None;
        }
        let mut state = self.state();
        let since = *state.since.get_or_insert(now);
        match now.saturating_sub(since) >= LASTING {
            true => Some(true),
            false => (state.bytes >= place.tail_bytes / 4).then_some(false),
        }
    }

    /// Whether the ledger's file lacks something, or would after a power cut.
    pub(crate) fn is_open(&self) -> bool {
        !self.kept().records.is_empty()
    }

    /// Writes the records into the ledger's file.
    pub(crate) fn put_into(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
        put(transaction, self.kept().unmoved().iter().map(AsRef::as_ref))
    }

    /// To be called once that is committed; `lasting` if a power cut does not take it back.
    pub(crate) fn moved(&self, lasting: bool) {
        let mut state = self.state();
        state.bytes = 0;
        let mut kept = self.kept_mut();
        kept.moved = kept.records.len();
        if lasting {
            *kept = Kept::default();
            state.since = None;
            state.file.iter_mut().for_each(TailFile::start_over);
        }
    }
}

/// What lies in the folder.
pub(crate) enum Lies {
    Nothing,
    /// Another ledger's.
    Foreign,
    /// Something is missing from it, or cannot be read.
    Damaged(StoreError),
    Ours {
        file: TailFile,
        used: bool,
        /// What the ledger's file lacks.
        following: Vec<Record>,
    },
}

impl Lies {
    fn following(&self) -> &[Record] {
        if let Lies::Ours { following, .. } = self { following } else { &[] }
    }
}

/// Reads the tail of a ledger whose file ends at `head`.
fn read(place: &Place, head: Head, ledger: LedgerId) -> Result<Lies, StoreError> {
    let Some(file) = TailFile::open(place)? else { return Ok(Lies::Nothing) };
    let bytes = file.bytes();
    let used = !bytes.is_blank();
    Ok(match belonging(&bytes, head, ledger)? {
        Some(following) => Lies::Ours { file, used, following },
        None => Lies::Foreign,
    })
}

/// Whether entries lie in a tail, whosever they are.
pub(crate) fn has_entries(place: &Place) -> Result<bool, StoreError> {
    Ok(TailFile::open(place)?.is_some_and(|file| found::has_record(&file.bytes())))
}

/// A ledger that is made, or brought back, has none yet: one that lies there is another's. Tells where it is now.
pub(crate) fn put_foreign_aside(place: &Place) -> Result<Option<PathBuf>, StoreError> {
    let is_something = match TailFile::open(place) {
        Ok(file) => file.is_some_and(|file| !file.bytes().is_blank()),
        Err(_) => true,
    };
    let aside = is_something.then(|| file::put_foreign_aside(place)).transpose()?;
    if let Some(aside) = &aside {
        tracing::warn!(aside = %aside.display(), "there was a tail without its ledger; it is kept, and left out");
    }
    Ok(aside)
}

/// Gives the tail in this folder the name of the ledger that was set aside; tells which, if there is one, or was
/// before this was cut short.
pub(crate) fn set_aside(folder: &Path, with: &Path) -> Result<Option<PathBuf>, StoreError> {
    let aside = with.with_extension("tail");
    match std::fs::rename(file_in(folder), &aside) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(aside.exists().then_some(aside)),
        renamed => Ok(renamed.map(|()| Some(aside)).map_err(redb::Error::Io)?),
    }
}
