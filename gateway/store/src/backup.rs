//! Backups, made while the gateway runs.
//!
//! Promises: a backup is the ledger, its row of keys and its register as they were at one moment, and, if
//! asked for, the evidence as it was right after; the writer is not held up; the file has its name only when
//! it is complete and on disk; it can be checked whole; the chain is walked on the way, so that a ledger that
//! is damaged has no backup that nobody could bring back.
//!
//! Refuses: overwriting; the views, which are made anew; leaving evidence out that was asked for and cannot
//! be read. Bringing back is [`mod@crate::restore`]'s.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use redb::{Key, ReadTransaction, TableDefinition, TableError, TableHandle as _, Value};
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;
use rustix::fs::{CWD, RenameFlags, fsync, renameat_with};
use rustix::io::Errno;

use crate::archive::{Header, PLAIN, Reader, VERSION, WITH_EVIDENCE, Writer, Wrong};
use crate::caught::caught;
use crate::error::StoreError;
use crate::evidence::tables::each_copied;
use crate::evidence::{self, Evidence};
use crate::keys::Keyring;
use crate::ledger::{Head, Ledger, file_in};
use crate::names::{clear_away, folder_of};
use crate::overlay::{Look, look_at};
use crate::reading::Now;
use crate::tables::{CHECKPOINT, CHECKPOINT_AGAIN, EVENTS, GAPS, KEYS, each_of_register};
use crate::{checkpoint, codec};

/// After so many bytes the backup is brought to disk, so that the ledger's commits never wait for more.
const SYNC_AFTER: usize = 1 << 20;
pub(crate) const EVIDENCE: &str = "evidence.redb";
/// What a backup calls a table of the evidence: this, and the table's own name.
pub(crate) const OF_EVIDENCE: &str = "evidence.";

/// What goes into a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extent {
    /// Ledger and register: all that is true.
    #[default]
    Ledger,
    /// And what devices sent, as it came. It is larger than everything else, and nothing in it is sealed.
    WithEvidence,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    pub made_at: Moment,
    /// The end of the ledger then.
    pub last: Seq,
    pub entries: u64,
    /// Rows of the register.
    pub rows: u64,
    /// Items of the evidence; nothing if it was not asked for.
    pub evidence: Option<u64>,
    /// A tail lies beside the ledger that is another's, and was left out; known when one is made.
    pub is_tail_foreign: bool,
}

/// Backs up the ledger in `folder`, which no gateway may have open.
///
/// # Errors
/// The ledger is damaged or cannot be read, or the file cannot be written, or is there already.
pub fn backup(
    folder: &Path,
    keys: impl Into<Keyring>,
    target: &Path,
    at: Moment,
) -> Result<Backup, StoreError> {
    backup_with(folder, keys, target, at, Extent::default())
}

/// The same, of more than the ledger if asked for.
///
/// # Errors
/// As [`backup`]; or the evidence cannot be read.
pub fn backup_with(
    folder: &Path,
    keys: impl Into<Keyring>,
    target: &Path,
    at: Moment,
    extent: Extent,
) -> Result<Backup, StoreError> {
    let path = folder.join(EVIDENCE);
    let evidence = (extent == Extent::WithEvidence).then_some(Source::Closed(&path));
    let ledger = open_whole(folder, &keys.into())?;
    of(&ledger, evidence, target, at, &mut |_| ControlFlow::Continue(()))
}

/// Of a file with damaged pages the entry is named that lies on one, if any can still be reached.
fn open_whole(folder: &Path, keys: &Keyring) -> Result<Ledger, StoreError> {
    let path = file_in(folder);
    let Look::Damaged(what) = look_at(&path)? else { return Ledger::open_unchanged(folder, keys) };
    match caught(|| Ledger::open_unchanged(folder, keys)?.walk(Head::START, drop)) {
        Err(error @ (StoreError::Damaged { .. } | StoreError::Hole { .. })) => Err(error),
        _ => Err(StoreError::Broken { path, what }),
    }
}

/// Is told how many bytes are on disk, again and again, and may end the work.
pub(crate) type Watch<'w> = &'w mut dyn FnMut(u64) -> ControlFlow<()>;

/// Where evidence is read from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'e> {
    Closed(&'e Path),
    Open(&'e Evidence),
}

/// Backs up a ledger, open or not, and evidence, if there is to be any.
pub(crate) fn of(
    ledger: &Ledger,
    evidence: Option<Source<'_>>,
    target: &Path,
    at: Moment,
    watch: Watch<'_>,
) -> Result<Backup, StoreError> {
    let writing = |error: io::Error| StoreError::Backup { path: target.to_owned(), what: error.to_string() };
    if target.symlink_metadata().is_ok() {
        return Err(writing(io::ErrorKind::AlreadyExists.into()));
    }
    let part = part_of_backup(target);
    // It holds what identifies people: whatever lies there under its name is neither followed nor filled.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(writing(error)),
        _ => {}
    }
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
    let file = Paced { file: options.map_err(writing)?, unsynced: 0, synced: 0, watch };
    let backup = ledger.noted(caught(|| write(ledger, evidence, file, at, &writing)));
    let named = backup.and_then(|backup| {
        give_name(&part, target).map_err(writing)?;
        // What is said to have failed is not to be found under its name.
        keep_name(target).inspect_err(|_why| clear_away(target)).map_err(writing)?;
        Ok(backup)
    });
    if named.is_err() {
        clear_away(&part);
    }
    named
}

/// Not every file system can be told to, and those keep it by themselves.
fn keep_name(target: &Path) -> io::Result<()> {
    match fsync(File::open(folder_of(target))?) {
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
        kept => Ok(kept?),
    }
}

/// What a backup is called until it is one.
pub fn part_of_backup(target: &Path) -> PathBuf {
    let mut part = target.as_os_str().to_owned();
    part.push(".part");
    PathBuf::from(part)
}

/// Not to a file that is there by now.
fn give_name(part: &Path, target: &Path) -> io::Result<()> {
    match renameat_with(CWD, part, CWD, target, RenameFlags::NOREPLACE) {
        // Not every file system can tell.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::rename(part, target),
        named => Ok(named?),
    }
}

fn write(
    ledger: &Ledger,
    evidence: Option<Source<'_>>,
    file: Paced<'_>,
    at: Moment,
    writing: &impl Fn(io::Error) -> StoreError,
) -> Result<Backup, StoreError> {
    // Everything is read as it is now; what the writer commits meanwhile goes elsewhere in the file.
    let now = ledger.now(Seq(0))?;
    let (read, last) = (&now.read, now.end()?);
    let header = Header::new(at, last, ledger.keys.root());
    let version = if evidence.is_some() { WITH_EVIDENCE } else { PLAIN };
    let mut out = Writer::begin(file, version, &header, ledger.keys.root()).map_err(writing)?;
    let entries = copy_entries(ledger, &now, &mut out, writing)?;
    copy_out(read, GAPS, "", &mut out, writing)?;
    for copy in [CHECKPOINT, CHECKPOINT_AGAIN] {
        copy_checkpoint(read, copy.name(), &mut out, writing)?;
    }
    // Without its row of keys nothing of it could be read.
    if entries > 0 {
        ledger.keys.check(&*ledger.database()?)?;
    }
    copy_out(read, KEYS, "", &mut out, writing)?;
    let mut rows = 0;
    macro_rules! copy {
        ($($table:ident),+) => { $(rows += copy_out(read, crate::tables::$table, "", &mut out, writing)?;)+ };
    }
    each_of_register!(copy);
    drop(now);
    let evidence = evidence.map(|source| write_evidence(source, &mut out, writing)).transpose()?;
    out.end().and_then(|paced| paced.file.sync_all()).map_err(writing)?;
    Ok(Backup { made_at: at, last, entries, rows, evidence, is_tail_foreign: ledger.is_tail_foreign })
}

/// Tells how many items it has.
fn write_evidence(
    source: Source<'_>,
    out: &mut Writer<Paced<'_>>,
    writing: &impl Fn(io::Error) -> StoreError,
) -> Result<u64, StoreError> {
    let copy = |read: &ReadTransaction| {
        macro_rules! copy {
            ($($table:ident),+) => {
                [$(copy_out(read, evidence::tables::$table, OF_EVIDENCE, out, writing)?),+]
            };
        }
        let [_totals, items, _bytes] = each_copied!(copy);
        Ok(items)
    };
    match source {
        Source::Open(evidence) => evidence.look(copy),
        Source::Closed(path) => Ok(evidence::look_at_closed(path, copy)?.unwrap_or_default()),
    }
}

/// Each as it was written, once the chain has led to it.
fn copy_entries(
    ledger: &Ledger,
    now: &Now,
    out: &mut Writer<Paced<'_>>,
    writing: &impl Fn(io::Error) -> StoreError,
) -> Result<u64, StoreError> {
    let (mut count, start, last) = (0, now.start()?.last, now.end()?);
    let mut put = |seq: Seq, bytes: &[u8]| {
        if count == 0 {
            out.table(EVENTS.name()).map_err(writing)?;
        }
        count += 1;
        out.row(&seq.0.to_le_bytes(), bytes).map_err(writing)
    };
    // Those that are forgotten and still there: by them it is known that texts may have to go, too. The chain
    // does not lead to them, and a damaged one could hide what comes behind it.
    let forgotten = now.rows(Seq(0), usize::MAX, |seq, bytes| match Seq(seq) {
        seq if seq > start => Err(StoreError::Ended),
        seq if codec::decode(seq.0, bytes).is_ok() => put(seq, bytes),
        _ => Ok(()),
    });
    match forgotten {
        Err(StoreError::Ended) => {}
        through => through?,
    }
    let end = ledger.walk_now(now, Head::START, usize::MAX, |entry, bytes| put(entry.seq, bytes))?;
    if end.last == last { Ok(count) } else { Err(StoreError::Lost { seq: last.0 }) }
}

/// Each part from whichever copy of it is whole.
fn copy_checkpoint(
    read: &ReadTransaction,
    table: &str,
    out: &mut Writer<Paced<'_>>,
    writing: &impl Fn(io::Error) -> StoreError,
) -> Result<(), StoreError> {
    let mut is_first = true;
    checkpoint::rows(read, |key, bytes| {
        if std::mem::take(&mut is_first) {
            out.table(table).map_err(writing)?;
        }
        out.row(<(u64, u32) as Value>::as_bytes(&key).as_ref(), bytes).map_err(writing)
    })
}

fn copy_out<K: Key + 'static, V: Value + 'static>(
    read: &ReadTransaction,
    definition: TableDefinition<'static, K, V>,
    prefix: &str,
    out: &mut Writer<Paced<'_>>,
    writing: &impl Fn(io::Error) -> StoreError,
) -> Result<u64, StoreError> {
    let table = match read.open_table(definition) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(0),
        table => table?,
    };
    out.table(&format!("{prefix}{}", definition.name())).map_err(writing)?;
    let mut count = 0;
    for row in table.range::<K::SelfType<'_>>(..)? {
        let (key, value) = row?;
        let (key, value) = (key.value(), value.value());
        out.row(K::as_bytes(&key).as_ref(), V::as_bytes(&value).as_ref()).map_err(writing)?;
        count += 1;
    }
    Ok(count)
}

/// A file of which only so much is ever on its way to the disk.
struct Paced<'w> {
    file: File,
    unsynced: usize,
    synced: u64,
    watch: Watch<'w>,
}

impl Write for Paced<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= SYNC_AFTER {
            self.file.sync_data()?;
            self.synced += u64::try_from(self.unsynced).unwrap_or_default();
            self.unsynced = 0;
            if (self.watch)(self.synced).is_break() {
                return Err(io::Error::other("it was ended before it was through"));
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Reads a backup to its end. Without a key all is checked that can be.
///
/// # Errors
/// It is damaged, cut short, of a newer version, or of another key.
pub fn check_backup(path: &Path, keys: Option<&Keyring>) -> Result<Backup, StoreError> {
    let reader = begin(path, keys)?;
    let (version, Header { made_at, last, .. }) = (reader.version, reader.header.clone());
    let counts = reader.rows::<Refused>(|_, _, _| Ok(())).map_err(|refused| refused.of(path))?;
    let (mut entries, mut rows, mut items) = (0, 0, 0);
    let beside = [GAPS.name(), CHECKPOINT.name(), CHECKPOINT_AGAIN.name(), KEYS.name()];
    for (name, count) in &counts {
        match name.as_str() {
            name if name == EVENTS.name() => entries += count,
            name if beside.contains(&name) => {}
            name => match name.strip_prefix(OF_EVIDENCE) {
                Some(name) if name == evidence::tables::ITEMS.name() => items += count,
                Some(_) => {}
                None => rows += count,
            },
        }
    }
    let evidence = (version >= WITH_EVIDENCE).then_some(items);
    Ok(Backup { made_at, last, entries, rows, evidence, is_tail_foreign: false })
}

pub(crate) fn begin(path: &Path, keys: Option<&Keyring>) -> Result<Reader<BufReader<File>>, StoreError> {
    let refused = |wrong| Refused::Wrong(wrong).of(path);
    let file = File::open(path).map_err(|error| refused(Wrong::Io(error)))?;
    Reader::begin(BufReader::with_capacity(1 << 20, file), keys).map_err(refused)
}

/// Why a backup was not read to its end.
pub(crate) enum Refused {
    Wrong(Wrong),
    Store(StoreError),
}

impl From<Wrong> for Refused {
    fn from(wrong: Wrong) -> Self {
        Refused::Wrong(wrong)
    }
}

impl Refused {
    pub(crate) fn of(self, path: &Path) -> StoreError {
        match self {
            Refused::Store(error) => error,
            Refused::Wrong(Wrong::Newer(found)) => StoreError::Newer { found, known: VERSION },
            Refused::Wrong(Wrong::OtherKey(wanted)) => StoreError::OtherKey { wanted },
            Refused::Wrong(Wrong::Io(error)) => {
                StoreError::Backup { path: path.to_owned(), what: error.to_string() }
            }
            Refused::Wrong(Wrong::Damaged(what)) => StoreError::Backup { path: path.to_owned(), what },
        }
    }
}
