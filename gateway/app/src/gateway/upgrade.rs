//! What an earlier start left half done, and a key that was replaced.
//!
//! Promises: a change of a stored format that was cut short is undone before anything is opened, and a restore
//! completed, and the log says so; a replaced key that is not needed any more is remarked.
//!
//! Refuses: changing a format. No version has had to yet.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rollcall_config::settings;
use rollcall_domain::ports::Clock;
use rollcall_store::{Store, Upgrade};

use crate::keys;

/// Brings back what was there before a change that did not come to its end. Called before the key is loaded:
/// the change may have left no ledger, which is not the time to ask for one.
///
/// # Errors
/// There is no key, or the backup from before the change cannot be brought back.
pub(super) fn undo_unfinished(settings: &settings::Store, data: &Path, clock: &dyn Clock) -> Result<()> {
    let Some(unfinished) = Upgrade::unfinished(data)? else { return Ok(()) };
    let keys = keys::of_ledger(settings, data)?;
    let backup = unfinished.backup.display().to_string();
    let is_restore = unfinished.is_restore;
    let mark = unfinished.mark().display().to_string();
    // Without a ledger that would begin an empty one.
    let way_out = match is_restore && Store::is_in(data) {
        true => format!("or delete {mark} to go on with the ledger that is there now"),
        false => format!("{mark} keeps the gateway from starting until then"),
    };
    let undone = unfinished.undo(&keys, clock.now());
    let undone = undone.with_context(|| {
        let failed = match is_restore {
            true => format!("a restore of {backup} was cut short and cannot be completed"),
            false => {
                format!("a change of the stored format was cut short and cannot be undone from {backup}")
            }
        };
        format!("{failed}; put that file back, or restore another; {way_out}")
    })?;
    let what = match is_restore {
        true => "a restore was cut short; it is completed, and what was there is kept",
        false => "a change of the stored format was cut short; it is undone, and what it had come to is kept",
    };
    let shown = |path: Option<PathBuf>| path.map(|path| path.display().to_string());
    tracing::warn!(
        backup,
        last = undone.last.0,
        set_aside = shown(undone.set_aside),
        tail_set_aside = shown(undone.tail_set_aside),
        evidence_set_aside = shown(undone.evidence_set_aside),
        "{what}"
    );
    Ok(())
}

/// Tells when the key that was replaced can be taken away.
pub(super) fn remark_replaced(settings: &settings::Store, store: &Store) {
    if settings.replaced_key_file.is_some() && !store.is_resealing() {
        tracing::warn!(
            "nothing lies under the replaced sealing key any more; take store.replaced_key_file out of the \
             settings, and keep the file only for backups that were made under it"
        );
    }
}
