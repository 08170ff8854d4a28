//! Membership by calendar day, and the meetings that follow from a timetable.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a property that breaks should fail loudly")]

mod common;

use std::collections::BTreeSet;

use common::*;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use rollcall_domain::Refusal;
use rollcall_domain::campus::{Holiday, Item, ItemId, Term};
use rollcall_domain::code::Code;
use rollcall_domain::decide::generate::{generate, observe};
use rollcall_domain::decide::lifecycle::{self, edit};
use rollcall_domain::decide::roster;
use rollcall_domain::dependents::Dependent;
use rollcall_domain::event::{CampusEvent, How};
use rollcall_domain::ids::*;
use rollcall_domain::moment::Moment;
use rollcall_domain::numbering::{Numbered, label, next_number};
use rollcall_domain::roster::{Days, Link, Rosters};
use rollcall_domain::session::{Meeting, SessionStatus};
use rollcall_domain::timetable::{Plan, Slot, SlotDay, bounds};

fn date(offset: i64) -> Date {
    day("2026-03-02").saturating_add(offset.days())
}

/// A change of one student's membership; the model beside it is the plain set of days.
#[derive(Debug, Clone)]
enum Step {
    Join(Option<i64>, Option<i64>),
    Leave(Option<i64>),
}

fn step() -> impl Strategy<Value = Step> {
    let offset = prop::option::of(0..40_i64);
    prop_oneof![
        3 => (offset.clone(), offset.clone()).prop_map(|(from, to)| Step::Join(from, to)),
        1 => offset.prop_map(Step::Leave),
    ]
}

proptest! {
    #[test]
    fn membership_is_the_same_as_a_plain_set_of_days(steps in prop::collection::vec(step(), 0..12)) {
        let link = Link::ClassStudent(CLASS, ANN);
        let mut rosters = Rosters::default();
        let mut model = BTreeSet::new();
        for step in steps {
            match step {
                Step::Join(from, to) => {
                    rosters.join(link, Days { from: from.map(date), to: to.map(date) });
                    let fits = |d: &i64| from.is_none_or(|f| f <= *d) && to.is_none_or(|t| *d <= t);
                    model.extend((-5..45_i64).filter(fits));
                }
                Step::Leave(day) => {
                    rosters.leave(link, day.map(date));
                    model.retain(|d| day.is_some_and(|day| *d < day));
                }
            }
        }
        for d in -5..45_i64 {
            prop_assert_eq!(rosters.attends(CLASS, ANN, date(d)), model.contains(&d), "day {}", d);
            prop_assert_eq!(rosters.on(CLASS, date(d)).contains(&ANN), model.contains(&d));
        }
    }

    #[test]
    fn a_meeting_ends_after_it_starts_in_every_zone_on_every_day(
        zone in prop::sample::select(vec![
            "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Dhaka",
            "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca",
        ]),
        offset in 0..800_i64, starts in (0..24_i8, 0..60_i8), ends in (0..24_i8, 0..60_i8),
    ) {
        let zone = TimeZone::get(zone).unwrap();
        let clock = |(hour, minute): (i8, i8)| jiff::civil::time(hour, minute, 0, 0);
        let (start, end) = bounds(date(offset), clock(starts), clock(ends), &zone);
        prop_assert!(start < end);
        prop_assert!(end.since(start).as_hours() <= 26);
    }

    #[test]
    fn numbers_of_a_class_are_never_given_twice(starts in prop::collection::vec(0..20_i64, 0..30), limit in 0..15_u32) {
        let mut meetings: Vec<Numbered> = vec![];
        for start in starts {
            let starts = Moment::from_millis(start * 3_600_000);
            if let Ok(number) = next_number(&meetings, None, starts, limit) {
                prop_assert!(meetings.iter().all(|m| m.number < number && m.starts != starts));
                prop_assert!(limit == 0 || number <= limit);
                meetings.push(Numbered { term: None, number, starts, cancelled: false });
            }
        }
    }
}

#[test]
fn a_student_of_an_attending_section_is_of_the_class_only_while_both_hold() {
    let mut rosters = Rosters::default();
    rosters.join(Link::ClassSection(CLASS, SectionId(1)), Days::new(date(0), date(10)));
    rosters.join(Link::SectionStudent(SectionId(1), ANN), Days::starting(date(5)));
    assert!(!rosters.attends(CLASS, ANN, date(4)));
    assert!(rosters.attends(CLASS, ANN, date(5)));
    assert!(rosters.attends(CLASS, ANN, date(10)));
    assert!(!rosters.attends(CLASS, ANN, date(11)));
    assert_eq!(rosters.classes_of(ANN, date(7)), BTreeSet::from([CLASS]));
}

#[test]
fn merging_moves_memberships_and_keeps_the_one_that_was_there() {
    let mut rosters = Rosters::default();
    rosters.join(Link::ClassStudent(CLASS, ANN), Days::new(date(0), date(1)));
    rosters.join(Link::ClassStudent(CLASS, BEN), Days::new(date(5), date(6)));
    rosters.merge(BEN, ANN);
    assert!(rosters.attends(CLASS, ANN, date(0)) && rosters.attends(CLASS, ANN, date(6)));
    assert!(!rosters.attends(CLASS, BEN, date(6)));
}

fn slot(id: u64, weekday: i8, starts: &str) -> Slot {
    let starts: jiff::civil::Time = starts.parse().unwrap();
    Slot {
        id: SlotId(id),
        class: CLASS,
        weekday: SlotDay::try_from(weekday).unwrap(),
        starts,
        ends: starts.saturating_add(1.hour()),
        room: None,
        teacher: None,
        active: true,
        days: Days::ALWAYS,
    }
}

/// Two weeks of Monday and Wednesday, generated.
fn generated() -> World {
    let mut w = World::new();
    w.put(Item::Slot(slot(1, 1, "09:00")));
    w.put(Item::Slot(slot(2, 3, "11:00")));
    assert_eq!(again(&mut w), 4);
    w
}

/// Generates, appends, and says how many events that took.
fn again(w: &mut World) -> usize {
    let done = generate(&w.state, &w.policy, (date(0), date(13)), &w.zone, w.now);
    let count = done.events.len();
    done.events.into_iter().for_each(|event| w.append(event));
    count
}

/// Date, start and state of every meeting, in order of their numbers.
fn meetings(w: &World) -> Vec<String> {
    let show = |meeting: &Meeting| {
        let starts = meeting.starts().civil(&w.zone).strftime("%d %H:%M");
        format!("{} {starts} {}", meeting.number, meeting.status.word())
    };
    w.state.meetings().map(show).collect()
}

#[test]
fn generating_twice_makes_no_duplicates() {
    let mut w = generated();
    assert_eq!(
        meetings(&w),
        ["1 02 09:00 scheduled", "2 04 11:00 scheduled", "3 09 09:00 scheduled", "4 11 11:00 scheduled"]
    );
    assert_eq!(again(&mut w), 0);
}

#[test]
fn a_plan_for_some_days_leaves_the_others_alone() {
    let w = generated();
    let done = generate(&w.state, &w.policy, (date(0), date(6)), &w.zone, w.now);
    assert_eq!(done, Default::default());
}

#[test]
fn a_holiday_cancels_what_is_scheduled_and_its_removal_brings_it_back() {
    let mut w = generated();
    let makeup = w.on("2026-03-05", "08:00").schedule(CLASS, "15:00", "16:00");
    w.on("2026-03-02", "08:00");
    let holiday = Holiday { id: HolidayId(1), from: date(2), to: date(7), name: "Break".into() };
    let cancelled = observe(&w.state, &holiday);
    w.put(Item::Holiday(holiday));
    cancelled.into_iter().for_each(|event| w.append(event));
    assert_eq!(again(&mut w), 0);
    assert_eq!(
        meetings(&w),
        [
            "1 02 09:00 scheduled",
            "2 04 11:00 cancelled",
            "3 09 09:00 cancelled",
            "4 11 11:00 scheduled",
            "5 05 15:00 cancelled",
        ]
    );
    w.campus(CampusEvent::Removed(ItemId::Holiday(HolidayId(1))));
    assert_eq!(again(&mut w), 3);
    assert!(w.state.meetings().all(|meeting| meeting.status == SessionStatus::Scheduled));
    assert_eq!(w.session(makeup).meeting.number, 5);
}

#[test]
fn a_makeup_that_somebody_sets_on_a_holiday_takes_place() {
    let mut w = generated();
    let holiday = Holiday { id: HolidayId(1), from: date(3), to: date(3), name: "Day".into() };
    w.put(Item::Holiday(holiday));
    let makeup = w.on("2026-03-05", "08:00").schedule(CLASS, "15:00", "16:00");
    again(&mut w);
    assert_eq!(w.session(makeup).meeting.status, SessionStatus::Scheduled);
}

#[test]
fn a_meeting_that_a_person_moved_off_a_holiday_takes_place() {
    let mut w = generated();
    let second = SessionId(2);
    let moved = Plan { date: date(3), ..w.session(second).meeting.plan() };
    let event = edit(w.session(second), moved, true, &w.state.numbered(CLASS, Some(second))).unwrap();
    w.session_event(second, event);
    w.put(Item::Holiday(Holiday { id: HolidayId(1), from: date(2), to: date(2), name: "Day".into() }));
    assert_eq!(again(&mut w), 0);
    assert_eq!(w.session(second).meeting.status, SessionStatus::Scheduled);
}

#[test]
fn a_moved_slot_moves_what_is_not_open_and_not_changed_by_hand() {
    let mut w = generated();
    w.at("08:55").open(SessionId(1)).unwrap();
    let by_hand = Plan { room: Some(OTHER_ROOM), ..w.session(SessionId(4)).meeting.plan() };
    let event = edit(w.session(SessionId(4)), by_hand, true, &[]).unwrap();
    w.session_event(SessionId(4), event);
    w.put(Item::Slot(slot(1, 1, "10:00")));
    w.put(Item::Slot(slot(2, 3, "12:00")));
    assert_eq!(again(&mut w), 2);
    assert_eq!(
        meetings(&w),
        ["1 02 09:00 open", "2 04 12:00 scheduled", "3 09 10:00 scheduled", "4 11 11:00 scheduled"]
    );
    assert_eq!(again(&mut w), 0);
}

#[test]
fn an_inactive_slot_makes_no_meetings_and_takes_back_those_to_come() {
    let mut w = generated();
    w.put(Item::Slot(Slot { active: false, ..slot(2, 3, "11:00") }));
    assert_eq!(again(&mut w), 2);
    assert_eq!(w.session(SessionId(2)).meeting.cancelled, Some(How::TimetableChanged));
    w.put(Item::Slot(slot(2, 3, "11:00")));
    assert_eq!(again(&mut w), 2);
    assert_eq!(w.session(SessionId(2)).meeting.status, SessionStatus::Scheduled);
}

#[test]
fn a_meeting_that_a_person_cancelled_stays_cancelled() {
    let mut w = generated();
    let event = lifecycle::cancel(w.session(SessionId(2)), How::ByPerson).unwrap();
    w.session_event(SessionId(2), event);
    assert_eq!(again(&mut w), 0);
}

#[test]
fn what_the_limit_leaves_out_is_said() {
    let mut w = World::new();
    w.policy.max_per_term = 3;
    w.put(Item::Slot(slot(1, 1, "09:00")));
    w.put(Item::Slot(slot(2, 3, "11:00")));
    let done = generate(&w.state, &w.policy, (date(0), date(13)), &w.zone, w.now);
    assert_eq!(done.events.len(), 3);
    assert_eq!(done.left_out.len(), 1);
    assert_eq!(done.left_out[0].1, Refusal::TooManySessions { limit: 3 });
}

#[test]
fn a_slot_stays_with_its_class() {
    let w = generated();
    let moved = Slot { class: OTHER_CLASS, ..slot(1, 1, "09:00") };
    assert_eq!(roster::put(&w.state, Item::Slot(moved)), Err(Refusal::SlotKeepsClass));
}

fn term(starts: Date, ends: Date) -> Term {
    Term {
        id: TermId(1),
        code: Code::parse("2026-1").unwrap(),
        name: "First".into(),
        academic_year: None,
        semester: 1,
        starts,
        ends,
    }
}

#[test]
fn meetings_are_within_the_term_and_new_ones_come_in_order() {
    let mut w = World::new();
    w.put(Item::Slot(slot(1, 1, "09:00")));
    w.put(Item::Slot(slot(2, 3, "11:00")));
    let term = term(date(2), date(7));
    w.put(Item::Term(term));
    let mut class = w.state.campus.classes[&CLASS].clone();
    class.term = Some(TermId(1));
    w.put(Item::Class(class));
    again(&mut w);
    assert_eq!(meetings(&w), ["1 04 11:00 scheduled", "2 09 09:00 scheduled"]);
}

#[test]
fn a_makeup_after_the_terms_end_is_numbered_in_the_term() {
    let mut w = World::new();
    w.put(Item::Term(term(date(0), date(1))));
    let mut class = w.state.campus.classes[&CLASS].clone();
    class.term = Some(TermId(1));
    w.put(Item::Class(class));
    w.schedule(CLASS, "09:00", "10:00");
    for (day, number) in [("2026-03-05", 2), ("2026-03-06", 3)] {
        let makeup = w.on(day, "08:00").schedule(CLASS, "09:00", "10:00");
        assert_eq!(w.session(makeup).meeting.number, number);
    }
}

#[test]
fn a_start_that_is_taken_is_refused_also_to_who_moves_or_comes_back() {
    let mut w = World::new();
    let first = w.schedule(CLASS, "09:00", "10:00");
    let event = lifecycle::cancel(w.session(first), How::ByPerson).unwrap();
    w.session_event(first, event);
    let second = w.schedule(CLASS, "09:00", "10:00");
    let third = w.schedule(CLASS, "11:00", "12:00");
    let plan = w.session(second).meeting.plan();
    let others = |id| w.state.numbered(CLASS, Some(id));
    let back = lifecycle::reinstate(w.session(first), w.session(first).meeting.plan(), &others(first));
    assert_eq!(back, Err(Refusal::SameStart { number: 2 }));
    let moved = edit(w.session(third), plan, true, &others(third));
    assert_eq!(moved, Err(Refusal::SameStart { number: 2 }));
    assert!(edit(w.session(second), plan, true, &others(second)).is_ok());
}

#[test]
fn what_is_still_needed_is_named_before_it_is_removed() {
    let w = generated();
    let needs = w.state.dependents(&ItemId::Class(CLASS));
    for needed in [ItemId::Slot(SlotId(1)), ItemId::Student(ANN)] {
        assert!(needs.contains(&Dependent::Item(needed)));
    }
    assert!(needs.contains(&Dependent::Session(SessionId(1))));
    assert!(w.state.dependents(&ItemId::Slot(SlotId(1))).is_empty());
    assert!(roster::remove(&w.state, &ItemId::Slot(SlotId(1))).is_ok());
    let room: Vec<Dependent> =
        roster::remove(&w.state, &ItemId::Room(ROOM)).unwrap_err().into_iter().collect();
    assert!(room.contains(&Dependent::Item(ItemId::Device(device("room")))));
}

#[test]
fn a_cancelled_meeting_keeps_its_number_and_frees_its_time() {
    let starts = Moment::from_millis(0);
    let cancelled = Numbered { term: None, number: 1, starts, cancelled: true };
    assert_eq!(next_number(&[cancelled], None, starts, 0), Ok(2));
    let standing = Numbered { cancelled: false, ..cancelled };
    assert_eq!(next_number(&[standing], None, starts, 0).unwrap_err().code(), "conflict");
    assert_eq!(label(Some(1), 3), "S1 Lec 3");
    assert_eq!(label(None, 3), "Lec 3");
}
