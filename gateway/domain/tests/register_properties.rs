//! What holds of every register, whatever happens in whatever order.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a property that breaks should fail loudly")]

mod common;

use std::collections::BTreeSet;

use common::*;
use proptest::prelude::*;
use rollcall_domain::Refusal;
use rollcall_domain::decide::requests::decide_self_mark;
use rollcall_domain::event::{CampusEvent, Entry, Event, How, RequestEvent, SessionEvent};
use rollcall_domain::ids::*;
use rollcall_domain::mark::{Mark, Rank};
use rollcall_domain::moment::{Moment, minutes};
use rollcall_domain::percentage::{Basis, Percent, Tally, Target, figures};
use rollcall_domain::policy::SessionRules;
use rollcall_domain::requests::{RequestStatus, SelfMark};
use rollcall_domain::roster::{Days, Link};
use rollcall_domain::scan::{DedupKey, Direction, Scan};
use rollcall_domain::session::SessionStatus;
use rollcall_domain::state::State;

/// A second number of Ann, until a merge says so.
const DEE: StudentId = StudentId(4);
const EVERYBODY: [StudentId; 4] = [ANN, BEN, CAT, DEE];

/// Something that reaches the gateway; minutes are after 09:00.
#[derive(Debug, Clone)]
enum Deed {
    /// Sent twice, as a terminal does that saw no answer.
    Scan {
        student: u64,
        minute: u32,
        direction: Option<Direction>,
    },
    Upload {
        student: u64,
        minute: u32,
        mark: Mark,
    },
    /// The page was asked for at that minute.
    Tap {
        student: u64,
        minute: u32,
    },
    /// "I am here", asked for at that minute and granted now.
    Own {
        student: u64,
        minute: u32,
    },
    Mark {
        student: u64,
        mark: Mark,
    },
    Leave {
        student: u64,
    },
    Delete {
        student: u64,
    },
    Merge {
        from: u64,
        into: u64,
    },
    /// Is enrolled in the class before it closes.
    Join {
        student: u64,
    },
    BeginAt {
        minute: u32,
    },
    Rules {
        late_after: u32,
        min_present: u32,
    },
    Turn(Turn),
}

/// A change of state.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Close,
    Reopen,
    Lock,
    Open,
    Cancel,
    Reinstate,
}

fn student() -> impl Strategy<Value = u64> {
    1..=4_u64
}

fn any_mark() -> impl Strategy<Value = Mark> {
    prop::sample::select(Mark::ALL.to_vec())
}

fn direction() -> impl Strategy<Value = Option<Direction>> {
    prop::sample::select(vec![None, Some(Direction::In), Some(Direction::Out)])
}

fn late_upload() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (student(), 0..60_u32, direction())
            .prop_map(|(student, minute, direction)| Deed::Scan { student, minute, direction }),
        2 => (student(), 0..60_u32, any_mark())
            .prop_map(|(student, minute, mark)| Deed::Upload { student, minute, mark }),
        2 => (student(), 0..60_u32).prop_map(|(student, minute)| Deed::Own { student, minute }),
        2 => (student(), 0..60_u32).prop_map(|(student, minute)| Deed::Tap { student, minute }),
    ]
}

/// What leaves the session in the state it is in.
fn quiet_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => late_upload(),
        2 => (student(), 0..60_u32).prop_map(|(student, minute)| Deed::Tap { student, minute }),
        2 => (student(), any_mark()).prop_map(|(student, mark)| Deed::Mark { student, mark }),
        1 => student().prop_map(|student| Deed::Leave { student }),
        1 => student().prop_map(|student| Deed::Delete { student }),
        1 => (student(), student()).prop_map(|(from, into)| Deed::Merge { from, into }),
        1 => student().prop_map(|student| Deed::Join { student }),
        1 => (0..30_u32).prop_map(|minute| Deed::BeginAt { minute }),
        1 => (0..30_u32, 0..30_u32)
            .prop_map(|(late_after, min_present)| Deed::Rules { late_after, min_present }),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    let turns = vec![Turn::Close, Turn::Reopen, Turn::Lock, Turn::Open, Turn::Cancel, Turn::Reinstate];
    prop_oneof![3 => quiet_deed(), 1 => prop::sample::select(turns).prop_map(Deed::Turn)]
}

/// Does it, if the rules allow it; what they refuse changes nothing, and that is what is tested.
fn perform(w: &mut World, s: SessionId, deed: &Deed) {
    let nine = w.time("09:00");
    match deed {
        Deed::Scan { student, minute, direction } => {
            scan_twice(w, *student, nine.plus(minutes(*minute)), *direction);
        }
        Deed::Upload { student, minute, mark } => {
            w.upload(s, StudentId(*student), *mark, nine.plus(minutes(*minute))).ok();
        }
        Deed::Tap { student, minute } => {
            w.tap_asked_at(s, StudentId(*student), nine.plus(minutes(*minute))).ok();
        }
        Deed::Own { student, minute } => grant_own(w, s, StudentId(*student), nine.plus(minutes(*minute))),
        Deed::Mark { student, mark } => {
            w.mark(s, StudentId(*student), *mark).ok();
        }
        Deed::Leave { student } => {
            w.grant_leave(StudentId(*student), Days::new(day("2026-03-02"), day("2026-03-05")));
        }
        Deed::Join { student } => {
            if !w.status(s).is_held() {
                w.enrol(CLASS, w.state.campus.people.today(StudentId(*student)), Days::ALWAYS);
            }
        }
        Deed::Delete { student } => drop(w.delete(s, StudentId(*student))),
        Deed::Merge { from, into } => drop(w.merge(StudentId(*from), StudentId(*into))),
        Deed::BeginAt { minute } => drop(w.begin_at(s, nine.plus(minutes(*minute)))),
        Deed::Rules { late_after, min_present } => {
            w.policy.rules =
                SessionRules { late_after_minutes: *late_after, min_present_minutes: *min_present };
        }
        Deed::Turn(turn) => drop(change_state(w, s, *turn)),
    }
    w.now = w.now.plus(minutes(1));
}

fn change_state(w: &mut World, s: SessionId, turn: Turn) -> Result<(), Refusal> {
    match turn {
        Turn::Close => w.close(s),
        Turn::Reopen => w.reopen(s),
        Turn::Lock => w.lock(s),
        Turn::Open => w.open(s),
        Turn::Cancel => w.cancel(s),
        Turn::Reinstate => w.reinstate(s),
    }
}

/// The second time it is answered as the first and nothing is written.
fn scan_twice(w: &mut World, student: u64, made: Moment, direction: Option<Direction>) {
    let id = format!("{student} {made} {direction:?}");
    let dedup = DedupKey::of_id(&device("room"), &id, &pseudonyms());
    let scan = Scan { dedup, ..w.made("room", &format!("S{student}"), made, direction) };
    let first = w.submit(scan.clone());
    let written = w.log.len();
    assert_eq!((w.submit(scan), w.log.len()), (first, written));
}

fn grant_own(w: &mut World, s: SessionId, student: StudentId, captured_at: Moment) {
    if !w.context().attends(&w.session(s).meeting, student) {
        return;
    }
    let record = RecordId { session: s, student };
    let id = SelfMarkId(w.state.next_number(SelfMarkId::PREFIX));
    let asked = SelfMark { id, record, captured_at, status: RequestStatus::Pending };
    if let Ok(events) = decide_self_mark(w.session(s), &asked, true, false) {
        w.append(Event::Request(RequestEvent::SelfMarkAsked(asked)));
        w.append_all(events);
    }
}

/// Everyone's mark, its time and source, and what disagrees with it.
fn register(w: &World, s: SessionId) -> Vec<String> {
    let session = w.session(s);
    let line = |student: &StudentId| {
        let record = session.records.get(student);
        let other = record.and_then(|record| record.disagreement(&session.meeting.timing));
        let other = other.map(|other| (other.kept, other.incoming, other.incoming_source, other.at));
        format!("{student} {:?} {other:?}", session.standing(*student))
    };
    EVERYBODY.iter().map(line).collect()
}

/// CLASS, open; Ann is in it twice over, by herself and through a section, and Dee through it alone.
fn opened_class() -> (World, SessionId) {
    let mut w = World::new();
    w.add_student(DEE, "S4", &[]);
    for link in [
        Link::ClassSection(CLASS, SectionId(1)),
        Link::SectionStudent(SectionId(1), ANN),
        Link::SectionStudent(SectionId(1), DEE),
    ] {
        w.campus(CampusEvent::Joined { link, days: Days::ALWAYS });
    }
    let s = w.open_class(CLASS);
    w.at("09:00");
    (w, s)
}

fn closed_class(live: &[Deed]) -> (World, SessionId) {
    let (mut w, s) = opened_class();
    live.iter().for_each(|deed| perform(&mut w, s, deed));
    w.at("10:00").close(s).unwrap();
    w.at("12:00");
    (w, s)
}

/// Of whom a record was deleted, under the id of today: only a person writes about them after that.
fn deleted(w: &World) -> BTreeSet<StudentId> {
    let of = |entry: &Entry| match &entry.event {
        Event::Session(_, SessionEvent::RecordDeleted { student }) => {
            Some(w.state.campus.people.today(*student))
        }
        _ => None,
    };
    w.log.iter().filter_map(of).collect()
}

fn roster(w: &World, s: SessionId) -> BTreeSet<StudentId> {
    w.context().roster(&w.session(s).meeting)
}

proptest! {
    #[test]
    fn the_order_of_late_uploads_does_not_matter_to_the_final_register(
        live in prop::collection::vec(quiet_deed(), 0..6),
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
        let (mut w, s) = opened_class();
        deeds.iter().for_each(|deed| perform(&mut w, s, deed));
        let (session, enrolled) = (w.session(s), roster(&w, s));
        prop_assert!(enrolled.contains(&ANN) || w.state.campus.people.today(ANN) != ANN);
        let held = u64::from(session.meeting.status.is_held());
        let tally = |student: StudentId| w.state.tally(student, CLASS, Days::ALWAYS);
        for student in EVERYBODY {
            let counted = if enrolled.contains(&student) { held } else { 0 };
            prop_assert_eq!(tally(student).held(), counted, "{}", student);
        }
        let marked: BTreeSet<StudentId> =
            EVERYBODY.into_iter().filter(|student| session.standing(*student).is_some()).collect();
        prop_assert!(marked.is_subset(&enrolled), "{marked:?} of {enrolled:?}");
        let came = |student: &StudentId| session.standing(*student).is_some_and(|s| s.mark.attended());
        let attended: u64 = EVERYBODY.into_iter().map(|student| tally(student).attended()).sum();
        prop_assert_eq!(attended, held * enrolled.iter().filter(|student| came(student)).count() as u64);
    }

    #[test]
    fn closing_writes_each_of_the_enrolled_at_most_once(deeds in prop::collection::vec(deed(), 0..30)) {
        let (mut w, s) = opened_class();
        deeds.iter().for_each(|deed| perform(&mut w, s, deed));
        for entry in &w.log {
            if let Event::Session(_, SessionEvent::Closed { absent, excused, .. }) = &entry.event {
                let written: Vec<_> = excused.iter().map(|(student, _)| student).chain(absent).collect();
                let once: BTreeSet<_> = written.iter().collect();
                prop_assert_eq!(once.len(), written.len());
            }
        }
    }

    #[test]
    fn no_scan_is_stored_twice(deeds in prop::collection::vec(deed(), 0..30)) {
        let (mut w, s) = opened_class();
        deeds.iter().for_each(|deed| perform(&mut w, s, deed));
        let stored: Vec<DedupKey> = w.log.iter().filter_map(|entry| match &entry.event {
            Event::Session(_, SessionEvent::Scanned(scanned)) => Some(scanned.scan.dedup),
            Event::Unmatched(kept) => Some(kept.scan.dedup),
            _ => None,
        }).collect();
        let once: BTreeSet<DedupKey> = stored.iter().copied().collect();
        prop_assert_eq!(once.len(), stored.len());
        prop_assert_eq!(w.state.scans.len(), stored.len());
    }

    #[test]
    fn after_closing_everyone_enrolled_has_a_mark(deeds in prop::collection::vec(deed(), 0..20)) {
        let (mut w, s) = opened_class();
        deeds.iter().for_each(|deed| perform(&mut w, s, deed));
        if w.session(s).meeting.status.is_held() {
            let deleted = deleted(&w);
            for student in roster(&w, s).difference(&deleted) {
                prop_assert!(w.session(s).standing(*student).is_some(), "{student}");
            }
        }
    }

    #[test]
    fn folding_the_log_again_gives_the_same_state(deeds in prop::collection::vec(deed(), 0..30)) {
        let (mut w, s) = opened_class();
        deeds.iter().for_each(|deed| perform(&mut w, s, deed));
        let mut again = State::default();
        w.log.iter().for_each(|entry| again.apply(entry));
        prop_assert_eq!(&again, &w.state);
    }

    #[test]
    fn a_version_grows_exactly_when_the_mark_changes(deeds in prop::collection::vec(deed(), 0..30)) {
        let (mut w, s) = opened_class();
        deeds.iter().for_each(|deed| perform(&mut w, s, deed));
        let mut again = State::default();
        let look = |state: &State, student| {
            let session = state.sessions.get(&s);
            let version = session.and_then(|x| x.records.get(&student)).map_or(0, |record| record.version);
            (session.and_then(|x| x.standing(student)), version)
        };
        for entry in &w.log {
            let before = EVERYBODY.map(|student| look(&again, student));
            again.apply(entry);
            for (student, (was, version)) in EVERYBODY.into_iter().zip(before) {
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
            perform(&mut w, s, &Deed::Tap { student, minute });
            perform(&mut w, s, &Deed::Own { student, minute });
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
