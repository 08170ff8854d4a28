//! Promise: Firebase credentials are looked for in the order of the contract.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;

use common::{environment, load_text};
use rollcall_config::{ConfigFile, Environment, FirebaseSource, load};

const ACCOUNT: &str = r#"{"client_email":"a@example.org","private_key":"sealed-words"}"#;
const PROJECT: &str = "upstream.firestore.project = \"example-campus\"\n";
const NAMED: &str = "upstream.firestore.credentials_path = \"/named.json\"\n";

/// The source in force in a folder that also holds `firebase-credentials.json`.
fn source(settings: &str, pairs: &[(&str, &str)]) -> FirebaseSource {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("firebase-credentials.json"), ACCOUNT).unwrap();
    let path = folder.path().join("rollcall.toml");
    std::fs::write(&path, settings).unwrap();
    load(&ConfigFile::Named(path), &environment(pairs)).unwrap().firebase
}

fn file(source: &FirebaseSource) -> &Path {
    match source {
        FirebaseSource::File { path, .. } => path,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_four_places_are_asked_in_order() {
    let both = format!("{PROJECT}{NAMED}");
    let json = ("FIREBASE_CREDENTIALS_JSON", ACCOUNT);
    let path = ("FIREBASE_CREDENTIALS_PATH", "/variable.json");
    assert!(matches!(source(&both, &[path, json]), FirebaseSource::Json(_)));
    assert_eq!(file(&source(&both, &[path])), Path::new("/variable.json"));
    assert_eq!(file(&source(&both, &[])), Path::new("/named.json"));
    assert!(file(&source(PROJECT, &[])).ends_with("firebase-credentials.json"));
}

#[test]
fn empty_variables_count_as_not_set() {
    let empty = [("FIREBASE_CREDENTIALS_JSON", ""), ("FIREBASE_CREDENTIALS_PATH", "")];
    assert!(file(&source(PROJECT, &empty)).ends_with("firebase-credentials.json"));
}

#[test]
fn an_emulator_needs_no_credentials() {
    let loaded = load_text(PROJECT, &environment(&[("FIRESTORE_EMULATOR_HOST", "127.0.0.1:8085")])).unwrap();
    assert_eq!(loaded.firebase, FirebaseSource::Emulator("127.0.0.1:8085".to_owned()));
}

#[test]
fn a_bad_first_place_is_a_mistake_and_not_passed_over() {
    for (json, why) in [
        ("{\"private_key\":\"sealed-words\"}", "has no client_email"),
        ("{sealed-words", "is not JSON (line 1, column 2)"),
    ] {
        let variables = environment(&[("FIREBASE_CREDENTIALS_JSON", json)]);
        let said = load_text(&format!("{PROJECT}{NAMED}"), &variables).unwrap_err().to_string();
        assert!(said.contains(&format!("FIREBASE_CREDENTIALS_JSON: the text (not shown) {why}")), "{said}");
        assert!(!said.contains("sealed-words"));
    }
    let said = load_text(PROJECT, &environment(&[("FIRESTORE_EMULATOR_HOST", "http://x")])).unwrap_err();
    assert!(said.to_string().contains("is not a host and a port"));
}

#[test]
fn without_a_project_nobody_asks_for_credentials() {
    assert_eq!(load_text("", &Environment::default()).unwrap().firebase, FirebaseSource::Nowhere);
}
