//! A class of fifty, its session, and a terminal at the gate, in a store of its own.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "test support: each test file uses a part of it, and what cannot go on fails the test"
)]

#[path = "../../../gateway/store/tests/common/disk.rs"]
pub mod disk;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix::Addr;
use rollcall_actors::{
    Command, CommandError, CommandResult, Deed, Frame, Intake, OnAnswer, Supervisor, Watch,
};
use rollcall_domain::campus::{Class, Course, Device, DeviceKind, DeviceStatus, Item};
use rollcall_domain::code::{Code, KeyKind, Pseudonyms};
use rollcall_domain::decide::lifecycle;
use rollcall_domain::event::{Actor as By, CampusEvent, Event, NewEvent, Origin, SessionEvent};
use rollcall_domain::ids::*;
use rollcall_domain::moment::Moment;
use rollcall_domain::people::{PersonName, Personal, Student, StudentDetails, Teacher};
use rollcall_domain::policy::Policy;
use rollcall_domain::ports::{Clock, NotTaken, ScanIntake as _, ScanResult, Submission};
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::scan::{Method, RawScan};
use rollcall_domain::timetable::Plan;
use rollcall_store::{Append, Appended, RootKey, Store};
use tokio::sync::{mpsc, oneshot};

pub const SESSION: SessionId = SessionId(1);
pub const STUDENTS: u64 = 50;

/// Stands where it is put.
pub struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Moment {
        Moment::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

pub struct Campus {
    pub store: Arc<Store>,
    pub supervisor: Addr<Supervisor>,
    pub intake: Intake,
    pub clock: Arc<TestClock>,
    folder: Option<tempfile::TempDir>,
}

fn pseudonyms() -> Pseudonyms {
    Pseudonyms::new([5; 32])
}

pub fn start() -> Moment {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

/// Makes a ledger that nothing is in.
pub fn make(folder: &Path) {
    drop(open(folder, clock_at(0)));
}

pub fn open(folder: &Path, clock: Arc<TestClock>) -> Store {
    Store::open(folder, RootKey::new([1; 32]), clock, Box::new(|_| {})).unwrap()
}

pub fn clock_at(minute: i64) -> Arc<TestClock> {
    Arc::new(TestClock(AtomicI64::new(start().millis() + minute * 60_000)))
}

/// Makes the campus in a folder, at some minute of the class.
pub async fn furnish_in(folder: &Path, minute: i64) {
    furnish(&open(folder, clock_at(minute))).await;
}

impl Campus {
    /// How many scans are in the ledger.
    pub fn stored_scans(&self) -> usize {
        let is_scan = |event: &Event| {
            matches!(event, Event::Session(_, SessionEvent::Scanned(_)) | Event::Unmatched(_))
        };
        let entries = self.store.entries(Seq(1), 10_000).unwrap();
        entries.iter().filter(|entry| is_scan(&entry.event)).count()
    }

    pub async fn new() -> Self {
        Self::telling(Box::new(|_| {})).await
    }

    pub async fn telling(on_answer: OnAnswer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        furnish_in(folder.path(), 0).await;
        let campus = Self::on(folder.path(), on_answer);
        Campus { folder: Some(folder), ..campus }
    }

    /// Starts on what lies in a folder.
    pub fn on(folder: &Path, on_answer: OnAnswer) -> Self {
        let clock = clock_at(0);
        let store = Arc::new(open(folder, clock.clone()));
        let (supervisor, intake) =
            Supervisor::launch(store.clone(), clock.clone(), Policy::default(), pseudonyms(), on_answer);
        Campus { store, supervisor, intake, clock, folder: None }
    }

    pub async fn deed(&self, deed: Deed) -> CommandResult {
        self.deed_on(SESSION, deed).await
    }

    pub async fn deed_on(&self, session: SessionId, deed: Deed) -> CommandResult {
        self.supervisor.send(Command { session, by: By::Cli, deed, texts: vec![] }).await.unwrap()
    }

    /// Begins to watch the session.
    pub async fn watch(&self) -> Result<mpsc::Receiver<Frame>, CommandError> {
        let (to, frames) = mpsc::channel(64);
        self.supervisor.send(Watch { session: SESSION, to }).await.unwrap().map(|()| frames)
    }

    /// Returns once the views have seen everything.
    pub async fn seen(&self) {
        self.store.views().wait_for(self.store.last()).await.unwrap();
    }

    /// Sends a scan and waits for its answer.
    pub async fn scan(&self, id: &str, who: &str) -> Result<ScanResult, NotTaken> {
        self.submit(id, who).await.unwrap()
    }

    /// Sends a scan; the answer comes later.
    pub fn submit(&self, id: &str, who: &str) -> oneshot::Receiver<Result<ScanResult, NotTaken>> {
        self.submit_made(id, who, self.clock.now())
    }

    /// Sends a scan that was made at `claimed_at`.
    pub fn submit_made(
        &self,
        id: &str,
        who: &str,
        claimed_at: Moment,
    ) -> oneshot::Receiver<Result<ScanResult, NotTaken>> {
        let (sender, receiver) = oneshot::channel();
        let submission = self.submission(id, who, claimed_at, sender);
        self.intake.submit(submission).unwrap_or_else(|_| panic!("the house is full"));
        receiver
    }

    pub fn submission(
        &self,
        id: &str,
        who: &str,
        claimed_at: Moment,
        sender: oneshot::Sender<Result<ScanResult, NotTaken>>,
    ) -> Box<Submission> {
        let scan = RawScan {
            device: gate(),
            scan_id: Some(id.to_owned()),
            claim: who.to_owned(),
            claimed_at,
            received_at: self.clock.now(),
            received_after: Duration::ZERO,
            is_replay: false,
            method: Some(Method::Card),
            quality_milli: None,
            direction: None,
        };
        Box::new(Submission { scan, completion: Box::new(move |result| drop(sender.send(result))) })
    }

    pub fn clock_at(&self, minute: i64) -> Moment {
        Moment::from_millis(start().millis() + minute * 60_000)
    }

    pub fn at_minute(&self, minute: i64) {
        self.clock.0.store(start().millis() + minute * 60_000, Ordering::Relaxed);
    }
}

async fn furnish(store: &Store) {
    let key = |text: &str| pseudonyms().key(KeyKind::Code, text);
    let code = |text: &str| Code::parse(text).unwrap();
    let teacher = Teacher { id: TeacherId(1), code: key("T1"), department: None };
    let course = Course { id: CourseId(1), code: code("C1"), name: "Course".into(), description: None };
    let class = Class {
        id: ClassId(1),
        code: code("K1"),
        name: None,
        course: CourseId(1),
        teacher: TeacherId(1),
        co_teachers: vec![],
        term: None,
        room: None,
    };
    let gate = Device {
        id: gate(),
        name: "Gate".into(),
        kind: DeviceKind::Card,
        room: None,
        dialect: Name::parse("native").unwrap(),
        status: DeviceStatus::Active,
        firmware: None,
    };
    let mut events = vec![
        put(Item::Teacher(teacher), vec![]),
        put(Item::Course(course), vec![]),
        put(Item::Class(class), vec![]),
        put(Item::Device(gate), vec![]),
    ];
    for number in 1..=STUDENTS {
        let details = StudentDetails {
            code: code(&format!("S{number}")),
            name: PersonName::from_whole(&format!("Student {number}")).unwrap(),
            email: None,
            phone: None,
            cards: vec![],
        };
        let id = StudentId(number);
        let student = Student::new(id, &details, &pseudonyms());
        events.push(put(Item::Student(student), vec![Personal::Student(id, details)]));
        let link = Link::ClassStudent(ClassId(1), id);
        events.push(new(Event::Campus(CampusEvent::Joined { link, days: Days::ALWAYS })));
    }
    write(store, events).await;
    create(store, SESSION, start()).await;
}

pub fn gate() -> DeviceId {
    DeviceId::parse("gate").unwrap()
}

/// Writes a session of an hour.
pub async fn create(store: &Store, id: SessionId, starts: Moment) {
    let plan = Plan {
        class: ClassId(1),
        teacher: TeacherId(1),
        room: None,
        date: starts.date(&jiff::tz::TimeZone::UTC),
        starts,
        ends: starts.plus(rollcall_domain::moment::minutes(60)),
    };
    let policy = Policy::default();
    let now = store.views().now();
    let created = lifecycle::create(plan, Origin::ByHand, &[], &now.context(&policy, starts)).unwrap();
    write(store, vec![new(Event::Session(id, created))]).await;
}

pub fn new(event: Event) -> NewEvent {
    NewEvent { by: By::Cli, event, personal: vec![] }
}

fn put(item: Item, personal: Vec<Personal>) -> NewEvent {
    NewEvent { personal, ..new(Event::Campus(CampusEvent::Put(Box::new(item)))) }
}

pub async fn write(store: &Store, events: Vec<NewEvent>) {
    let (sender, receiver) = oneshot::channel();
    let append = Append::new(events, move |appended| drop(sender.send(appended)));
    store.append(append).unwrap_or_else(|_| panic!("the queue is full"));
    let Appended::Committed(entries) = receiver.await.unwrap() else { panic!("not committed") };
    store.views().wait_for(entries.last().unwrap().seq).await.unwrap();
}
