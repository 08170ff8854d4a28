//! Fields as terminals of the native dialect write them.
//!
//! Promises: a field means the same in every message that it stands in; one that makes no sense is named.
//!
//! Refuses: mending. What is too long is not cut and what cannot be shown is not left out, since two names
//! could become one.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rollcall_domain::moment::Moment;
use serde_json::value::RawValue;

use crate::error::DialectError;

/// The most characters of a text.
const LONGEST: usize = 64;

const TEXT: &str = "a text of at most 64 characters";
const TEXT_OR_NUMBER: &str = "a text of at most 64 characters, or a whole number";
const MOMENT: &str = "a time such as 2026-11-21T08:43:21+06:00";

/// A text without its outer blanks; nothing if it is empty.
pub(super) fn text(raw: Option<&RawValue>, field: &'static str) -> Result<Option<String>, DialectError> {
    let Some(raw) = raw else { return Ok(None) };
    let wrong = DialectError::Field { field, expected: TEXT };
    let Ok(text) = serde_json::from_str::<String>(raw.get()) else { return Err(wrong) };
    let text = text.trim();
    if text.chars().count() > LONGEST || text.chars().any(char::is_control) {
        return Err(wrong);
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Terminals write the same number now as a text, now as a number.
pub(super) fn text_or_number(
    raw: Option<&RawValue>,
    field: &'static str,
) -> Result<Option<String>, DialectError> {
    let digits =
        |raw: &&RawValue| raw.get().len() <= LONGEST && raw.get().bytes().all(|b| b.is_ascii_digit());
    match raw.filter(digits) {
        Some(number) => Ok(Some(number.get().to_owned())),
        None => text(raw, field).map_err(|_as_text| DialectError::Field { field, expected: TEXT_OR_NUMBER }),
    }
}

/// A word of a list, in whatever capitals.
pub(super) fn word<T>(
    raw: Option<&RawValue>,
    field: &'static str,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, DialectError> {
    let wrong = DialectError::Field { field, expected };
    let Ok(word) = text(raw, field) else { return Err(wrong) };
    word.map(|word| read(&word.to_ascii_lowercase()).ok_or(wrong)).transpose()
}

/// A time; without an offset it is what a clock in `zone` shows.
pub(super) fn moment(
    raw: Option<&RawValue>,
    field: &'static str,
    zone: &TimeZone,
) -> Result<Option<Moment>, DialectError> {
    let wrong = DialectError::Field { field, expected: MOMENT };
    let Ok(text) = text(raw, field) else { return Err(wrong) };
    let read = |text: &str| {
        // Without a colon it is a day, which would be read as its midnight.
        let civil = || text.parse::<DateTime>().ok().filter(|_| text.contains(':'));
        let with_offset = text.parse::<Timestamp>().ok().map(Moment::from);
        with_offset.or_else(|| civil().map(|civil| Moment::from_civil(civil, zone)))
    };
    text.map(|text| read(&text).ok_or(wrong)).transpose()
}
