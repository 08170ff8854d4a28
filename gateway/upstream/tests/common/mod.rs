//! A portal that answers as it is told, and a small campus in a store of its own.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::indexing_slicing,
    reason = "test support: each test file uses a part of it and may fail loudly"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use rollcall_domain::campus::{Class, Course, Item, Room};
use rollcall_domain::code::{Code, KeyKind, Pseudonyms};
use rollcall_domain::event::{Actor, CampusEvent, Event, How, NewEvent, Origin, PersonMark, SessionEvent};
use rollcall_domain::ids::{ClassId, CourseId, Name, RoomId, Seq, SessionId, StudentId, TeacherId, UserId};
use rollcall_domain::mark::{Mark, Source};
use rollcall_domain::moment::Moment;
use rollcall_domain::people::{PersonName, Personal, Student, StudentDetails, Teacher, TeacherDetails};
use rollcall_domain::percentage::{Basis, Percent, Target};
use rollcall_domain::policy::SessionRules;
use rollcall_domain::ports::Clock;
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::timetable::Plan;
use rollcall_store::{Append, Appended, RootKey, Store};
use rollcall_upstream::{Backoff, Campus, Portal, PortalSettings, Sender, Status, run};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Goes on by a millisecond with every look.
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Moment {
        Moment::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed).unsigned_abs())
    }
}

pub const SESSION: SessionId = SessionId(7);
pub const ANN: StudentId = StudentId(1);
pub const BEN: StudentId = StudentId(2);

/// One request that the portal got.
#[derive(Debug, Clone)]
pub struct Request {
    pub key: String,
    pub authorization: String,
    pub body: Value,
}

/// What the portal is to answer next: the status line's rest, and further header lines.
pub type Answer = (&'static str, &'static str);
pub const OK: Answer = ("200 OK", "");

pub struct StandIn {
    pub url: String,
    answers: mpsc::UnboundedSender<Answer>,
    requests: mpsc::UnboundedReceiver<Request>,
}

impl StandIn {
    /// Each request waits until there is an answer for it.
    pub async fn start() -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/records", listener.local_addr().unwrap());
        let (answers, mut next) = mpsc::unbounded_channel();
        let (told, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serve(stream, &mut next, &told).await;
            }
        });
        StandIn { url, answers, requests }
    }

    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        answers.into_iter().for_each(|answer| self.answers.send(answer).unwrap());
    }

    pub async fn request(&mut self) -> Request {
        self.requests.recv().await.unwrap()
    }

    /// Whether a request has come that nobody has looked at.
    pub fn has_more(&self) -> bool {
        !self.requests.is_empty()
    }
}

/// One connection, request by request; ends when the client hangs up.
async fn serve(
    stream: TcpStream,
    answers: &mut mpsc::UnboundedReceiver<Answer>,
    told: &mpsc::UnboundedSender<Request>,
) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        if told.send(request).is_err() {
            return;
        }
        let gone = async {
            // Nothing more comes before the answer but the end of the connection.
            stream.fill_buf().await.map_or(true, <[u8]>::is_empty)
        };
        let (status, headers) = tokio::select! {
            answer = answers.recv() => answer.unwrap(),
            true = gone => return,
        };
        let answer = format!("HTTP/1.1 {status}\r\n{headers}content-length: 5\r\n\r\nnoted");
        stream.get_mut().write_all(answer.as_bytes()).await.ok();
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let (mut key, mut authorization, mut length) = (String::new(), String::new(), 0);
    let mut line = String::new();
    while stream.read_line(&mut line).await.ok()? > 0 {
        if line == "\r\n" {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.ok()?;
            let body = serde_json::from_slice(&body).unwrap();
            return Some(Request { key, authorization, body });
        }
        if let Some((name, value)) = line.trim().split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "idempotency-key" => value.clone_into(&mut key),
                "authorization" => value.clone_into(&mut authorization),
                "content-length" => length = value.parse().unwrap(),
                _ => {}
            }
        }
        line.clear();
    }
    None
}

/// A store with one class, two students and one open meeting.
pub struct Gateway {
    pub store: Arc<Store>,
    clock: Arc<dyn Clock>,
}

impl Gateway {
    pub fn open(folder: &Path) -> Gateway {
        let now = moment("2026-11-21T03:00:00Z");
        let clock: Arc<dyn Clock> = Arc::new(TestClock(AtomicI64::new(now.millis())));
        let store = Store::open(folder, RootKey::new([3; 32]), Arc::clone(&clock), Box::new(|_| {})).unwrap();
        Gateway { store: Arc::new(store), clock }
    }

    pub async fn append(&self, events: Vec<NewEvent>) -> Seq {
        let (told, answer) = tokio::sync::oneshot::channel();
        let append = Append::new(events, move |appended| drop(told.send(appended)));
        self.store.append(append).unwrap_or_else(|_| panic!("the queue is full"));
        let Appended::Committed(entries) = answer.await.unwrap() else { panic!("not written") };
        entries.last().unwrap().seq
    }

    pub async fn furnish(&self) {
        let put = |item| NewEvent {
            by: Actor::Cli,
            event: Event::Campus(CampusEvent::Put(Box::new(item))),
            personal: vec![],
        };
        let code = |text: &str| Code::parse(text).unwrap();
        let key = |text: &str| Pseudonyms::new([9; 32]).key(KeyKind::Code, text);
        let teacher = TeacherId(1);
        let mut events = vec![
            put(Item::Teacher(Teacher { id: teacher, code: key("T1"), department: None })),
            put(Item::Course(Course {
                id: CourseId(1),
                code: code("MAT 101"),
                name: "Calculus".into(),
                description: None,
            })),
            put(Item::Room(Room {
                id: RoomId(1),
                code: code("B-101"),
                name: "Hall B".into(),
                networks: vec![],
                place: None,
            })),
            put(Item::Class(Class {
                id: ClassId(1),
                code: code("MAT 101 A"),
                name: None,
                course: CourseId(1),
                teacher,
                co_teachers: vec![],
                term: None,
                room: Some(RoomId(1)),
            })),
        ];
        let name = |text| PersonName::from_whole(text).unwrap();
        let lecturer = TeacherDetails { code: code("T1"), name: name("Tom Teach"), phone: None };
        events[0].personal = vec![Personal::Teacher(teacher, lecturer)];
        for (id, text) in [(ANN, "Ann Archer"), (BEN, "Ben Baker")] {
            let details = StudentDetails {
                code: code(&format!("ADM/{}", id.0).replace('/', "-")),
                name: name(text),
                email: None,
                phone: None,
                cards: vec![],
            };
            let student = Student::new(id, &details, &Pseudonyms::new([9; 32]));
            let mut event = put(Item::Student(student));
            event.personal = vec![Personal::Student(id, details)];
            events.push(event);
            let (link, days) = (Link::ClassStudent(ClassId(1), id), Days::ALWAYS);
            events.push(by_gateway(Event::Campus(CampusEvent::Joined { link, days })));
        }
        let rules = SessionRules { late_after_minutes: 5, min_present_minutes: 10 };
        let starts = moment("2026-11-21T02:30:00Z");
        let plan = Plan {
            class: ClassId(1),
            teacher,
            room: Some(RoomId(1)),
            date: "2026-11-21".parse().unwrap(),
            starts,
            ends: moment("2026-11-21T03:30:00Z"),
        };
        let created = SessionEvent::Created { plan, term: None, number: 1, origin: Origin::ByHand, rules };
        events.push(session(created));
        events.push(session(SessionEvent::Opened {
            from: starts,
            how: How::ByPerson,
            rules,
            excused: vec![],
        }));
        self.append(events).await;
    }

    pub async fn mark(&self, student: StudentId, mark: Mark) -> Seq {
        let decided_at = self.clock.now();
        let mark = PersonMark {
            student,
            mark,
            source: Source::Manual,
            decided_at,
            sighted: true,
            correction: None,
            dedup: None,
        };
        let mut event = session(SessionEvent::Marked(mark));
        event.by = Actor::User(UserId(1));
        self.append(vec![event]).await
    }

    /// Starts a sender for the portal at `url`.
    pub fn send_to(&self, url: &str, backfill: bool) -> Sending {
        self.send(url, Duration::from_secs(10), backfill)
    }

    /// Starts a sender that waits no longer than that for an answer.
    pub fn send_within(&self, timeout: Duration, url: &str) -> Sending {
        self.send(url, timeout, true)
    }

    fn send(&self, url: &str, timeout: Duration, backfill: bool) -> Sending {
        let token = Some("secret".to_owned());
        let settings = PortalSettings { url: url.parse().unwrap(), token, timeout };
        let target =
            Target { basis: Basis::Held, planned_sessions: 12, threshold: Percent::from_centi(7500) };
        let campus = Campus { zone: TimeZone::get("Asia/Dhaka").unwrap(), target };
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1), 1);
        let portal = (Name::parse("portal").unwrap(), Portal::new(&settings).unwrap());
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        let sender = Sender::new(store, clock, campus, portal, backoff, backfill);
        let status = sender.status();
        let (stop, stopped) = watch::channel(false);
        Sending { status, stop, task: tokio::spawn(run(sender, stopped)) }
    }
}

pub struct Sending {
    pub status: watch::Receiver<Status>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Sending {
    pub async fn until(&mut self, wanted: impl FnMut(&Status) -> bool) -> Status {
        self.status.wait_for(wanted).await.unwrap().clone()
    }

    /// Stops it, which is done within a second.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(Duration::from_secs(1), self.task).await.unwrap().unwrap();
    }
}

pub fn moment(text: &str) -> Moment {
    text.parse().unwrap()
}

pub fn by_gateway(event: Event) -> NewEvent {
    NewEvent { by: Actor::Gateway, event, personal: vec![] }
}

pub fn session(event: SessionEvent) -> NewEvent {
    by_gateway(Event::Session(SESSION, event))
}
