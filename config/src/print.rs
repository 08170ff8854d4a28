//! The settings in force as TOML, with where each value comes from.
//!
//! Promises: what is printed loads again to the same settings, except that secrets are masked and
//! a mask is refused when it is read.

use std::fmt::Write as _;

use toml::Value;

use crate::key::{Key, Kind};
use crate::keys;
use crate::loaded::{Entry, Loaded};
use crate::problem::Origin;
use crate::secret::{MASK, SecretUrl};

/// Width of a line up to its comment.
const MARGIN: usize = 47;

impl Loaded {
    /// Every setting in force, by section, each with its origin in a comment.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        for section in keys::sections() {
            heading(&mut out, &format!("[{section}]"));
            for entry in self.entries.iter().filter(|entry| entry.key.section() == section) {
                line(&mut out, entry);
            }
        }
        for entry in self.entries.iter().filter(|entry| matches!(entry.key.kind, Kind::Tables(_))) {
            blocks(&mut out, entry);
        }
        out
    }
}

fn heading(out: &mut String, title: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(title);
    out.push('\n');
}

fn line(out: &mut String, entry: &Entry) {
    let name = entry.key.name();
    match &entry.in_force {
        Some(in_force) => {
            commented(
                out,
                &format!("{name} = {}", shown(entry.key, &in_force.value)),
                &remark(entry, &in_force.origin),
            );
        }
        None => append(out, format_args!("# {name} is not set\n")),
    }
}

/// Who set it, and whether that is of any use.
fn remark(entry: &Entry, origin: &Origin) -> String {
    if entry.is_idle() { format!("{origin}; not built yet") } else { origin.to_string() }
}

fn commented(out: &mut String, text: &str, remark: &str) {
    // A control character in a file's name must not end the comment.
    let remark: String = remark.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    append(out, format_args!("{text:<MARGIN$} # {remark}\n"));
}

/// Writing to a `String` cannot fail.
pub(crate) fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    if out.write_fmt(text).is_err() {
        out.push('\n');
    }
}

fn shown(key: &Key, value: &Value) -> String {
    if !key.is_secret() {
        return value.to_string();
    }
    let url = value.as_str().and_then(|text| SecretUrl::try_from(text.to_owned()).ok());
    Value::String(url.map_or_else(|| MASK.to_owned(), |url| url.to_string())).to_string()
}

fn blocks(out: &mut String, entry: &Entry) {
    let Kind::Tables(fields) = entry.key.kind else { return };
    let Some(in_force) = &entry.in_force else { return };
    let tables = in_force.value.as_array().map(Vec::as_slice).unwrap_or_default();
    if tables.is_empty() {
        append(out, format_args!("\n# no [[{}]]\n", entry.key.path));
    }
    for (table, origin) in tables.iter().zip(&in_force.tables) {
        out.push('\n');
        commented(out, &format!("[[{}]]", entry.key.path), &remark(entry, origin));
        for field in fields {
            if let Some(value) = table.get(field.path) {
                append(out, format_args!("{} = {value}\n", field.path));
            }
        }
    }
}
