//! Backups, brought back.
//!
//! Promises: what is brought back is checked whole, against its own checksums, its seal and the chain, before
//! anything in the data folder is touched, and what was there is kept under another name; where there is no
//! ledger, or more than its file has to take another's place, one that is cut short is marked, and the next
//! start completes it.
//!
//! Refuses: overwriting without being told to; a backup that is damaged, of a newer version, or of another
//! key. Evidence stays as it is unless the backup holds some.

use std::path::{Path, PathBuf};

use redb::{Key, ReadableDatabase as _, TableDefinition, TableHandle as _, Value, WriteTransaction};
use rollcall_domain::moment::Moment;

use crate::backup::{Backup, EVIDENCE, OF_EVIDENCE, Refused, begin, check_backup};
use crate::caught::caught;
use crate::error::StoreError;
use crate::events;
use crate::evidence;
use crate::keys::Keyring;
use crate::ledger::{Head, Ledger, file_in};
use crate::names::{clear_away, remove_if_there};
use crate::overlay::{Held, look_at};
use crate::placing::{
    Made, Stage, UNFINISHED, UNFINISHED_EVIDENCE, Unnamed, parts_of_restore, put_in_place, set_ledger_aside,
    unneeded_parts,
};
use crate::steps::Steps;
use crate::tables::{CHECKPOINT_AGAIN, EVENTS, each_of_register};
use crate::upgrade::Upgrade;
use crate::{checkpoint, tail, upgrade};

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
    /// Where its tail is now; the two belong together.
    pub tail_set_aside: Option<PathBuf>,
    /// The same of the evidence, if the backup brought other.
    pub evidence_set_aside: Option<PathBuf>,
}

/// Brings a backup back as the ledger of `folder`, which no gateway may have open.
///
/// # Errors
/// There is no key, or not this one; the backup is not whole; a ledger is there and may not be replaced, or
/// somebody has it; or the new one cannot be written. The ledger is then as it was, unless
/// [`Upgrade::unfinished`] tells of a restore.
pub fn restore(
    path: &Path,
    folder: &Path,
    keys: Option<&Keyring>,
    overwrite: Overwrite,
    at: Moment,
) -> Result<Restored, StoreError> {
    let keys = keys.ok_or_else(|| StoreError::NoKey { path: path.to_owned() })?;
    let backup = check_backup(path, Some(keys))?;
    let (ledger, evidence) = (file_in(folder), folder.join(EVIDENCE));
    let is_there = ledger.exists();
    let other_evidence = backup.evidence.is_some() && evidence.exists();
    for (path, is_there) in [(&ledger, is_there), (&evidence, other_evidence)] {
        if is_there && overwrite == Overwrite::Refuse {
            return Err(StoreError::IsThere { path: path.clone() });
        }
    }
    let unfinished = Upgrade::unfinished(folder)?;
    let is_whole = !is_there || settle(folder, keys)?;
    // Nobody may go on writing to what is set aside.
    let held = is_there.then(|| Held::take(&ledger)).transpose()?;
    // Nobody may go on with what is made of this backup before it is whole.
    let unfinished = unfinished.map(Upgrade::start_over).transpose()?;
    for file in parts_of_restore(folder) {
        remove_if_there(&file)?;
    }
    // Where no ledger is, nothing else would tell later that there was one.
    let several = unfinished.is_some() || backup.evidence.is_some() || !is_whole || !is_there;
    let restored = make(path, folder, keys, &backup).and_then(|()| {
        let known = unfinished.as_ref().and_then(|left| left.stage.set_aside.as_deref());
        let set_aside = set_ledger_aside(folder, known, at)?;
        let with_evidence = backup.evidence.is_some();
        if several {
            let made = if with_evidence { Made::WithEvidence } else { Made::Ledger };
            let stage = Stage { made, set_aside: set_aside.clone() };
            upgrade::will_restore(folder, path, unfinished.as_ref(), &stage)?;
        }
        let unnamed = Unnamed { ledger: true, evidence: with_evidence };
        let (tail_set_aside, evidence_set_aside) = put_in_place(folder, set_aside.as_deref(), unnamed)?;
        Ok(Restored { backup, set_aside, tail_set_aside, evidence_set_aside })
    });
    if restored.is_err() {
        unneeded_parts(folder).iter().for_each(|file| clear_away(file));
    }
    let restored = restored?;
    if several {
        upgrade::forget(folder)?;
    }
    drop(held);
    Ok(restored)
}

/// Makes what is set aside whole by itself; tells whether it is, for else its tail is needed, too. Into a file
/// with damaged pages nothing is written: what lies in it is what can be salvaged.
fn settle(folder: &Path, keys: &Keyring) -> Result<bool, StoreError> {
    let settled = match look_at(&file_in(folder)) {
        Ok(look) if look.is_sound() => caught(|| Ledger::settle(folder, keys)).map(|()| true),
        looked => looked.map(|_damaged| false),
    };
    match settled {
        Err(error @ StoreError::InUse { .. }) => Err(error),
        settled => Ok(settled.unwrap_or(false) || !tail::file_in(folder).exists()),
    }
}

/// Makes a ledger of a backup, and evidence if there is some in it, and checks them.
fn make(path: &Path, folder: &Path, keys: &Keyring, backup: &Backup) -> Result<(), StoreError> {
    caught(|| {
        let steps = Steps::into_new(&folder.join(UNFINISHED))?;
        let mut loading = Loading { steps, entries: Vec::new(), copies: false };
        let new_evidence = || evidence::Loading::into_new(&folder.join(UNFINISHED_EVIDENCE));
        let mut evidence = backup.evidence.map(|_items| new_evidence()).transpose()?;
        let put = |name: &str, key: &[u8], value: &[u8]| {
            let put = match (name.strip_prefix(OF_EVIDENCE), &mut evidence) {
                (Some(name), Some(evidence)) => evidence.put(name, key, value),
                _ => loading.put(name, key, value),
            };
            put.map_err(Refused::Store)
        };
        let rows = begin(path, Some(keys))?.rows(put);
        rows.map_err(|refused| refused.of(path))?;
        evidence.map_or(Ok(()), evidence::Loading::end)?;
        loading.end_step()
    })?;
    let ledger = Ledger::open_unnamed(folder, UNFINISHED, keys)?;
    checkpoint::rows(&ledger.database()?.begin_read()?, &ledger.keys, |_key, _bytes| Ok(()))?;
    let (end, last) = (ledger.walk(Head::START, drop)?.last, backup.last);
    if end == last { Ok(()) } else { Err(StoreError::Lost { seq: last.0 }) }
}

/// A ledger that rows are put into.
struct Loading {
    steps: Steps,
    /// To be put in together.
    entries: Vec<(u64, Vec<u8>)>,
    /// The second copies of a checkpoint are coming.
    copies: bool,
}

impl Loading {
    fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        // The copies of a checkpoint would lie side by side if they were written together.
        let begins_copy = table == CHECKPOINT_AGAIN.name() && !std::mem::replace(&mut self.copies, true);
        if begins_copy || self.steps.is_full() {
            self.end_step()?;
        }
        let transaction = self.steps.take(key.len() + value.len())?;
        if table == EVENTS.name() {
            self.entries.push((u64::from_bytes(key), value.to_vec()));
        }
        macro_rules! put {
            ($($table:ident),+) => {$(
                if table == crate::tables::$table.name() {
                    put_row(transaction, crate::tables::$table, key, value)?;
                }
            )+};
        }
        put!(GAPS, CHECKPOINT, CHECKPOINT_AGAIN, KEYS);
        each_of_register!(put);
        Ok(())
    }

    fn end_step(&mut self) -> Result<(), StoreError> {
        let Some(transaction) = self.steps.taken() else { return Ok(()) };
        let entries = self.entries.iter().map(|(seq, bytes)| (*seq, bytes.as_slice()));
        events::insert(&mut transaction.open_table(EVENTS)?, entries)?;
        self.entries.clear();
        self.steps.end()
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
