//! What holds of every register, whatever happens in whatever order.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a property that breaks should fail loudly")]

mod common;

use common::*;
use proptest::prelude::*;
use rollcall_domain::event::{How, SessionEvent};
use rollcall_domain::ids::*;
use rollcall_domain::mark::{Mark, Rank};
use rollcall_domain::moment::minutes;
use rollcall_domain::percentage::{Basis, Percent, Tally, Target, figures};
use rollcall_domain::roster::Days;
use rollcall_domain::scan::Direction;
use rollcall_domain::session::SessionStatus;
use rollcall_domain::state::State;

/// Something that reaches the gateway; minutes are after 09:00.
#[derive(Debug, Clone)]
enum Deed {
    Scan { student: u64, minute: u32, direction: Option<Direction> },
    Upload { student: u64, minute: u32, mark: Mark },
    Mark { student: u64, mark: Mark },
    Tap { student: u64 },
    Leave { student: u64 },
    Close,
    Reopen,
    Lock,
    Open,
}

fn student() -> impl Strategy<Value = u64> {
    1..=3_u64
}

fn any_mark() -> impl Strategy<Value = Mark> {
    prop::sample::select(Mark::ALL.to_vec())
}

fn direction() -> impl Strategy<Value = Option<Direction>> {
    prop::sample::select(vec![None, Some(Direction::In), Some(Direction::Out)])
}

fn late_upload() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (student(), 0..60_u32, direction())
            .prop_map(|(student, minute, direction)| Deed::Scan { student, minute, direction }),
        1 => (student(), 0..60_u32, any_mark())
            .prop_map(|(student, minute, mark)| Deed::Upload { student, minute, mark }),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => late_upload(),
        2 => (student(), any_mark()).prop_map(|(student, mark)| Deed::Mark { student, mark }),
        2 => student().prop_map(|student| Deed::Tap { student }),
        1 => student().prop_map(|student| Deed::Leave { student }),
        1 => Just(Deed::Close),
        1 => Just(Deed::Reopen),
        1 => Just(Deed::Lock),
        1 => Just(Deed::Open),
    ]
}

/// Does it, if the rules allow it; what they refuse changes nothing, and that is what is tested.
fn perform(w: &mut World, s: SessionId, deed: &Deed) {
    match deed {
        Deed::Scan { student, minute, direction } => {
            let made = w.time("09:00").plus(minutes(*minute));
            w.scan_made("room", &format!("S{student}"), made, *direction);
        }
        Deed::Upload { student, minute, mark } => {
            let made = w.time("09:00").plus(minutes(*minute));
            w.upload(s, StudentId(*student), *mark, made).ok();
        }
        Deed::Mark { student, mark } => {
            w.mark(s, StudentId(*student), *mark).ok();
        }
        Deed::Tap { student } => {
            w.tap(s, StudentId(*student)).ok();
        }
        Deed::Leave { student } => {
            w.grant_leave(StudentId(*student), Days::new(day("2026-03-02"), day("2026-03-05")));
        }
        Deed::Close => drop(w.close(s)),
        Deed::Reopen => drop(w.reopen(s)),
        Deed::Lock => drop(w.lock(s)),
        Deed::Open => drop(w.open(s)),
    }
    w.now = w.now.plus(minutes(1));
}

/// Everyone's mark, its time, and what disagrees with it; which upload made it so is left out.
fn register(w: &World, s: SessionId) -> Vec<String> {
    let session = w.session(s);
    let line = |student: &StudentId| {
        let standing =
            session.standing(*student).map(|standing| (standing.mark, standing.at, standing.reason));
        let record = session.records.get(student);
        let other = record.and_then(|record| record.disagreement(&session.meeting.timing));
        format!("{student} {standing:?} {:?}", other.map(|other| (other.kept, other.incoming)))
    };
    [ANN, BEN, CAT].iter().map(line).collect()
}

fn closed_class(live: &[Deed]) -> (World, SessionId) {
    let mut w = World::new();
    let s = w.open_class(CLASS);
    w.at("09:00");
    live.iter().for_each(|deed| perform(&mut w, s, deed));
    w.at("10:00").close(s).ok();
    w.at("12:00");
    (w, s)
}

proptest! {
    #[test]
    fn the_order_of_late_uploads_does_not_matter_to_the_final_register(
        live in prop::collection::vec(deed().prop_filter("stays open", |deed| {
            !matches!(deed, Deed::Close | Deed::Reopen | Deed::Lock | Deed::Open)
        }), 0..6),
        (uploads, shuffled) in prop::collection::vec(late_upload(), 1..10)
            .prop_flat_map(|uploads| (Just(uploads.clone()), Just(uploads).prop_shuffle())),
    ) {
        let (mut one, s) = closed_class(&live);
        let (mut other, _) = closed_class(&live);
        uploads.iter().for_each(|upload| perform(&mut one, s, upload));
        shuffled.iter().for_each(|upload| perform(&mut other, s, upload));
        prop_assert_eq!(register(&one, s), register(&other, s));
    }

    #[test]
    fn nobody_is_counted_twice_and_only_the_enrolled_are_counted(deeds in prop::collection::vec(deed(), 0..30)) {
        let (mut w, s) = closed_class(&[]);
        w.reopen(s).unwrap();
        deeds.iter().for_each(|deed| perform(&mut w, s, deed));
        for student in [ANN, BEN] {
            let held = u64::from(w.session(s).meeting.status.is_held());
            prop_assert_eq!(w.state.tally(student, CLASS, Days::ALWAYS).held(), held);
        }
        prop_assert_eq!(w.session(s).standing(CAT), None);
        prop_assert_eq!(w.state.tally(CAT, CLASS, Days::ALWAYS).held(), 0);
    }

    #[test]
    fn after_closing_everyone_enrolled_has_a_mark(deeds in prop::collection::vec(deed(), 0..20)) {
        let mut w = World::new();
        let s = w.open_class(CLASS);
        deeds.iter().for_each(|deed| perform(&mut w, s, deed));
        if w.session(s).meeting.status.is_held() {
            prop_assert!(w.session(s).standing(ANN).is_some());
            prop_assert!(w.session(s).standing(BEN).is_some());
        }
    }

    #[test]
    fn folding_the_log_again_gives_the_same_state(deeds in prop::collection::vec(deed(), 0..30)) {
        let mut w = World::new();
        let s = w.open_class(CLASS);
        deeds.iter().for_each(|deed| perform(&mut w, s, deed));
        let mut again = State::default();
        w.log.iter().for_each(|entry| again.apply(entry));
        prop_assert_eq!(&again, &w.state);
    }

    #[test]
    fn a_version_grows_exactly_when_the_mark_changes(deeds in prop::collection::vec(deed(), 0..30)) {
        let mut w = World::new();
        let s = w.open_class(CLASS);
        deeds.iter().for_each(|deed| perform(&mut w, s, deed));
        let mut again = State::default();
        let look = |state: &State, student| {
            let session = state.sessions.get(&s);
            let version = session.and_then(|x| x.records.get(&student)).map_or(0, |record| record.version);
            (session.and_then(|x| x.standing(student)), version)
        };
        for entry in &w.log {
            let before = [ANN, BEN].map(|student| look(&again, student));
            again.apply(entry);
            for (student, (was, version)) in [ANN, BEN].into_iter().zip(before) {
                let (is, now) = look(&again, student);
                prop_assert_eq!(now - version, u32::from(was != is));
            }
        }
    }

    #[test]
    fn a_lower_source_never_overrides_a_person(
        mark in any_mark(),
        uploads in prop::collection::vec((student(), 0..60_u32, direction()), 0..10),
    ) {
        let mut w = World::new();
        let s = w.open_class(CLASS);
        w.at("09:30").mark(s, ANN, mark).unwrap();
        for (student, minute, direction) in uploads {
            perform(&mut w, s, &Deed::Scan { student, minute, direction });
            perform(&mut w, s, &Deed::Tap { student });
        }
        let standing = w.session(s).standing(ANN).unwrap();
        prop_assert_eq!((standing.mark, standing.source.rank()), (mark, Rank::Person));
    }

    #[test]
    fn a_locked_session_never_leaves_that_state(events in prop::collection::vec(state_event(), 0..20)) {
        let mut w = World::new();
        let s = w.open_class(CLASS);
        w.at("10:00").close(s).unwrap();
        w.lock(s).unwrap();
        for event in events {
            w.session_event(s, event);
            prop_assert_eq!(w.session(s).meeting.status, SessionStatus::Locked);
        }
    }

    #[test]
    fn figures_are_within_bounds_and_agree_with_each_other(
        present in 0..200_u32, late in 0..50_u32, absent in 0..200_u32, excused in 0..50_u32,
        permission in 0..50_u32, remaining in 0..100_u32, planned in 0..300_u32,
        threshold in 0..=10_000_u16, basis in prop::sample::select(vec![Basis::Held, Basis::Planned]),
    ) {
        let tally = Tally { present, late, absent, excused, permission };
        let target = Target { basis, planned_sessions: planned, threshold: Percent::from_centi(threshold) };
        let now = figures(&tally, remaining, &target);
        prop_assert!(now.percentage <= Percent::FULL && now.max_attainable <= Percent::FULL);
        prop_assert!(now.absences_left <= remaining);
        prop_assert!(now.percentage <= now.max_attainable);
        // Missing just as many as are left keeps who can still make it above the threshold.
        let missed = Tally { absent: absent + now.absences_left, present: present + remaining - now.absences_left, ..tally };
        let after = figures(&missed, 0, &target);
        let all = figures(&Tally { present: present + remaining, ..tally }, 0, &target);
        prop_assert_eq!(after.eligible, all.eligible);
        if all.eligible && now.absences_left < remaining {
            let more = Tally { absent: missed.absent + 1, present: missed.present - 1, ..missed };
            prop_assert!(!figures(&more, 0, &target).eligible);
        }
    }
}

fn state_event() -> impl Strategy<Value = SessionEvent> {
    let rules = rollcall_domain::policy::Policy::default().rules;
    let from = rollcall_domain::moment::Moment::from_millis(0);
    let how = How::ByPerson;
    prop::sample::select(vec![
        SessionEvent::Opened { from, how, rules, excused: vec![] },
        SessionEvent::Closed { from, how, absent: vec![ANN], excused: vec![] },
        SessionEvent::Reopened,
        SessionEvent::Cancelled { how },
        SessionEvent::Reinstated,
        SessionEvent::Locked { how },
        SessionEvent::RecordDeleted { student: ANN },
    ])
}
