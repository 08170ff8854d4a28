//! Promise: the settings and the table of keys are the same thing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;

use common::{complaints, load_text, no_environment};
use rollcall_config::{Form, Initial, Kind, find, keys, sections};
use rollcall_domain::scan::KNOWN_DAYS;

/// Every key with a value, so that no field of the settings is left out.
fn everything() -> String {
    let mut text = String::new();
    for key in keys() {
        if let Kind::Tables(fields) = key.kind {
            let inside: Vec<String> =
                fields.iter().map(|field| format!("{} = {}", field.path, field.sample())).collect();
            text.push_str(&format!("{} = [{{ {} }}]\n", key.path, inside.join(", ")));
        } else {
            text.push_str(&format!("{} = {}\n", key.path, key.sample()));
        }
    }
    text
}

fn leaves(prefix: &str, value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value.as_object() {
        Some(fields) => {
            for (name, inside) in fields {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                leaves(&path, inside, found);
            }
        }
        None => drop(found.insert(prefix.to_owned())),
    }
}

#[test]
fn every_field_of_the_settings_has_a_row_and_every_row_a_field() {
    let loaded = load_text(&everything(), &no_environment()).unwrap();
    let mut fields = BTreeSet::new();
    leaves("", &serde_json::to_value(&loaded.settings).unwrap(), &mut fields);
    let rows: BTreeSet<String> = keys().map(|key| key.path.to_owned()).collect();
    assert_eq!(fields, rows);
}

#[test]
fn no_optional_field_is_lost_on_the_way_to_the_settings() {
    let loaded = load_text(&everything(), &no_environment()).unwrap();
    let json = serde_json::to_string(&loaded.settings).unwrap();
    assert!(!json.contains("null"), "{json}");
}

#[test]
fn every_word_of_a_choice_is_a_value_of_the_settings() {
    for key in keys() {
        if let Kind::Text(Form::OneOf(words)) = key.kind {
            for word in words {
                assert_eq!(complaints(&format!("{} = \"{word}\"", key.path)), "");
            }
        }
        if let Kind::List(Form::OneOf(words)) = key.kind {
            assert_eq!(complaints(&format!("{} = {words:?}", key.path)), "");
        }
    }
}

#[test]
fn both_bounds_of_every_number_fit_into_the_settings() {
    for key in keys() {
        let Kind::Whole { min, max } = key.kind else { continue };
        for bound in [min, max] {
            let text = match key.path {
                "auth.access_minutes" => {
                    format!("auth = {{ access_minutes = {bound}, refresh_minutes = 1440 }}")
                }
                "auth.refresh_minutes" => {
                    format!("auth = {{ access_minutes = 1, refresh_minutes = {bound} }}")
                }
                "retention.records_days" => {
                    format!("retention = {{ records_days = {bound}, ledger_days = 36500 }}")
                }
                "retention.ledger_days" => {
                    format!("retention = {{ records_days = 1, ledger_days = {bound} }}")
                }
                path => format!("{path} = {bound}"),
            };
            assert_eq!(complaints(&text), "");
        }
        for beyond in [min - 1, max + 1] {
            let said = complaints(&format!("{} = {beyond}", key.path));
            assert!(
                said.contains(&format!("{beyond} is out of range; write a whole number from {min} to {max}"))
            );
        }
    }
}

#[test]
fn the_ledger_is_kept_for_as_long_as_scans_must_be_known() {
    let Kind::Whole { min, .. } = find("retention.ledger_days").unwrap().kind else { panic!("no number") };
    assert_eq!(min, i64::from(KNOWN_DAYS));
}

#[test]
fn names_are_unique_and_sections_come_in_one_piece() {
    let paths: BTreeSet<&str> = keys().map(|key| key.path).collect();
    assert_eq!(paths.len(), keys().count());
    let mut runs: Vec<&str> =
        keys().map(|key| key.section()).filter(|section| *section != "dialects").collect();
    runs.dedup();
    assert_eq!(runs, sections());
    assert!(keys().all(|key| std::ptr::eq(find(key.path).unwrap(), key)));
}

#[test]
fn every_row_explains_itself_in_lines_that_fit_a_terminal() {
    for key in keys() {
        assert!(!key.doc.is_empty() && key.doc.lines().count() <= 2, "{}", key.path);
        assert!(key.doc.lines().all(|line| line.len() <= 98), "{}", key.path);
        let required = matches!(key.initial, Initial::Required { .. });
        assert!(!required, "{} has no default: the gateway must run without a file", key.path);
    }
}
