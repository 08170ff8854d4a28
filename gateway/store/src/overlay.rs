//! A database file that is looked at and never changed.
//!
//! Promises: whatever the engine writes while it opens, mends or checks stays in memory; the file is held
//! meanwhile, so that nobody else changes it; what the engine does with damaged pages, panics included,
//! comes back as an error.
//!
//! Refuses: being written to for good.
//!
//! The engine marks a file when it opens it, mends it if it was not closed cleanly, and reads pages without
//! looking at their checksums. A file that may be damaged must suffer none of this: what lies in it is what
//! salvage works from.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, Database, DatabaseError, StorageBackend};

use crate::caught::caught;
use crate::error::StoreError;

/// How much of the file one block of memory stands for.
const BLOCK: u64 = 4_096;
/// Pages that may stay in memory.
const CACHE_BYTES: usize = 1 << 20;

/// Where the engine notes whether a file was closed, and how.
const STATE_AT: u64 = 9;
const UNCLOSED: u8 = 2;

/// What can be said of a file without reading what its rows mean.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// There is none, or an empty one.
    Absent,
    /// Every page is as it was written.
    Whole,
    /// The same, and it was not closed: nobody tells whether it ends where it did.
    Unclosed,
    /// Pages are not as they were written.
    Damaged(String),
}

impl Look {
    /// Whether the engine can go on from it without leaving anything out.
    pub(crate) fn is_sound(&self) -> bool {
        !matches!(self, Look::Damaged(_))
    }
}

/// Looks at every page of the file.
///
/// # Errors
/// It cannot be read, another process has it, or it is of another version.
pub(crate) fn look_at(path: &Path) -> Result<Look, StoreError> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Look::Absent),
        Err(error) => return Err(redb::Error::Io(error).into()),
        Ok(found) if found.len() == 0 => return Ok(Look::Absent),
        Ok(_) => {}
    }
    let unclosed = is_unclosed(path);
    let checked = caught(|| {
        let mut builder = Database::builder();
        // The engine calls at 0.3 only when it would go back a commit. Ours can be told from one that is
        // unfinished ([`crate::begin`]), so that there is never a reason to.
        builder.set_cache_size(CACHE_BYTES).set_repair_callback(|repair| {
            if repair.progress() > 0.1 && repair.progress() < 0.5 {
                repair.abort();
            }
        });
        match builder.create_with_backend(Overlay::over(path)?) {
            Err(DatabaseError::RepairAborted) => {
                Ok(Look::Damaged("the last commit is not as it was written".to_owned()))
            }
            Err(error) => Err(opening(path, error)),
            Ok(mut database) => match database.check_integrity() {
                Ok(true) if unclosed => Ok(Look::Unclosed),
                Ok(true) => Ok(Look::Whole),
                Ok(false) => Ok(Look::Damaged("pages are not as they were written".to_owned())),
                Err(error) => Err(opening(path, error)),
            },
        }
    });
    match checked {
        Err(error @ StoreError::OtherEngine { .. }) => Err(error),
        Err(error) if error.is_damage() => Ok(Look::Damaged(error.to_string())),
        looked => looked,
    }
}

/// Whether nobody closed the file since it was opened to be written.
pub(crate) fn is_unclosed(path: &Path) -> bool {
    let mut state = [0];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut state, STATE_AT));
    read.is_ok() && state.iter().all(|state| state & UNCLOSED != 0)
}

/// Opens the file as it is; what is written is forgotten.
pub(crate) fn open_unchanged(path: &Path) -> Result<Database, StoreError> {
    caught(|| {
        let opened =
            Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(Overlay::over(path)?);
        opened.map_err(|error| opening(path, error))
    })
}

fn opening(path: &Path, error: DatabaseError) -> StoreError {
    StoreError::opening(path.to_owned(), error.into())
}

/// A file nobody else has open as a database, as long as this lives.
pub(crate) struct Held {
    backend: FileBackend,
}

impl Held {
    /// # Errors
    /// It cannot be opened, or another process has it.
    pub(crate) fn take(path: &Path) -> Result<Self, StoreError> {
        let file = writable(path)?;
        let backend = FileBackend::new(file).map_err(|error| opening(path, error))?;
        match backend.try_lock_range(Bound::Unbounded, Bound::Unbounded) {
            Ok(true) | Err(BackendError::Unsupported) => Ok(Held { backend }),
            Ok(false) => Err(opening(path, DatabaseError::DatabaseAlreadyOpen)),
            Err(error) => Err(redb::Error::from(error).into()),
        }
    }

    pub(crate) fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Err(error) = self.backend.close() {
            tracing::warn!(%error, "a file's lock could not be given back");
        }
    }
}

/// A lock on the file needs it open for writing, although nothing is written.
fn writable(path: &Path) -> Result<File, StoreError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|error| StoreError::opening(path.to_owned(), redb::Error::Io(error)))
}

#[derive(Debug)]
struct Overlay {
    below: FileBackend,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    length: u64,
    /// How far the file itself still shows through: what was cut off does not come back.
    shown: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    fn over(path: &Path) -> Result<Self, StoreError> {
        let below = FileBackend::new(writable(path)?).map_err(|error| opening(path, error))?;
        let length = below.len().map_err(redb::Error::Io)?;
        Ok(Overlay { below, written: Mutex::new(Written { length, shown: length, blocks: BTreeMap::new() }) })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_below(&self, shown: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(shown.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (there, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        if there.is_empty() { Ok(()) } else { self.below.read(offset, there) }
    }
}

/// The parts of a stretch that lie in one block each: block, offset in it, offset in the stretch, length.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0_usize;
    std::iter::from_fn(move || {
        let at = offset + u64::try_from(done).ok()?;
        let within = usize::try_from(at % BLOCK).ok()?;
        let here = (usize::try_from(BLOCK).ok()? - within).min(length - done);
        let part = (at / BLOCK, within, done, here);
        done += here;
        (here > 0).then_some(part)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written();
        let end = offset.checked_add(u64::try_from(out.len()).unwrap_or(u64::MAX));
        if end.is_none_or(|end| end > written.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_below(written.shown, offset, out)?;
        for (block, within, done, here) in parts(offset, out.len()) {
            let Some(block) = written.blocks.get(&block) else { continue };
            if let (Some(out), Some(block)) =
                (out.get_mut(done..done + here), block.get(within..within + here))
            {
                out.copy_from_slice(block);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.written();
        if len < written.length {
            drop(written.blocks.split_off(&len.div_ceil(BLOCK)));
            let kept = usize::try_from(len % BLOCK).unwrap_or_default();
            if let Some(cut) = written.blocks.get_mut(&(len / BLOCK)) {
                cut.iter_mut().skip(kept).for_each(|byte| *byte = 0);
            }
        }
        written.shown = written.shown.min(len);
        written.length = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        let shown = written.shown;
        for (block, within, done, here) in parts(offset, data.len()) {
            let bytes = match written.blocks.entry(block) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(place) => {
                    let mut bytes = vec![0; usize::try_from(BLOCK).unwrap_or_default()];
                    self.read_below(shown, block * BLOCK, &mut bytes)?;
                    place.insert(bytes)
                }
            };
            let bytes = bytes.get_mut(within..within + here);
            if let (Some(bytes), Some(data)) = (bytes, data.get(done..done + here)) {
                bytes.copy_from_slice(data);
            }
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.below.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.below.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.below.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.below.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, Vec<u8>),
        Resize(u64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..20_000_u64, prop::collection::vec(any::<u8>(), 1..9_000))
                .prop_map(|(at, data)| Step::Write(at, data)),
            (0..30_000_u64).prop_map(Step::Resize),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_back_and_the_file_stays_as_it_was(
            steps in prop::collection::vec(any_step(), 0..12),
            first in prop::collection::vec(any::<u8>(), 0..15_000),
        ) {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &first).unwrap();
            let overlay = Overlay::over(file.path()).unwrap();
            let mut model = first.clone();
            for step in steps {
                match step {
                    Step::Write(at, data) => {
                        let at = usize::try_from(at).unwrap();
                        if at + data.len() > model.len() {
                            model.resize(at + data.len(), 0);
                            overlay.set_len(u64::try_from(model.len()).unwrap()).unwrap();
                        }
                        model[at..at + data.len()].copy_from_slice(&data);
                        overlay.write(u64::try_from(at).unwrap(), &data).unwrap();
                    }
                    Step::Resize(length) => {
                        model.resize(usize::try_from(length).unwrap(), 0);
                        overlay.set_len(length).unwrap();
                    }
                }
                let mut read = vec![1; model.len()];
                overlay.read(0, &mut read).unwrap();
                prop_assert_eq!(&read, &model);
                prop_assert!(overlay.read(1, &mut read).is_err() || read.is_empty());
            }
            prop_assert_eq!(std::fs::read(file.path()).unwrap(), first);
        }
    }
}
