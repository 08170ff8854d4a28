//! A class of fifty, its session, and a terminal at the gate, in a store of its own.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "test support: what cannot go on fails the test"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use actix::Addr;
use rollcall_actors::{Command, CommandResult, Deed, Intake, Supervisor};
use rollcall_domain::campus::{Class, Course, Device, DeviceKind, DeviceStatus, Item};
use rollcall_domain::code::{Code, KeyKind, Pseudonyms};
use rollcall_domain::decide::lifecycle;
use rollcall_domain::event::{Actor as By, CampusEvent, Event, NewEvent, Origin};
use rollcall_domain::ids::*;
use rollcall_domain::moment::Moment;
use rollcall_domain::people::{PersonName, Personal, Student, StudentDetails, Teacher};
use rollcall_domain::policy::Policy;
use rollcall_domain::ports::{Clock, NotTaken, ScanIntake as _, ScanResult, Submission};
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::scan::{Method, RawScan};
use rollcall_domain::timetable::Plan;
use rollcall_store::{Append, Appended, ChainKey, Store};
use tokio::sync::oneshot;

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
    _folder: tempfile::TempDir,
}

fn pseudonyms() -> Pseudonyms {
    Pseudonyms::new([5; 32])
}

pub fn start() -> Moment {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

impl Campus {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(start().millis())));
        let shared: Arc<dyn Clock> = clock.clone();
        let store = Store::open(folder.path(), ChainKey([1; 32]), shared.clone(), Box::new(|_| {})).unwrap();
        let store = Arc::new(store);
        furnish(&store).await;
        let (supervisor, intake) =
            Supervisor::launch(store.clone(), shared, Policy::default(), pseudonyms(), Box::new(|_| {}));
        Campus { store, supervisor, intake, clock, _folder: folder }
    }

    pub async fn deed(&self, deed: Deed) -> CommandResult {
        self.supervisor.send(Command { session: SESSION, by: By::Cli, deed, texts: vec![] }).await.unwrap()
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
        let scan = RawScan {
            device: DeviceId::parse("gate").unwrap(),
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
        let completion = Box::new(move |result| drop(sender.send(result)));
        let submission = Box::new(Submission { scan, completion });
        self.intake.submit(submission).unwrap_or_else(|_| panic!("the house is full"));
        receiver
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
        id: DeviceId::parse("gate").unwrap(),
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
    let plan = Plan {
        class: ClassId(1),
        teacher: TeacherId(1),
        room: None,
        date: "2026-03-02".parse().unwrap(),
        starts: start(),
        ends: start().plus(rollcall_domain::moment::minutes(60)),
    };
    let policy = Policy::default();
    let created = store.views().read(|state| {
        lifecycle::create(plan, Origin::ByHand, &[], &state.context(&policy, start())).unwrap()
    });
    write(store, vec![new(Event::Session(SESSION, created))]).await;
}

fn new(event: Event) -> NewEvent {
    NewEvent { by: By::Cli, event, personal: vec![] }
}

fn put(item: Item, personal: Vec<Personal>) -> NewEvent {
    NewEvent { personal, ..new(Event::Campus(CampusEvent::Put(Box::new(item)))) }
}

async fn write(store: &Store, events: Vec<NewEvent>) {
    let (sender, receiver) = oneshot::channel();
    let append = Append::new(events, move |appended| drop(sender.send(appended)));
    store.append(append).unwrap_or_else(|_| panic!("the queue is full"));
    let Appended::Committed(entries) = receiver.await.unwrap() else { panic!("not committed") };
    store.views().wait_for(entries.last().unwrap().seq).await;
}
