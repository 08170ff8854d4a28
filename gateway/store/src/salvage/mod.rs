//! A new ledger from what is left of a damaged one.
//!
//! Promises: every entry that lies intact in the file, or in the tail beside it, is in the new ledger, under its
//! own sequence and with its own bytes; what is gone is named by ranges, in the new ledger too, so that it never
//! passes for whole; rows of the register come along as far as pages lead to them; the damaged file is kept
//! under another name; until the new ledger is whole and on disk, nothing is changed.
//!
//! Refuses: a file that another process has, that a newer version wrote, or of which the key proves
//! nothing: those are not damaged, and starting over from them would lose what is in them; one that was told to
//! forget entries and lost what stands for them.

mod begun;
mod choose;
mod pages;
mod scan;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, Key, TableDefinition, Value, WriteTransaction};
use rollcall_domain::event::Event;
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::Clock;

use crate::caught::caught;
use crate::change::Change;
use crate::codec;
use crate::error::StoreError;
use crate::events;
use crate::gaps::Gap;
use crate::keys::{Keyring, Keys, put};
use crate::ledger::{Head, Ledger, file_in};
use crate::names::{keep_aside, remove_if_there, sync_folder};
use crate::overlay::{Held, Look};
use crate::register::forget_person;
use crate::tables::{CHECKPOINT, CHECKPOINT_AGAIN, EVENTS, GAPS, KEYS, each_of_register};
use crate::{tail, views};
use begun::{Begun, begun};
use choose::{Chosen, choose};
use pages::Rows;
use scan::{Source, scan};

/// Entries written in one transaction.
const AT_ONCE: usize = 16_384;
/// The new ledger, until it is one.
pub(crate) const UNFINISHED: &str = "ledger.salvaging.redb";

/// What became of a damaged ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// Entries that are in the new ledger.
    pub entries: usize,
    /// Of those, whose own link of the chain was damaged and could be restored.
    pub mended: usize,
    /// What the new ledger has lost, now and before.
    pub gaps: Vec<Gap>,
    /// Rows of the register that are in the new ledger.
    pub rows: u64,
    /// Rows that were in the old one and could not be found, as far as that is known.
    pub rows_lost: u64,
    /// Where the damaged file is now.
    pub set_aside: PathBuf,
}

/// Salvages the ledger in `folder` if a look at its pages has found it damaged.
pub(crate) fn if_damaged(
    folder: &Path,
    look: Look,
    keys: &Keyring,
    clock: &dyn Clock,
) -> Result<Option<Salvaged>, StoreError> {
    match look {
        Look::Absent | Look::Whole | Look::Unclosed => {
            views::forget_put_aside(folder).map_err(redb::Error::Io)?;
            Ok(None)
        }
        Look::Damaged(what) => because_of(folder, keys, clock, &what).map(Some),
    }
}

/// Salvages, and says so in the log.
pub(crate) fn because_of(
    folder: &Path,
    keys: &Keyring,
    clock: &dyn Clock,
    what: &str,
) -> Result<Salvaged, StoreError> {
    tracing::error!(what, "the ledger is damaged; everything in it that is intact is brought into a new one");
    let salvaged = from_damaged(folder, keys, clock.now())?;
    let Salvaged { entries, mended, rows, rows_lost, set_aside, .. } = &salvaged;
    tracing::warn!(
        entries, mended, rows, rows_lost, set_aside = %set_aside.display(),
        "the ledger was salvaged; the damaged file is kept: check the disk, and keep the file until somebody has looked at it"
    );
    for Gap { first, last, .. } in &salvaged.gaps {
        tracing::error!(
            first = first.0,
            last = last.0,
            "entries of the ledger are lost; a backup may have them"
        );
    }
    Ok(salvaged)
}

/// Makes a new ledger of what is intact in the one in `folder`, and sets that one aside.
///
/// # Errors
/// The file is another's, its row of keys is gone, or nothing in it can be proven with this key; or the new
/// ledger cannot be written. The old one is then as it was.
pub fn salvage(folder: &Path, keys: impl Into<Keyring>, at: Moment) -> Result<Salvaged, StoreError> {
    from_damaged(folder, &keys.into(), at)
}

fn from_damaged(folder: &Path, ring: &Keyring, at: Moment) -> Result<Salvaged, StoreError> {
    let path = file_in(folder);
    let tail = tail::bytes_in(folder)?;
    let source = Source::new(Held::take(&path)?, tail.all.clone())?;
    let found = scan(&source)?;
    let tables = tables(&source);
    let rows: Vec<_> = keys_in(&tables).collect();
    let (keys, row_of_keys) = Keys::found(&rows, &found.keys, ring)?;
    let (source, found) = match tail::is_foreign(&tail, keys.ledger()) {
        true => {
            let source = source.without_tail();
            let found = scan(&source)?;
            (source, found)
        }
        false => (source, found),
    };
    // The views may have seen what is gone without a trace.
    let known_last = views::last_in(folder).max(tail::last_unread(&tail, keys.ledger()));
    let key = |seq| *keys.chain(Seq(seq));
    let begun = begun(&source, &found, &key)?;
    let start = begun.as_ref().map_or(Head::START, Begun::head);
    let chosen = choose(&source, &found, &key, start, known_last, at)?;
    begun::check(begun.as_ref(), &found, &chosen, &key)?;

    let new = folder.join(UNFINISHED);
    remove_if_there(&new)?;
    let written = caught(|| write(&new, &source, &chosen, begun.as_ref(), (&row_of_keys, &tables)));
    let made = written.and_then(|(rows, lost)| {
        let ledger = Ledger::open_unnamed(folder, UNFINISHED, ring)?;
        ledger.walk(Head::START, drop)?;
        Ok((rows, lost, ledger.gaps()?))
    });
    if made.is_err() {
        // Most likely the disk is full, and needs the place.
        remove_if_there(&new)?;
    }
    let (rows, rows_lost, gaps) = made?;
    let set_aside = keep_aside(&path, "damaged", at)?;
    // They may have seen what is in a gap now.
    views::put_aside(folder).map_err(redb::Error::Io)?;
    sync_folder(folder)?;
    fs::rename(&new, &path).map_err(redb::Error::Io)?;
    sync_folder(folder)?;
    tail::set_aside(folder, &set_aside)?;
    views::forget_put_aside(folder).map_err(redb::Error::Io)?;
    let mended = chosen.kept.iter().filter(|kept| kept.mended).count();
    Ok(Salvaged { entries: chosen.kept.len(), mended, gaps, rows, rows_lost, set_aside })
}

/// Rows of the register and of keys, as far as pages lead to them.
fn tables(source: &Source) -> Tables {
    macro_rules! names {
        ($($table:ident),+) => { [
            redb::TableHandle::name(&KEYS),
            $(redb::TableHandle::name(&crate::tables::$table)),+
        ] };
    }
    pages::tables(source, &each_of_register!(names))
}

fn keys_in(tables: &Tables) -> impl Iterator<Item = Vec<u8>> {
    let found = tables.get(redb::TableHandle::name(&KEYS));
    found.into_iter().flat_map(|rows| rows.rows.values().cloned())
}

type Tables = std::collections::BTreeMap<String, Rows>;

/// Tells how many rows of the register were written, and how many were lost.
fn write(
    path: &Path,
    source: &Source,
    chosen: &Chosen,
    begun: Option<&Begun>,
    (row_of_keys, register): (&[u8], &Tables),
) -> Result<(u64, u64), StoreError> {
    let database = Database::create(path)?;
    if let Some(begun) = begun {
        begun.write(&database, source, CHECKPOINT)?;
    }
    let mut erased = Vec::new();
    for some in chosen.kept.chunks(AT_ONCE) {
        let mut entries = Vec::with_capacity(some.len());
        for kept in some {
            let bytes = source.entry(&kept.found)?;
            let decoded = codec::decode(kept.found.seq, &bytes)?;
            let bytes = if kept.mended { decoded.relinked(&kept.chain, &bytes) } else { bytes };
            if let Event::Erased(person) = decoded.entry.event {
                erased.push(person);
            }
            entries.push((kept.found.seq, bytes));
        }
        let transaction = database.begin_write()?;
        let entries = entries.iter().map(|(seq, bytes)| (*seq, bytes.as_slice()));
        events::insert(&mut transaction.open_table(EVENTS)?, entries)?;
        transaction.commit()?;
    }
    let transaction = database.begin_write()?;
    put(&transaction, row_of_keys)?;
    for row in &chosen.gaps {
        transaction.open_table(GAPS)?.insert(row.gap.first.0, row.bytes().as_slice())?;
    }
    let counted = write_register(&transaction, register)?;
    transaction.commit()?;
    if let Some(begun) = begun {
        begun.write(&database, source, CHECKPOINT_AGAIN)?;
    }
    let change = Change::of(Arc::new(database));
    for person in erased {
        forget_person(&change, person)?;
    }
    change.commit()?;
    Ok(counted)
}

fn write_register(transaction: &WriteTransaction, found: &Tables) -> Result<(u64, u64), StoreError> {
    let (mut written, mut lost) = (0, 0);
    macro_rules! copy {
        ($($table:ident),+) => {$(
            let name = redb::TableHandle::name(&crate::tables::$table).to_owned();
            if let Some(rows) = found.get(&name) {
                let copied = copy_rows(transaction, crate::tables::$table, rows)?;
                written += copied;
                lost += rows.expected.saturating_sub(copied);
            }
        )+};
    }
    each_of_register!(copy);
    Ok((written, lost))
}

fn copy_rows<K: Key + 'static, V: Value + 'static>(
    transaction: &WriteTransaction,
    table: TableDefinition<'_, K, V>,
    found: &Rows,
) -> Result<u64, StoreError> {
    let mut table = transaction.open_table(table)?;
    let mut copied = 0;
    for (key, value) in &found.rows {
        if K::fixed_width().is_some_and(|width| width != key.len()) {
            continue;
        }
        // Bytes that are no text, for one, are refused by a panic.
        let read = caught(|| Ok((K::from_bytes(key), V::from_bytes(value))));
        if let Ok((key, value)) = read {
            table.insert(key, value)?;
            copied += 1;
        }
    }
    Ok(copied)
}
