//! What identifies people is written with the event about them, or not at all.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::sync::mpsc::channel;

use common::disk::Disk;
use common::{news, open, setting};
use rollcall_domain::code::Code;
use rollcall_domain::ids::{DeviceId, StudentId, TeacherId, UserId};
use rollcall_domain::people::{PersonName, Personal, StudentDetails, UserDetails};
use rollcall_store::{Append, Appended, Credential, Store};
use tempfile::tempdir;

fn student(name: &str) -> StudentDetails {
    let name = PersonName::from_whole(name).unwrap();
    StudentDetails { code: Code::parse("S1").unwrap(), name, email: None, phone: None, cards: vec![] }
}

fn gate() -> DeviceId {
    DeviceId::parse("gate").unwrap()
}

fn write(store: &Store, personal: Vec<Personal>, credentials: Vec<Credential>) -> Appended {
    let (sender, receiver) = channel();
    let mut events = news(vec![setting("5")]);
    events[0].personal = personal;
    let then = move |appended| sender.send(appended).unwrap();
    assert!(store.append(Append { credentials, ..Append::new(events, then) }).is_ok());
    receiver.recv().unwrap()
}

#[test]
fn nobody_is_known_before_anything_is_written() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let register = store.register();
    assert_eq!(register.student(StudentId(1)).unwrap(), None);
    assert_eq!(register.password(UserId(1)).unwrap(), None);
    assert_eq!(register.device_secret(&gate()).unwrap(), None);
}

#[test]
fn the_last_that_was_written_of_somebody_is_read_also_after_opening_again() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    for name in ["Old Name", "New Name"] {
        write(&store, vec![Personal::Student(StudentId(1), student(name))], vec![]);
    }
    let user = UserDetails { username: "one".to_owned(), email: None };
    let password = Credential::Password { user: UserId(1), hash: "of a password".to_owned() };
    let secret = Credential::DeviceSecret { device: gate(), hash: "of a secret".to_owned() };
    write(&store, vec![Personal::User(UserId(1), user.clone())], vec![password, secret]);
    drop(store);
    let store = open(folder.path());
    let register = store.register();
    assert_eq!(register.student(StudentId(1)).unwrap(), Some(student("New Name")));
    assert_eq!(register.user(UserId(1)).unwrap(), Some(user));
    // Kinds of people and of credentials with the same number are kept apart.
    assert_eq!(register.teacher(TeacherId(1)).unwrap(), None);
    assert_eq!(register.password(UserId(1)).unwrap().as_deref(), Some("of a password"));
    assert_eq!(register.device_secret(&gate()).unwrap().as_deref(), Some("of a secret"));
    assert_eq!(register.password(UserId(2)).unwrap(), None);
}

#[test]
fn a_secret_that_comes_without_any_event_is_on_disk_too_when_it_is_answered() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let (sender, receiver) = channel();
    let append = Append::new(vec![], move |appended| sender.send(appended).unwrap());
    let credentials = vec![Credential::DeviceSecret { device: gate(), hash: "of a secret".to_owned() }];
    assert!(store.append(Append { credentials, ..append }).is_ok());
    assert!(matches!(receiver.recv().unwrap(), Appended::Committed(_)));
    assert_eq!(store.register().device_secret(&gate()).unwrap().as_deref(), Some("of a secret"));
}

#[test]
fn what_came_with_an_event_that_was_not_written_is_not_there_either() {
    let (disk, next) = (Disk::new(), tempdir().unwrap());
    let store = open(disk.folder());
    write(&store, vec![Personal::Student(StudentId(1), student("Old Name"))], vec![]);
    disk.fail();
    let password = Credential::Password { user: UserId(1), hash: "of a password".to_owned() };
    let rows = vec![Personal::Student(StudentId(1), student("New Name"))];
    assert!(matches!(write(&store, rows, vec![password]), Appended::Failed(_)));
    disk.copy_to(next.path());
    let store = open(next.path());
    let register = store.register();
    assert_eq!(register.student(StudentId(1)).unwrap(), Some(student("Old Name")));
    assert_eq!(register.password(UserId(1)).unwrap(), None);
}
