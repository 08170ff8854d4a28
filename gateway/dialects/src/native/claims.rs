//! Scans as a terminal of the native dialect writes them.
//!
//! Promises: both forms of a scan, full and minimal, mean the same; one bad scan in an array costs none
//! of its neighbours; what cannot be read is answered under its own id if it has one.
//!
//! Refuses: guessing. A field that is there but makes no sense rejects the scan and is named, since a
//! scan stored with half of its claim could mark the wrong student or at the wrong time.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use rollcall_domain::moment::Moment;
use rollcall_domain::scan::{Direction, Method};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::fields::{moment, text, text_or_number, word};
use super::json;
use super::object::Object;
use crate::decoded::Decoded;
use crate::error::{DialectError, Rejected};

/// The most scans in one array.
pub const MOST_SCANS: usize = 500;

/// The fields as they stand, each to be read on its own so that the one at fault can be named.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Fields<'a> {
    id: Option<&'a RawValue>,
    student: Option<&'a RawValue>,
    student_id: Option<&'a RawValue>,
    at: Option<&'a RawValue>,
    date: Option<&'a RawValue>,
    time: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    quality: Option<&'a RawValue>,
    direction: Option<&'a RawValue>,
}

/// Reads one scan. A time without an offset is read in `zone`, the campus's.
///
/// # Errors
/// It is no scan; the error names the field.
pub fn scan(payload: &[u8], zone: &TimeZone) -> Result<Decoded, Rejected> {
    let nameless = |error| Rejected { id: None, error };
    let fields: Fields<'_> =
        json(payload, b'{', "a scan, one JSON object with each field once").map_err(nameless)?;
    let id = text_or_number(fields.id, "id").map_err(nameless)?;
    decode(&fields, id.clone(), zone).map_err(|error| Rejected { id, error })
}

/// Reads an array of scans, each on its own.
///
/// # Errors
/// It is no array of at most [`MOST_SCANS`].
pub fn scans(payload: &[u8], zone: &TimeZone) -> Result<Vec<Result<Decoded, Rejected>>, DialectError> {
    let items: Items<'_> = json(payload, b'[', "a JSON array of scans")?;
    if items.count > MOST_SCANS {
        return Err(DialectError::TooMany { count: items.count, most: MOST_SCANS });
    }
    Ok(items.first.iter().map(|item| scan(item.get().as_bytes(), zone)).collect())
}

/// The items of an array; counted beyond [`MOST_SCANS`], but not kept.
struct Items<'a> {
    first: Vec<&'a RawValue>,
    count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;
        impl<'de> Visitor<'de> for Counting {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array of scans")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Items<'de>, A::Error> {
                let mut items = Items { first: Vec::new(), count: 0 };
                while items.count < MOST_SCANS {
                    let Some(item) = seq.next_element::<&RawValue>()? else { return Ok(items) };
                    items.first.push(item);
                    items.count += 1;
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    items.count += 1;
                }
                Ok(items)
            }
        }
        deserializer.deserialize_seq(Counting)
    }
}

fn decode(fields: &Fields<'_>, id: Option<String>, zone: &TimeZone) -> Result<Decoded, DialectError> {
    let student = text_or_number(fields.student, "student")?;
    let claim = match student {
        Some(student) => student,
        None => text_or_number(fields.student_id, "student_id")?
            .ok_or(DialectError::Missing { field: "student" })?,
    };
    Ok(Decoded {
        claim,
        id,
        claimed_at: claimed_at(fields, zone)?,
        method: word(fields.method, "method", "face, fingerprint, iris, palm, card, qr or pin", method)?,
        quality_milli: fields.quality.map(quality_milli).transpose()?,
        direction: word(fields.direction, "direction", "in or out", direction)?,
    })
}

fn claimed_at(fields: &Fields<'_>, zone: &TimeZone) -> Result<Moment, DialectError> {
    if let Some(at) = moment(fields.at, "at", zone)? {
        return Ok(at);
    }
    let date = text(fields.date, "date")?.ok_or(DialectError::Missing { field: "at" })?;
    let time = text(fields.time, "time")?.ok_or(DialectError::Missing { field: "time" })?;
    let wrong = |field, expected| move |_unreadable| DialectError::Field { field, expected };
    let date: Date = date.parse().map_err(wrong("date", "a day such as 2026-11-21"))?;
    let time: Time = time.parse().map_err(wrong("time", "a time of day such as 08:43:21"))?;
    Ok(Moment::from_civil(date.to_datetime(time), zone))
}

fn method(word: &str) -> Option<Method> {
    [Method::Face, Method::Fingerprint, Method::Iris, Method::Palm, Method::Card, Method::Qr, Method::Pin]
        .into_iter()
        .find(|method| method_word(*method) == word)
}

fn method_word(method: Method) -> &'static str {
    match method {
        Method::Face => "face",
        Method::Fingerprint => "fingerprint",
        Method::Iris => "iris",
        Method::Palm => "palm",
        Method::Card => "card",
        Method::Qr => "qr",
        Method::Pin => "pin",
    }
}

fn direction(word: &str) -> Option<Direction> {
    [Direction::In, Direction::Out].into_iter().find(|direction| direction_word(*direction) == word)
}

fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
    }
}

fn quality_milli(raw: &RawValue) -> Result<u16, DialectError> {
    let wrong = DialectError::Field { field: "quality", expected: "a number from 0 to 1" };
    let quality = serde_json::from_str::<f64>(raw.get()).ok().filter(|quality| (0.0..=1.0).contains(quality));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "lies within 0 and 1000")]
    quality.map(|quality| (quality * 1000.0).round() as u16).ok_or(wrong)
}

/// The full form of a scan, as a terminal sends it.
pub fn encode(decoded: &Decoded) -> Vec<u8> {
    Object::default()
        .with_some("id", decoded.id.as_deref())
        .with("student", decoded.claim.as_str())
        .with("at", decoded.claimed_at.to_string())
        .with_some("method", decoded.method.map(method_word))
        .with_some("quality", decoded.quality_milli.map(|milli| f64::from(milli) / 1000.0))
        .with_some("direction", decoded.direction.map(direction_word))
        .bytes()
}
