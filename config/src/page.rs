//! Changes that come from the settings page instead of the file.
//!
//! Promises: the page obeys the rules of the file; only keys marked for it can be changed.

use toml::Value;

use crate::document;
use crate::key::Key;
use crate::keys;
use crate::problem::{Fault, Origin, Problem, Problems};
use crate::value::check;

/// The keys that an admin may change on the settings page.
pub fn page_keys() -> impl Iterator<Item = &'static Key> {
    keys::keys().filter(|key| key.on_page)
}

/// Checks a new value, written as in the file or as in JSON: `15`, `true`, `"planned"`.
///
/// # Errors
/// What is wrong with it, as for the file.
pub fn check_page_value(path: &str, text: &str) -> Result<Value, Problems> {
    let refuse = |fault, advice: String| {
        Err(Problems::one(Problem { origin: Origin::Page, key: path.to_owned(), fault, advice }))
    };
    let Some(key) = keys::find(path) else {
        let near = crate::suggest::nearest(path, page_keys().map(|key| key.path));
        let advice = near.map_or_else(
            || "take one of the keys of the page".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        return refuse(Fault::UnknownKey, advice);
    };
    if !key.on_page {
        let advice = format!("write it in the settings file, or set {}", key.variable());
        return refuse(Fault::NotOnPage, advice);
    }
    match document::parse_value(&Origin::Page, text) {
        Ok(written) => check(key, key.path, &written).map_err(Problems::sorted),
        Err(message) => refuse(Fault::Syntax { message }, format!("write {}", key.kind.wanted())),
    }
}
