//! The views say what the domain's fold says, whatever happened, and however often they were opened.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::damage::in_memory;
use common::happenings::{SESSIONS, STUDENTS, any_event};
use common::meetings::{WallClock, all_days, created, day, happen_at_once, starts, tallies};
use common::{KEY, append, open, wait_for};
use jiff::ToSpan as _;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use rollcall_domain::event::Event;
use rollcall_domain::ids::{ClassId, Name, RecordId, Seq, SessionId, StudentId};
use rollcall_domain::moment::Moment;
use rollcall_domain::parts::campus_changes;
use rollcall_domain::roster::Days;
use rollcall_domain::session::SessionStatus;
use rollcall_domain::state::State;
use rollcall_store::views::Snapshot;
use rollcall_store::{Appended, Store, verify};
use tempfile::tempdir;

/// What the wall clock shows at first.
const WALL: Date = date(2026, 2, 20);

/// Events of one commit of the views, and what the wall clock is set to before.
fn any_commit() -> impl Strategy<Value = (Option<Moment>, Vec<Event>)> {
    let wrong_and_right = vec![WALL, date(2026, 3, 1), date(2026, 4, 7), date(2026, 5, 1), date(2030, 1, 1)];
    let set = prop::option::weighted(0.2, prop::sample::select(wrong_and_right).prop_map(starts));
    (set, prop::collection::vec(any_event(), 1..10))
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

fn between(store: Store, folder: &Path, clock: &Arc<WallClock>, what: Between) -> Store {
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
    clock.open(folder)
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
    for key in state.scans.keys() {
        assert_eq!(views.scan(*key).unwrap(), state.scan(*key));
    }
    let unmatched: Vec<_> = state.unmatched.iter().map(|(seq, kept)| (*seq, kept.clone())).collect();
    assert_eq!(views.unmatched(Seq(0), 1000).unwrap(), unmatched);
    for class in (1..3).map(ClassId) {
        let mut of_class: Vec<_> = state.sessions_of(class).map(|s| (s.meeting.date, s.meeting.id)).collect();
        of_class.sort();
        let ids: Vec<SessionId> = of_class.into_iter().map(|(_, id)| id).collect();
        assert_eq!(views.sessions_of(class, all_days()).unwrap(), ids);
        for student in (1..=STUDENTS).map(StudentId) {
            let tally = state.tally(student, class, Days::ALWAYS);
            assert_eq!(views.tally(student, class, Days::ALWAYS).unwrap(), tally);
            let some = Days::new(day(1), day(3));
            assert_eq!(views.tally(student, class, some).unwrap(), state.tally(student, class, some));
        }
        assert_eq!(views.tallies(class).unwrap(), tallies(state, class, 1..=STUDENTS), "{class}");
    }
    for student in (1..=STUDENTS).map(StudentId) {
        let mut with: Vec<_> = state.sessions.values().filter(|s| s.records.contains_key(&student)).collect();
        with.sort_by_key(|s| (s.meeting.date, s.meeting.id));
        let ids: Vec<_> = with.iter().map(|s| s.meeting.id).collect();
        assert_eq!(views.sessions_with(student, all_days()).unwrap(), ids);
    }
    let around = |at| state.meetings_around(at).map(|m| m.id).collect::<Vec<_>>();
    let found = |at| views.meetings_around(at).unwrap().iter().map(|m| m.id).collect::<Vec<_>>();
    for at in [day(0), day(2), day(5), date(2026, 1, 1)].map(starts) {
        assert_eq!(found(at), around(at), "around {at}");
    }
    assert_eq!(views.meetings().map(|m| m.id).collect::<Vec<_>>(), at_hand(state));
}

/// Every open meeting, and those of five weeks before the last event and after.
fn at_hand(state: &State) -> Vec<SessionId> {
    let first = state.last_at.map_or(Date::MIN, |at| at.date(&TimeZone::UTC).saturating_sub(35.days()));
    let near = state.meetings().filter(|m| m.date >= first || m.status == SessionStatus::Open);
    near.map(|m| m.id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_views_are_the_fold_of_the_ledger_whatever_happened(
        stretches in prop::collection::vec(
            (prop::collection::vec(any_commit(), 1..8), any_between()),
            1..5,
        ),
    ) {
        let (folder, clock) = (in_memory(), WallClock::shared(starts(WALL)));
        let mut store = clock.open(folder.path());
        let mut state = State::default();
        for (commits, what) in stretches {
            for (set, events) in commits {
                set.into_iter().for_each(|to| clock.set(to));
                happen_at_once(&store, &mut state, events);
                agree(&store.views().now(), &state);
            }
            store = between(store, folder.path(), &clock, what);
            agree(&store.views().now(), &state);
        }
        drop(store);
        let scratch = in_memory();
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
    append(&store, vec![Event::Session(SessionId(1), created(1, 0))]);
    let destination = Name::parse("portal").unwrap();
    let record = RecordId { session: SessionId(1), student: StudentId(2) };
    let version = |version| vec![RecordVersion { record, version }];
    let told = |event| {
        let Appended::Committed(entries) = append(&store, vec![Event::Upstream(event)]) else { panic!() };
        wait_for(&store, entries.last().unwrap().seq);
        store.views().now().delivery(&destination, record).unwrap().map(|found| (found.version, found.dead))
    };
    let (name, low_water) = (destination.clone(), Seq(0));
    let delivered = UpstreamEvent::Delivered { destination: name.clone(), low_water, records: version(1) };
    assert_eq!(told(delivered), Some((1, false)));
    let dead = UpstreamEvent::DeadLettered { destination: name.clone(), records: version(2) };
    assert_eq!(told(dead), Some((2, true)));
    assert_eq!(told(UpstreamEvent::RetryAsked { destination: name, records: version(2) }), None);
}
