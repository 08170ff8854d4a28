//! Is everything still as it was written?
//!
//! Promises: every entry of the ledger is looked at, and the first that is damaged, missing or not the one
//! that was written is named, also beyond the end if the views have seen it; every page of the file is looked
//! at; what the ledger lost earlier is named; the views are compared, row by row and as far as they are, with
//! views made anew; of what is looked at in a real folder nothing is changed; an open store goes on meanwhile,
//! and its writer waits for nothing.
//!
//! Refuses: mending. Views that differ are made anew by deleting their file, damaged ones by the next start;
//! a ledger is salvaged.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;

use crate::caught::{caught, let_go};
use crate::checkpoint::{self, Forgotten};
use crate::disk::Place;
use crate::ended;
use crate::error::StoreError;
use crate::gaps::Gap;
use crate::keys::Keyring;
use crate::ledger::{Head, Ledger, file_in};
use crate::overlay::{Look, look_at};
use crate::views::{Kept, Views, ViewsFile, difference, heads};

/// How many entries are folded at a time.
const AT_ONCE: usize = 16_384;

/// What was found to be in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The last entry of the ledger; its chain is whole, but for the gaps.
    pub last: Seq,
    /// What the ledger is known to have lost.
    pub gaps: Vec<Gap>,
    /// What the ledger was told to forget; it is checked from there on.
    pub forgotten: Option<Forgotten>,
    /// A tail lies beside it that is another ledger's, and was left out.
    pub is_tail_foreign: bool,
    /// The first row of the views that is not what the ledger makes it, or that the views cannot be read;
    /// nothing if all is in order, or there are no views.
    pub difference: Option<String>,
}

/// Walks the chain of the ledger in `folder`, which no gateway may have open; if asked to, also makes the
/// views anew in `scratch`, an empty folder, and compares.
///
/// # Errors
/// The ledger is damaged, or a file cannot be read.
pub fn verify(
    folder: &Path,
    keys: impl Into<Keyring>,
    scratch: Option<&Path>,
) -> Result<Verified, StoreError> {
    verify_at(&Place::from(folder), keys, scratch.map(Place::from).as_ref())
}

/// The same, and hands out every entry on the way, in order, each once the chain has led to it.
///
/// # Errors
/// As [`verify`]; what was handed out until then is what it was.
pub fn verify_each(
    folder: &Path,
    keys: impl Into<Keyring>,
    scratch: Option<&Path>,
    mut each: impl FnMut(Entry),
) -> Result<Verified, StoreError> {
    look(&Place::from(folder), &keys.into(), scratch.map(Place::from).as_ref(), &mut each)
}

/// The same, wherever the files lie.
///
/// # Errors
/// The ledger is damaged, or a file cannot be read.
pub fn verify_at(
    place: &Place,
    keys: impl Into<Keyring>,
    scratch: Option<&Place>,
) -> Result<Verified, StoreError> {
    look(place, &keys.into(), scratch, &mut drop)
}

fn look(
    place: &Place,
    keys: &Keyring,
    scratch: Option<&Place>,
    each: &mut dyn FnMut(Entry),
) -> Result<Verified, StoreError> {
    let Some(folder) = place.disk.folder() else {
        return walk(&Ledger::open_as_it_is(place, keys)?, place, scratch, each);
    };
    let open = || Ledger::open_unchanged(folder, keys);
    ended::refuse_empty(folder)?;
    let path = file_in(folder);
    match look_at(&path)? {
        Look::Whole | Look::Unclosed => caught(|| walk(&open()?, place, scratch, each)),
        Look::Absent => Err(StoreError::opening(path, redb::Error::Io(io::ErrorKind::NotFound.into()))),
        // Pages are damaged; which entries they hold is told, if any entry can still be reached.
        Look::Damaged(what) => match caught(|| walk(&open()?, place, None, each)) {
            Err(error @ (StoreError::Damaged { .. } | StoreError::Hole { .. })) => Err(error),
            _ => Err(StoreError::Broken { path, what }),
        },
    }
}

fn walk(
    ledger: &Ledger,
    place: &Place,
    scratch: Option<&Place>,
    each: &mut dyn FnMut(Entry),
) -> Result<Verified, StoreError> {
    let end = ledger.walk(Head::START, each)?;
    if let Some(folder) = place.disk.folder() {
        ended::check(folder, end.last)?;
    }
    let gaps = ledger.gaps()?;
    let forgotten = checkpoint::check(ledger)?;
    let difference = match scratch {
        None => None,
        Some(scratch) => compare(ledger, place, scratch)?,
    };
    Ok(Verified { last: end.last, gaps, forgotten, is_tail_foreign: ledger.is_tail_foreign, difference })
}

/// The first difference between the views that are there and such as are made anew in `scratch`.
fn compare(ledger: &Ledger, place: &Place, scratch: &Place) -> Result<Option<String>, StoreError> {
    let start = ledger.start()?;
    let is_behind = |head: Head| head.last < start.last;
    let looked = caught(|| ViewsFile::open_as_it_is(place, |head| Ok(is_behind(head) || ledger.has(head)?)));
    let mut kept = match looked {
        // They will be made anew.
        Ok(Kept::File(file)) if is_behind(file.head()) => return Ok(None),
        Ok(Kept::File(file)) => file,
        Ok(Kept::Absent) => return Ok(None),
        Ok(Kept::Foreign) => {
            return Ok(Some("views.redb is of another ledger, or of another version".to_owned()));
        }
        Err(error) => return if_damaged(error),
    };
    // No further than those that are there: what would be folded into them now could cover a difference.
    let anew = made_anew(ledger, scratch, (kept.head(), kept.head()), &mut |_| ControlFlow::Continue(()))?;
    let compared = caught(|| {
        // Those that have seen nothing yet need not say so, but these do.
        kept.commit(kept.head(), true)?;
        difference(&kept.snapshot()?, &anew.snapshot()?, &mut || Ok(()))
    });
    let_go(kept);
    compared.or_else(if_damaged)
}

/// The ledger has been walked, and the other views are new: whatever is damaged is the views that were
/// there.
fn if_damaged(error: StoreError) -> Result<Option<String>, StoreError> {
    if !error.is_damage() {
        return Err(error);
    }
    tracing::warn!(%error, "the views cannot be compared");
    Ok(Some("views.redb cannot be read: it is damaged".to_owned()))
}

/// What an open store has, up to what is its end now.
pub(crate) fn of_open(
    ledger: &Ledger,
    views: &Views,
    scratch: Option<&Path>,
    watch: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Verified, StoreError> {
    caught(|| {
        let (to, rounds) = (ledger.end()?, if scratch.is_some() { 2 } else { 1 });
        let all = to.0.saturating_mul(rounds);
        let mut head = Head::START;
        loop {
            // In steps, so that between two of them nothing is held on to.
            let next = match ledger.walk_some(head, AT_ONCE, drop) {
                // Meanwhile: the ledger begins later now.
                Err(StoreError::Forgotten { .. }) => ledger.walk_some(Head::START, AT_ONCE, drop)?,
                next => next?,
            };
            let is_end = next == head || next.last >= to;
            head = next;
            go_on(watch(head.last.0.min(to.0), all))?;
            if is_end {
                break;
            }
        }
        let gaps = ledger.gaps()?;
        let forgotten = checkpoint::check(ledger)?;
        let mut watch = |done: u64| watch(to.0.saturating_add(done).min(all), all);
        let difference = match scratch {
            None => None,
            Some(scratch) => compare_open(ledger, views, &scratch.into(), &mut watch)?,
        };
        Ok(Verified { last: to, gaps, forgotten, is_tail_foreign: false, difference })
    })
}

/// The first difference between what is shown now and views that are made anew.
fn compare_open(
    ledger: &Ledger,
    views: &Views,
    scratch: &Place,
    watch: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Option<String>, StoreError> {
    let (kept, head, anew) = loop {
        let kept = views.now();
        let (head, parts) = match heads(&kept) {
            Ok(heads) => heads,
            Err(error) => return if_damaged(error),
        };
        if head == Head::START {
            return Ok(None);
        }
        match made_anew(ledger, scratch, (head, parts), watch) {
            // Meanwhile, and what is shown by now is further.
            Err(StoreError::Forgotten { .. }) if views.now().head() != head => {}
            anew => break (kept, head, anew?),
        }
    };
    let mut ask = || go_on(watch(head.last.0));
    let compared = caught(|| difference(&kept, &anew.snapshot()?, &mut ask));
    let_go(anew);
    compared.or_else(if_damaged)
}

/// Views made anew, as far as the first of `to`, with the rows of campus and office as they were at the
/// second; both are in the ledger.
pub(crate) fn made_anew(
    ledger: &Ledger,
    scratch: &Place,
    to: (Head, Head),
    watch: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<ViewsFile, StoreError> {
    // What was left there before is of no use.
    let mut file = ViewsFile::open(scratch, |head| Ok(head == Head::START))?;
    let (all, parts) = to;
    if parts != Head::START || all == parts {
        bring(&mut file, ledger, (parts, true), watch)?;
    }
    if all != parts {
        bring(&mut file, ledger, (all, false), watch)?;
    }
    Ok(file)
}

/// Folds in what comes up to `to`; lasting commits write campus and office, too.
fn bring(
    file: &mut ViewsFile,
    ledger: &Ledger,
    (to, lasting): (Head, bool),
    watch: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    loop {
        if checkpoint::begin_views(ledger, file, &mut || watch(0).is_continue())? {
            file.let_go_of_those_before();
        }
        if file.head().last > to.last {
            return Err(StoreError::Forgotten { seq: to.last.0 });
        }
        let mut entries = Vec::new();
        let keep = |entry: Entry| entries.extend((entry.seq <= to.last).then_some(entry));
        let end = ledger.walk_some(file.head(), AT_ONCE, keep)?;
        let end = if end.last < to.last { end } else { to };
        let latest = file.snapshot()?;
        file.fold(&latest, &entries)?;
        file.commit(end, lasting)?;
        go_on(watch(end.last.0))?;
        if end == to {
            return Ok(());
        }
    }
}

fn go_on(told: ControlFlow<()>) -> Result<(), StoreError> {
    if told.is_break() { Err(StoreError::Ended) } else { Ok(()) }
}
