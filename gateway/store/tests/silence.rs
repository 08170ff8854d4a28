//! Nothing secret and nothing personal is told by what is printed, logged or refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::fmt::{Debug, Write as _};
use std::path::Path;
use std::sync::Mutex;

use common::{KEY, TestClock, append, gate, note, open, register, setting, student};
use redb::{Database, TableDefinition};
use rollcall_domain::ids::{ApiTokenId, Seq, StudentId, UserId};
use rollcall_domain::people::{DeviceDetails, Person, Personal};
use rollcall_domain::scan::Method;
use rollcall_store::{Claimant, Credential, Keyring, RootKey, Store, Template, verify};
use tempfile::tempdir;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// What no line may hold. The bytes of keys and secrets are 3, 4, 7 and 9, over and over.
const TELLING: [&str; 9] = [
    "Quetzalcoatl",
    "Kierkegaard",
    "Wittgenstein",
    "Hegel",
    "03030303",
    "04040404",
    "07070707",
    "7, 7, 7",
    "9, 9, 9",
];

static LOG: Mutex<String> = Mutex::new(String::new());

/// Writes every field of every event into [`LOG`].
struct Listener;

struct Line;

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(LOG.lock().unwrap(), "{field}: {value:?}").unwrap();
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("rollcall")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn says_nothing(printed: &str) {
    for word in TELLING {
        assert!(!printed.contains(word), "{word} in {printed}");
    }
}

fn is_silent(printed: &impl Debug) {
    says_nothing(&format!("{printed:?}"));
    says_nothing(&format!("{printed:#?}"));
}

fn credentials(store: &Store) -> Vec<Credential> {
    let (user, student, secrets) = (UserId(1), StudentId(1), store.secrets());
    let of = Claimant::User(user);
    let (form, bytes) = ("iso".to_owned(), vec![9; 20]);
    vec![
        Credential::Password { user, hash: "$argon2id$Wittgenstein".to_owned() },
        Credential::SecondFactor { user, secret: vec![7; 20] },
        Credential::BackupCodes { user, hashes: vec![secrets.backup_code(user, "Hegel")] },
        Credential::ApiToken { user, token: ApiTokenId(1), hash: secrets.api_token(b"Hegel") },
        Credential::DeviceSecret { device: gate(), hash: secrets.device(b"Hegel") },
        Credential::ClaimCode { of, hash: secrets.claim_code("Hegel") },
        Credential::Template(Template { student, method: Method::Face, number: 0, form, bytes }),
    ]
}

#[test]
fn nothing_secret_is_printed() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    is_silent(&credentials(&store));
    is_silent(&store.secrets());
    is_silent(&store.secrets().device(b"Hegel"));
    is_silent(&store.pseudonyms());
    is_silent(&Keyring::new(RootKey::new([7; 32])).replacing(RootKey::new([9; 32])));
    let device = DeviceDetails { ip_address: None, endpoint: Some("http://a:Hegel@h/".to_owned()) };
    is_silent(&[Personal::Device(gate(), device), Personal::Student(StudentId(1), student("Quetzalcoatl"))]);
    is_silent(&note(None, "Kierkegaard"));
    let about = Some(Person::Student(StudentId(1)));
    register(&store, setting("1"), vec![note(about, "Kierkegaard")], credentials(&store));
    is_silent(&store.register().texts(Seq(1)).unwrap());
    is_silent(&store.register().templates(StudentId(1)).unwrap());
}

fn garble(folder: &Path) {
    let database = Database::open(folder.join("ledger.redb")).unwrap();
    let write = database.begin_write().unwrap();
    let people: TableDefinition<'_, (u8, u64), &[u8]> = TableDefinition::new("people");
    write.open_table(people).unwrap().insert((1, 2), b"Quetzalcoatl in the clear".as_slice()).unwrap();
    write.commit().unwrap();
}

#[test]
fn nothing_secret_is_logged_or_told_by_an_error() {
    tracing::subscriber::set_global_default(Listener).unwrap();
    let folder = tempdir().unwrap();
    let open = |keys: Keyring| Store::open(folder.path(), keys, TestClock::shared(), Box::new(|_| {}));
    let store = open(KEY.into()).unwrap();
    let personal = vec![
        Personal::Student(StudentId(1), student("Quetzalcoatl")),
        note(Some(Person::Student(StudentId(1))), "Kierkegaard"),
    ];
    register(&store, setting("1"), personal, credentials(&store));
    drop(store);
    garble(folder.path());
    let other = RootKey::new([7; 32]);
    let mut told = Vec::from([open(other.clone().into()).err().unwrap()]);
    told.push(verify(folder.path(), other, None).unwrap_err());
    let store = open(Keyring::new(RootKey::new([4; 32])).replacing(KEY)).unwrap();
    while store.is_resealing() {
        append(&store, vec![setting("2")]);
    }
    told.push(store.register().student(StudentId(2)).unwrap_err());
    drop(store);
    for error in told {
        says_nothing(&error.to_string());
        is_silent(&error);
    }
    let log = LOG.lock().unwrap();
    // It was listened to, also while rows were sealed anew.
    assert!(log.contains("the sealing key was replaced"), "{log}");
    assert!(log.contains("a row stays under the older key"), "{log}");
    says_nothing(&log);
}
