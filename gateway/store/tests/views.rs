//! The views say what the domain's fold says, whatever happened, and however often they were opened.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;

use common::{KEY, append, open};
use jiff::civil::{Date, date};
use proptest::prelude::*;
use rollcall_domain::campus::{Class, Item};
use rollcall_domain::code::{Code, Pseudonyms};
use rollcall_domain::event::{
    CampusEvent, Entry, Event, How, Origin, PersonMark, Scanned, SessionEvent, UnmatchedScan,
};
use rollcall_domain::ids::{
    ClassId, CourseId, DeviceId, LeaveId, Name, RecordId, Seq, SessionId, StudentId, TeacherId,
};
use rollcall_domain::mark::{Mark, Source};
use rollcall_domain::moment::{Moment, minutes};
use rollcall_domain::parts::campus_changes;
use rollcall_domain::people::Person;
use rollcall_domain::policy::SessionRules;
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::scan::{Claim, DedupKey, Outcome, Scan, Unmatched};
use rollcall_domain::state::State;
use rollcall_domain::timetable::Plan;
use rollcall_store::views::Snapshot;
use rollcall_store::{Appended, Store, verify};
use tempfile::tempdir;

const SESSIONS: u64 = 4;
const STUDENTS: u64 = 4;
const RULES: SessionRules = SessionRules { late_after_minutes: 5, min_present_minutes: 10 };

fn day(offset: u8) -> Date {
    date(2026, 3, 1 + i8::try_from(offset).unwrap())
}

fn starts(day: Date) -> Moment {
    Moment::from(day.at(9, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp())
}

fn device() -> DeviceId {
    DeviceId::parse("gate").unwrap()
}

fn scan(number: u64, student: u64, at: Moment) -> Scan {
    let pseudonyms = Pseudonyms::new([1; 32]);
    Scan {
        device: device(),
        scan_id: None,
        claim: Claim::of(&format!("S{student}"), &pseudonyms),
        claimed_at: at,
        received_at: at,
        captured_at: at,
        clock_flagged: false,
        method: None,
        quality_milli: None,
        direction: None,
        dedup: DedupKey::of_id(&device(), &number.to_string(), &pseudonyms),
    }
}

fn created(class: u64, offset: u8) -> SessionEvent {
    let date = day(offset);
    SessionEvent::Created {
        plan: Plan {
            class: ClassId(class),
            teacher: TeacherId(1),
            room: None,
            date,
            starts: starts(date),
            ends: starts(date).plus(minutes(60)),
        },
        term: None,
        number: 1,
        origin: Origin::ByHand,
        rules: RULES,
    }
}

fn changed(offset: u8) -> SessionEvent {
    let date = day(offset);
    SessionEvent::Changed {
        teacher: TeacherId(1),
        room: None,
        date,
        starts: starts(date),
        ends: starts(date).plus(minutes(60)),
        by_hand: true,
    }
}

fn opened() -> SessionEvent {
    SessionEvent::Opened { from: starts(day(0)), how: How::ByPerson, rules: RULES, excused: vec![] }
}

fn marked(student: u64, mark: Mark, sighted: bool) -> SessionEvent {
    SessionEvent::Marked(PersonMark {
        student: StudentId(student),
        mark,
        source: Source::Manual,
        decided_at: starts(day(0)),
        sighted,
        correction: None,
        dedup: None,
    })
}

fn session_event() -> impl Strategy<Value = SessionEvent> {
    let student = || 1..=STUDENTS;
    prop_oneof![
        2 => (1..3_u64, 0..6_u8).prop_map(|(class, day)| created(class, day)),
        1 => (0..6_u8).prop_map(changed),
        2 => Just(opened()),
        2 => prop::collection::vec(student(), 0..3).prop_map(|absent| SessionEvent::Closed {
            from: starts(day(5)),
            how: How::ByPerson,
            absent: absent.into_iter().map(StudentId).collect(),
            excused: vec![],
        }),
        1 => Just(SessionEvent::Reopened),
        1 => Just(SessionEvent::Locked { how: How::OnTime }),
        1 => Just(SessionEvent::Cancelled { how: How::ByPerson }),
        1 => Just(SessionEvent::Reinstated),
        1 => Just(SessionEvent::Bound { device: device() }),
        6 => (student(), 0..40_u64, 0..90_i64).prop_map(|(student, number, after)| {
            let at = starts(day(0)).plus(jiff::SignedDuration::from_mins(after));
            SessionEvent::Scanned(Box::new(Scanned {
                student: StudentId(student),
                scan: scan(number, student, at),
                outcome: Outcome::Present,
                late_upload: after % 2 == 0,
                was_unmatched: None,
            }))
        }),
        4 => (student(), prop::sample::select(Mark::ALL.to_vec()), any::<bool>())
            .prop_map(|(student, mark, sighted)| marked(student, mark, sighted)),
        1 => student().prop_map(|student| SessionEvent::LeaveTaken {
            student: StudentId(student),
            leave: LeaveId(1),
        }),
        1 => student().prop_map(|student| SessionEvent::RecordDeleted { student: StudentId(student) }),
        1 => student().prop_map(|student| SessionEvent::ConflictSettled { student: StudentId(student) }),
        1 => (student(), student()).prop_map(|(from, into)| SessionEvent::StudentMerged {
            from: StudentId(from),
            into: StudentId(into),
        }),
    ]
}

fn class(id: u64) -> Event {
    Event::Campus(CampusEvent::Put(Box::new(Item::Class(Class {
        id: ClassId(id),
        code: Code::parse(&format!("K{id}")).unwrap(),
        name: None,
        course: CourseId(1),
        teacher: TeacherId(1),
        co_teachers: vec![],
        term: None,
        room: None,
    }))))
}

fn any_event() -> impl Strategy<Value = Event> {
    let link = || (1..3_u64, 1..=STUDENTS).prop_map(|(c, s)| Link::ClassStudent(ClassId(c), StudentId(s)));
    prop_oneof![
        12 => (1..=SESSIONS, session_event()).prop_map(|(id, event)| Event::Session(SessionId(id), event)),
        1 => (1..3_u64).prop_map(class),
        2 => (link(), 0..6_u8, 0..6_u8).prop_map(|(link, from, to)| {
            Event::Campus(CampusEvent::Joined { link, days: Days::new(day(from), day(to)) })
        }),
        1 => (link(), prop::option::of(0..6_u8)).prop_map(|(link, gone)| {
            Event::Campus(CampusEvent::Left { link, day: gone.map(day) })
        }),
        1 => (100..140_u64).prop_map(|number| Event::Unmatched(Box::new(UnmatchedScan {
            scan: scan(number, 1, starts(day(0))),
            reason: Unmatched::UnknownStudent,
            student: None,
            session: None,
        }))),
        1 => (1..80_u64).prop_map(|seq| Event::UnmatchedSettled { scan: Seq(seq) }),
        1 => (1..=STUDENTS).prop_map(|student| Event::Erased(Person::Student(StudentId(student)))),
    ]
}

/// What happens to the files between two stretches of events.
#[derive(Debug, Clone, Copy)]
enum Between {
    Nothing,
    OpenedAgain,
    ViewsDeleted,
    ViewsGarbled,
}

fn any_between() -> impl Strategy<Value = Between> {
    prop::sample::select(vec![
        Between::Nothing,
        Between::OpenedAgain,
        Between::ViewsDeleted,
        Between::ViewsGarbled,
    ])
}

fn between(store: Store, folder: &Path, what: Between) -> Store {
    if matches!(what, Between::Nothing) {
        return store;
    }
    drop(store);
    let views = folder.join("views.redb");
    match what {
        Between::ViewsDeleted => std::fs::remove_file(views).unwrap(),
        Between::ViewsGarbled => std::fs::write(views, b"this was a database").unwrap(),
        Between::Nothing | Between::OpenedAgain => {}
    }
    open(folder)
}

/// Appends one event and folds the entry that came of it into the reference.
fn happen(store: &Store, state: &mut State, event: Event) {
    let Appended::Committed(entries) = append(store, vec![event]) else { panic!("not committed") };
    entries.iter().for_each(|entry: &Entry| state.apply(entry));
}

fn wait(store: &Store, last: Seq) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.views().wait_for(last)).unwrap();
}

fn all_days() -> std::ops::RangeInclusive<Date> {
    date(2020, 1, 1)..=date(2030, 1, 1)
}

/// Everything that can be read is what the reference has.
fn agree(views: &Snapshot, state: &State) {
    assert_eq!(views.last(), state.last);
    assert_eq!(views.last_at(), state.last_at);
    assert_eq!(campus_changes(&views.campus, &state.campus), []);
    assert_eq!(views.office, state.office);
    let mut conflicts = Vec::new();
    for id in (1..=SESSIONS).map(SessionId) {
        let session = state.sessions.get(&id);
        assert_eq!(views.session(id).unwrap().as_ref(), session, "{id}");
        assert_eq!(views.version(id).unwrap(), session.map_or(0, |session| session.version));
        assert_eq!(views.meeting(id).unwrap().as_deref(), session.map(|session| &session.meeting));
        let records = session.into_iter().flat_map(|session| {
            session
                .records
                .iter()
                .map(|(student, record)| (*student, record.disagreement(&session.meeting.timing)))
        });
        conflicts.extend(
            records.filter_map(|(student, conflict)| Some((RecordId { session: id, student }, conflict?))),
        );
    }
    assert_eq!(views.conflicts().unwrap(), conflicts);
    for (key, seq) in &state.scans {
        assert_eq!(views.scan(*key).unwrap(), Some(*seq));
    }
    let unmatched: Vec<_> = state.unmatched.iter().map(|(seq, kept)| (*seq, kept.clone())).collect();
    assert_eq!(views.unmatched(Seq(0), 1000).unwrap(), unmatched);
    for class in (1..3).map(ClassId) {
        let mut of_class: Vec<_> = state.sessions_of(class).map(|s| (s.meeting.date, s.meeting.id)).collect();
        of_class.sort();
        let ids: Vec<SessionId> = of_class.into_iter().map(|(_, id)| id).collect();
        assert_eq!(views.sessions_of(class, all_days()).unwrap(), ids);
        let tallies = (1..=STUDENTS).map(StudentId).map(|s| (s, state.tally(s, class, Days::ALWAYS)));
        for (student, tally) in tallies.clone() {
            assert_eq!(views.tally(student, class, Days::ALWAYS).unwrap(), tally);
            let some = Days::new(day(1), day(3));
            assert_eq!(views.tally(student, class, some).unwrap(), state.tally(student, class, some));
        }
        let tallies: Vec<_> = tallies.filter(|(_, tally)| tally.held() > 0).collect();
        assert_eq!(views.tallies(class).unwrap(), tallies, "{class}");
    }
    for student in (1..=STUDENTS).map(StudentId) {
        let mut with: Vec<_> = state.sessions.values().filter(|s| s.records.contains_key(&student)).collect();
        with.sort_by_key(|s| (s.meeting.date, s.meeting.id));
        let ids: Vec<_> = with.iter().map(|s| s.meeting.id).collect();
        assert_eq!(views.sessions_with(student, all_days()).unwrap(), ids);
    }
    let around = |at| state.meetings_around(at).map(|m| m.id).collect::<Vec<_>>();
    let found = |at| views.meetings_around(at).unwrap().iter().map(|m| m.id).collect::<Vec<_>>();
    for at in [starts(day(0)), starts(day(5)), starts(date(2026, 1, 1))] {
        assert_eq!(found(at), around(at));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_views_are_the_fold_of_the_ledger_whatever_happened(
        stretches in prop::collection::vec(
            (prop::collection::vec(any_event(), 1..25), any_between()),
            1..5,
        ),
    ) {
        let folder = tempdir().unwrap();
        let mut store = open(folder.path());
        let mut state = State::default();
        for (events, what) in stretches {
            for event in events {
                happen(&store, &mut state, event);
            }
            wait(&store, state.last);
            agree(&store.views().now(), &state);
            store = between(store, folder.path(), what);
            agree(&store.views().now(), &state);
        }
        drop(store);
        let scratch = tempdir().unwrap();
        let verified = verify(folder.path(), KEY, Some(scratch.path())).unwrap();
        prop_assert_eq!(verified.last, state.last);
        prop_assert_eq!(verified.difference, None);
    }
}

#[test]
fn a_delivery_is_told_until_somebody_asks_to_try_again() {
    use rollcall_domain::event::{RecordVersion, UpstreamEvent};
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let destination = Name::parse("portal").unwrap();
    let record = RecordId { session: SessionId(1), student: StudentId(2) };
    let version = |version| vec![RecordVersion { record, version }];
    let told = |event| {
        let Appended::Committed(entries) = append(&store, vec![Event::Upstream(event)]) else { panic!() };
        wait(&store, entries.last().unwrap().seq);
        store.views().now().delivery(&destination, record).unwrap().map(|found| (found.version, found.dead))
    };
    let (name, low_water) = (destination.clone(), Seq(0));
    let delivered = UpstreamEvent::Delivered { destination: name.clone(), low_water, records: version(1) };
    assert_eq!(told(delivered), Some((1, false)));
    let dead = UpstreamEvent::DeadLettered { destination: name.clone(), records: version(2) };
    assert_eq!(told(dead), Some((2, true)));
    assert_eq!(told(UpstreamEvent::RetryAsked { destination: name, records: version(2) }), None);
}
