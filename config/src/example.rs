//! The commented settings file that `rollcall.example.toml` is a copy of.
//!
//! Promises: every key, with its meaning, its bounds and its default; as it stands it changes
//! nothing, because every key is behind a `#`.

use crate::form::Form;
use crate::key::{Built, Initial, Key, Kind};
use crate::keys;
use crate::print::append;
use crate::suggest;

const HEAD: &str = "\
# Settings of Rollcall. As it stands this file changes nothing: every key is commented out and
# shows its default, or, where nothing is set by default, what could be written.
#
# It is read from /etc/rollcall/rollcall.toml, or from the file given with --config. Environment
# variables come after it: ROLLCALL__HTTP__LISTEN overrides listen in [http]; lists are given
# comma separated. `rollcall check-config` names every mistake and shows what is in force.
#
# Keys marked \"not built yet\" are read and checked, and nothing goes by them so far; the gateway
# says so when one is set. Keys marked \"also on the settings page\" can be changed there without a
# restart once there is that page; what is written here is then only the default.
";

/// The text of the example file.
#[must_use]
pub fn example() -> String {
    let mut out = HEAD.to_owned();
    for section in keys::sections() {
        append(&mut out, format_args!("\n[{section}]\n"));
        for (index, key) in keys::keys().filter(|key| key.section() == section).enumerate() {
            if index > 0 {
                out.push('\n');
            }
            explain(&mut out, key);
            append(&mut out, format_args!("#{} = {}\n", key.name(), key.sample()));
        }
    }
    for key in keys::keys() {
        if let Kind::Tables(fields) = key.kind {
            out.push('\n');
            explain(&mut out, key);
            append(&mut out, format_args!("#[[{}]]\n", key.path));
            for field in fields {
                explain(&mut out, field);
                append(&mut out, format_args!("#{} = {}\n", field.path, field.sample()));
            }
        }
    }
    out
}

fn explain(out: &mut String, key: &Key) {
    for line in key.doc.lines() {
        append(out, format_args!("# {line}\n"));
    }
    let mut notes = Vec::new();
    match key.kind {
        Kind::Whole { min, max } => notes.push(format!("{min} to {max}")),
        Kind::Fraction { min, max } => notes.push(format!("{min} to {max}")),
        Kind::Text(Form::OneOf(words)) => notes.push(suggest::either(words)),
        Kind::List(Form::OneOf(words)) => notes.push(format!("a list of {}", suggest::either(words))),
        _ => {}
    }
    if matches!(key.initial, Initial::Unset { .. }) {
        notes.push("not set by default".to_owned());
    }
    if key.on_page {
        notes.push("also on the settings page".to_owned());
    }
    match key.built {
        Built::Yes => {}
        Built::NotYet => notes.push("not built yet".to_owned()),
        Built::NotYetSoRefused => notes.push("not built yet: the gateway does not start with it".to_owned()),
    }
    if !notes.is_empty() {
        append(out, format_args!("# ({})\n", notes.join("; ")));
    }
}
