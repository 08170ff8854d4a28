//! Texts that belong to events: notes, reasons, addresses, user agents, what a device claimed.
//!
//! Promises: a text is found by its event, and all that were said about somebody by the person, without
//! reading those about others. A scan that found its place late takes its texts along: what a device
//! claimed of nobody known is then about the one who it turned out to be.

use std::fmt;

use redb::{ReadableTable as _, TableHandle as _};
use rollcall_domain::ids::Seq;
use rollcall_domain::people::{Person, TextField};

use super::Register;
use super::details;
use crate::change::Change;
use crate::error::StoreError;
use crate::keys::Keys;
use crate::tables::{TEXTS, TEXTS_ABOUT};

/// One text of one event.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    pub seq: Seq,
    pub field: TextField,
    pub about: Option<Person>,
    pub text: String,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text { seq, field, about, .. } = self;
        write!(f, "Text({seq}, {field:?}, about {about:?})")
    }
}

impl Register {
    /// # Errors
    /// The register cannot be read.
    pub fn text(&self, seq: Seq, field: TextField) -> Result<Option<Text>, StoreError> {
        let Some(table) = self.table(TEXTS)? else { return Ok(None) };
        let key = (seq.0, code(field));
        let Some(row) = table.get(key)? else { return Ok(None) };
        self.read_text(key, row.value())
    }

    /// All texts of one event.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn texts(&self, seq: Seq) -> Result<Vec<Text>, StoreError> {
        let Some(table) = self.table(TEXTS)? else { return Ok(Vec::new()) };
        let rows = table.range((seq.0, 0)..=(seq.0, u8::MAX))?;
        let texts = rows.map(|row| {
            let (key, row) = row?;
            self.read_text(key.value(), row.value())
        });
        texts.filter_map(Result::transpose).collect()
    }

    /// Up to `limit` texts about somebody, of the events from this one on.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn texts_about(&self, person: Person, from: Seq, limit: usize) -> Result<Vec<Text>, StoreError> {
        let (Some(about), Some(texts)) = (self.table(TEXTS_ABOUT)?, self.table(TEXTS)?) else {
            return Ok(Vec::new());
        };
        let (kind, id) = details::key(person);
        let mut found = Vec::new();
        for row in about.range((kind, id, from.0, 0)..=(kind, id, u64::MAX, u8::MAX))? {
            if found.len() == limit {
                break;
            }
            let (_, _, seq, field) = row?.0.value();
            if let Some(row) = texts.get((seq, field))? {
                found.extend(self.read_text((seq, field), row.value())?);
            }
        }
        Ok(found)
    }

    /// Nothing for a field that a later version added.
    fn read_text(&self, key: (u64, u8), row: &[u8]) -> Result<Option<Text>, StoreError> {
        let (about, text) = self.keys().open(TEXTS.name(), &key, row)?;
        Ok(field(key.1).map(|field| Text { seq: Seq(key.0), field, about, text }))
    }
}

pub(super) fn write(
    change: &Change,
    keys: &Keys,
    (seq, field): (Seq, TextField),
    about: Option<Person>,
    text: &str,
) -> Result<(), StoreError> {
    let key = (seq.0, code(field));
    let row = keys.seal(TEXTS.name(), &key, &(about, text))?;
    change.open_table(TEXTS)?.insert(key, row.as_slice())?;
    if let Some((kind, id)) = about.map(details::key) {
        change.open_table(TEXTS_ABOUT)?.insert((kind, id, key.0, key.1), ())?;
    }
    Ok(())
}

/// The texts of this event are about somebody, too.
pub(super) fn also_about(change: &Change, seq: Seq, person: Person) -> Result<(), StoreError> {
    let (kind, id) = details::key(person);
    let mut about = change.open_table(TEXTS_ABOUT)?;
    for row in change.open_table(TEXTS)?.range((seq.0, 0)..=(seq.0, u8::MAX))? {
        let (seq, field) = row?.0.value();
        about.insert((kind, id, seq, field), ())?;
    }
    Ok(())
}

/// Removes all texts about somebody.
pub(super) fn forget(change: &Change, person: Person) -> Result<(), StoreError> {
    let (kind, id) = details::key(person);
    let mut texts = change.open_table(TEXTS)?;
    let mut about = change.open_table(TEXTS_ABOUT)?;
    let theirs = (kind, id, 0, 0)..=(kind, id, u64::MAX, u8::MAX);
    for row in about.extract_from_if(theirs, |_, ()| true)? {
        let (_, _, seq, field) = row?.0.value();
        texts.remove((seq, field))?;
    }
    Ok(())
}

/// A field as tables have it.
fn code(field: TextField) -> u8 {
    match field {
        TextField::Note => 0,
        TextField::Reason => 1,
        TextField::Address => 2,
        TextField::Agent => 3,
        TextField::Claim => 4,
        TextField::DeviceInfo => 5,
        TextField::Response => 6,
        TextField::Document => 7,
    }
}

fn field(code: u8) -> Option<TextField> {
    Some(match code {
        0 => TextField::Note,
        1 => TextField::Reason,
        2 => TextField::Address,
        3 => TextField::Agent,
        4 => TextField::Claim,
        5 => TextField::DeviceInfo,
        6 => TextField::Response,
        7 => TextField::Document,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this fails, texts that were written are read as something else.
    #[test]
    fn a_field_keeps_its_number_for_ever() {
        let fields = [
            TextField::Note,
            TextField::Reason,
            TextField::Address,
            TextField::Agent,
            TextField::Claim,
            TextField::DeviceInfo,
            TextField::Response,
            TextField::Document,
        ];
        for (number, known) in (0..).zip(fields) {
            assert_eq!((code(known), field(number)), (number, Some(known)));
        }
        assert_eq!(field(8), None);
    }
}
