//! Backups, made while the gateway runs.
//!
//! Promises: a backup is the ledger, its row of keys and its register as they were at one moment, and, if
//! asked for, the evidence as it was right after; the writer is not held up; it can be checked whole; what is
//! copied is looked through on the way, so that nothing damaged has a backup that nobody could bring back.
//!
//! Refuses: overwriting; the views, which are made anew; leaving evidence out that was asked for and cannot
//! be read. Bringing back is [`mod@crate::restore`]'s.

use std::fs::File;
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::Path;

use redb::{Key, ReadTransaction, TableDefinition, TableError, TableHandle as _, Value};
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;

use crate::archive::{Header, PLAIN, Reader, VERSION, WITH_EVIDENCE, Wrong};
use crate::backup_file::{self, BackupFile, Out, Watch};
use crate::caught::caught;
use crate::error::StoreError;
use crate::evidence::tables::each_copied;
use crate::evidence::{self, Evidence};
use crate::keys::{Keyring, Keys};
use crate::ledger::{Head, Ledger, file_in};
use crate::overlay::{Look, look_at};
use crate::reading::Now;
use crate::tables::{CHECKPOINT, CHECKPOINT_AGAIN, EVENTS, GAPS, KEYS, each_of_register};
use crate::{checkpoint, codec, ended};

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
    let Look::Damaged(what) = look_at(&path)? else { return ended::open_unchanged(folder, keys) };
    match caught(|| Ledger::open_unchanged(folder, keys)?.walk(Head::START, drop)) {
        Err(error @ (StoreError::Damaged { .. } | StoreError::Hole { .. })) => Err(error),
        _ => Err(StoreError::Broken { path, what }),
    }
}

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
    backup_file::make(target, watch, |file| ledger.noted(caught(|| write(ledger, evidence, file, at))))
}

fn write(
    ledger: &Ledger,
    evidence: Option<Source<'_>>,
    file: BackupFile<'_>,
    at: Moment,
) -> Result<Backup, StoreError> {
    // Everything is read as it is now; what the writer commits meanwhile goes elsewhere in the file.
    let now = ledger.now(Seq(0))?;
    let (read, last) = (&now.read, now.end()?);
    let header = Header::new(at, last, ledger.keys.root());
    let version = if evidence.is_some() { WITH_EVIDENCE } else { PLAIN };
    let mut out = file.begin(version, &header, ledger.keys.root())?;
    let entries = copy_entries(ledger, &now, &mut out)?;
    copy_out(read, GAPS, &mut out)?;
    for copy in [CHECKPOINT, CHECKPOINT_AGAIN] {
        copy_checkpoint(read, &ledger.keys, copy.name(), &mut out)?;
    }
    // Without its row of keys nothing of it could be read.
    if entries > 0 {
        ledger.keys.check(&*ledger.database()?)?;
    }
    copy_out(read, KEYS, &mut out)?;
    let mut rows = 0;
    macro_rules! copy {
        ($($table:ident),+) => { $(rows += copy_out(read, crate::tables::$table, &mut out)?;)+ };
    }
    each_of_register!(copy);
    drop(now);
    let evidence = evidence.map(|source| write_evidence(source, &mut out)).transpose()?;
    out.end()?;
    Ok(Backup { made_at: at, last, entries, rows, evidence, is_tail_foreign: ledger.is_tail_foreign })
}

/// Tells how many items it has.
fn write_evidence(source: Source<'_>, out: &mut Out<'_>) -> Result<u64, StoreError> {
    let copy = |read: &ReadTransaction| {
        let mut proof = evidence::Proof::of(read)?;
        macro_rules! copy {
            ($($table:ident),+) => { [$({
                let table = evidence::tables::$table;
                let name = table.name();
                let seen = |key: &[u8], value: &[u8]| proof.see(name, key, value);
                copy_each(read, table, &format!("{OF_EVIDENCE}{name}"), out, seen)?
            }),+] };
        }
        let [_totals, items, _bytes] = each_copied!(copy);
        proof.end()?;
        Ok(items)
    };
    match source {
        Source::Open(evidence) => evidence.look(copy),
        Source::Closed(path) => Ok(evidence::look_at_closed(path, copy)?.unwrap_or_default()),
    }
}

/// Each as it was written, once the chain has led to it.
fn copy_entries(ledger: &Ledger, now: &Now, out: &mut Out<'_>) -> Result<u64, StoreError> {
    let (mut count, start, last) = (0, now.start()?.last, now.end()?);
    let mut put = |seq: Seq, bytes: &[u8]| {
        if count == 0 {
            out.table(EVENTS.name())?;
        }
        count += 1;
        out.row(&seq.0.to_le_bytes(), bytes)
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
    keys: &Keys,
    table: &str,
    out: &mut Out<'_>,
) -> Result<(), StoreError> {
    let mut is_first = true;
    checkpoint::rows(read, keys, |key, bytes| {
        if std::mem::take(&mut is_first) {
            out.table(table)?;
        }
        out.row(<(u64, u32) as Value>::as_bytes(&key).as_ref(), bytes)
    })
}

fn copy_out<K: Key + 'static, V: Value + 'static>(
    read: &ReadTransaction,
    table: TableDefinition<'static, K, V>,
    out: &mut Out<'_>,
) -> Result<u64, StoreError> {
    copy_each(read, table, table.name(), out, |_key, _value| Ok(()))
}

/// Under this name; `seen` is shown every row first.
fn copy_each<K: Key + 'static, V: Value + 'static>(
    read: &ReadTransaction,
    table: TableDefinition<'static, K, V>,
    name: &str,
    out: &mut Out<'_>,
    mut seen: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    let table = match read.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(0),
        table => table?,
    };
    out.table(name)?;
    let mut count = 0;
    for row in table.range::<K::SelfType<'_>>(..)? {
        let (key, value) = row?;
        let (key, value) = (key.value(), value.value());
        let (key, value) = (K::as_bytes(&key), V::as_bytes(&value));
        seen(key.as_ref(), value.as_ref())?;
        out.row(key.as_ref(), value.as_ref())?;
        count += 1;
    }
    Ok(count)
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
