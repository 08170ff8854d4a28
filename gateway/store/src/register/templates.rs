//! Biometric templates: what a terminal needs to recognise a face or a finger.
//!
//! Promises: sealed, one row for each finger, eye or face; all of a student's can be read and removed at once.
//!
//! Refuses: looking into them. What the bytes mean is the vendor's.

use std::fmt;

use redb::TableHandle as _;
use rollcall_domain::ids::StudentId;
use rollcall_domain::scan::Method;
use serde::{Deserialize, Serialize};

use super::Register;
use crate::change::Change;
use crate::error::StoreError;
use crate::keys::Keys;
use crate::tables::TEMPLATES;

/// What is known of one finger, eye, palm or face.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    pub student: StudentId,
    pub method: Method,
    /// Which finger, or which of several pictures.
    pub number: u16,
    /// The vendor's name for the form of the bytes.
    pub form: String,
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Template { student, method, number, form, .. } = self;
        write!(f, "Template({student}, {method:?} {number}, {form:?})")
    }
}

impl Register {
    /// All templates of a student.
    ///
    /// # Errors
    /// The register cannot be read.
    pub fn templates(&self, student: StudentId) -> Result<Vec<Template>, StoreError> {
        let Some(table) = self.table(TEMPLATES)? else { return Ok(Vec::new()) };
        let rows = table.range(all_of(student))?;
        rows.map(|row| {
            let (key, row) = row?;
            self.keys().open(TEMPLATES.name(), &key.value(), row.value())
        })
        .collect()
    }
}

pub(super) fn put(change: &Change, keys: &Keys, template: &Template) -> Result<(), StoreError> {
    let key = (template.student.0, code(template.method), template.number);
    let row = keys.seal(TEMPLATES.name(), &key, template)?;
    change.open_table(TEMPLATES)?.insert(key, row.as_slice())?;
    Ok(())
}

pub(super) fn remove(
    change: &Change,
    student: StudentId,
    method: Method,
    number: u16,
) -> Result<(), StoreError> {
    change.open_table(TEMPLATES)?.remove((student.0, code(method), number))?;
    Ok(())
}

pub(super) fn forget(change: &Change, student: StudentId) -> Result<(), StoreError> {
    change.open_table(TEMPLATES)?.retain_in(all_of(student), |_, _| false)?;
    Ok(())
}

fn all_of(student: StudentId) -> std::ops::RangeInclusive<(u64, u8, u16)> {
    (student.0, 0, 0)..=(student.0, u8::MAX, u16::MAX)
}

/// A method as tables have it.
fn code(method: Method) -> u8 {
    match method {
        Method::Face => 0,
        Method::Fingerprint => 1,
        Method::Iris => 2,
        Method::Palm => 3,
        Method::Card => 4,
        Method::Qr => 5,
        Method::Pin => 6,
    }
}
