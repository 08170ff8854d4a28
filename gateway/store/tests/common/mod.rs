//! A store in a folder of its own, with a clock that only moves when told.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "test support: each test file uses a part of it and may fail loudly"
)]

pub mod damage;
pub mod disk;
pub mod everything;
pub mod happenings;
pub mod history;
pub mod machine;
pub mod meetings;
pub mod old;
pub mod random;
pub mod sectors;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rollcall_domain::clock_offset::Captured;
use rollcall_domain::code::{Code, Pseudonyms};
use rollcall_domain::event::{Actor, Event, NewEvent, Origin, SessionEvent, UnmatchedScan};
use rollcall_domain::ids::{ClassId, DeviceId, Seq, SessionId, TeacherId};
use rollcall_domain::moment::{Moment, days, minutes};
use rollcall_domain::people::{Person, PersonName, Personal, StudentDetails, TextField};
use rollcall_domain::policy::Policy;
use rollcall_domain::ports::Clock;
use rollcall_domain::scan::{DedupKey, RawScan, Unmatched};
use rollcall_domain::timetable::Plan;
use rollcall_store::{Append, Appended, Credential, Expect, Keyring, Place, RootKey, Store, StoreError};

/// Some time in 2026.
pub const START: i64 = 1_772_000_000_000;

pub fn at() -> Moment {
    Moment::from_millis(START)
}

/// Begins at [`START`] and goes on a step with every look.
pub struct TestClock {
    millis: AtomicI64,
    step: i64,
    /// How far the wall clock has gone beyond that.
    beyond: AtomicI64,
}

impl TestClock {
    /// Goes on by a millisecond.
    pub fn shared() -> Arc<dyn Clock> {
        TestClock::stepping(1)
    }

    pub fn stepping(step: i64) -> Arc<dyn Clock> {
        TestClock::of(step)
    }

    pub fn of(step: i64) -> Arc<Self> {
        Arc::new(TestClock { millis: AtomicI64::new(START), step, beyond: AtomicI64::new(0) })
    }

    /// The wall clock goes on by so many days.
    pub fn go_on(&self, count: u32) {
        let millis = i64::try_from(days(count).as_millis()).unwrap();
        self.beyond.fetch_add(millis, Ordering::Relaxed);
    }

    /// It is set right.
    pub fn go_back(&self, count: u32) {
        let millis = i64::try_from(days(count).as_millis()).unwrap();
        self.beyond.fetch_sub(millis, Ordering::Relaxed);
    }

    pub fn open(self: &Arc<Self>, folder: &Path) -> Store {
        let clock: Arc<dyn Clock> = Arc::<Self>::clone(self);
        Store::open(folder, KEY, clock, Box::new(|_| {})).unwrap()
    }

    /// Makes old what was written: more than 400 days go by, and a week in which something is written each day.
    pub fn age(&self, store: &Store) {
        self.go_on(400);
        for _ in 0..WEEK {
            self.go_on(1);
            assert!(matches!(append(store, vec![Event::ClockConfirmed]), Appended::Committed(_)));
        }
        wait_for(store, store.last());
    }

    fn look(&self) -> i64 {
        self.millis.fetch_add(self.step, Ordering::Relaxed)
    }
}

/// Days on which something is written, until their first is believed to be past.
pub const WEEK: u32 = 7;

/// What makes records of meetings that ended before `time` old after such a week: it counts from where it began.
pub fn kept_from(time: Moment) -> Moment {
    time.plus(days(WEEK - 1)).plus(minutes(1))
}

impl Clock for TestClock {
    fn now(&self) -> Moment {
        Moment::from_millis(self.look() + self.beyond.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.look().unsigned_abs())
    }
}

pub const KEY: RootKey = RootKey::new([3; 32]);

pub fn open(folder: &Path) -> Store {
    try_open(folder, KEY).unwrap()
}

pub fn try_open(place: impl Into<Place>, keys: impl Into<Keyring>) -> Result<Store, StoreError> {
    Store::open(place, keys, TestClock::shared(), Box::new(|_| {}))
}

/// Why it cannot be opened.
pub fn refusal(place: impl Into<Place>, keys: impl Into<Keyring>) -> StoreError {
    match try_open(place, keys) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

/// Makes a ledger that nothing is in.
pub fn make(folder: &Path) {
    drop(open(folder));
}

/// Appends and waits for the answer.
pub fn append(store: &Store, events: Vec<Event>) -> Appended {
    append_as(store, events, None, None)
}

pub fn append_as(
    store: &Store,
    events: Vec<Event>,
    dedup: Option<DedupKey>,
    expect: Option<Expect>,
) -> Appended {
    queue(store, events, dedup, expect).recv().unwrap()
}

/// Appends; the answer comes later.
pub fn queue(
    store: &Store,
    events: Vec<Event>,
    dedup: Option<DedupKey>,
    expect: Option<Expect>,
) -> Receiver<Appended> {
    let (sender, receiver) = channel();
    let then = move |appended| sender.send(appended).unwrap();
    let append = Append { dedup, expect, ..Append::new(news(events), then) };
    store.append(append).unwrap_or_else(|_| panic!("the queue is full"));
    receiver
}

/// Appends an event with what goes to the register.
pub fn register(
    store: &Store,
    event: Event,
    personal: Vec<Personal>,
    credentials: Vec<Credential>,
) -> Appended {
    let (sender, receiver) = channel();
    let then = move |appended| sender.send(appended).unwrap();
    let new = NewEvent { by: Actor::Cli, event, personal };
    let append = Append { credentials, ..Append::new(vec![new], then) };
    store.append(append).unwrap_or_else(|_| panic!("the queue is full"));
    receiver.recv().unwrap()
}

/// A number from outside, which asks for more cases or for one again.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap())
}

pub fn gate() -> DeviceId {
    DeviceId::parse("gate").unwrap()
}

pub fn student(name: &str) -> StudentDetails {
    let name = PersonName::from_whole(name).unwrap();
    StudentDetails { code: Code::parse("S1").unwrap(), name, email: None, phone: None, cards: vec![] }
}

/// A note about somebody.
pub fn note(about: Option<Person>, text: &str) -> Personal {
    Personal::Text { field: TextField::Note, about, text: text.to_owned() }
}

/// Returns once the views have seen `seq`, and fails if they never do.
pub fn wait_for(store: &Store, seq: Seq) {
    let (views, (sender, receiver)) = (store.views().clone(), channel());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // Views that are being mended get there as well.
        while runtime.block_on(views.wait_for(seq)).is_err() {
            std::thread::yield_now();
        }
        sender.send(()).ok();
    });
    receiver.recv_timeout(Duration::from_secs(60)).expect("the views do not come forward");
}

pub fn news(events: Vec<Event>) -> Vec<NewEvent> {
    events.into_iter().map(|event| NewEvent { by: Actor::Cli, event, personal: Vec::new() }).collect()
}

/// An event that needs nothing else to be there.
pub fn setting(value: &str) -> Event {
    Event::SettingChanged { key: "sessions.late_after_minutes".to_owned(), value: Some(value.to_owned()) }
}

pub const SESSION: SessionId = SessionId(1);

/// A session comes to be: its version is 1.
pub fn created() -> Event {
    created_as(SESSION)
}

pub fn created_as(id: SessionId) -> Event {
    let starts = at();
    let plan = Plan {
        class: ClassId(1),
        teacher: TeacherId(1),
        room: None,
        date: "2026-02-25".parse().unwrap(),
        starts,
        ends: starts.plus(minutes(60)),
    };
    let rules = Policy::default().rules;
    let created = SessionEvent::Created { plan, term: None, number: 1, origin: Origin::ByHand, rules };
    Event::Session(id, created)
}

/// An event that brings the session to its next version.
pub fn step() -> Event {
    step_of(SESSION)
}

pub fn step_of(id: SessionId) -> Event {
    Event::Session(id, SessionEvent::BiometricSet { enabled: true })
}

/// A scan of nobody, and its key.
pub fn unmatched(id: &str) -> (Event, DedupKey) {
    let at = at();
    let raw = RawScan {
        device: DeviceId::parse("gate").unwrap(),
        scan_id: Some(id.to_owned()),
        claim: "S1".to_owned(),
        claimed_at: at,
        received_at: at,
        received_after: Duration::ZERO,
        is_replay: false,
        method: None,
        quality_milli: None,
        direction: None,
    };
    let scan = raw.scan(Captured { at, flagged: false }, &Pseudonyms::new([1; 32]));
    let key = scan.dedup;
    let kept = UnmatchedScan { scan, reason: Unmatched::UnknownStudent, student: None, session: None };
    (Event::Unmatched(Box::new(kept)), key)
}
