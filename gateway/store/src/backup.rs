//! Backups: made while the gateway runs, and brought back.
//!
//! Promises: a backup is the ledger, its row of keys and its register as they were at one moment; the writer is not held up;
//! the file has its name only when it is complete and on disk. What is brought back is checked whole,
//! against its own checksums, its seal and the chain, before anything in the data folder is touched, and
//! what was there is kept under another name.
//!
//! Refuses: overwriting without being told to; a backup that is damaged, of a newer version, or of another
//! key; the views, which are made anew; the evidence, which is kept for days only and can be copied as a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use redb::{
    Database, Key, ReadTransaction, TableDefinition, TableError, TableHandle, Value, WriteTransaction,
};
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;

use crate::archive::{Header, Reader, VERSION, Writer, Wrong};
use crate::caught::caught;
use crate::disk::Place;
use crate::error::StoreError;
use crate::keys::Keyring;
use crate::ledger::{Head, Ledger, file_in};
use crate::overlay::Held;
use crate::reading::Now;
use crate::salvage::{remove_if_there, set_aside, sync_folder};
use crate::tables::{EVENTS, GAPS, KEYS, each_of_register};
use crate::tail;

/// After so many bytes the backup is brought to disk, so that the ledger's commits never wait for more.
const SYNC_AFTER: usize = 1 << 20;
/// Rows written in one transaction.
const AT_ONCE: u64 = 50_000;
/// A ledger that is being brought back, until it is one.
const UNFINISHED: &str = "ledger.restoring.redb";

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    pub made_at: Moment,
    /// The end of the ledger then.
    pub last: Seq,
    pub entries: u64,
    /// Rows of the register.
    pub rows: u64,
}

/// What may be done with a ledger that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    Refuse,
    /// It is kept under another name.
    SetAside,
}

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub backup: Backup,
    /// Where the ledger is now that was there before.
    pub set_aside: Option<PathBuf>,
}

/// Backs up the ledger in `folder`, which no gateway may have open.
///
/// # Errors
/// The ledger cannot be read, or the file cannot be written, or is there already.
pub fn backup(
    folder: &Path,
    keys: impl Into<Keyring>,
    target: &Path,
    at: Moment,
) -> Result<Backup, StoreError> {
    of(&Ledger::open_unchanged(folder, &keys.into())?, target, at)
}

/// Backs up a ledger, open or not.
pub(crate) fn of(ledger: &Ledger, target: &Path, at: Moment) -> Result<Backup, StoreError> {
    let writing = |error: io::Error| StoreError::Backup { path: target.to_owned(), what: error.to_string() };
    if target.exists() {
        return Err(writing(io::ErrorKind::AlreadyExists.into()));
    }
    let mut part = target.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    // It holds what identifies people.
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part);
    let file = Paced { file: options.map_err(writing)?, unsynced: 0 };
    let backup = caught(|| write(ledger, file, at, &writing));
    let named = backup.and_then(|backup| {
        fs::rename(&part, target).map_err(writing)?;
        sync_folder(
            target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")),
        )?;
        Ok(backup)
    });
    if named.is_err() {
        remove_if_there(&part)?;
    }
    named
}

fn write(
    ledger: &Ledger,
    file: Paced,
    at: Moment,
    writing: &impl Fn(io::Error) -> StoreError,
) -> Result<Backup, StoreError> {
    // Everything is read as it is now; what the writer commits meanwhile goes elsewhere in the file.
    let now = ledger.now(Seq(0))?;
    let (read, last) = (&now.read, now.end()?);
    let header = Header::new(at, last, ledger.keys.root());
    let mut out = Writer::begin(file, &header, ledger.keys.root()).map_err(writing)?;
    let entries = copy_entries(&now, &mut out, writing)?;
    copy_out(read, GAPS, &mut out, writing)?;
    copy_out(read, KEYS, &mut out, writing)?;
    let mut rows = 0;
    macro_rules! copy {
        ($($table:ident),+) => { $(rows += copy_out(read, crate::tables::$table, &mut out, writing)?;)+ };
    }
    each_of_register!(copy);
    out.end().and_then(|paced| paced.file.sync_all()).map_err(writing)?;
    Ok(Backup { made_at: at, last, entries, rows })
}

fn copy_entries(
    now: &Now,
    out: &mut Writer<Paced>,
    writing: &impl Fn(io::Error) -> StoreError,
) -> Result<u64, StoreError> {
    let mut count = 0;
    now.rows(Seq(0), usize::MAX, |seq, bytes| {
        if count == 0 {
            out.table(EVENTS.name()).map_err(writing)?;
        }
        count += 1;
        out.row(&seq.to_le_bytes(), bytes).map_err(writing)
    })?;
    Ok(count)
}

fn copy_out<K: Key + 'static, V: Value + 'static>(
    read: &ReadTransaction,
    definition: TableDefinition<'static, K, V>,
    out: &mut Writer<Paced>,
    writing: &impl Fn(io::Error) -> StoreError,
) -> Result<u64, StoreError> {
    let table = match read.open_table(definition) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(0),
        table => table?,
    };
    out.table(definition.name()).map_err(writing)?;
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
struct Paced {
    file: File,
    unsynced: usize,
}

impl Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= SYNC_AFTER {
            self.file.sync_data()?;
            self.unsynced = 0;
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
    let Header { made_at, last, .. } = reader.header;
    let counts = reader.rows::<Refused>(|_, _, _| Ok(())).map_err(|refused| refused.of(path))?;
    let (mut entries, mut rows) = (0, 0);
    for (name, count) in &counts {
        match name.as_str() {
            name if name == EVENTS.name() => entries += count,
            name if [GAPS.name(), KEYS.name()].contains(&name) => {}
            _ => rows += count,
        }
    }
    Ok(Backup { made_at, last, entries, rows })
}

fn begin(path: &Path, keys: Option<&Keyring>) -> Result<Reader<BufReader<File>>, StoreError> {
    let refused = |wrong| Refused::Wrong(wrong).of(path);
    let file = File::open(path).map_err(|error| refused(Wrong::Io(error)))?;
    Reader::begin(BufReader::with_capacity(1 << 20, file), keys).map_err(refused)
}

/// Why a backup was not read to its end.
enum Refused {
    Wrong(Wrong),
    Store(StoreError),
}

impl From<Wrong> for Refused {
    fn from(wrong: Wrong) -> Self {
        Refused::Wrong(wrong)
    }
}

impl Refused {
    fn of(self, path: &Path) -> StoreError {
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

/// Brings a backup back as the ledger of `folder`, which no gateway may have open.
///
/// # Errors
/// There is no key, or not this one; the backup is not whole; a ledger is there and may not be replaced, or
/// somebody has it; or the new one cannot be written. Nothing has changed then.
pub fn restore(
    path: &Path,
    folder: &Path,
    keys: Option<&Keyring>,
    overwrite: Overwrite,
    at: Moment,
) -> Result<Restored, StoreError> {
    let keys = keys.ok_or_else(|| StoreError::NoKey { path: path.to_owned() })?;
    let backup = check_backup(path, Some(keys))?;
    let ledger = file_in(folder);
    let is_there = ledger.exists();
    if is_there && overwrite == Overwrite::Refuse {
        return Err(StoreError::IsThere { path: ledger });
    }
    // What is set aside is to be whole by itself, unless it is damaged.
    if is_there && let Err(error) = caught(|| Ledger::settle(folder)) {
        if !error.is_damage() {
            return Err(error);
        }
        tracing::warn!(%error, "the ledger that is replaced is damaged");
    }
    // Nobody may go on writing to what is set aside.
    let held = is_there.then(|| Held::take(&ledger)).transpose()?;
    let new = folder.join(UNFINISHED);
    remove_if_there(&new)?;
    let made = make(path, folder, keys, backup.last);
    if made.is_err() {
        remove_if_there(&new)?;
    }
    made?;
    let set_aside = is_there.then(|| set_aside(&ledger, "replaced", at)).transpose()?;
    match &set_aside {
        Some(ledger) => tail::set_aside(folder, ledger)?,
        None => tail::put_foreign_aside(&Place::from(folder))?,
    }
    // They have followed another ledger, perhaps further.
    remove_if_there(&folder.join("views.redb"))?;
    fs::rename(&new, &ledger).map_err(redb::Error::Io)?;
    sync_folder(folder)?;
    drop(held);
    Ok(Restored { backup, set_aside })
}

/// Makes a ledger of a backup, and checks its chain.
fn make(path: &Path, folder: &Path, keys: &Keyring, last: Seq) -> Result<(), StoreError> {
    caught(|| {
        let database = Database::create(folder.join(UNFINISHED))?;
        let mut loading = Loading { database, transaction: None, rows: 0 };
        let put =
            |name: &str, key: &[u8], value: &[u8]| loading.put(name, key, value).map_err(Refused::Store);
        let rows = begin(path, Some(keys))?.rows(put);
        rows.map_err(|refused| refused.of(path))?;
        loading.commit()
    })?;
    let ledger = Ledger::open_unnamed(folder, UNFINISHED, keys)?;
    let end = ledger.walk(Head::START, drop)?.last;
    if end == last { Ok(()) } else { Err(StoreError::Lost { seq: last.0 }) }
}

/// A ledger that rows are put into.
struct Loading {
    database: Database,
    transaction: Option<WriteTransaction>,
    rows: u64,
}

impl Loading {
    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if self.rows.is_multiple_of(AT_ONCE) {
            self.commit()?;
        }
        self.rows += 1;
        let transaction = match self.transaction.take() {
            Some(transaction) => transaction,
            None => self.database.begin_write()?,
        };
        macro_rules! put {
            ($($table:ident),+) => {$(
                if table == crate::tables::$table.name() {
                    put_row(&transaction, crate::tables::$table, key, value)?;
                }
            )+};
        }
        put!(EVENTS, GAPS, KEYS);
        each_of_register!(put);
        self.transaction = Some(transaction);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.transaction.take().map_or(Ok(()), |transaction| Ok(transaction.commit()?))
    }
}

fn put_row<K: Key + 'static, V: Value + 'static>(
    transaction: &WriteTransaction,
    table: TableDefinition<'_, K, V>,
    key: &[u8],
    value: &[u8],
) -> Result<(), StoreError> {
    transaction.open_table(table)?.insert(K::from_bytes(key), V::from_bytes(value))?;
    Ok(())
}
