//! A tally is what the marks come to, however the events were cut into commits.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::damage::in_memory;
use common::meetings::{
    all_days, changed, class, closed, created, day, happen_at_once, joined, marked, opened, tallies,
};
use common::open;
use rollcall_domain::event::{CampusEvent, Event, How, SessionEvent};
use rollcall_domain::ids::{ClassId, SessionId, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_domain::people::Person;
use rollcall_domain::percentage::Tally;
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::state::State;
use rollcall_store::Store;
use tempfile::TempDir;

const STUDENTS: u64 = 4;
const CLASSES: [ClassId; 2] = [ClassId(1), ClassId(2)];

struct Campus {
    folder: TempDir,
    store: Store,
    state: State,
}

impl Campus {
    fn new() -> Self {
        let folder = in_memory();
        let store = open(folder.path());
        Campus { folder, store, state: State::default() }
    }

    /// Folds these into the views in one commit, after which they count as the reference does.
    fn at_once(&mut self, events: Vec<Event>) {
        happen_at_once(&self.store, &mut self.state, events);
        self.agree();
    }

    fn agree(&self) {
        for class in CLASSES {
            let counted = self.store.views().now().tallies(class).unwrap();
            assert_eq!(counted, tallies(&self.state, class, 1..=STUDENTS), "{class}");
        }
    }

    /// What was kept up event by event is what is counted from the whole ledger.
    fn agrees_when_made_anew(self) {
        let Campus { folder, store, state } = self;
        drop(store);
        std::fs::remove_file(folder.path().join("views.redb")).unwrap();
        let store = open(folder.path());
        Campus { folder, store, state }.agree();
    }

    fn of(&self, student: u64) -> Option<Tally> {
        let counted = self.store.views().now().tallies(ClassId(1)).unwrap();
        counted.into_iter().find(|(id, _)| *id == StudentId(student)).map(|(_, tally)| tally)
    }
}

fn of_first(event: SessionEvent) -> Event {
    Event::Session(SessionId(1), event)
}

fn of_second(event: SessionEvent) -> Event {
    Event::Session(SessionId(2), event)
}

/// Student 1 was absent from a meeting of the first day, at which student 2 was present; of student 3, who
/// came to the class later, nothing is written there.
fn closed_meeting() -> Vec<Event> {
    let mut events = vec![class(1), joined(1, 1, Days::ALWAYS), joined(1, 2, Days::ALWAYS)];
    let meeting = [created(1, 0), opened(&[]), marked(2, Mark::Present, true), closed(&[1], &[])];
    events.extend(meeting.map(of_first));
    events.push(joined(1, 3, Days::ALWAYS));
    events
}

#[test]
fn one_who_came_to_the_class_later_is_counted_once_when_marked_as_the_meeting_opens_again() {
    let mut campus = Campus::new();
    campus.at_once(closed_meeting());
    assert_eq!(campus.of(3), Some(Tally { absent: 1, ..Tally::default() }));
    campus.at_once([SessionEvent::Reopened, marked(3, Mark::Present, true)].map(of_first).to_vec());
    assert_eq!(campus.of(3), None);
    campus.at_once(vec![of_first(closed(&[1], &[]))]);
    assert_eq!(campus.of(3), Some(Tally { present: 1, ..Tally::default() }));
    campus.agrees_when_made_anew();
}

#[test]
fn one_who_is_excused_as_the_meeting_closes_again_is_counted_once() {
    let mut campus = Campus::new();
    campus.at_once(closed_meeting());
    campus.at_once([SessionEvent::Reopened, closed(&[1], &[3])].map(of_first).to_vec());
    assert_eq!(campus.of(3), Some(Tally { excused: 1, ..Tally::default() }));
    campus.agrees_when_made_anew();
}

#[test]
fn a_held_meeting_that_moves_to_another_day_counts_for_those_of_that_day_alone() {
    let mut campus = Campus::new();
    campus.at_once(vec![
        class(1),
        joined(1, 1, Days::new(day(0), day(0))),
        joined(1, 2, Days::new(day(1), day(1))),
        joined(1, 3, Days::ALWAYS),
    ]);
    campus.at_once([created(1, 0), opened(&[]), closed(&[1, 3], &[])].map(of_first).to_vec());
    assert!(campus.of(1).is_some() && campus.of(2).is_none());
    campus.at_once([SessionEvent::Reopened, changed(1), closed(&[2], &[])].map(of_first).to_vec());
    assert!(campus.of(1).is_none() && campus.of(2).is_some());
    // Without being opened, too: the fold asks for no permission.
    campus.at_once(vec![of_first(changed(0))]);
    assert!(campus.of(1).is_some() && campus.of(2).is_none());
    campus.agrees_when_made_anew();
}

#[test]
fn a_meeting_that_closes_together_with_an_erasure_is_counted() {
    let mut campus = Campus::new();
    // Of a class of which nothing else is known.
    campus.at_once(vec![joined(1, 1, Days::ALWAYS)]);
    campus.at_once([created(1, 0), opened(&[])].map(of_first).to_vec());
    let erased = Event::Erased(Person::Student(StudentId(2)));
    campus.at_once(vec![of_first(closed(&[1], &[])), erased]);
    assert_eq!(campus.of(1), Some(Tally { absent: 1, ..Tally::default() }));
    campus.agrees_when_made_anew();
}

/// Two meetings that take every turn, of a class whose students come and go.
fn history() -> Vec<Event> {
    let mut events = closed_meeting();
    events.extend([class(2), joined(2, 1, Days::ALWAYS), joined(2, 4, Days::new(day(2), day(3)))]);
    events.extend([SessionEvent::Reopened, marked(3, Mark::Late, true), changed(2)].map(of_first));
    events.extend([created(2, 2), opened(&[4]), closed(&[1], &[])].map(of_second));
    events.push(joined(1, 4, Days::new(day(2), day(2))));
    events.extend([marked(1, Mark::Present, true), closed(&[], &[4])].map(of_first));
    events.extend([marked(2, Mark::Excused, true), SessionEvent::Reopened].map(of_first));
    events.push(of_second(changed(4)));
    events.push(of_first(SessionEvent::RecordDeleted { student: StudentId(1) }));
    events.extend([changed(1), closed(&[2], &[])].map(of_first));
    events.push(of_second(SessionEvent::Reopened));
    events.push(of_second(SessionEvent::StudentMerged { from: StudentId(4), into: StudentId(1) }));
    events.extend([changed(3), closed(&[4], &[1])].map(of_second));
    let left = Link::ClassStudent(ClassId(1), StudentId(2));
    events.push(Event::Campus(CampusEvent::Left { link: left, day: Some(day(1)) }));
    events.extend([marked(3, Mark::Permission, true), changed(0)].map(of_first));
    events.push(of_first(SessionEvent::Locked { how: How::OnTime }));
    events
}

#[test]
fn one_history_counts_the_same_however_it_is_cut_into_commits() {
    let events = history();
    for size in 1..=events.len() {
        for first in 0..size.min(4) {
            let mut campus = Campus::new();
            let (head, rest) = events.split_at(first.min(events.len()));
            for chunk in [head].into_iter().chain(rest.chunks(size)).filter(|chunk| !chunk.is_empty()) {
                campus.at_once(chunk.to_vec());
            }
            let sessions = campus.store.views().now().sessions_of(ClassId(1), all_days()).unwrap();
            assert_eq!(sessions, [SessionId(1)]);
            if first == 0 {
                campus.agrees_when_made_anew();
            }
        }
    }
}
