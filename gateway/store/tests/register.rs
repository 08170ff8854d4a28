//! What identifies people is written with the event about them, or not at all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::sync::mpsc::channel;

use common::disk::Disk;
use common::{gate, note, open, register, setting, student, unmatched};
use rollcall_domain::code::Code;
use rollcall_domain::event::{Event, Scanned, SessionEvent};
use rollcall_domain::ids::{Seq, StudentId, TeacherId, UserId};
use rollcall_domain::people::{
    DeviceDetails, Person, PersonName, Personal, TeacherDetails, TextField, UserDetails,
};
use rollcall_domain::scan::{Method, Outcome};
use rollcall_store::{Append, Appended, Credential, Register, Store, Template};
use tempfile::tempdir;

const ANN: Person = Person::Student(StudentId(1));

fn write(store: &Store, personal: Vec<Personal>, credentials: Vec<Credential>) -> Appended {
    register(store, setting("5"), personal, credentials)
}

fn said(register: &Register, about: Person) -> Vec<(u64, String)> {
    let texts = register.texts_about(about, Seq(0), 100).unwrap();
    texts.into_iter().map(|text| (text.seq.0, text.text)).collect()
}

#[test]
fn nobody_is_known_before_anything_is_written() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let register = store.register();
    assert_eq!(register.student(StudentId(1)).unwrap(), None);
    assert_eq!(register.students(StudentId(0), 10).unwrap(), []);
    assert_eq!(register.device(&gate()).unwrap(), None);
    assert_eq!(register.text(Seq(1), TextField::Note).unwrap(), None);
    assert_eq!(register.texts(Seq(1)).unwrap(), []);
    assert_eq!(said(&register, ANN), []);
    assert_eq!(register.templates(StudentId(1)).unwrap(), []);
    assert_eq!(register.password(UserId(1)).unwrap(), None);
    assert_eq!(register.second_factor(UserId(1)).unwrap(), None);
}

#[test]
fn the_last_that_was_written_of_somebody_is_read_also_after_opening_again() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    for name in ["Old Name", "New Name"] {
        write(&store, vec![Personal::Student(StudentId(1), student(name))], vec![]);
    }
    let user = UserDetails { username: "one".to_owned(), email: None };
    let device = DeviceDetails { ip_address: Some("10.0.0.7".to_owned()), endpoint: None };
    let password = |hash: &str| Credential::Password { user: UserId(1), hash: hash.to_owned() };
    write(&store, vec![Personal::User(UserId(1), user.clone())], vec![password("of an old one")]);
    write(&store, vec![Personal::Device(gate(), device.clone())], vec![password("of a password")]);
    drop(store);
    let store = open(folder.path());
    let register = store.register();
    assert_eq!(register.student(StudentId(1)).unwrap(), Some(student("New Name")));
    assert_eq!(register.user(UserId(1)).unwrap(), Some(user));
    assert_eq!(register.device(&gate()).unwrap(), Some(device));
    // Kinds of people with the same number are kept apart.
    assert_eq!(register.teacher(TeacherId(1)).unwrap(), None);
    assert_eq!(register.password(UserId(1)).unwrap().as_deref(), Some("of a password"));
    assert_eq!(register.password(UserId(2)).unwrap(), None);
}

#[test]
fn a_kind_of_people_is_read_from_end_to_end_in_parts() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let name = PersonName::from_whole("Tess Tell").unwrap();
    let teacher = TeacherDetails { code: Code::parse("T1").unwrap(), name, phone: None };
    let students = (1..=5).map(|id| Personal::Student(StudentId(id), student(&format!("Student {id}"))));
    write(&store, students.chain([Personal::Teacher(TeacherId(9), teacher.clone())]).collect(), vec![]);
    let register = store.register();
    let ids = |from, limit| -> Vec<u64> {
        let found = register.students(StudentId(from), limit).unwrap();
        found.into_iter().map(|(id, _)| id.0).collect()
    };
    assert_eq!(ids(0, 3), [1, 2, 3]);
    assert_eq!(ids(4, 3), [4, 5]);
    assert_eq!(register.teachers(TeacherId(0), 9).unwrap(), [(TeacherId(9), teacher)]);
    assert_eq!(register.users(UserId(0), 9).unwrap(), []);
}

#[test]
fn a_text_is_found_by_its_event_and_by_the_person_that_it_is_about() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let bob = Person::Student(StudentId(2));
    let address = Personal::Text { field: TextField::Address, about: None, text: "10.0.0.9".to_owned() };
    write(&store, vec![note(Some(ANN), "first"), address], vec![]);
    write(&store, vec![note(Some(bob), "about another")], vec![]);
    // The same number, but a teacher's.
    write(&store, vec![note(Some(Person::Teacher(TeacherId(1))), "a teacher")], vec![]);
    write(&store, vec![note(Some(ANN), "second")], vec![]);
    let register = store.register();
    assert_eq!(said(&register, ANN), [(1, "first".to_owned()), (4, "second".to_owned())]);
    assert_eq!(said(&register, bob), [(2, "about another".to_owned())]);
    let later = register.texts_about(ANN, Seq(2), 1).unwrap();
    assert_eq!(later.iter().map(|text| text.seq).collect::<Vec<_>>(), [Seq(4)]);
    let fields: Vec<_> = register.texts(Seq(1)).unwrap().iter().map(|text| text.field).collect();
    assert_eq!(fields, [TextField::Note, TextField::Address]);
    let text = register.text(Seq(1), TextField::Address).unwrap().unwrap();
    assert_eq!((text.text.as_str(), text.about), ("10.0.0.9", None));
}

#[test]
fn what_a_device_claimed_of_nobody_known_is_about_the_one_who_it_turned_out_to_be() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let (event, _) = unmatched("a");
    let Event::Unmatched(kept) = event.clone() else { panic!() };
    let claim = Personal::Text { field: TextField::Claim, about: None, text: "4711".to_owned() };
    register(&store, event, vec![claim], vec![]);
    let scanned = Scanned {
        student: StudentId(1),
        scan: kept.scan,
        outcome: Outcome::Present,
        late_upload: true,
        was_unmatched: Some(Seq(1)),
    };
    register(
        &store,
        Event::Session(common::SESSION, SessionEvent::Scanned(Box::new(scanned))),
        vec![],
        vec![],
    );
    assert_eq!(said(&store.register(), ANN), [(1, "4711".to_owned())]);
}

#[test]
fn each_finger_and_face_of_a_student_has_a_template_of_its_own() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let template = |student, method, number, bytes: &[u8]| {
        let (form, bytes) = ("iso".to_owned(), bytes.to_vec());
        Template { student: StudentId(student), method, number, form, bytes }
    };
    let thumb = template(1, Method::Fingerprint, 0, b"thumb");
    let face = template(1, Method::Face, 0, b"face");
    let other = template(2, Method::Face, 0, b"another face");
    let old = template(1, Method::Fingerprint, 0, b"taken badly");
    let all = [old, face.clone(), other.clone(), thumb.clone()];
    write(&store, vec![], all.into_iter().map(Credential::Template).collect());
    assert_eq!(store.register().templates(StudentId(1)).unwrap(), [face, thumb]);
    assert_eq!(store.register().templates(StudentId(2)).unwrap(), [other]);
}

#[test]
fn a_credential_that_comes_without_any_event_is_on_disk_too_when_it_is_answered() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let (sender, receiver) = channel();
    let append = Append::new(vec![], move |appended| sender.send(appended).unwrap());
    let credentials = vec![Credential::SecondFactor { user: UserId(1), secret: vec![7; 20] }];
    assert!(store.append(Append { credentials, ..append }).is_ok());
    assert!(matches!(receiver.recv().unwrap(), Appended::Committed(_)));
    drop(store);
    assert_eq!(open(folder.path()).register().second_factor(UserId(1)).unwrap(), Some(vec![7; 20]));
}

#[test]
fn what_came_with_an_event_that_was_not_written_is_not_there_either() {
    let (disk, next) = (Disk::new(), tempdir().unwrap());
    let store = open(disk.folder());
    write(&store, vec![Personal::Student(StudentId(1), student("Old Name"))], vec![]);
    disk.fail();
    let password = Credential::Password { user: UserId(1), hash: "of a password".to_owned() };
    let rows = vec![Personal::Student(StudentId(1), student("New Name")), note(Some(ANN), "renamed")];
    assert!(matches!(write(&store, rows, vec![password]), Appended::Failed(_)));
    disk.copy_to(next.path());
    let store = open(next.path());
    let register = store.register();
    assert_eq!(register.student(StudentId(1)).unwrap(), Some(student("Old Name")));
    assert_eq!(register.password(UserId(1)).unwrap(), None);
    assert_eq!(said(&register, ANN), []);
}
