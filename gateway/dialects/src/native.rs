//! The native dialect: JSON over MQTT and HTTP.
//!
//! Promises: both forms of a scan, full and minimal, mean the same; one bad scan in an array costs none
//! of its neighbours; what cannot be read is answered under its own id if it has one.
//!
//! Refuses: guessing. A field that is there but makes no sense rejects the scan and is named, since a
//! scan stored with half of its claim could mark the wrong student or at the wrong time.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::ScanResult;
use rollcall_domain::scan::{Direction, Method, Outcome, Status};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::decoded::Decoded;
use crate::error::{DialectError, Rejected};

/// The most scans in one array.
pub const MOST_SCANS: usize = 500;
/// The most characters of an id, and of what names a student.
const LONGEST: usize = 64;

const TEXT: &str = "a text of at most 64 characters";
const TEXT_OR_NUMBER: &str = "a text of at most 64 characters, or a whole number";

/// The fields as they stand, each to be read on its own so that the one at fault can be named.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    student: Option<&'a RawValue>,
    #[serde(borrow)]
    student_id: Option<&'a RawValue>,
    #[serde(borrow)]
    at: Option<&'a RawValue>,
    #[serde(borrow)]
    date: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    quality: Option<&'a RawValue>,
    #[serde(borrow)]
    direction: Option<&'a RawValue>,
}

/// Reads one scan. A time without an offset is read in `zone`, the campus's.
///
/// # Errors
/// It is no scan; the error names the field.
pub fn scan(payload: &[u8], zone: &TimeZone) -> Result<Decoded, Rejected> {
    // Serde would take an array for an object with its fields in order.
    if payload.trim_ascii_start().first() != Some(&b'{') {
        let fault = serde_json::from_slice::<IgnoredAny>(payload).err().map(|error| not_json(&error));
        let error = fault.unwrap_or(DialectError::Shape { expected: "a scan, one JSON object" });
        return Err(Rejected { id: None, error });
    }
    let fields: Fields<'_> =
        serde_json::from_slice(payload).map_err(|error| Rejected { id: None, error: not_json(&error) })?;
    let id = text_or_number(fields.id, "id").map_err(|error| Rejected { id: None, error })?;
    decode(&fields, id.clone(), zone).map_err(|error| Rejected { id, error })
}

/// Reads an array of scans, each on its own.
///
/// # Errors
/// It is no array of at most [`MOST_SCANS`].
pub fn scans(payload: &[u8], zone: &TimeZone) -> Result<Vec<Result<Decoded, Rejected>>, DialectError> {
    if payload.trim_ascii_start().first() != Some(&b'[') {
        let fault = serde_json::from_slice::<IgnoredAny>(payload).err().map(|error| not_json(&error));
        return Err(fault.unwrap_or(DialectError::Shape { expected: "a JSON array of scans" }));
    }
    let items: Items<'_> = serde_json::from_slice(payload).map_err(|error| not_json(&error))?;
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

fn not_json(error: &serde_json::Error) -> DialectError {
    if error.is_data() {
        return DialectError::Shape { expected: "a scan, one JSON object with each field once" };
    }
    DialectError::NotJson { line: error.line(), column: error.column() }
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
    if let Some(at) = text(fields.at, "at")? {
        let wrong = DialectError::Field { field: "at", expected: "a time such as 2026-11-21T08:43:21+06:00" };
        // Without a colon it is a day, which would be read as its midnight.
        let civil = || at.parse::<DateTime>().ok().filter(|_| at.contains(':'));
        let with_offset = at.parse::<Timestamp>().ok().map(Moment::from);
        return with_offset.or_else(|| civil().map(|civil| Moment::from_civil(civil, zone))).ok_or(wrong);
    }
    let date = text(fields.date, "date")?.ok_or(DialectError::Missing { field: "at" })?;
    let time = text(fields.time, "time")?.ok_or(DialectError::Missing { field: "time" })?;
    let wrong = |field, expected| move |_unreadable| DialectError::Field { field, expected };
    let date: Date = date.parse().map_err(wrong("date", "a day such as 2026-11-21"))?;
    let time: Time = time.parse().map_err(wrong("time", "a time of day such as 08:43:21"))?;
    Ok(Moment::from_civil(date.to_datetime(time), zone))
}

/// A text without its outer blanks; nothing if it is empty.
fn text(raw: Option<&RawValue>, field: &'static str) -> Result<Option<String>, DialectError> {
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
fn text_or_number(raw: Option<&RawValue>, field: &'static str) -> Result<Option<String>, DialectError> {
    let digits =
        |raw: &&RawValue| raw.get().len() <= LONGEST && raw.get().bytes().all(|b| b.is_ascii_digit());
    match raw.filter(digits) {
        Some(number) => Ok(Some(number.get().to_owned())),
        None => text(raw, field).map_err(|_as_text| DialectError::Field { field, expected: TEXT_OR_NUMBER }),
    }
}

fn word<T>(
    raw: Option<&RawValue>,
    field: &'static str,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, DialectError> {
    let wrong = DialectError::Field { field, expected };
    let Ok(word) = text(raw, field) else { return Err(wrong) };
    word.map(|word| read(&word.to_ascii_lowercase()).ok_or(wrong)).transpose()
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

/// What a device is told about a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultMessage<'a> {
    /// The device's own id for it; `null` for a scan that had none.
    #[serde(borrow)]
    pub id: Option<Cow<'a, str>>,
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    #[serde(skip_serializing_if = "Option::is_none", borrow)]
    pub student: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", borrow)]
    pub name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", borrow)]
    pub session: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", borrow)]
    pub code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    #[serde(default)]
    pub replayed: bool,
}

impl ResultMessage<'_> {
    fn rejected<'a>(id: Option<&'a str>, code: &'static str, message: Cow<'a, str>) -> ResultMessage<'a> {
        ResultMessage {
            id: id.map(Cow::Borrowed),
            status: Status::Rejected,
            mark: None,
            student: None,
            name: None,
            session: None,
            code: Some(Cow::Borrowed(code)),
            message,
            replayed: false,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        // Texts and words only: there is nothing in it that JSON could not hold.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The result of a scan that is on disk.
pub fn result(id: Option<&str>, result: &ScanResult) -> Vec<u8> {
    let code = match result.outcome {
        Outcome::Unmatched(reason) => Some(Cow::Borrowed(reason.code())),
        _ => None,
    };
    let message = ResultMessage {
        id: id.map(Cow::Borrowed),
        status: result.outcome.status(),
        mark: result.mark,
        student: result.student.map(|student| Cow::Owned(student.to_string())),
        name: result.name.as_deref().map(Cow::Borrowed),
        session: result.session.map(|session| Cow::Owned(session.to_string())),
        code,
        message: Cow::Owned(result.outcome.message()),
        replayed: result.replayed,
    };
    message.bytes()
}

/// The answer to what is no scan.
pub fn bad_payload(rejected: &Rejected) -> Vec<u8> {
    let message = Cow::Owned(rejected.error.to_string());
    ResultMessage::rejected(rejected.id.as_deref(), "bad_payload", message).bytes()
}

/// The answer to a device that may not scan now.
pub fn device_disabled(id: Option<&str>) -> Vec<u8> {
    let message = Cow::Borrowed("this terminal is switched off by the office");
    ResultMessage::rejected(id, "device_disabled", message).bytes()
}

/// The full form of a scan, as a terminal sends it.
pub fn encode(decoded: &Decoded) -> Vec<u8> {
    #[derive(Serialize)]
    struct Full<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        student: &'a str,
        at: Moment,
        #[serde(skip_serializing_if = "Option::is_none")]
        method: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        quality: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        direction: Option<&'static str>,
    }
    let full = Full {
        id: decoded.id.as_deref(),
        student: &decoded.claim,
        at: decoded.claimed_at,
        method: decoded.method.map(method_word),
        quality: decoded.quality_milli.map(|milli| f64::from(milli) / 1000.0),
        direction: decoded.direction.map(direction_word),
    };
    serde_json::to_vec(&full).unwrap_or_default()
}
