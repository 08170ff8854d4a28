//! The TOML file: from bytes to values with their lines.
//!
//! Promises: every syntax error is reported, and so is every mistake on the lines that could be
//! read all the same; any bytes at all give problems, never a panic.
//!
//! Refuses: files over [`LARGEST`], and quoting the file (a line may hold a secret).

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Fault, Origin, Problem};
use crate::value::{Field, Raw, Written};

/// Settings of this length are a mistake, such as a database named as the file.
pub(crate) const LARGEST: u64 = 1024 * 1024;

/// What a file says.
pub(crate) struct Document {
    /// Its top level.
    pub(crate) fields: Vec<Field>,
    /// What kept the rest from being read; if any, values may be missing.
    pub(crate) problems: Vec<Problem>,
}

/// Reads the text of a file. `path` is what the problems name it by.
pub(crate) fn parse(path: &Arc<Path>, bytes: &[u8]) -> Document {
    let lines = Lines { path, bytes };
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
    let mut broken: Vec<usize> = Vec::new();
    let mut problems = Vec::new();
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        let line = lines.line(offset);
        if !broken.contains(&line) {
            broken.push(line);
            problems.push(syntax(lines.origin(offset), error.message()));
        }
    }
    let reader = Reader { lines: &lines, broken: &broken };
    Document { fields: reader.fields(table.get_ref()), problems }
}

/// One value, as the environment and the settings page give it; problems carry no line.
pub(crate) fn parse_value(origin: &Origin, text: &str) -> Result<Written, String> {
    let value = DeValue::parse(text).map_err(|error| error.message().to_owned())?;
    Ok(Written { origin: origin.clone(), raw: unlocated(origin, value.get_ref()) })
}

fn syntax(origin: Origin, message: &str) -> Problem {
    let advice = if message.contains("must be quoted")
        || message.starts_with("invalid float")
        || message.starts_with("invalid integer")
        || message.starts_with("invalid boolean")
    {
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
        fault: Fault::Syntax { message: message.to_owned() },
        advice: advice.to_owned(),
    }
}

/// Finds the line of an offset.
struct Lines<'a> {
    path: &'a Arc<Path>,
    bytes: &'a [u8],
}

impl Lines<'_> {
    fn before(&self, offset: usize) -> &[u8] {
        self.bytes.get(..offset).unwrap_or(self.bytes)
    }

    fn line(&self, offset: usize) -> usize {
        self.before(offset).iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// Columns count characters, as editors do.
    fn origin(&self, offset: usize) -> Origin {
        let before = self.before(offset);
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let characters = String::from_utf8_lossy(before.get(start..).unwrap_or_default());
        let column = characters.trim_start_matches('\u{feff}').chars().count() + 1;
        Origin::File { path: Arc::clone(self.path), line: self.line(offset), column }
    }
}

/// Turns the parser's tree into ours, leaving out what a syntax error may have disfigured.
struct Reader<'a> {
    lines: &'a Lines<'a>,
    broken: &'a [usize],
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
        if self.broken.is_empty() {
            return true;
        }
        let (first, last) = (self.lines.line(start), self.lines.line(end));
        !self.broken.iter().any(|line| (first.min(last)..=first.max(last)).contains(line))
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
