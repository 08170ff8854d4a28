//! Membership by calendar day, and the meetings that follow from a timetable.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a property that breaks should fail loudly")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use rollcall_domain::campus::{Holiday, Item, ItemId, Term};
use rollcall_domain::code::Code;
use rollcall_domain::ids::*;
use rollcall_domain::moment::Moment;
use rollcall_domain::numbering::{Numbered, label, next_number};
use rollcall_domain::roster::{Days, Link, Rosters};
use rollcall_domain::timetable::{Slot, SlotDate, SlotDay, Standing, bounds, plan, reconcile};

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
            if let Ok(number) = next_number(meetings.iter().copied(), starts, limit) {
                prop_assert!(meetings.iter().all(|m| m.number < number && m.starts != starts));
                prop_assert!(limit == 0 || number <= limit);
                meetings.push(Numbered { number, starts, cancelled: false });
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

fn planned(w: &World) -> BTreeMap<SlotDate, rollcall_domain::timetable::Plan> {
    plan(&w.state.campus, date(0), date(13), &w.zone)
}

/// Two weeks of Monday and Wednesday, as they stand once generated.
fn generated() -> (World, BTreeMap<SlotDate, Standing>) {
    let mut w = World::new();
    w.put(Item::Slot(slot(1, 1, "09:00")));
    w.put(Item::Slot(slot(2, 3, "11:00")));
    let stand = |(key, plan): (SlotDate, _)| {
        let session = SessionId(key.slot.0 * 100 + u64::from(key.date.day().unsigned_abs()));
        (key, Standing { session, plan, cancelled: false, by_hand: false })
    };
    let standing = planned(&w).into_iter().map(stand).collect();
    (w, standing)
}

#[test]
fn generating_twice_makes_no_duplicates() {
    let (w, standing) = generated();
    assert_eq!(standing.len(), 4);
    let changes = reconcile(&planned(&w), &standing, &BTreeSet::new());
    assert_eq!(changes, Default::default());
}

#[test]
fn a_holiday_cancels_what_is_scheduled_and_its_removal_brings_it_back() {
    let (mut w, mut standing) = generated();
    let holiday = Holiday { id: HolidayId(1), from: date(2), to: date(7), name: "Break".into() };
    w.put(Item::Holiday(holiday));
    let changes = reconcile(&planned(&w), &standing, &BTreeSet::new());
    assert_eq!(changes.cancel, vec![SessionId(109), SessionId(204)]);
    assert!(changes.add.is_empty() && changes.change.is_empty());
    for old in standing.values_mut().filter(|old| changes.cancel.contains(&old.session)) {
        old.cancelled = true;
    }
    w.campus(rollcall_domain::event::CampusEvent::Removed(ItemId::Holiday(HolidayId(1))));
    let changes = reconcile(&planned(&w), &standing, &BTreeSet::new());
    assert_eq!(changes.reinstate.len(), 2);
}

#[test]
fn a_moved_slot_moves_what_is_not_open_and_not_changed_by_hand() {
    let (mut w, mut standing) = generated();
    w.put(Item::Slot(slot(1, 1, "10:00")));
    let mondays: Vec<SlotDate> = standing.keys().filter(|key| key.slot == SlotId(1)).copied().collect();
    let opened = BTreeSet::from([mondays[0]]);
    let changes = reconcile(&planned(&w), &standing, &opened);
    assert_eq!(changes.change.len(), 1);
    assert_eq!(changes.change[0].0, standing[&mondays[1]].session);
    standing.get_mut(&mondays[1]).unwrap().by_hand = true;
    assert_eq!(reconcile(&planned(&w), &standing, &opened), Default::default());
}

#[test]
fn meetings_are_within_the_term_and_new_ones_come_in_order() {
    let (mut w, _) = generated();
    let term = Term {
        id: TermId(1),
        code: Code::parse("2026-1").unwrap(),
        name: "First".into(),
        academic_year: None,
        semester: 1,
        starts: date(2),
        ends: date(7),
    };
    w.put(Item::Term(term));
    let mut class = w.state.campus.classes[&CLASS].clone();
    class.term = Some(TermId(1));
    w.put(Item::Class(class));
    let changes = reconcile(&planned(&w), &BTreeMap::new(), &BTreeSet::new());
    let dates: Vec<Date> = changes.add.iter().map(|(key, _)| key.date).collect();
    assert_eq!(dates, vec![date(2), date(7)]);
}

#[test]
fn what_is_still_needed_is_named_before_it_is_removed() {
    let (w, _) = generated();
    let needs = w.state.campus.dependents(&ItemId::Class(CLASS));
    assert!(needs.contains(&ItemId::Slot(SlotId(1))) && needs.contains(&ItemId::Student(ANN)));
    assert_eq!(w.state.campus.dependents(&ItemId::Slot(SlotId(1))), vec![]);
    assert_eq!(w.state.campus.dependents(&ItemId::Room(ROOM)).len(), 2);
}

#[test]
fn a_cancelled_meeting_keeps_its_number_and_frees_its_time() {
    let starts = Moment::from_millis(0);
    let cancelled = Numbered { number: 1, starts, cancelled: true };
    assert_eq!(next_number([cancelled], starts, 0), Ok(2));
    let standing = Numbered { cancelled: false, ..cancelled };
    assert_eq!(next_number([standing], starts, 0).unwrap_err().code(), "conflict");
    assert_eq!(label(Some(1), 3), "S1 Lec 3");
    assert_eq!(label(None, 3), "Lec 3");
}
