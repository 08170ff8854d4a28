//! Defaults, then the file, then the environment: which value is in force for each key.
//!
//! Promises: a value that is overridden is checked all the same, so that a mistake in the file
//! does not wait for the day on which the variable goes.

use std::collections::BTreeMap;

use toml::Value;

use crate::document::{self, Document};
use crate::environment::Environment;
use crate::file::Source;
use crate::key::{Initial, Key};
use crate::keys;
use crate::problem::{Fault, MOST, Origin, Problem};
use crate::suggest;
use crate::value::{Field, Raw, Written, check, quote};

/// A value in force.
#[derive(Clone)]
pub(crate) struct InForce {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    /// For a list of tables: where each begins.
    pub(crate) tables: Vec<Origin>,
}

/// Every key that has a value, and everything wrong on the way.
pub(crate) struct Layers {
    pub(crate) values: BTreeMap<&'static str, InForce>,
    /// Keys whose value was refused: rules that join keys keep quiet about them.
    pub(crate) refused: Vec<&'static str>,
    pub(crate) problems: Vec<Problem>,
    /// Whether the file could not be read to its end, so that values may be missing.
    pub(crate) incomplete: bool,
    /// How many names nobody knows.
    unknown: usize,
}

/// Lays the three over one another.
pub(crate) fn lay(source: Option<&Source>, environment: &Environment) -> Layers {
    let mut layers = Layers {
        values: BTreeMap::new(),
        refused: Vec::new(),
        problems: Vec::new(),
        incomplete: false,
        unknown: 0,
    };
    layers.defaults();
    if let Some(source) = source {
        let Document { fields, problems } = document::parse(&source.path, &source.bytes);
        layers.incomplete = !problems.is_empty();
        layers.problems.extend(problems);
        layers.section("", &fields);
    }
    let (overrides, problems) = environment.overrides();
    layers.problems.extend(problems);
    for (key, written) in overrides {
        match written {
            Some(written) => layers.put(key, &written),
            None => layers.put_default(key),
        }
    }
    layers
}

impl Layers {
    /// The value of a key for rules that look at others too: `None` if it was refused, or if a line
    /// that could not be read may have set it.
    pub(crate) fn sound(&self, path: &str) -> Option<&InForce> {
        let known = !self.refused.contains(&path);
        self.values.get(path).filter(|at| known && !(self.incomplete && at.origin == Origin::Default))
    }

    /// Whether a key certainly has no value.
    pub(crate) fn absent(&self, path: &str) -> bool {
        !self.incomplete && !self.values.contains_key(path) && !self.refused.contains(&path)
    }

    fn defaults(&mut self) {
        for key in keys::keys() {
            self.put_default(key);
        }
    }

    fn put_default(&mut self, key: &'static Key) {
        self.values.remove(key.path);
        let Initial::Is(text) = key.initial else { return };
        match document::parse_value(&Origin::Default, text) {
            Ok(written) => self.put(key, &written),
            Err(message) => self.problems.push(Problem {
                origin: Origin::Default,
                key: key.path.to_owned(),
                fault: Fault::Internal { message },
                advice: "report this as a fault of rollcall".to_owned(),
            }),
        }
    }

    fn put(&mut self, key: &'static Key, written: &Written) {
        match check(key, key.path, written) {
            Ok(value) => {
                let tables = match &written.raw {
                    Raw::List(items) => items.iter().map(|item| item.origin.clone()).collect(),
                    _ => Vec::new(),
                };
                self.values.insert(key.path, InForce { value, origin: written.origin.clone(), tables });
            }
            Err(found) => {
                self.refused.push(key.path);
                self.problems.extend(found);
            }
        }
    }

    /// Walks down a section of the file; `section` is empty at the top.
    fn section(&mut self, section: &str, fields: &[Field]) {
        for field in fields {
            let path =
                if section.is_empty() { field.name.clone() } else { format!("{section}.{}", field.name) };
            if let Some(key) = keys::find(&path) {
                self.put(key, &field.value);
            } else if !keys::is_section(&path) {
                // Suggestions take long to find, and nobody reads the hundredth.
                self.unknown += 1;
                self.problems.push(unknown(section, &path, field, self.unknown <= MOST));
            } else if let Raw::Table(inside) = &field.value.raw {
                self.section(&path, inside);
            } else {
                let several = field.value.raw.is_sections();
                self.problems.push(Problem {
                    origin: field.origin.clone(),
                    fault: if several { Fault::ListOfSections } else { Fault::NotASection },
                    advice: format!("write [{path}], once, and its keys below"),
                    key: path,
                });
            }
        }
    }
}

/// The value that a key has when nothing is written.
pub(crate) fn default_of(key: &'static Key, text: &str) -> Option<Value> {
    let written = document::parse_value(&Origin::Default, text).ok()?;
    check(key, key.path, &written).ok()
}

/// A name that the table does not know, with what was probably meant.
fn unknown(section: &str, path: &str, field: &Field, suggest: bool) -> Problem {
    let table = matches!(field.value.raw, Raw::Table(_)) || field.value.raw.is_sections();
    let (fault, advice) = if table && !section_has_values(section) {
        (Fault::UnknownSection, suggest.then(|| advise_section(path)))
    } else {
        (Fault::UnknownKey, suggest.then(|| advise_key(section, &field.name)))
    };
    let advice = advice.unwrap_or_else(|| "remove it; rollcall.example.toml lists every key".to_owned());
    let key = if path.chars().count() > 60 { quote(path) } else { path.to_owned() };
    Problem { origin: field.origin.clone(), key, fault, advice }
}

/// Whether keys stand directly in this section, so that an unknown table in it is an unknown key.
fn section_has_values(section: &str) -> bool {
    !section.is_empty() && keys::sections().contains(&section)
}

fn advise_section(path: &str) -> String {
    let sections = keys::sections();
    let last = path.rsplit('.').next().unwrap_or_default();
    let near = sections
        .iter()
        .copied()
        .find(|section| section.rsplit('.').next() == Some(last))
        .or_else(|| suggest::nearest(path, sections.iter().copied()));
    match near {
        Some(near) => format!("did you mean [{near}]?"),
        None => format!("the sections are {}", sections.join(", ")),
    }
}

fn advise_key(section: &str, name: &str) -> String {
    let here: Vec<&str> = keys::keys().filter(|key| key.section() == section).map(Key::name).collect();
    let elsewhere: Vec<String> =
        keys::keys().filter(|key| key.name() == name).map(|key| format!("[{}]", key.section())).collect();
    if !elsewhere.is_empty() {
        return format!("this key belongs to {}; move it there", elsewhere.join(" or "));
    }
    if let Some(near) = suggest::nearest(name, here.iter().copied()) {
        return format!("did you mean {near}?");
    }
    if let Some(key) = suggest::nearest(name, keys::keys().map(Key::name))
        .and_then(|near| keys::keys().find(|key| key.name() == near))
    {
        return format!("did you mean {} in [{}]?", key.name(), key.section());
    }
    if here.is_empty() {
        return "remove it; keys stand under a section such as [http]".to_owned();
    }
    format!("remove it; [{section}] knows {}", here.join(", "))
}
