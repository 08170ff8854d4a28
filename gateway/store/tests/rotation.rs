//! The root key can be replaced, and nothing is lost by it: neither what is known nor what is proven.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::path::Path;

use common::damage::{EVENTS, PEOPLE, apart};
use common::disk::Disk;
use common::{KEY, append, gate, note, open, refusal, register, setting, student, try_open};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use rollcall_domain::code::{KeyKind, PersonKey};
use rollcall_domain::ids::{Seq, StudentId, UserId};
use rollcall_domain::people::{DeviceDetails, Person, Personal};
use rollcall_domain::scan::Method;
use rollcall_store::{Appended, Credential, Keyring, RootKey, Store, StoreError, Template, verify};
use tempfile::{TempDir, tempdir};

const NEW: RootKey = RootKey::new([4; 32]);
const NEWEST: RootKey = RootKey::new([5; 32]);
const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
/// More than one step of sealing anew.
const MANY: u64 = 6_000;

fn both() -> Keyring {
    Keyring::new(NEW).replacing(KEY)
}

fn wait(store: &Store) {
    while store.is_resealing() {
        std::thread::yield_now();
    }
}

fn number(store: &Store) -> PersonKey {
    store.pseudonyms().key(KeyKind::Code, "S1")
}

/// A row of each kind, under the first key.
fn campus() -> (TempDir, PersonKey) {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let ann = StudentId(1);
    let personal = vec![
        Personal::Student(ann, student("Ann")),
        Personal::Device(gate(), DeviceDetails { ip_address: Some("10.0.0.7".to_owned()), endpoint: None }),
        note(Some(Person::Student(ann)), "came late"),
    ];
    let (form, bytes) = ("iso".to_owned(), vec![1, 2, 3]);
    let hash = store.secrets().device(b"s");
    let credentials = vec![
        Credential::Template(Template { student: ann, method: Method::Face, number: 0, form, bytes }),
        Credential::Password { user: UserId(1), hash: "of a password".to_owned() },
        Credential::SecondFactor { user: UserId(1), secret: vec![7; 20] },
        Credential::DeviceSecret { device: gate(), hash },
    ];
    register(&store, setting("1"), personal, credentials);
    append(&store, vec![setting("2")]);
    let number = number(&store);
    (folder, number)
}

/// All of [`campus`] is read.
fn is_known(store: &Store, as_before: PersonKey) {
    let register = store.register();
    assert_eq!(register.student(StudentId(1)).unwrap(), Some(student("Ann")));
    assert_eq!(register.device(&gate()).unwrap().unwrap().ip_address.as_deref(), Some("10.0.0.7"));
    assert_eq!(register.texts(Seq(1)).unwrap()[0].text, "came late");
    assert_eq!(register.templates(StudentId(1)).unwrap()[0].bytes, [1, 2, 3]);
    assert_eq!(register.password(UserId(1)).unwrap().as_deref(), Some("of a password"));
    assert_eq!(register.second_factor(UserId(1)).unwrap(), Some(vec![7; 20]));
    assert!(register.is_device_secret(&gate(), b"s").unwrap());
    assert_eq!(number(store), as_before);
}

#[test]
fn everything_is_known_under_the_new_key_and_afterwards_without_the_old_one() {
    let (folder, as_before) = campus();
    let store = try_open(folder.path(), both()).unwrap();
    is_known(&store, as_before);
    append(&store, vec![setting("3")]);
    wait(&store);
    is_known(&store, as_before);
    drop(store);
    let store = try_open(folder.path(), NEW).unwrap();
    assert!(!store.is_resealing());
    is_known(&store, as_before);
    append(&store, vec![setting("4")]);
    drop(store);
    let scratch = tempdir().unwrap();
    let verified = verify(folder.path(), NEW, Some(scratch.path())).unwrap();
    assert_eq!((verified.last, verified.difference), (Seq(4), None));
    assert!(
        matches!(refusal(folder.path(), KEY), StoreError::OtherKey { wanted } if wanted == NEW.fingerprint())
    );
}

#[test]
fn the_old_key_is_needed_only_once_even_if_the_gateway_stops_before_all_is_sealed_anew() {
    let (folder, as_before) = campus();
    let mut before = KEY;
    for fill in 10..15 {
        let next = RootKey::new([fill; 32]);
        let keys = Keyring::new(next.clone()).replacing(before);
        is_known(&try_open(folder.path(), keys).unwrap(), as_before);
        before = next;
    }
    let store = try_open(folder.path(), before).unwrap();
    is_known(&store, as_before);
    wait(&store);
    is_known(&store, as_before);
}

#[test]
fn a_key_that_was_replaced_may_come_back() {
    let (folder, as_before) = campus();
    drop(try_open(folder.path(), both()).unwrap());
    let back = Keyring::new(KEY).replacing(NEW);
    let store = try_open(folder.path(), back).unwrap();
    append(&store, vec![setting("3")]);
    wait(&store);
    is_known(&store, as_before);
    drop(store);
    assert_eq!(verify(folder.path(), KEY, None).unwrap().last, Seq(3));
}

#[test]
fn no_row_lies_under_the_old_key_once_everything_is_sealed_anew() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let many = (1..=MANY).map(|id| Personal::Student(StudentId(id), student("Ann"))).collect();
    register(&store, setting("1"), many, vec![]);
    drop(store);
    let store = try_open(folder.path(), both()).unwrap();
    // Appends go on meanwhile.
    while store.is_resealing() {
        register(&store, setting("2"), vec![Personal::Student(StudentId(7), student("Bea"))], vec![]);
    }
    assert_eq!(store.register().student(StudentId(7)).unwrap(), Some(student("Bea")));
    drop(store);
    let database = Database::open(folder.path().join("ledger.redb")).unwrap();
    let people = database.begin_read().unwrap().open_table(PEOPLE).unwrap();
    let generations: Vec<u8> = people.range((1, 0)..).unwrap().map(|row| row.unwrap().1.value()[1]).collect();
    assert_eq!(generations, vec![2; usize::try_from(MANY).unwrap()]);
}

/// Changes a stored value, as somebody with a hex editor would.
fn tamper(folder: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = apart(folder);
    let write = database.begin_write().unwrap();
    change(&write);
    write.commit().unwrap();
}

/// Four entries, of which two are chained by each key.
fn chained_by_two() -> TempDir {
    let (folder, _) = campus();
    let store = try_open(folder.path(), both()).unwrap();
    append(&store, vec![setting("3")]);
    append(&store, vec![setting("4")]);
    wait(&store);
    folder
}

#[test]
fn a_changed_entry_is_found_on_either_side_of_the_replacement() {
    for seq in 1..=4_u64 {
        let folder = chained_by_two();
        tamper(folder.path(), |write| {
            let mut events = write.open_table(EVENTS).unwrap();
            let mut bytes = events.get(seq).unwrap().unwrap().value().to_vec();
            // Its own link of the chain, so that its checksum still fits.
            *bytes.last_mut().unwrap() ^= 1;
            events.insert(seq, bytes.as_slice()).unwrap();
        });
        let Err(StoreError::Chain { seq: found }) = verify(folder.path(), NEW, None) else { panic!("{seq}") };
        assert_eq!(found, seq);
    }
}

/// Who has the key that was replaced can make entries that follow each other, but those that were chained by
/// the new key follow the entries that there were.
#[test]
fn the_old_key_is_of_no_use_for_changing_what_was_written_before_it_was_replaced() {
    let folder = chained_by_two();
    let forged = tempdir().unwrap();
    let store = open(forged.path());
    append(&store, vec![setting("1"), setting("forged")]);
    drop(store);
    let database = apart(forged.path());
    let theirs = database.begin_read().unwrap().open_table(EVENTS).unwrap();
    tamper(folder.path(), |write| {
        let mut events = write.open_table(EVENTS).unwrap();
        for seq in 1..=2_u64 {
            events.insert(seq, theirs.get(seq).unwrap().unwrap().value()).unwrap();
        }
    });
    let broken = verify(folder.path(), NEW, None);
    assert!(matches!(broken, Err(StoreError::Chain { .. })), "{broken:?}");
}

#[test]
fn a_ledger_whose_row_of_keys_is_lost_or_changed_is_not_given_another() {
    for lost in [true, false] {
        let (folder, _) = campus();
        tamper(folder.path(), |write| {
            let mut keys = write.open_table(KEYS).unwrap();
            let mut row = keys.remove("keys").unwrap().unwrap().value().to_vec();
            *row.last_mut().unwrap() ^= 1;
            if !lost {
                keys.insert("keys", row.as_slice()).unwrap();
            }
        });
        assert!(matches!(refusal(folder.path(), KEY), StoreError::Keys));
        assert!(matches!(verify(folder.path(), KEY, None), Err(StoreError::Keys)));
    }
}

#[test]
fn a_row_put_in_place_of_another_is_not_read() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let personal = [1, 2].map(|id| Personal::Student(StudentId(id), student("Ann")));
    register(&store, setting("1"), personal.into(), vec![]);
    drop(store);
    tamper(folder.path(), |write| {
        let mut people = write.open_table(PEOPLE).unwrap();
        let row = people.get((1, 1)).unwrap().unwrap().value().to_vec();
        people.insert((1, 2), row.as_slice()).unwrap();
        people.insert((2, 1), row.as_slice()).unwrap();
    });
    let store = open(folder.path());
    let register = store.register();
    assert!(register.student(StudentId(1)).unwrap().is_some());
    assert!(matches!(register.student(StudentId(2)), Err(StoreError::Row { .. })));
    assert!(matches!(register.teacher(rollcall_domain::ids::TeacherId(1)), Err(StoreError::Row { .. })));
}

#[test]
fn a_row_that_does_not_open_stays_as_it_is_and_does_not_hold_up_the_others() {
    let (folder, _) = campus();
    tamper(folder.path(), |write| {
        let mut people = write.open_table(PEOPLE).unwrap();
        people.insert((1, 0), b"this was a row".as_slice()).unwrap();
    });
    let store = try_open(folder.path(), both()).unwrap();
    wait(&store);
    drop(store);
    let store = try_open(folder.path(), NEW).unwrap();
    assert!(matches!(store.register().student(StudentId(0)), Err(StoreError::Row { .. })));
    assert_eq!(store.register().student(StudentId(1)).unwrap(), Some(student("Ann")));
}

#[test]
fn a_key_that_the_ledger_does_not_know_changes_nothing() {
    let (folder, as_before) = campus();
    let strangers = Keyring::new(NEW).replacing(NEWEST);
    assert!(
        matches!(refusal(folder.path(), strangers), StoreError::OtherKey { wanted } if wanted == KEY.fingerprint())
    );
    is_known(&open(folder.path()), as_before);
}

#[test]
fn two_ledgers_under_one_root_key_do_not_share_what_outlives_it() {
    let (one, other) = (tempdir().unwrap(), tempdir().unwrap());
    let (one, other) = (open(one.path()), open(other.path()));
    assert_ne!(number(&one), number(&other));
    assert_ne!(one.secrets().device(b"s"), other.secrets().device(b"s"));
}

/// The same events, chained by the same key: but what would be written from now on could not be read there.
#[test]
fn a_copy_from_before_the_key_was_replaced_is_not_gone_on_with() {
    let (before, as_before) = campus();
    let disk = Disk::new();
    disk.write_from(before.path());
    let store = try_open(disk.folder(), both()).unwrap();
    wait(&store);
    disk.fail();
    let copy = tempdir().unwrap();
    disk.copy_to(copy.path());
    disk.put_in(before.path());
    for _ in 0..3 {
        assert!(matches!(append(&store, vec![setting("3")]), Appended::Failed(_)));
    }
    assert!(!store.is_up());
    disk.put_in(copy.path());
    while matches!(append(&store, vec![setting("4")]), Appended::Failed(_)) {}
    is_known(&store, as_before);
    drop(store);
    assert_eq!(verify(copy.path(), NEW, None).unwrap().last, Seq(3));
}

#[test]
fn to_verify_is_not_to_replace() {
    let (folder, as_before) = campus();
    assert_eq!(verify(folder.path(), both(), None).unwrap().last, Seq(2));
    is_known(&open(folder.path()), as_before);
}

#[test]
fn a_disk_that_refuses_leaves_the_ledger_under_the_old_key() {
    let (folder, as_before) = campus();
    let disk = Disk::new();
    disk.write_from(folder.path());
    disk.fail();
    assert!(try_open(disk.folder(), both()).is_err());
    let copy = tempdir().unwrap();
    disk.copy_to(copy.path());
    is_known(&open(copy.path()), as_before);
}

#[test]
fn sealing_anew_goes_on_when_a_disk_that_refused_is_back() {
    let first = tempdir().unwrap();
    let store = open(first.path());
    let many = (1..=MANY).map(|id| Personal::Student(StudentId(id), student("Ann"))).collect();
    register(&store, setting("1"), many, vec![]);
    drop(store);
    let disk = Disk::new();
    disk.write_from(first.path());
    let store = try_open(disk.folder(), both()).unwrap();
    disk.fail();
    let copy = tempdir().unwrap();
    disk.copy_to(copy.path());
    disk.put_in(copy.path());
    wait(&store);
    assert_eq!(store.register().students(StudentId(0), usize::MAX).unwrap().len() as u64, MANY);
    drop(store);
    assert!(!try_open(copy.path(), NEW).unwrap().is_resealing());
}
