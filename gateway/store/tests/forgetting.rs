//! A person who was erased is in no table any more, and everything else is as it was.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{KEY, gate, note, open, register, setting, student};
use proptest::prelude::*;
use redb::{Database, ReadableDatabase as _, ReadableTableMetadata as _, TableHandle as _};
use rollcall_domain::event::{CampusEvent, Event};
use rollcall_domain::ids::{ApiTokenId, Seq, StudentId, TeacherId, UserId};
use rollcall_domain::people::{Person, Personal, UserDetails};
use rollcall_domain::scan::Method;
use rollcall_store::{Claimant, Credential, Store, Template, verify};
use tempfile::tempdir;

fn finger(student: u64, number: u16) -> Credential {
    let (form, bytes) = ("iso".to_owned(), vec![1, 2, 3]);
    let student = StudentId(student);
    Credential::Template(Template { student, method: Method::Fingerprint, number, form, bytes })
}

/// How many rows each table has, but for the ledger's own.
fn rows(folder: &Path) -> BTreeMap<String, u64> {
    let database = Database::open(folder.join("ledger.redb")).unwrap();
    let read = database.begin_read().unwrap();
    let tables = read.list_tables().unwrap().filter(|table| !["events", "keys"].contains(&table.name()));
    tables
        .map(|table| (table.name().to_owned(), read.open_untyped_table(table).unwrap().len().unwrap()))
        .filter(|(_, rows)| *rows > 0)
        .collect()
}

fn erase(store: &Store, person: Person) {
    register(store, Event::Erased(person), vec![], vec![]);
}

#[test]
fn an_erased_student_is_in_no_table_and_the_ledgers_chain_is_whole() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let ann = Person::Student(StudentId(1));
    let details = vec![Personal::Student(StudentId(1), student("Ann")), note(Some(ann), "came late")];
    register(&store, setting("5"), details, vec![finger(1, 0), finger(1, 1)]);
    // What the event itself brings about them goes, too.
    register(&store, Event::Erased(ann), vec![note(Some(ann), "asked for it")], vec![finger(1, 2)]);
    drop(store);
    assert_eq!(rows(folder.path()), BTreeMap::new());
    assert_eq!(verify(folder.path(), KEY, None).unwrap().last, Seq(2));
}

#[test]
fn an_erased_sign_in_is_in_no_table() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let (one, secrets) = (UserId(1), store.secrets());
    let user = UserDetails { username: "one".to_owned(), email: None };
    let personal = vec![Personal::User(one, user), note(Some(Person::User(one)), "new")];
    let credentials = vec![
        Credential::Password { user: one, hash: "of a password".to_owned() },
        Credential::SecondFactor { user: one, secret: vec![7; 20] },
        Credential::BackupCodes { user: one, hashes: vec![secrets.backup_code(one, "A")] },
        Credential::ApiToken { user: one, token: ApiTokenId(7), hash: secrets.api_token(b"a") },
        Credential::ClaimCode { of: Claimant::User(one), hash: secrets.claim_code("C") },
    ];
    register(&store, setting("5"), personal, credentials);
    erase(&store, Person::User(one));
    drop(store);
    assert_eq!(rows(folder.path()), BTreeMap::new());
}

#[test]
fn others_with_the_same_number_and_texts_about_nobody_stay() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let teacher = Person::Teacher(TeacherId(1));
    let personal = vec![Personal::Student(StudentId(1), student("Ann")), note(Some(teacher), "a teacher")];
    let other = vec![Personal::Student(StudentId(2), student("Bob")), note(None, "nobody")];
    let hash = store.secrets().device(b"s");
    let secret = Credential::DeviceSecret { device: gate(), hash };
    register(&store, setting("5"), personal, vec![finger(1, 0), finger(2, 0), secret]);
    register(&store, setting("5"), other, vec![]);
    erase(&store, Person::Student(StudentId(1)));
    let kept = store.register();
    assert_eq!(kept.student(StudentId(2)).unwrap(), Some(student("Bob")));
    assert_eq!(kept.texts_about(teacher, Seq(0), 9).unwrap().len(), 1);
    assert_eq!(kept.texts(Seq(2)).unwrap().len(), 1);
    assert_eq!(kept.templates(StudentId(2)).unwrap().len(), 1);
    assert!(kept.is_device_secret(&gate(), b"s").unwrap());
}

#[test]
fn who_turned_out_to_be_an_erased_student_is_erased_with_them() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    for id in 1..=4 {
        let about = Some(Person::Student(StudentId(id)));
        let personal = vec![Personal::Student(StudentId(id), student("Ann")), note(about, "a note")];
        register(&store, setting("5"), personal, vec![finger(id, 0)]);
    }
    for (from, into) in [(3, 2), (2, 1)] {
        let merged = CampusEvent::Merged { from: StudentId(from), into: StudentId(into) };
        register(&store, Event::Campus(merged), vec![], vec![]);
    }
    erase(&store, Person::Student(StudentId(1)));
    let kept = store.register();
    assert_eq!(kept.students(StudentId(0), 9).unwrap(), [(StudentId(4), student("Ann"))]);
    drop((kept, store));
    let left = ["people", "templates", "texts", "texts_about"];
    assert_eq!(rows(folder.path()), left.map(|table| (table.to_owned(), 1)).into());
}

#[test]
fn when_the_ledger_says_that_no_template_is_stored_none_is() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    register(&store, setting("5"), vec![], vec![finger(1, 0), finger(1, 1), finger(2, 0)]);
    let gone = CampusEvent::TemplateStored { student: StudentId(1), present: false };
    register(&store, Event::Campus(gone), vec![], vec![]);
    assert_eq!(store.register().templates(StudentId(1)).unwrap(), []);
    assert_eq!(store.register().templates(StudentId(2)).unwrap().len(), 1);
}

#[test]
fn the_sealed_bytes_of_a_name_are_not_the_name() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let personal = vec![
        Personal::Student(StudentId(1), student("Quetzalcoatl Xylophone")),
        note(Some(Person::Student(StudentId(1))), "Kierkegaard"),
    ];
    let password = Credential::Password { user: UserId(1), hash: "$argon2id$Wittgenstein".to_owned() };
    let hash = store.secrets().device(b"Schopenhauer");
    let secret = Credential::DeviceSecret { device: gate(), hash };
    register(&store, setting("5"), personal, vec![password, secret]);
    drop(store);
    for file in ["ledger.redb", "views.redb"] {
        let bytes = std::fs::read(folder.path().join(file)).unwrap();
        for word in ["Quetzalcoatl", "Xylophone", "Kierkegaard", "Wittgenstein", "Schopenhauer"] {
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "{word} is in {file}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever was written about whom, and in whatever order: after an erasure it is as if nothing had
    /// ever been written about that person.
    #[test]
    fn an_erasure_takes_one_persons_rows_and_no_others(
        rows_written in prop::collection::vec((1..4_u64, 0..3_u8), 1..20),
        erased in 1..4_u64,
    ) {
        let write = |store: &Store, whom: u64, what: u8| {
            let id = StudentId(whom);
            let (personal, credentials) = match what {
                0 => (vec![Personal::Student(id, student("Ann"))], vec![]),
                1 => (vec![note(Some(Person::Student(id)), "a note")], vec![]),
                _ => (vec![], vec![finger(whom, 0)]),
            };
            register(store, setting("5"), personal, credentials);
        };
        let (with, without) = (tempdir().unwrap(), tempdir().unwrap());
        let (one, other) = (open(with.path()), open(without.path()));
        for (whom, what) in rows_written {
            write(&one, whom, what);
            if whom != erased {
                write(&other, whom, what);
            }
        }
        erase(&one, Person::Student(StudentId(erased)));
        drop((one, other));
        prop_assert_eq!(rows(with.path()), rows(without.path()));
    }
}
