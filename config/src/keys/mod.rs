//! The table of all settings, in the order in which people read them.
//!
//! Promises: a key exists if and only if it has a row here. The rows are in three files for
//! length's sake: the way in ([`front`]), the rules of the campus ([`rules`]), the way out
//! ([`outward`]).

mod front;
mod outward;
mod rules;

use crate::key::{Initial, Key, Kind};

/// Every setting, in order.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    [front::KEYS, rules::KEYS, outward::KEYS].into_iter().flatten()
}

/// The setting at a path such as `http.listen`.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    keys().find(|key| key.path == path)
}

/// Every section that holds keys, in order, each once.
#[must_use]
pub fn sections() -> Vec<&'static str> {
    let mut sections: Vec<&'static str> = Vec::new();
    for key in keys().filter(|key| !matches!(key.kind, Kind::Tables(_))) {
        if !sections.contains(&key.section()) {
            sections.push(key.section());
        }
    }
    sections
}

/// Whether a path names a section, or a folder of sections such as `upstream`.
pub(crate) fn is_section(path: &str) -> bool {
    keys().any(|key| {
        key.section() == path || key.section().strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
    })
}

/// Short, because most rows begin with it.
const fn key(path: &'static str, kind: Kind, initial: Initial, doc: &'static str) -> Key {
    Key::new(path, kind, initial, doc)
}

const fn is(toml: &'static str) -> Initial {
    Initial::Is(toml)
}

const fn unset(example: &'static str) -> Initial {
    Initial::Unset { example }
}

const fn required(example: &'static str) -> Initial {
    Initial::Required { example }
}

const fn whole(min: i64, max: i64) -> Kind {
    Kind::Whole { min, max }
}
