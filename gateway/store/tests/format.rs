//! What was written by an earlier version can be read by every later one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use common::{KEY, append, created, gate, note, register, setting, student, unmatched};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use rollcall_domain::ids::{StudentId, UserId};
use rollcall_domain::moment::Moment;
use rollcall_domain::people::{DeviceDetails, Person, Personal};
use rollcall_domain::ports::Clock;
use rollcall_domain::scan::Method;
use rollcall_store::{Credential, Store, Template};
use tempfile::tempdir;

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

/// Stands still, however often it is looked at.
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Moment {
        Moment::from_millis(1_772_000_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// If this fails, the format has changed: give it a new version, and keep reading this one.
#[test]
fn entries_lie_in_the_ledger_as_version_1_wrote_them() {
    let folder = tempdir().unwrap();
    let store = Store::open(folder.path(), KEY, Arc::new(StoppedClock), Box::new(|_| {})).unwrap();
    append(&store, vec![created(), unmatched("a").0, setting("5")]);
    drop(store);
    let database = Database::open(folder.path().join("ledger.redb")).unwrap();
    let table = database.begin_read().unwrap().open_table(EVENTS).unwrap();
    let rows = table.iter().unwrap().map(Result::unwrap);
    let lines: String = rows.map(|(_, bytes)| hex(bytes.value()) + "\n").collect();
    assert_eq!(lines, include_str!("golden/ledger-v1.hex"), "{lines}");
}

/// If this fails, the format has changed: give it a new version, and keep reading this one.
#[test]
fn rows_lie_sealed_in_the_register_as_version_1_wrote_them() {
    let folder = tempdir().unwrap();
    let store = Store::open(folder.path(), KEY, Arc::new(StoppedClock), Box::new(|_| {})).unwrap();
    let ann = StudentId(5);
    let endpoint = Some("http://a:b@10.0.0.7/".to_owned());
    let personal = vec![
        Personal::Student(ann, student("Ann Berg")),
        Personal::Device(gate(), DeviceDetails { ip_address: None, endpoint }),
        note(Some(Person::Student(ann)), "came late"),
    ];
    let form = "iso".to_owned();
    let finger =
        Template { student: ann, method: Method::Fingerprint, number: 2, form, bytes: vec![1, 2, 3] };
    let credentials = vec![
        Credential::Template(finger),
        Credential::Password { user: UserId(1), hash: "$argon2id$x".to_owned() },
        Credential::SecondFactor { user: UserId(1), secret: vec![7; 20] },
    ];
    register(&store, setting("5"), personal, credentials);
    drop(store);
    let database = Database::open(folder.path().join("ledger.redb")).unwrap();
    let read = database.begin_read().unwrap();
    let mut lines = String::new();
    macro_rules! dump {
        ($name:literal, $key:ty) => {
            let table: TableDefinition<'_, $key, &[u8]> = TableDefinition::new($name);
            for row in read.open_table(table).unwrap().iter().unwrap() {
                let (key, row) = row.unwrap();
                writeln!(lines, "{} {:?} {}", $name, key.value(), hex(row.value())).unwrap();
            }
        };
    }
    dump!("people", (u8, u64));
    dump!("devices", String);
    dump!("texts", (u64, u8));
    dump!("templates", (u64, u8, u16));
    dump!("credentials", (u8, u64));
    assert_eq!(lines, include_str!("golden/register-v1.txt"), "{lines}");
}
