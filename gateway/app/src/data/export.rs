//! The ledger as text.
//!
//! Promises: memory for a few entries and for one number of each session, however many entries there are;
//! what was chosen is chosen by what the ledger itself says, so that it needs no views.
//!
//! Refuses: names and numbers of people. They are in the register, and in no event.

use std::collections::HashMap;

use rollcall_domain::campus::Item;
use rollcall_domain::code::Code;
use rollcall_domain::event::{CampusEvent, Entry, Event, SessionEvent};
use rollcall_domain::ids::{ClassId, SessionId};
use rollcall_domain::moment::Moment;
use rollcall_store::{Export, StoreError};
use serde::{Deserialize, Serialize};

use super::ledger_rows::{HEAD, Row};
use super::{Step, Told, trouble};
use crate::control::Trouble;

/// Text that is handed on at a time.
const AT_ONCE: usize = 32 << 10;
/// Entries after which whoever waits is told how far it is.
const TELL_AFTER: u64 = 4_096;

/// Which entries, and how they look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) style: Style,
    /// Written at this time or later.
    pub(crate) from: Option<Moment>,
    /// Written before this time.
    pub(crate) before: Option<Moment>,
    /// The code of the one class wanted, as it is now.
    pub(crate) class: Option<Code>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Style {
    /// A line of JSON for each entry.
    Jsonl,
    /// A line of comma separated values for each entry, after one with their names.
    Csv,
}

/// Writes what is wanted; `open` begins at the first entry.
///
/// # Errors
/// The ledger is damaged or cannot be read, no class has the code, or nobody takes the text.
pub(super) fn ledger(
    open: &dyn Fn() -> Result<Export, StoreError>,
    wanted: &Wanted,
    told: &mut dyn Told,
) -> Result<(), Trouble> {
    let class = wanted.class.as_ref().map(|code| class(open, code, told)).transpose()?;
    let mut classes = HashMap::new();
    let mut text = match wanted.style {
        Style::Jsonl => String::new(),
        Style::Csv => format!("{HEAD}\n"),
    };
    each(open, told, |entry, told| {
        if let Event::Session(id, SessionEvent::Created { plan, .. }) = &entry.event {
            classes.insert(*id, plan.class);
        }
        let of_class = session(&entry.event).and_then(|session| classes.get(&session).copied());
        let in_time = wanted.from.is_none_or(|from| entry.at >= from)
            && wanted.before.is_none_or(|before| entry.at < before);
        if !in_time || class.is_some() && class != of_class {
            return Ok(());
        }
        let row = Row::of(entry, of_class);
        match wanted.style {
            Style::Jsonl => row.json(&mut text)?,
            Style::Csv => row.csv(&mut text)?,
        }
        if text.len() >= AT_ONCE { told.text(&std::mem::take(&mut text)) } else { Ok(()) }
    })?;
    if text.is_empty() { Ok(()) } else { told.text(&text) }
}

/// Goes through all entries.
fn each(
    open: &dyn Fn() -> Result<Export, StoreError>,
    told: &mut dyn Told,
    mut what: impl FnMut(&Entry, &mut dyn Told) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    for entry in open().map_err(|error| trouble(&error))? {
        let entry = entry.map_err(|error| trouble(&error))?;
        if entry.seq.0.is_multiple_of(TELL_AFTER) && told.progress(Step::Entries(entry.seq.0)).is_break() {
            return Err(Trouble::found("it was ended before it was through"));
        }
        what(&entry, told)?;
    }
    Ok(())
}

/// The class that has this code, or had it last.
fn class(
    open: &dyn Fn() -> Result<Export, StoreError>,
    code: &Code,
    told: &mut dyn Told,
) -> Result<ClassId, Trouble> {
    let mut codes: HashMap<ClassId, Code> = HashMap::new();
    let mut latest = None;
    each(open, told, |entry, _| {
        if let Event::Campus(CampusEvent::Put(item)) = &entry.event
            && let Item::Class(class) = &**item
        {
            codes.insert(class.id, class.code.clone());
            if class.code == *code {
                latest = Some(class.id);
            }
        }
        Ok(())
    })?;
    latest
        .filter(|id| codes.get(id) == Some(code))
        .ok_or_else(|| Trouble::found(format!("no class has the code {code}; look how it is spelt")))
}

/// The session that the event is about.
fn session(event: &Event) -> Option<SessionId> {
    match event {
        Event::Session(id, _) => Some(*id),
        Event::Unmatched(kept) => kept.session,
        _ => None,
    }
}
