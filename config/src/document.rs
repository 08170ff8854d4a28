//! The TOML file: from bytes to values with their lines.
//!
//! Promises: the syntax errors that the parser finds are reported, one for each line, and so are
//! the mistakes on lines that none of them disfigures; any bytes at all give problems, never a
//! panic, in time proportional to their number.
//!
//! Refuses: promising that no error hides another (mending one line may bring out the next), and
//! quoting the file's values (a line may hold a secret). Names of keys are quoted.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Fault, Origin, Problem};
use crate::value::{Field, Raw, Written, shown};

/// Settings of this length are a mistake, such as a database named as the file.
pub(crate) const LARGEST: u64 = 64 * 1024;

/// What a file says.
pub(crate) struct Document {
    /// Its top level.
    pub(crate) fields: Vec<Field>,
    /// What kept the rest from being read; if any, values may be missing.
    pub(crate) problems: Vec<Problem>,
}

/// Reads the text of a file. `path` is what the problems name it by.
pub(crate) fn parse(path: &Arc<Path>, bytes: &[u8]) -> Document {
    let lines = Lines::new(path, bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let problem = Problem {
                origin: lines.origin(error.valid_up_to()),
                key: String::new(),
                fault: Fault::NotUtf8,
                advice: "save the file as UTF-8".to_owned(),
            };
            return Document { fields: Vec::new(), problems: vec![problem] };
        }
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut broken = BTreeSet::new();
    let mut problems = Vec::new();
    for error in &errors {
        let span = error.span().unwrap_or_default();
        if broken.insert(lines.line(span.start)) {
            let name = text.get(span.clone()).unwrap_or_default();
            problems.push(syntax(lines.origin(span.start), error.message(), name));
        }
    }
    let reader = Reader { lines: &lines, broken: &broken };
    Document { fields: reader.fields(table.get_ref()), problems }
}

/// One value, as the environment and the settings page give it; problems carry no line.
pub(crate) fn parse_value(origin: &Origin, text: &str) -> Result<Written, String> {
    let value = DeValue::parse(text).map_err(|error| plain(error.message(), ""))?;
    Ok(Written { origin: origin.clone(), raw: unlocated(origin, value.get_ref()) })
}

/// The parser's messages about a word that is neither quoted nor a number, a flag or a date. It
/// guesses from the first letters what the word was to be: `Nairobi` begins like `nan`.
const UNQUOTED: &[&str] = &[
    "string values must be quoted",
    "invalid float",
    "invalid integer",
    "invalid boolean",
    "invalid date-time",
    "invalid binary",
    "invalid octal",
    "invalid hexadecimal",
    "invalid mantissa",
    "invalid fraction",
    "invalid exponent",
];

fn is_unquoted(message: &str) -> bool {
    UNQUOTED.iter().any(|known| message.starts_with(known))
}

/// The parser's message as people would say it. `name` is what it points at.
fn plain(message: &str, name: &str) -> String {
    if is_unquoted(message) {
        "text without quotes".to_owned()
    } else if message.starts_with("duplicate key") && !name.is_empty() {
        format!("duplicate key {}", shown(name.trim_matches(['"', '\''])))
    } else {
        message.to_owned()
    }
}

fn syntax(origin: Origin, message: &str, name: &str) -> Problem {
    let advice = if is_unquoted(message) {
        "put text in quotes: key = \"text\""
    } else if message.starts_with("duplicate key") {
        "keep one of the two"
    } else if message.starts_with("unclosed table") {
        "close the section's name: [section]"
    } else if message.starts_with("key with no value") {
        "write key = value, or put a # in front if it is a comment"
    } else {
        "mend this line; text stands in quotes, lists in brackets"
    };
    Problem {
        origin,
        key: String::new(),
        fault: Fault::Syntax { message: plain(message, name) },
        advice: advice.to_owned(),
    }
}

/// Finds the line of an offset. Everything is counted once, however often it is asked for.
struct Lines<'a> {
    path: &'a Arc<Path>,
    /// Where each line begins.
    starts: Vec<usize>,
    /// How many characters begin before each byte, and before the end.
    characters: Vec<usize>,
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl<'a> Lines<'a> {
    fn new(path: &'a Arc<Path>, bytes: &[u8]) -> Self {
        let mut starts = vec![0];
        let mut characters = vec![0];
        let mut count = 0_usize;
        let mark = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        for (offset, byte) in bytes.iter().enumerate() {
            // All bytes of a character but its first are of the form 10xxxxxx.
            count += usize::from(offset >= mark && byte & 0b1100_0000 != 0b1000_0000);
            characters.push(count);
            if *byte == b'\n' {
                starts.push(offset + 1);
            }
        }
        Self { path, starts, characters }
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn characters_before(&self, offset: usize) -> usize {
        self.characters.get(offset).or(self.characters.last()).copied().unwrap_or_default()
    }

    /// Columns count characters, as editors do.
    fn origin(&self, offset: usize) -> Origin {
        let line = self.line(offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let column = self.characters_before(offset) - self.characters_before(start) + 1;
        Origin::File { path: Arc::clone(self.path), line, column }
    }
}

/// Turns the parser's tree into ours, leaving out what a syntax error may have disfigured.
struct Reader<'a> {
    lines: &'a Lines<'a>,
    broken: &'a BTreeSet<usize>,
}

impl Reader<'_> {
    fn fields(&self, table: &DeTable<'_>) -> Vec<Field> {
        let mut fields: Vec<(usize, Field)> = table
            .iter()
            .filter(|(name, value)| self.is_sound(name.span().start, value.span().end))
            .map(|(name, value)| {
                let offset = name.span().start;
                let field = Field {
                    name: name.get_ref().clone().into_owned(),
                    origin: self.lines.origin(offset),
                    value: self.written(value),
                };
                (offset, field)
            })
            .collect();
        fields.sort_by_key(|(offset, _)| *offset);
        fields.into_iter().map(|(_, field)| field).collect()
    }

    fn is_sound(&self, start: usize, end: usize) -> bool {
        let (first, last) = (self.lines.line(start), self.lines.line(end));
        self.broken.range(first.min(last)..=first.max(last)).next().is_none()
    }

    fn written(&self, value: &Spanned<DeValue<'_>>) -> Written {
        let raw = match value.get_ref() {
            DeValue::Array(items) => Raw::List(items.iter().map(|item| self.written(item)).collect()),
            DeValue::Table(table) => Raw::Table(self.fields(table)),
            scalar => self::scalar(scalar),
        };
        Written { origin: self.lines.origin(value.span().start), raw }
    }
}

fn scalar(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.clone().into_owned()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Raw::Huge, Raw::Whole)
        }
        DeValue::Float(number) => Raw::Fraction(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Datetime(_) => Raw::Date,
        DeValue::Array(_) => Raw::List(Vec::new()),
        DeValue::Table(_) => Raw::Table(Vec::new()),
    }
}

fn unlocated(origin: &Origin, value: &DeValue<'_>) -> Raw {
    let written = |value: &DeValue<'_>| Written { origin: origin.clone(), raw: unlocated(origin, value) };
    match value {
        DeValue::Array(items) => Raw::List(items.iter().map(|item| written(item.get_ref())).collect()),
        DeValue::Table(table) => Raw::Table(
            table
                .iter()
                .map(|(name, value)| Field {
                    name: name.get_ref().clone().into_owned(),
                    origin: origin.clone(),
                    value: written(value.get_ref()),
                })
                .collect(),
        ),
        scalar => self::scalar(scalar),
    }
}
