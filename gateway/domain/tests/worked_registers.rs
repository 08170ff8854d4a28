//! The domain's decisions on a table of worked cases, register by register. The golden files beside this
//! one are the table: read them to see what Rollcall decides, change one only when a decision is meant to
//! change.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a case that cannot be set up should fail loudly"
)]

mod common;

use common::*;
use rollcall_domain::clock_offset::BoxClock;
use rollcall_domain::decide::marking::{Keep, Office, Wish, resolve};
use rollcall_domain::event::CampusEvent;
use rollcall_domain::event::How;
use rollcall_domain::mark::Mark;
use rollcall_domain::percentage::{Basis, Percent, Tally, Target, figures};
use rollcall_domain::roster::Days;
use rollcall_domain::roster::Link;
use rollcall_domain::timetable::bounds;

const TEACHER: Office = Office { by_admin: false, with_reason: false };

const CLOSING_AND_UPLOADS: &[Case] = &[
    ("closing marks the absent", |w| {
        let s = w.open_class(CLASS);
        w.at("09:01").scan("room", "S1");
        w.at("10:00").close(s).unwrap();
        format!("Ann {}, Ben {}, Cat {}", w.shown(s, ANN), w.shown(s, BEN), w.shown(s, CAT))
    }),
    ("an upload after closing corrects an automatic absence", |w| {
        let s = w.open_class(CLASS);
        w.at("10:00").close(s).unwrap();
        let made = w.time("09:03");
        let outcome = told(w.at("12:00").scan_made("room", "S1", made, None));
        format!("{outcome}; shown {}", w.shown(s, ANN))
    }),
    ("a scan made in the moment of closing still belongs to the session", |w| {
        let s = w.open_class(CLASS);
        w.at("09:30").close(s).unwrap();
        let made = w.time("09:30");
        told(w.at("09:40").scan_made("room", "S1", made, None))
    }),
    ("a scan made after closing does not", |w| {
        let s = w.open_class(CLASS);
        w.at("09:30").close(s).unwrap();
        told(w.at("09:31").scan("room", "S1"))
    }),
    ("an upload never overrides a person, but is listed", |w| {
        let s = w.open_class(CLASS);
        w.at("09:30").mark(s, ANN, Mark::Absent).unwrap();
        w.at("10:00").close(s).unwrap();
        let made = w.time("09:03");
        let outcome = told(w.at("12:00").scan_made("room", "S1", made, None));
        format!("{outcome}; shown {}", w.shown(s, ANN))
    }),
    ("the person may then take the other side", |w| {
        let s = w.open_class(CLASS);
        w.at("09:30").mark(s, ANN, Mark::Absent).unwrap();
        w.at("09:40").scan("room", "S1");
        let before = w.shown(s, ANN);
        let event = resolve(w.session(s), &w.context(), (ANN, Keep::Incoming), &TEACHER).unwrap();
        w.session_event(s, event);
        format!("{before}; then {}", w.shown(s, ANN))
    }),
    ("or keep what stands, and nothing is listed any more", |w| {
        let s = w.open_class(CLASS);
        w.at("09:30").mark(s, ANN, Mark::Absent).unwrap();
        w.at("09:40").scan("room", "S1");
        let event = resolve(w.session(s), &w.context(), (ANN, Keep::Existing), &TEACHER).unwrap();
        w.session_event(s, event);
        w.shown(s, ANN)
    }),
    ("a teacher's upload prevails over a device, and is listed", |w| {
        let s = w.open_class(CLASS);
        w.at("09:03").scan("room", "S1");
        let decided = w.time("09:10");
        let answer = w.at("12:00").upload(s, ANN, Mark::Permission, decided).unwrap();
        format!("{answer}; shown {}", w.shown(s, ANN))
    }),
    ("an older upload loses against a newer decision, and is listed", |w| {
        let s = w.open_class(CLASS);
        w.at("09:30").mark(s, ANN, Mark::Excused).unwrap();
        let decided = w.time("09:10");
        let answer = w.at("12:00").upload(s, ANN, Mark::Absent, decided).unwrap();
        format!("{answer}; shown {}", w.shown(s, ANN))
    }),
    ("the same upload twice is a duplicate", |w| {
        let s = w.open_class(CLASS);
        let decided = w.time("09:10");
        let first = w.at("12:00").upload(s, ANN, Mark::Present, decided).unwrap();
        format!("{first}, {}", w.upload(s, ANN, Mark::Present, decided).unwrap())
    }),
    ("two uploads of one mark: the earlier gives the time", |w| {
        let s = w.open_class(CLASS);
        let (early, late) = (w.time("09:10"), w.time("09:20"));
        w.at("12:00").upload(s, ANN, Mark::Present, late).unwrap();
        w.upload(s, ANN, Mark::Present, early).unwrap();
        w.shown(s, ANN)
    }),
    ("reopening withdraws automatic absences, and only those", |w| {
        let s = w.open_class(CLASS);
        w.at("09:02").mark(s, BEN, Mark::Absent).unwrap();
        w.at("10:00").close(s).unwrap();
        w.at("10:05").reopen(s).unwrap();
        format!("Ann {}, Ben {}", w.shown(s, ANN), w.shown(s, BEN))
    }),
    ("a locked session cannot be reopened", |w| {
        let s = w.open_class(CLASS);
        w.at("10:00").close(s).unwrap();
        w.lock(s).unwrap();
        said(w.reopen(s))
    }),
];

#[test]
fn closing_and_uploads() {
    insta::assert_snapshot!(render(CLOSING_AND_UPLOADS));
}

const PEOPLE: &[Case] = &[
    ("a mark before opening is refused", |w| {
        let s = w.schedule(CLASS, "09:00", "10:00");
        said(w.mark(s, ANN, Mark::Present))
    }),
    ("a mark for somebody of another class is refused", |w| {
        let s = w.open_class(CLASS);
        said(w.mark(s, CAT, Mark::Present))
    }),
    ("a teacher's mark stands over an earlier scan, and is not a conflict: they saw it", |w| {
        let s = w.open_class(CLASS);
        w.at("09:20").scan("room", "S1");
        w.at("09:25").mark(s, ANN, Mark::Present).unwrap();
        w.shown(s, ANN)
    }),
    ("after closing, overruling a device needs a reason", |w| {
        let s = w.open_class(CLASS);
        w.at("09:20").scan("room", "S1");
        w.at("10:00").close(s).unwrap();
        let bare = said(w.mark(s, ANN, Mark::Present));
        let with = said(w.mark_as(s, Wish { with_reason: true, ..wish(ANN, Mark::Present) }));
        format!("{bare}; with one {with}, shown {}", w.shown(s, ANN))
    }),
    ("after closing, an automatic absence may be changed without one", |w| {
        let s = w.open_class(CLASS);
        w.at("10:00").close(s).unwrap();
        said(w.mark(s, ANN, Mark::Permission))
    }),
    ("locked: a teacher may not, an admin may with a reason", |w| {
        let s = w.open_class(CLASS);
        w.at("10:00").close(s).unwrap();
        w.lock(s).unwrap();
        let teacher = said(w.mark(s, ANN, Mark::Present));
        let admin = Wish { by_admin: true, ..wish(ANN, Mark::Present) };
        let bare = said(w.mark_as(s, admin));
        format!("{teacher}; {bare}; {}", said(w.mark_as(s, Wish { with_reason: true, ..admin })))
    }),
];

#[test]
fn people() {
    insta::assert_snapshot!(render(PEOPLE));
}

const REQUESTS_AND_ENROLMENT: &[Case] = &[
    ("leave excuses in a session that is open", |w| {
        let s = w.open_class(CLASS);
        w.at("09:10").grant_leave(ANN, Days::new(day("2026-03-02"), day("2026-03-02")));
        w.shown(s, ANN)
    }),
    ("leave granted afterwards turns an absence into excused", |w| {
        let s = w.open_class(CLASS);
        w.at("10:00").close(s).unwrap();
        w.on("2026-03-04", "08:00").grant_leave(ANN, Days::new(day("2026-02-27"), day("2026-03-02")));
        w.shown(s, ANN)
    }),
    ("leave over part of a range: its last day is in it, the next is not", |w| {
        let monday = w.open_class(CLASS);
        w.at("10:00").close(monday).unwrap();
        w.grant_leave(ANN, Days::new(day("2026-03-01"), day("2026-03-02")));
        w.on("2026-03-03", "08:00");
        let tuesday = w.open_class(CLASS);
        w.at("10:00").close(tuesday).unwrap();
        format!("Monday {}, Tuesday {}", w.shown(monday, ANN), w.shown(tuesday, ANN))
    }),
    ("who is on leave and comes all the same stays excused, and is listed", |w| {
        w.grant_leave(ANN, Days::new(day("2026-03-02"), day("2026-03-02")));
        let s = w.open_class(CLASS);
        let outcome = told(w.at("09:01").scan("room", "S1"));
        format!("{outcome}; shown {}", w.shown(s, ANN))
    }),
    ("a correction within seven days changes the mark", |w| {
        let s = w.open_class(CLASS);
        w.at("10:00").close(s).unwrap();
        w.on("2026-03-09", "10:00");
        format!("{}; shown {}", said(w.correct(s, ANN, Mark::Present)), w.shown(s, ANN))
    }),
    ("a second later it is too late", |w| {
        let s = w.open_class(CLASS);
        w.at("10:00").close(s).unwrap();
        w.on("2026-03-09", "10:00:01");
        said(w.correct(s, ANN, Mark::Present))
    }),
    ("a tap at the QR page is present; a second tap is told so", |w| {
        let s = w.open_class(CLASS);
        w.at("09:02").tap(s, ANN).unwrap();
        format!("{}; shown {}", said(w.at("09:03").tap(s, ANN)), w.shown(s, ANN))
    }),
    ("seen by a device after the QR page: the earlier time stands", |w| {
        let s = w.open_class(CLASS);
        w.at("09:04").tap(s, ANN).unwrap();
        let outcome = told(w.at("09:07").scan("room", "S1"));
        format!("{outcome}; shown {}", w.shown(s, ANN))
    }),
    ("a student enrolled from tomorrow is not of today's class", |w| {
        w.enrol(CLASS, CAT, Days::starting(day("2026-03-03")));
        let s = w.open_class(CLASS);
        let today = told(w.at("09:01").scan("room", "S3"));
        w.at("10:00").close(s).unwrap();
        w.on("2026-03-03", "08:00");
        w.open_class(CLASS);
        format!("{today}; tomorrow {}", told(w.at("09:01").scan("room", "S3")))
    }),
    ("a late enrolment counts only what was held since", |w| {
        for date in ["2026-03-02", "2026-03-03", "2026-03-04"] {
            w.on(date, "08:00");
            let s = w.open_class(CLASS);
            w.at("10:00").close(s).unwrap();
        }
        w.enrol(CLASS, CAT, Days::starting(day("2026-03-04")));
        format!(
            "Ann held {}, Cat held {}",
            w.state.tally(ANN, CLASS, Days::ALWAYS).held(),
            w.state.tally(CAT, CLASS, Days::ALWAYS).held()
        )
    }),
    ("who left the class is not expected any more", |w| {
        w.campus(CampusEvent::Left { link: Link::ClassStudent(CLASS, BEN), day: Some(day("2026-03-02")) });
        let s = w.open_class(CLASS);
        w.at("10:00").close(s).unwrap();
        format!("Ann {}, Ben {}", w.shown(s, ANN), w.shown(s, BEN))
    }),
];

#[test]
fn requests_and_enrolment() {
    insta::assert_snapshot!(render(REQUESTS_AND_ENROLMENT));
}

const THE_CLOCK: &[Case] = &[
    ("opens five minutes before, closes at the end, locks after seven days", |w| {
        w.schedule(CLASS, "09:00", "10:00");
        let mut seen = vec![];
        for (date, time) in [
            ("2026-03-02", "08:54:59"),
            ("2026-03-02", "08:55"),
            ("2026-03-02", "09:59:59"),
            ("2026-03-02", "10:00"),
            ("2026-03-09", "09:59:59"),
            ("2026-03-09", "10:00"),
        ] {
            let done = w.on(date, time).tick(BoxClock::Trusted);
            seen.push(format!("{date} {time}: {}", done.join(", ")));
        }
        seen.join("; ")
    }),
    ("a gateway that was off catches up, as of the right times", |w| {
        let s = w.schedule(CLASS, "09:00", "10:00");
        let done = w.at("12:00").tick(BoxClock::Trusted).join(", ");
        let span = w.session(s).meeting.open[0];
        let clock = |at: rollcall_domain::moment::Moment| at.civil(&w.zone).time().to_string();
        format!("{done}; open {} to {}", clock(span.from), clock(span.until.unwrap()))
    }),
    ("nothing happens by itself while the box's clock is in doubt", |w| {
        w.schedule(CLASS, "09:00", "10:00");
        let doubt = BoxClock::at_start(w.time("09:30"), Some(w.time("11:00")));
        format!("{} done", w.at("09:30").tick(doubt).len())
    }),
    ("a session reopened after its end is not closed again at once", |w| {
        let s = w.open_class(CLASS);
        w.at("10:00").close(s).unwrap();
        w.at("10:30").reopen(s).unwrap();
        let soon = w.at("11:29").tick(BoxClock::Trusted).len();
        format!("{soon} done at 11:29, {} at 11:30", w.at("11:30").tick(BoxClock::Trusted).len())
    }),
    ("cancelled by a holiday: nothing is due, nothing is held", |w| {
        let s = w.schedule(CLASS, "09:00", "10:00");
        let event = rollcall_domain::decide::lifecycle::cancel(w.session(s), How::Holiday).unwrap();
        w.session_event(s, event);
        let done = w.at("12:00").tick(BoxClock::Trusted).len();
        format!("{done} done, {} held", w.state.tally(ANN, CLASS, Days::ALWAYS).held())
    }),
    ("spring: a start that the clock skips is an hour later, and the end after it", |_| {
        local("Europe/Berlin", "2026-03-29", "02:30", "03:15")
    }),
    ("spring: the class after the change is at its usual time", |_| {
        local("Europe/Berlin", "2026-03-29", "09:00", "10:00")
    }),
    ("autumn: a start that comes twice is its first coming", |_| {
        local("Europe/Berlin", "2026-10-25", "02:30", "03:30")
    }),
    ("a class over midnight ends on the next day", |_| local("UTC", "2026-03-02", "23:30", "00:30")),
];

#[test]
fn the_clock() {
    insta::assert_snapshot!(render(THE_CLOCK));
}

fn local(zone: &str, date: &str, starts: &str, ends: &str) -> String {
    let zone = jiff::tz::TimeZone::get(zone).unwrap();
    let (start, end) = bounds(day(date), starts.parse().unwrap(), ends.parse().unwrap(), &zone);
    let wall = |at: rollcall_domain::moment::Moment| at.civil(&zone).strftime("%d %H:%M").to_string();
    let lasts = end.since(start).as_mins();
    format!("{start} to {end}; on the wall {} to {}; {lasts} minutes", wall(start), wall(end))
}

fn of(tally: (u32, u32, u32, u32, u32), remaining: u32, basis: Basis) -> String {
    let (present, late, absent, excused, permission) = tally;
    let tally = Tally { present, late, absent, excused, permission };
    let target = Target { basis, planned_sessions: 12, threshold: Percent::from_centi(7500) };
    let f = figures(&tally, remaining, &target);
    let eligible = if f.eligible { "eligible" } else { "not eligible" };
    format!(
        "{} %, at most {} %, {} may be missed, {eligible}",
        f.percentage, f.max_attainable, f.absences_left
    )
}

const FIGURES_OF_A_STUDENT: &[Case] = &[
    ("nothing held is 0", |_| of((0, 0, 0, 0, 0), 10, Basis::Held)),
    ("only excused is 100", |_| of((0, 0, 0, 2, 1), 0, Basis::Held)),
    ("late counts as attended", |_| of((2, 1, 1, 0, 0), 0, Basis::Held)),
    ("exactly the threshold is eligible", |_| of((3, 0, 1, 0, 0), 0, Basis::Held)),
    ("two thirds is rounded half up", |_| of((2, 0, 1, 0, 0), 0, Basis::Held)),
    ("one of eight thousand is rounded half up", |_| of((1, 0, 7999, 0, 0), 0, Basis::Held)),
    ("excused is left out below the line", |_| of((3, 0, 0, 5, 2), 2, Basis::Held)),
    ("eight to come, half missed so far", |_| of((2, 0, 2, 0, 0), 8, Basis::Held)),
    ("on the planned basis", |_| of((9, 0, 1, 0, 0), 2, Basis::Planned)),
    ("more than planned is 100", |_| of((14, 0, 0, 0, 0), 0, Basis::Planned)),
];

#[test]
fn figures_of_a_student() {
    insta::assert_snapshot!(render(FIGURES_OF_A_STUDENT));
}
