//! Promise: the example file shows every key with its meaning and its default, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;

use common::{load_text, no_environment};
use rollcall_config::{Built, Initial, Key, Kind, example, keys};

const FILE: &str = include_str!("../rollcall.example.toml");

/// The example with every key switched on: a `#` without a space behind it hides a key.
fn switched_on() -> String {
    let mut text = String::new();
    for line in FILE.lines() {
        let hidden = line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.is_empty());
        text.push_str(hidden.unwrap_or(line));
        text.push('\n');
    }
    text
}

fn value_at<'a>(root: &'a toml::Table, path: &str) -> Option<&'a toml::Value> {
    let mut names = path.split('.');
    let first = root.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

fn leaves(prefix: &str, table: &toml::Table, found: &mut BTreeSet<String>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value.as_table() {
            Some(inside) => leaves(&path, inside, found),
            None => drop(found.insert(path)),
        }
    }
}

#[test]
fn the_example_file_is_what_the_table_of_keys_says() {
    if FILE == example() {
        return;
    }
    let fresh = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("rollcall.example.toml");
    std::fs::write(&fresh, example()).unwrap();
    panic!("config/rollcall.example.toml is out of date; copy {} over it", fresh.display());
}

#[test]
fn the_example_as_it_stands_changes_nothing() {
    let untouched = load_text("", &no_environment()).unwrap();
    let example = load_text(FILE, &no_environment()).unwrap();
    assert_eq!(example.settings, untouched.settings);
}

#[test]
fn the_example_with_every_key_switched_on_is_valid() {
    load_text(&switched_on(), &no_environment()).unwrap();
}

#[test]
fn every_key_of_the_code_is_in_the_example_with_its_default_and_nothing_else_is() {
    let root: toml::Table = switched_on().parse().unwrap();
    for key in keys() {
        let written = value_at(&root, key.path).unwrap_or_else(|| panic!("{} is missing", key.path));
        if let (Initial::Is(text), false) = (key.initial, matches!(key.kind, Kind::Tables(_))) {
            let default: toml::Table = format!("it = {text}").parse().unwrap();
            assert_eq!(written, &default["it"], "{}", key.path);
        }
    }
    let mut found = BTreeSet::new();
    leaves("", &root, &mut found);
    let known: BTreeSet<String> = keys().map(|key| key.path.to_owned()).collect();
    assert_eq!(found, known);
}

/// The keys above which these words stand.
fn marked(words: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut marked = false;
    let mut found = BTreeSet::new();
    for line in FILE.lines().skip_while(|line| !line.starts_with('[')) {
        let block = line.strip_prefix("#[[").map(|name| name.trim_end_matches(']').to_owned());
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if line.contains(words) {
            marked = true;
        } else if line.starts_with('#') && !line.starts_with("# ") {
            let name = line.trim_start_matches('#').split(" = ").next().unwrap();
            if marked {
                found.insert(block.unwrap_or_else(|| format!("{section}.{name}")));
            }
            marked = false;
        }
    }
    found
}

fn those(wanted: impl Fn(&Key) -> bool) -> BTreeSet<String> {
    keys().filter(|key| wanted(key)).map(|key| key.path.to_owned()).collect()
}

#[test]
fn the_keys_of_the_settings_page_and_no_others_are_marked_as_such() {
    assert_eq!(marked("also on the settings page"), those(|key| key.on_page));
}

#[test]
fn the_keys_that_nothing_goes_by_yet_and_no_others_are_marked_as_such() {
    assert_eq!(marked("not built yet"), those(|key| key.built != Built::Yes));
    let refused = those(|key| key.built == Built::NotYetSoRefused);
    assert_eq!(marked("the gateway does not start with it"), refused);
}
