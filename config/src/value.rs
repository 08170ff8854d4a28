//! A value as it was written, and its check against what its key allows.
//!
//! Promises: what [`check`] returns has the kind and the range of its key, in one spelling; what
//! it refuses comes back with every problem inside it, each at its own line.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::form::{self, Form, Refusal};
use crate::key::{Initial, Key, Kind};
use crate::problem::{Fault, Origin, Problem};
use crate::suggest;

/// A value and where it was written.
#[derive(Clone)]
pub(crate) struct Written {
    pub(crate) origin: Origin,
    pub(crate) raw: Raw,
}

/// A value as TOML knows it.
#[derive(Clone)]
pub(crate) enum Raw {
    Text(String),
    Whole(i64),
    /// A whole number beyond 64 bits.
    Huge,
    Fraction(f64),
    Flag(bool),
    Date,
    List(Vec<Written>),
    Table(Vec<Field>),
}

/// One line of a table.
#[derive(Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Where the name stands.
    pub(crate) origin: Origin,
    pub(crate) value: Written,
}

impl Raw {
    /// Whether it is what `[[name]]` makes.
    pub(crate) fn is_sections(&self) -> bool {
        matches!(self, Self::List(items) if matches!(items.first(), Some(Written { raw: Self::Table(_), .. })))
    }

    /// What it is, for a person, without the value itself.
    fn description(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Whole(_) | Self::Huge => "a whole number",
            Self::Fraction(_) => "a number with a fraction",
            Self::Flag(_) => "true or false",
            Self::Date => "a date",
            Self::List(_) if self.is_sections() => "a list of sections",
            Self::List(_) => "a list",
            Self::Table(_) => "a section",
        }
    }
}

/// The checked value, or everything that is wrong with it. `path` is the key as people see it.
pub(crate) fn check(key: &'static Key, path: &str, written: &Written) -> Result<Value, Vec<Problem>> {
    let at = At { path, origin: &written.origin, kind: key.kind };
    match (key.kind, &written.raw) {
        (Kind::Flag, Raw::Flag(flag)) => Ok(Value::Boolean(*flag)),
        (Kind::Whole { min, max }, Raw::Whole(number)) => {
            if (min..=max).contains(number) {
                Ok(Value::Integer(*number))
            } else {
                Err(at.out_of_range(number.to_string()))
            }
        }
        (Kind::Whole { .. }, Raw::Huge) => Err(at.out_of_range("the number".to_owned())),
        (Kind::Whole { min, max }, Raw::Text(text))
            if text.parse::<i64>().is_ok_and(|n| (min..=max).contains(&n)) =>
        {
            Err(at.wrong_type(&written.raw, "a number", Some(format!("write {text} without quotes"))))
        }
        (Kind::Fraction { min, max }, Raw::Whole(_) | Raw::Fraction(_)) => {
            let number = as_fraction(&written.raw);
            if (min..=max).contains(&number) {
                Ok(Value::Float(number))
            } else {
                Err(at.out_of_range(number.to_string()))
            }
        }
        (Kind::Text(form), Raw::Text(text)) => at.text(form, text),
        (Kind::List(form), Raw::List(items)) => list(path, form, items),
        (Kind::List(_), Raw::Text(_)) => {
            Err(at.wrong_type(&written.raw, "a list", Some("put it in brackets: [\"…\"]".to_owned())))
        }
        (Kind::Tables(fields), Raw::List(items)) => tables(path, fields, items),
        (kind, raw) => Err(at.wrong_type(raw, noun(kind), None)),
    }
}

/// Settings hold no whole number so large that a float would round it.
fn as_fraction(raw: &Raw) -> f64 {
    match raw {
        Raw::Fraction(number) => *number,
        Raw::Whole(number) => i32::try_from(*number).map_or(f64::INFINITY, f64::from),
        _ => f64::NAN,
    }
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Flag => "true or false",
        Kind::Whole { .. } => "a whole number",
        Kind::Fraction { .. } => "a number",
        Kind::Text(_) => "text",
        Kind::List(_) => "a list",
        Kind::Tables(_) => "a list of tables",
    }
}

/// The place that problems are reported at.
struct At<'a> {
    path: &'a str,
    origin: &'a Origin,
    kind: Kind,
}

impl At<'_> {
    fn problem(&self, fault: Fault, advice: String) -> Vec<Problem> {
        vec![Problem { origin: self.origin.clone(), key: self.path.to_owned(), fault, advice }]
    }

    fn out_of_range(&self, found: String) -> Vec<Problem> {
        self.problem(Fault::OutOfRange { found }, format!("write {}", self.kind.wanted()))
    }

    fn wrong_type(&self, raw: &Raw, wanted: &'static str, advice: Option<String>) -> Vec<Problem> {
        let found = match raw {
            Raw::Text(text)
                if matches!(self.kind, Kind::Flag | Kind::Whole { .. } | Kind::Fraction { .. }) =>
            {
                if form::may_quote(text) {
                    format!("the text {}", quote(text))
                } else {
                    NOT_SHOWN.to_owned()
                }
            }
            other => other.description().to_owned(),
        };
        let advice = advice.unwrap_or_else(|| format!("write {}", self.kind.wanted()));
        self.problem(Fault::WrongType { found, wanted }, advice)
    }

    fn text(&self, form: Form, text: &str) -> Result<Value, Vec<Problem>> {
        form.check(text).map(Value::String).map_err(|refusal| {
            let (found, advice) = told(form, text, &refusal);
            self.problem(Fault::Malformed { found, why: refusal.why }, advice)
        })
    }
}

/// How a text is named that may be, or hold, a secret.
pub(crate) const NOT_SHOWN: &str = "the text (not shown)";

/// How a refused text is named, and what to do: neither gives away a secret.
fn told(form: Form, text: &str, refusal: &Refusal) -> (String, String) {
    let found = if form.may_quote(text) { quote(text) } else { NOT_SHOWN.to_owned() };
    let advice = refusal.advice.clone().unwrap_or_else(|| format!("write {}", form.wanted()));
    (found, advice)
}

/// In quotes if no secret can stand in it.
pub(crate) fn shown(text: &str) -> String {
    if form::may_quote(text) { quote(text) } else { NOT_SHOWN.to_owned() }
}

/// In quotes, on one line, not too long.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{:?}", format!("{start}…"))
}

fn list(path: &str, form: Form, items: &[Written]) -> Result<Value, Vec<Problem>> {
    let mut checked = Vec::with_capacity(items.len());
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for item in items {
        let at = At { path, origin: &item.origin, kind: Kind::Text(form) };
        let outcome = match &item.raw {
            Raw::Text(text) => at.text(form, text),
            other => Err(at.wrong_type(other, "text", None)),
        };
        match outcome {
            Ok(value) if value.as_str().is_some_and(|text| !seen.insert(text.to_owned())) => {}
            Ok(value) => checked.push(value),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(Value::Array(checked)) } else { Err(problems) }
}

fn tables(path: &str, fields: &'static [Key], items: &[Written]) -> Result<Value, Vec<Problem>> {
    let mut checked = Vec::with_capacity(items.len());
    let mut problems = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let place = format!("{path}[{}]", index + 1);
        match &item.raw {
            Raw::Table(written) => match entry(&place, fields, &item.origin, written) {
                Ok(table) => checked.push(Value::Table(table)),
                Err(found) => problems.extend(found),
            },
            other => {
                let at = At { path: &place, origin: &item.origin, kind: Kind::Tables(fields) };
                problems.extend(at.wrong_type(other, "a table", None));
            }
        }
    }
    problems.extend(repeated(path, fields, items));
    if problems.is_empty() { Ok(Value::Array(checked)) } else { Err(problems) }
}

/// One entry of a list of tables.
fn entry(
    place: &str,
    fields: &'static [Key],
    origin: &Origin,
    written: &[Field],
) -> Result<Table, Vec<Problem>> {
    let mut table = Table::new();
    let mut problems = Vec::new();
    for field in written {
        let path = format!("{place}.{}", field.name);
        let Some(key) = fields.iter().find(|key| key.path == field.name) else {
            problems.push(unknown_field(path, fields, field));
            continue;
        };
        match check(key, &path, &field.value) {
            Ok(value) => drop(table.insert(field.name.clone(), value)),
            Err(found) => problems.extend(found),
        }
    }
    for key in fields.iter().filter(|key| matches!(key.initial, Initial::Required { .. })) {
        if !written.iter().any(|field| field.name == key.path) {
            problems.push(Problem {
                origin: origin.clone(),
                key: format!("{place}.{}", key.path),
                fault: Fault::Missing,
                advice: format!("add {} = {}", key.path, key.sample()),
            });
        }
    }
    if problems.is_empty() { Ok(table) } else { Err(problems) }
}

fn unknown_field(path: String, fields: &'static [Key], field: &Field) -> Problem {
    let names: Vec<&str> = fields.iter().map(|key| key.path).collect();
    let advice = match suggest::nearest(&field.name, names.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("an entry knows {}", names.join(", ")),
    };
    Problem { origin: field.origin.clone(), key: path, fault: Fault::UnknownKey, advice }
}

/// Entries that would be taken for one another: the same name or the same topic.
fn repeated(path: &str, fields: &'static [Key], items: &[Written]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for key in fields.iter().filter(|key| matches!(key.kind, Kind::Text(Form::Slug | Form::DeviceFilter))) {
        let mut seen: BTreeMap<&str, &Origin> = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            let Some((text, origin)) = text_of(item, key.path) else { continue };
            match seen.get(text) {
                Some(first) => problems.push(Problem {
                    origin: origin.clone(),
                    key: format!("{path}[{}].{}", index + 1, key.path),
                    fault: Fault::Repeated { found: shown(text), first: (*first).clone() },
                    advice: format!("give every entry a {} of its own", key.path),
                }),
                None => drop(seen.insert(text, origin)),
            }
        }
    }
    problems
}

fn text_of<'a>(item: &'a Written, name: &str) -> Option<(&'a str, &'a Origin)> {
    let Raw::Table(fields) = &item.raw else { return None };
    let field = fields.iter().find(|field| field.name == name)?;
    match &field.value.raw {
        Raw::Text(text) => Some((text, &field.value.origin)),
        _ => None,
    }
}
