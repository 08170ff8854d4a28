//! A clock that ran ahead and was set right hides no meeting.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::damage::in_memory;
use common::meetings::{
    WallClock, changed, class, closed, created, day, happen_at_once, marked, opened, starts,
};
use common::setting;
use jiff::civil::date;
use rollcall_domain::event::{Event, SessionEvent};
use rollcall_domain::ids::SessionId;
use rollcall_domain::mark::Mark;
use rollcall_domain::state::State;
use rollcall_store::Store;

fn of(session: u64, event: SessionEvent) -> Event {
    Event::Session(SessionId(session), event)
}

/// Today a meeting was held and another is to come; then the clock jumped and something was written.
fn run_ahead(store: &Store, clock: &WallClock, state: &mut State) {
    let held = [created(1, 0), opened(&[]), closed(&[1], &[])].map(|event| of(1, event));
    happen_at_once(store, state, [vec![class(1)], held.to_vec()].concat());
    happen_at_once(store, state, vec![of(2, created(1, 0))]);
    clock.set(starts(date(2030, 1, 1)));
    happen_at_once(store, state, vec![setting("1")]);
    assert!(store.views().now().meetings().next().is_none());
    clock.set(starts(day(0)));
}

/// What a scan of that day is looked for in.
fn around(store: &Store, offset: u8) -> Vec<SessionId> {
    let found = store.views().now().meetings_around(starts(day(offset))).unwrap();
    found.iter().map(|meeting| meeting.id).collect()
}

const BOTH: [SessionId; 2] = [SessionId(1), SessionId(2)];

#[test]
fn the_meetings_of_today_are_found_again_once_somebody_said_that_the_clock_is_right() {
    let (folder, clock) = (in_memory(), WallClock::shared(starts(day(0))));
    let (store, mut state) = (clock.open(folder.path()), State::default());
    run_ahead(&store, &clock, &mut state);
    assert_eq!(around(&store, 0), BOTH);
    happen_at_once(&store, &mut state, vec![Event::ClockConfirmed]);
    assert_eq!(around(&store, 0), BOTH);
    assert_eq!(store.views().now().meetings().map(|meeting| meeting.id).collect::<Vec<_>>(), BOTH);
    drop(store);
    assert_eq!(around(&clock.open(folder.path()), 0), BOTH);
}

#[test]
fn what_happens_to_meetings_in_the_same_commit_is_seen_and_not_what_the_rows_had_before() {
    let (folder, clock) = (in_memory(), WallClock::shared(starts(day(0))));
    let (store, mut state) = (clock.open(folder.path()), State::default());
    run_ahead(&store, &clock, &mut state);
    let moved = [Event::ClockConfirmed, of(1, marked(1, Mark::Present, true)), of(2, changed(7))];
    happen_at_once(&store, &mut state, moved.to_vec());
    assert_eq!((around(&store, 0), around(&store, 7)), (vec![SessionId(1)], vec![SessionId(2)]));
}
