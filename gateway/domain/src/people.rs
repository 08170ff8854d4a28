//! People: their roles, what may be granted to them, and the details that only the register holds.
//!
//! Promises: what identifies a person (names, numbers, addresses, cards) is in the `…Details` types,
//! which the people register keeps; what rules need is in the types without that ending, which events
//! may carry. A name given as one text is split at its last blank. Details print as what they are, not as
//! what they hold, so that no log line gets to know a person.
//!
//! Refuses: passwords and secrets. Those never enter the domain.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::code::{Code, KeyKind, PersonKey, Pseudonyms};
use crate::ids::{DeviceId, StudentId, TeacherId, UserId};

/// What a sign-in is for. Devices are not users: they sign in as themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Admin,
    Teacher,
    Student,
    /// Sees health, metrics and MQTT traffic without names; changes nothing.
    Monitor,
}

/// What an admin can grant to a teacher, or take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    ViewAttendance,
    MarkAttendance,
    ManageSessions,
    ApproveCorrections,
    ManageBiometric,
    ViewStatistics,
    ExportData,
    ManageRoster,
}

impl Permission {
    pub const ALL: [Permission; 8] = [
        Permission::ViewAttendance,
        Permission::MarkAttendance,
        Permission::ManageSessions,
        Permission::ApproveCorrections,
        Permission::ManageBiometric,
        Permission::ViewStatistics,
        Permission::ExportData,
        Permission::ManageRoster,
    ];

    /// What a new teacher starts with.
    pub fn teachers_start() -> BTreeSet<Permission> {
        let kept_back = [Permission::ManageBiometric, Permission::ManageRoster];
        Permission::ALL.into_iter().filter(|p| !kept_back.contains(p)).collect()
    }
}

/// A student as rules see one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Student {
    pub id: StudentId,
    pub code: PersonKey,
    /// The number of the id itself, which some terminals know; see [`KeyKind::Number`].
    pub number: PersonKey,
    /// Codes, cards and id numbers of students who turned out to be this one.
    pub former: Vec<(KeyKind, PersonKey)>,
    pub cards: Vec<PersonKey>,
    pub year: Option<u16>,
    /// First seen at a QR page rather than on a list; may be merged with the roster later.
    pub provisional: bool,
}

impl Student {
    pub fn new(id: StudentId, details: &StudentDetails, pseudonyms: &Pseudonyms) -> Self {
        Student {
            id,
            code: pseudonyms.key(KeyKind::Code, details.code.as_str()),
            number: pseudonyms.key(KeyKind::Number, &id.0.to_string()),
            former: Vec::new(),
            cards: details.cards.iter().map(|card| pseudonyms.key(KeyKind::Card, card)).collect(),
            year: None,
            provisional: false,
        }
    }

    /// The same student with other details; what is not among them stays.
    pub fn edited(&self, details: &StudentDetails, pseudonyms: &Pseudonyms) -> Self {
        let new = Student::new(self.id, details, pseudonyms);
        Student { former: self.former.clone(), year: self.year, provisional: self.provisional, ..new }
    }

    /// Every number under which this student is found.
    pub fn numbers(&self) -> impl Iterator<Item = (KeyKind, PersonKey)> + '_ {
        let cards = self.cards.iter().map(|card| (KeyKind::Card, *card));
        let own = [(KeyKind::Code, self.code), (KeyKind::Number, self.number)];
        own.into_iter().chain(cards).chain(self.former.iter().copied())
    }
}

/// A teacher as rules see one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Teacher {
    pub id: TeacherId,
    pub code: PersonKey,
    pub department: Option<crate::ids::DepartmentId>,
}

/// A sign-in as rules see one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub username: PersonKey,
    pub role: Role,
    pub teacher: Option<TeacherId>,
    pub student: Option<StudentId>,
    pub permissions: BTreeSet<Permission>,
    pub active: bool,
}

/// A person's name in its two parts; either may be empty, not both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonName {
    pub first: String,
    pub last: String,
}

impl PersonName {
    /// `None` if nothing but blanks was given.
    pub fn new(first: &str, last: &str) -> Option<Self> {
        let clean = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let name = PersonName { first: clean(first), last: clean(last) };
        (!name.first.is_empty() || !name.last.is_empty()).then_some(name)
    }

    /// One text for the whole name, split at its last blank.
    pub fn from_whole(name: &str) -> Option<Self> {
        match name.trim().rsplit_once(char::is_whitespace) {
            Some((first, last)) => PersonName::new(first, last),
            None => PersonName::new(name, ""),
        }
    }

    pub fn whole(&self) -> String {
        format!("{} {}", self.first, self.last).trim().to_owned()
    }
}

/// What the register holds of a student.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudentDetails {
    pub code: Code,
    pub name: PersonName,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub cards: Vec<String>,
}

/// What the register holds of a teacher.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeacherDetails {
    pub code: Code,
    pub name: PersonName,
    pub phone: Option<String>,
}

/// What the register holds of a sign-in, credentials apart.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDetails {
    pub username: String,
    pub email: Option<String>,
}

/// Which text of an event a register row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TextField {
    Note,
    Reason,
    /// The address a request came from.
    Address,
    /// The program a request came with.
    Agent,
    /// The person number, card or code a device sent for somebody nobody knew.
    Claim,
    /// What a browser told about itself and its place.
    DeviceInfo,
    /// What a destination answered.
    Response,
    /// The document of a leave application.
    Document,
}

/// Somebody the register knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Person {
    Student(StudentId),
    Teacher(TeacherId),
    User(UserId),
}

/// What the register holds of a device: where it is reached may carry a password.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeviceDetails {
    pub ip_address: Option<String>,
    pub endpoint: Option<String>,
}

macro_rules! printed_without_what_they_hold {
    ($($details:ident),+) => {$(
        impl fmt::Debug for $details {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($details), "(personal)"))
            }
        }
    )+};
}

printed_without_what_they_hold!(StudentDetails, TeacherDetails, UserDetails, DeviceDetails);

/// What goes to the people register together with an event: rows about a person, or texts that
/// belong to the event. Erasing a person removes these; the event stays, and so does its chain.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Personal {
    Student(StudentId, StudentDetails),
    Teacher(TeacherId, TeacherDetails),
    User(UserId, UserDetails),
    Device(DeviceId, DeviceDetails),
    Text { field: TextField, about: Option<Person>, text: String },
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Personal::Student(id, _) => write!(f, "Student({id})"),
            Personal::Teacher(id, _) => write!(f, "Teacher({id})"),
            Personal::User(id, _) => write!(f, "User({id})"),
            Personal::Device(id, _) => write!(f, "Device({id})"),
            Personal::Text { field, about, .. } => write!(f, "Text({field:?}, about {about:?})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_name_is_split_at_its_last_blank() {
        let name = PersonName::from_whole("  Anna  Maria  Berg ").unwrap();
        assert_eq!((name.first.as_str(), name.last.as_str()), ("Anna Maria", "Berg"));
        assert_eq!(PersonName::from_whole("Plato").unwrap().whole(), "Plato");
        assert_eq!(PersonName::from_whole(" \t "), None);
    }

    #[test]
    fn nothing_that_identifies_somebody_is_printed() {
        let name = PersonName::from_whole("Ann Berg").unwrap();
        let code = Code::parse("4711").unwrap();
        let email = Some("ann@berg".to_owned());
        let cards = vec!["04A23F".to_owned()];
        let student = StudentDetails { code, name, email, phone: None, cards };
        let note = Personal::Text { field: TextField::Note, about: None, text: "Ann came late".to_owned() };
        let printed = format!("{student:?} {:?} {note:?}", Personal::Student(StudentId(1), student.clone()));
        assert_eq!(printed, "StudentDetails(personal) Student(stu_1) Text(Note, about None)");
    }

    #[test]
    fn a_new_teacher_has_all_permissions_but_two() {
        let granted = Permission::teachers_start();
        assert_eq!(granted.len(), 6);
        assert!(!granted.contains(&Permission::ManageBiometric));
        assert!(!granted.contains(&Permission::ManageRoster));
    }
}
