//! A small campus behind a real server on a loopback port, and clients that speak plain HTTP to it.
//!
//! Promises: a store of its own in a temporary folder, real actors, a clock that stands until it is moved.
//! Two teachers with a class each; Ada's class has three students, one with a hostile name, and a session.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "support for tests: what does not hold ends the test"
)]

pub mod client;
pub mod disk;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::web::ServiceConfig;
use rollcall_actors::{Intake, Supervisor};
use rollcall_api::{Api, Handles, Metrics, Options, app, hash_password};
use rollcall_config::{ConfigFile, Environment, load};
use rollcall_domain::campus::{Class, Course, Item};
use rollcall_domain::code::{Code, KeyKind, Pseudonyms};
use rollcall_domain::event::{Actor, CampusEvent, Event, NewEvent, Origin, SessionEvent};
use rollcall_domain::ids::{ClassId, CourseId, Seq, SessionId, StudentId, TeacherId, UserId};
use rollcall_domain::moment::{Moment, minutes};
use rollcall_domain::people::{
    Permission, PersonName, Personal, Role, Student, StudentDetails, Teacher, TeacherDetails, User,
    UserDetails,
};
use rollcall_domain::policy::Policy;
use rollcall_domain::ports::{Clock, Health, HealthSource};
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::timetable::Plan;
use rollcall_store::{Append, Appended, Credential, RootKey, Store};
use tempfile::TempDir;

use self::disk::Disk;

pub const PASSWORD: &str = "correct horse battery staple";
pub const KEY: [u8; 32] = [7; 32];
pub const HOSTILE: &str = "<script>alert('1')</script> \"O'Neil\" & Co";
pub const ADAS_SESSION: &str = "ses_1";
pub const ADAS_CLASS: &str = "MATH-1";

/// Stands until it is moved.
pub struct StillClock(Mutex<Moment>);

impl StillClock {
    fn new() -> Self {
        StillClock(Mutex::new("2026-11-23T09:00:00Z".parse().unwrap()))
    }

    pub fn go_on(&self, minutes_on: u32) {
        let mut now = self.0.lock().unwrap();
        *now = now.plus(minutes(minutes_on));
    }
}

impl Clock for StillClock {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now().millis()).unwrap())
    }
}

/// A part of the gateway that is as well as a test says.
pub struct Part(Mutex<Health>);

impl Part {
    pub fn is(&self, health: Health) {
        *self.0.lock().unwrap() = health;
    }
}

impl HealthSource for Part {
    fn part(&self) -> &'static str {
        "mqtt"
    }

    fn health(&self) -> Health {
        self.0.lock().unwrap().clone()
    }
}

pub struct Gateway {
    pub address: SocketAddr,
    pub clock: Arc<StillClock>,
    pub store: Arc<Store>,
    pub metrics: Metrics,
    pub mqtt: Arc<Part>,
    pub api: Api,
    /// The supervisor ends with its intake.
    _intake: Intake,
    _folder: TempDir,
}

/// Runs a test against a gateway with the pages that `pages` adds.
pub fn with_gateway<F: Future<Output = ()>>(pages: fn(&mut ServiceConfig), test: impl FnOnce(Gateway) -> F) {
    with_options(pages, |_| {}, test);
}

/// Runs a test against a gateway whose disk can fail.
pub fn with_disk<F: Future<Output = ()>>(test: impl FnOnce(Gateway, Disk) -> F) {
    actix_web::rt::System::new().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(StillClock::new());
        let (metrics, store) = open(folder.path(), &clock);
        fill(&store, clock.now()).await;
        store.close();
        drop((metrics, store));
        let disk = Disk::under(folder.path());
        let opened = open(folder.path(), &clock);
        test(serve(folder, clock, opened, |_| {}, |_| {}), disk).await;
    });
}

/// Runs a test against a gateway with other options.
pub fn with_options<F: Future<Output = ()>>(
    pages: fn(&mut ServiceConfig),
    change: fn(&mut Options),
    test: impl FnOnce(Gateway) -> F,
) {
    actix_web::rt::System::new().block_on(async {
        test(start(pages, change).await).await;
    });
}

/// Asks screens every few milliseconds whether they are there.
pub fn impatient(options: &mut Options) {
    options.ping = Duration::from_millis(50);
}

async fn start(pages: fn(&mut ServiceConfig), change: fn(&mut Options)) -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(StillClock::new());
    let opened = open(folder.path(), &clock);
    fill(&opened.1, clock.now()).await;
    serve(folder, clock, opened, pages, change)
}

fn open(folder: &Path, clock: &Arc<StillClock>) -> (Metrics, Arc<Store>) {
    let metrics = Metrics::new().unwrap();
    let fed = metrics.clone();
    let on_commit = Box::new(move |commit: rollcall_store::Commit| {
        fed.committed(commit.entries, commit.took, commit.last.0);
    });
    let store = Store::open(folder, RootKey::new([1; 32]), clock.clone(), on_commit).unwrap();
    (metrics, Arc::new(store))
}

fn serve(
    folder: TempDir,
    clock: Arc<StillClock>,
    (metrics, store): (Metrics, Arc<Store>),
    pages: fn(&mut ServiceConfig),
    change: fn(&mut Options),
) -> Gateway {
    let mqtt = Arc::new(Part(Mutex::new(Health::Good)));
    let (supervisor, intake) = Supervisor::launch(
        Arc::clone(&store),
        clock.clone(),
        Policy::default(),
        pseudonyms(),
        Box::new(|_| {}),
    );
    let nothing = folder.path().join("none.toml");
    std::fs::write(&nothing, "[campus]\nname = \"North Campus\"\n").unwrap();
    let settings = load(&ConfigFile::Named(nothing), &Environment::from_pairs([])).unwrap().settings;
    let mut options = Options::of(&settings, "0.0.0-test");
    change(&mut options);
    let api = Api::new(Handles {
        store: Arc::clone(&store),
        commands: supervisor.clone().recipient(),
        watches: supervisor.recipient(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        pseudonyms: pseudonyms(),
        token_key: KEY,
        parts: vec![mqtt.clone()],
        options,
    })
    .unwrap();
    let served = api.clone();
    let server =
        HttpServer::new(move || app(served.clone(), pages)).workers(1).bind(("127.0.0.1", 0)).unwrap();
    let address = server.addrs()[0];
    actix_web::rt::spawn(server.disable_signals().run());
    Gateway { address, clock, store, metrics, mqtt, api, _intake: intake, _folder: folder }
}

pub fn pseudonyms() -> Pseudonyms {
    Pseudonyms::new([3; 32])
}

/// One hash for all, since making one takes a while.
fn hash() -> String {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash_password(PASSWORD).unwrap()).clone()
}

pub async fn append(store: &Store, append: impl FnOnce(Box<dyn FnOnce(Appended) + Send>) -> Append) -> Seq {
    let (tell, told) = tokio::sync::oneshot::channel();
    let then = Box::new(move |appended| drop(tell.send(appended)));
    assert!(store.append(append(then)).is_ok(), "the queue is empty");
    let Appended::Committed(entries) = told.await.unwrap() else { panic!("not written") };
    let last = entries.last().unwrap().seq;
    store.views().wait_for(last).await.unwrap();
    last
}

async fn fill(store: &Store, now: Moment) {
    let mut events = people();
    events.extend(classes());
    for number in [1, 2] {
        events.push(session(number, now));
    }
    let credentials = (1..=4).map(|user| Credential::Password { user: UserId(user), hash: hash() }).collect();
    append(store, |then| Append { credentials, then, ..Append::new(events, |_| {}) }).await;
}

fn put(item: Item, personal: Vec<Personal>) -> NewEvent {
    NewEvent { by: Actor::Cli, event: Event::Campus(CampusEvent::Put(Box::new(item))), personal }
}

fn code(text: &str) -> Code {
    Code::parse(text).unwrap()
}

fn people() -> Vec<NewEvent> {
    let mut events = Vec::new();
    for (number, name) in [(1, "Ada Lovelace"), (2, "Emmy Noether")] {
        let (id, text) = (TeacherId(number), format!("T-{number}"));
        let name = PersonName::from_whole(name).unwrap();
        let details = TeacherDetails { code: code(&text), name, phone: None };
        let teacher = Teacher { id, code: pseudonyms().key(KeyKind::Code, &text), department: None };
        events.push(put(Item::Teacher(teacher), vec![Personal::Teacher(id, details)]));
    }
    for (number, name) in [(1, "Grace Hopper"), (2, "Alan Turing"), (3, HOSTILE)] {
        events.push(student(number, name));
    }
    let users = [
        (1, "admin", Role::Admin, None, None),
        (2, "ada", Role::Teacher, Some(TeacherId(1)), None),
        (3, "emmy", Role::Teacher, Some(TeacherId(2)), None),
        (4, "grace", Role::Student, None, Some(StudentId(1))),
    ];
    for (number, username, role, teacher, student) in users {
        let id = UserId(number);
        let user = User {
            id,
            username: pseudonyms().key(KeyKind::Username, username),
            role,
            teacher,
            student,
            permissions: Permission::teachers_start(),
            active: true,
        };
        let details = UserDetails { username: username.to_owned(), email: None };
        events.push(put(Item::User(user), vec![Personal::User(id, details)]));
    }
    events
}

/// A user who is there, changed.
pub fn set_user(store: &Store, number: u64, change: impl FnOnce(User) -> User) -> NewEvent {
    let user = store.views().now().campus.users[&UserId(number)].clone();
    put(Item::User(change(user)), Vec::new())
}

pub fn student(number: u64, name: &str) -> NewEvent {
    let id = StudentId(number);
    let details = StudentDetails {
        code: code(&format!("S-{number}")),
        name: PersonName::from_whole(name).unwrap(),
        email: None,
        phone: None,
        cards: Vec::new(),
    };
    let student = Student::new(id, &details, &pseudonyms());
    put(Item::Student(student), vec![Personal::Student(id, details)])
}

fn classes() -> Vec<NewEvent> {
    let name = "Numbers & <Order>".to_owned();
    let course = Course { id: CourseId(1), code: code("MATH"), name, description: None };
    let mut events = vec![put(Item::Course(course), Vec::new())];
    for number in [1, 2] {
        let class = Class {
            id: ClassId(number),
            code: code(&format!("MATH-{number}")),
            name: None,
            course: CourseId(1),
            teacher: TeacherId(number),
            co_teachers: Vec::new(),
            term: None,
            room: None,
        };
        events.push(put(Item::Class(class), Vec::new()));
    }
    events.extend((1..=3).map(|student| enrolled(1, student)));
    events
}

pub fn enrolled(class: u64, student: u64) -> NewEvent {
    let link = Link::ClassStudent(ClassId(class), StudentId(student));
    let event = Event::Campus(CampusEvent::Joined { link, days: Days::ALWAYS });
    NewEvent { by: Actor::Cli, event, personal: Vec::new() }
}

pub fn session(number: u64, starts: Moment) -> NewEvent {
    let plan = Plan {
        class: ClassId(number),
        teacher: TeacherId(number),
        room: None,
        date: starts.date(&jiff::tz::TimeZone::UTC),
        starts,
        ends: starts.plus(minutes(60)),
    };
    let rules = Policy::default().rules;
    let event = SessionEvent::Created { plan, term: None, number: 1, origin: Origin::ByHand, rules };
    NewEvent { by: Actor::Cli, event: Event::Session(SessionId(number), event), personal: Vec::new() }
}
