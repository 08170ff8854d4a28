//! Meetings of the first days of March 2026, and a wall clock that is set wrong and right again.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::civil::{Date, date};
use rollcall_domain::campus::{Class, Item};
use rollcall_domain::code::Code;
use rollcall_domain::event::{CampusEvent, Event, How, Origin, PersonMark, SessionEvent};
use rollcall_domain::ids::{ClassId, CourseId, LeaveId, Seq, StudentId, TeacherId};
use rollcall_domain::mark::{Mark, Source};
use rollcall_domain::moment::{Moment, minutes};
use rollcall_domain::percentage::Tally;
use rollcall_domain::policy::SessionRules;
use rollcall_domain::ports::Clock;
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::state::State;
use rollcall_domain::timetable::Plan;
use rollcall_store::{Appended, Store};

use super::{KEY, append, wait_for};

pub const RULES: SessionRules = SessionRules { late_after_minutes: 5, min_present_minutes: 10 };

/// A wall clock that shows what it is set to; the time since the start goes on all the same, fast enough
/// for some commits of the views to be lasting ones.
pub struct WallClock {
    shows: AtomicI64,
    looks: AtomicU64,
}

impl WallClock {
    pub fn shared(shows: Moment) -> Arc<Self> {
        Arc::new(WallClock { shows: AtomicI64::new(shows.millis()), looks: AtomicU64::new(0) })
    }

    pub fn set(&self, to: Moment) {
        self.shows.store(to.millis(), Ordering::Relaxed);
    }

    pub fn open(self: &Arc<Self>, folder: &Path) -> Store {
        let clock: Arc<dyn Clock> = Arc::<Self>::clone(self);
        Store::open(folder, KEY, clock, Box::new(|_| {})).unwrap()
    }
}

impl Clock for WallClock {
    fn now(&self) -> Moment {
        Moment::from_millis(self.shows.fetch_add(1, Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(300 * self.looks.fetch_add(1, Ordering::Relaxed))
    }
}

pub fn day(offset: u8) -> Date {
    date(2026, 3, 1 + i8::try_from(offset).unwrap())
}

pub fn all_days() -> RangeInclusive<Date> {
    date(2020, 1, 1)..=date(2040, 1, 1)
}

pub fn starts(day: Date) -> Moment {
    Moment::from(day.at(9, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp())
}

pub fn class(id: u64) -> Event {
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

pub fn joined(class: u64, student: u64, days: Days) -> Event {
    let link = Link::ClassStudent(ClassId(class), StudentId(student));
    Event::Campus(CampusEvent::Joined { link, days })
}

pub fn created(class: u64, offset: u8) -> SessionEvent {
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

pub fn changed(offset: u8) -> SessionEvent {
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

pub fn on_leave(students: &[u64]) -> Vec<(StudentId, LeaveId)> {
    students.iter().map(|student| (StudentId(*student), LeaveId(1))).collect()
}

pub fn opened(excused: &[u64]) -> SessionEvent {
    let excused = on_leave(excused);
    SessionEvent::Opened { from: starts(day(0)), how: How::ByPerson, rules: RULES, excused }
}

pub fn closed(absent: &[u64], excused: &[u64]) -> SessionEvent {
    let (absent, excused) = (absent.iter().copied().map(StudentId).collect(), on_leave(excused));
    SessionEvent::Closed { from: starts(day(5)), how: How::ByPerson, absent, excused }
}

pub fn marked(student: u64, mark: Mark, sighted: bool) -> SessionEvent {
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

/// Appends events of which the views see all or none, folds them into the reference, and returns once the
/// views have seen them.
pub fn happen_at_once(store: &Store, state: &mut State, events: Vec<Event>) -> Seq {
    let Appended::Committed(entries) = append(store, events) else { panic!("not committed") };
    entries.iter().for_each(|entry| state.apply(entry));
    wait_for(store, state.last);
    state.last
}

/// The tallies of a class, as the reference counts them.
pub fn tallies(state: &State, class: ClassId, students: RangeInclusive<u64>) -> Vec<(StudentId, Tally)> {
    let all = students.map(StudentId).map(|student| (student, state.tally(student, class, Days::ALWAYS)));
    all.filter(|(_, tally)| tally.held() > 0).collect()
}
