//! A campus to try things on: classes, students, terminals, and a few sessions that are open now.
//!
//! Promises: the same campus every time, but for the date; made of the same events and the same rules as
//! a real one.
//!
//! Refuses: secrets. Whoever uses it gives the sign-ins their passwords and the terminals their secrets.

use jiff::tz::TimeZone;
use rollcall_domain::Refusal;
use rollcall_domain::campus::{
    Class, Course, Department, Device, DeviceKind, DeviceStatus, Item, Room, Section,
};
use rollcall_domain::code::{Code, CodeError, KeyKind, Pseudonyms};
use rollcall_domain::decide::lifecycle;
use rollcall_domain::event::{Actor, CampusEvent, Entry, Event, How, NewEvent, Origin, SessionEvent};
use rollcall_domain::ids::{
    ClassId, CourseId, DepartmentId, DeviceId, IdError, Name, RoomId, SectionId, Seq, SessionId, StudentId,
    TeacherId, UserId,
};
use rollcall_domain::moment::{Moment, minutes};
use rollcall_domain::people::{
    Permission, PersonName, Personal, Role, Student, StudentDetails, Teacher, TeacherDetails, User,
    UserDetails,
};
use rollcall_domain::policy::Policy;
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::state::State;
use rollcall_domain::timetable::Plan;
use thiserror::Error;

/// Leaves room for accounts that are there before the sample.
const FIRST_USER: u64 = 101;

const FIRST: [&str; 24] = [
    "Amina", "Ben", "Chioma", "Daniel", "Elif", "Farid", "Grace", "Hana", "Ivan", "Joyce", "Kofi", "Leila",
    "Mateo", "Nadia", "Omar", "Priya", "Quentin", "Rosa", "Samuel", "Tara", "Umar", "Vera", "Wanjiru",
    "Yusuf",
];
const LAST: [&str; 18] = [
    "Abebe",
    "Bauer",
    "Chen",
    "Diallo",
    "Eriksen",
    "Fernandes",
    "Garcia",
    "Hossain",
    "Ito",
    "Jensen",
    "Kamau",
    "Lopez",
    "Mwangi",
    "Novak",
    "Okafor",
    "Petrov",
    "Rahman",
    "Singh",
];
const COURSES: u64 = 12;
const SUBJECTS: [&str; 12] = [
    "Algorithms",
    "Biology",
    "Chemistry",
    "Databases",
    "Economics",
    "Geometry",
    "History",
    "Linguistics",
    "Mechanics",
    "Networks",
    "Optics",
    "Statistics",
];

/// How much there is of what.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub sections: u64,
    pub students_of_a_section: u64,
    pub classes: u64,
    /// As many sessions are open as there are rooms; each room has a terminal. At most as many as classes.
    pub rooms: u64,
    pub teachers: u64,
}

impl Default for Size {
    /// A small school.
    fn default() -> Self {
        Size { sections: 12, students_of_a_section: 36, classes: 24, rooms: 6, teachers: 6 }
    }
}

/// What the sample is made of.
#[derive(Debug, Clone)]
pub struct Sample {
    pub events: Vec<NewEvent>,
    pub rooms: Vec<OpenRoom>,
    pub teacher: UserId,
    pub student: UserId,
}

/// A room with a terminal, and the session that is open there.
#[derive(Debug, Clone)]
pub struct OpenRoom {
    pub device: DeviceId,
    pub session: SessionId,
    /// The codes of its students.
    pub students: Vec<String>,
}

#[derive(Debug, Error)]
pub enum SampleError {
    #[error("the sample campus is inconsistent: {0}")]
    Refused(#[from] Refusal),
    #[error("the sample campus has a code that is none: {0}")]
    Code(#[from] CodeError),
    #[error("the sample campus has an id that is none: {0}")]
    Id(#[from] IdError),
    #[error("the sample campus has a nameless person")]
    Nameless,
}

/// The sample as of `now`: sessions that began a minute ago are open in every room.
///
/// # Errors
/// Never for the sample as it stands; its parts are parsed like anybody's.
pub fn campus(
    size: Size,
    pseudonyms: &Pseudonyms,
    policy: &Policy,
    now: Moment,
    zone: &TimeZone,
) -> Result<Sample, SampleError> {
    let mut builder = Builder { size, pseudonyms, policy, now, state: State::default(), events: Vec::new() };
    builder.places()?;
    builder.people()?;
    builder.classes()?;
    let (teacher, student) = builder.sign_ins();
    let rooms = (1..=size.rooms).map(|room| builder.open(room, zone)).collect::<Result<_, _>>()?;
    Ok(Sample { events: builder.events, rooms, teacher, student })
}

/// Takes each step at once, so that the rules see what came before.
struct Builder<'a> {
    size: Size,
    pseudonyms: &'a Pseudonyms,
    policy: &'a Policy,
    now: Moment,
    state: State,
    events: Vec<NewEvent>,
}

impl Builder<'_> {
    fn add(&mut self, event: Event, personal: Vec<Personal>) {
        let seq = Seq(self.state.last.0 + 1);
        let by = Actor::Gateway;
        self.state.apply(&Entry { seq, at: self.now, by: by.clone(), event: event.clone() });
        self.events.push(NewEvent { by, event, personal });
    }

    fn put(&mut self, item: Item, personal: Vec<Personal>) {
        self.add(Event::Campus(CampusEvent::Put(Box::new(item))), personal);
    }

    fn places(&mut self) -> Result<(), SampleError> {
        let department = DepartmentId(1);
        let name = "Sciences".to_owned();
        self.put(Item::Department(Department { id: department, code: Code::parse("SCI")?, name }), vec![]);
        for number in 1..=self.size.rooms {
            let (code, name) =
                (Code::parse(&format!("R{}", 100 + number))?, format!("Room {}", 100 + number));
            let id = RoomId(number);
            self.put(
                Item::Room(Room { id, code, name: name.clone(), networks: vec![], place: None }),
                vec![],
            );
            let kind = if number % 2 == 0 { DeviceKind::Face } else { DeviceKind::Card };
            let device = Device {
                id: terminal(number)?,
                name: format!("{name}, door"),
                kind,
                room: Some(id),
                dialect: Name::parse("native")?,
                status: DeviceStatus::Active,
                firmware: None,
            };
            self.put(Item::Device(device), vec![]);
        }
        Ok(())
    }

    fn people(&mut self) -> Result<(), SampleError> {
        for number in 1..=self.size.teachers {
            let code = Code::parse(&format!("T{number:02}"))?;
            let details = TeacherDetails { code: code.clone(), name: name(number * 7 + 3)?, phone: None };
            let (id, code) = (TeacherId(number), self.pseudonyms.key(KeyKind::Code, code.as_str()));
            let teacher = Teacher { id, code, department: Some(DepartmentId(1)) };
            self.put(Item::Teacher(teacher), vec![Personal::Teacher(id, details)]);
        }
        for section in 1..=self.size.sections {
            let code = Code::parse(&format!("SEC{section:02}"))?;
            let section_name = format!("Section {section}");
            self.put(
                Item::Section(Section { id: SectionId(section), batch: None, code, name: section_name }),
                vec![],
            );
            for place in 0..self.size.students_of_a_section {
                self.student(section, (section - 1) * self.size.students_of_a_section + place + 1)?;
            }
        }
        Ok(())
    }

    fn student(&mut self, section: u64, number: u64) -> Result<(), SampleError> {
        let details = StudentDetails {
            code: Code::parse(&code_of(number))?,
            name: name(number)?,
            email: None,
            phone: None,
            cards: vec![],
        };
        let id = StudentId(number);
        let student = Student::new(id, &details, self.pseudonyms);
        self.put(Item::Student(student), vec![Personal::Student(id, details)]);
        let link = Link::SectionStudent(SectionId(section), id);
        self.add(Event::Campus(CampusEvent::Joined { link, days: Days::ALWAYS }), vec![]);
        Ok(())
    }

    fn classes(&mut self) -> Result<(), SampleError> {
        for (index, subject) in (1..).zip(SUBJECTS) {
            let code = Code::parse(&format!("C{index:02}"))?;
            let course = Course { id: CourseId(index), code, name: subject.to_owned(), description: None };
            self.put(Item::Course(course), vec![]);
        }
        for number in 1..=self.size.classes {
            let class = Class {
                id: ClassId(number),
                code: Code::parse(&format!("K{number:02}"))?,
                name: None,
                course: CourseId((number - 1) % COURSES + 1),
                teacher: TeacherId((number - 1) % self.size.teachers + 1),
                co_teachers: vec![],
                term: None,
                room: Some(RoomId((number - 1) % self.size.rooms + 1)),
            };
            self.put(Item::Class(class), vec![]);
            let link = Link::ClassSection(ClassId(number), self.section_of(number));
            self.add(Event::Campus(CampusEvent::Joined { link, days: Days::ALWAYS }), vec![]);
        }
        Ok(())
    }

    /// One teacher, of whose classes one is open now, and one of its students.
    fn sign_ins(&mut self) -> (UserId, UserId) {
        let teacher = self.user("teacher", Role::Teacher, Some(TeacherId(1)), None);
        let student = self.user("student", Role::Student, None, Some(StudentId(1)));
        (teacher, student)
    }

    fn user(
        &mut self,
        username: &str,
        role: Role,
        teacher: Option<TeacherId>,
        student: Option<StudentId>,
    ) -> UserId {
        let id = UserId(FIRST_USER.max(self.state.next_number(UserId::PREFIX)));
        let permissions =
            if role == Role::Teacher { Permission::teachers_start() } else { Default::default() };
        let key = self.pseudonyms.key(KeyKind::Username, username);
        let user = User { id, username: key, role, teacher, student, permissions, active: true };
        let details = UserDetails { username: username.to_owned(), email: None };
        self.put(Item::User(user), vec![Personal::User(id, details)]);
        id
    }

    fn open(&mut self, room: u64, zone: &TimeZone) -> Result<OpenRoom, SampleError> {
        let class = ClassId(room);
        let starts = self.now.minus(minutes(1));
        let plan = Plan {
            class,
            teacher: TeacherId((room - 1) % self.size.teachers + 1),
            room: Some(RoomId(room)),
            date: starts.date(zone),
            starts,
            ends: starts.plus(minutes(self.policy.default_minutes)),
        };
        let session = SessionId(self.state.next_number(SessionId::PREFIX));
        let context = self.state.context(self.policy, self.now);
        let created = lifecycle::create(plan, Origin::ByHand, &[], &context)?;
        self.session(session, created);
        if let Some(found) = self.state.sessions.get(&session) {
            let context = self.state.context(self.policy, self.now);
            let opened = lifecycle::open(found, &context, starts, How::ByPerson)?;
            self.session(session, opened);
        }
        let first = (self.section_of(room).0 - 1) * self.size.students_of_a_section;
        let students = (1..=self.size.students_of_a_section).map(|place| code_of(first + place)).collect();
        Ok(OpenRoom { device: terminal(room)?, session, students })
    }

    fn section_of(&self, class: u64) -> SectionId {
        SectionId((class - 1) % self.size.sections + 1)
    }

    fn session(&mut self, id: SessionId, event: SessionEvent) {
        self.add(Event::Session(id, event), vec![]);
    }
}

fn terminal(room: u64) -> Result<DeviceId, IdError> {
    DeviceId::parse(&format!("door-{}", 100 + room))
}

fn code_of(student: u64) -> String {
    format!("S{student:04}")
}

/// The name of the person with this number; neighbours differ in both parts.
fn name(number: u64) -> Result<PersonName, SampleError> {
    let pick = |names: &[&'static str], index: u64| {
        let count = u64::try_from(names.len()).unwrap_or(1);
        names.get(usize::try_from(index % count).unwrap_or(0)).copied().unwrap_or_default()
    };
    PersonName::new(pick(&FIRST, number), pick(&LAST, number / 24 + number * 5)).ok_or(SampleError::Nameless)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_has_what_it_promises() {
        let now = Moment::from_millis(1_772_000_000_000);
        let pseudonyms = Pseudonyms::new([1; 32]);
        let sample = campus(Size::default(), &pseudonyms, &Policy::default(), now, &TimeZone::UTC).unwrap();
        let mut state = State::default();
        for (seq, new) in (1..).zip(sample.events) {
            state.apply(&Entry { seq: Seq(seq), at: now, by: new.by, event: new.event });
        }
        assert!(state.campus.classes.len() >= 20 && state.campus.students.len() >= 400);
        assert_eq!(sample.rooms.len(), 6);
        for room in sample.rooms {
            let meeting = &state.sessions[&room.session].meeting;
            assert!(meeting.was_open(now));
            let roster = state.campus.rosters.on(meeting.class, meeting.date);
            assert_eq!(roster.len(), room.students.len());
        }
    }
}
