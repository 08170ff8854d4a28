//! The JSON of meetings and marks.
//!
//! Promises: field names and forms are those of the documented contract; times are RFC 3339.
//!
//! Refuses: being read back. What comes in has types of its own beside its route.

use rollcall_actors::{Counts, Row};
use rollcall_domain::campus::{Class, Course, Room, Term};
use rollcall_domain::ids::SessionId;
use rollcall_domain::moment::Moment;
use rollcall_domain::people::TeacherDetails;
use rollcall_domain::session::Meeting;
use serde::Serialize;

/// A list, a page at a time.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    pub count: usize,
    pub next: Option<String>,
    pub previous: Option<String>,
    pub results: Vec<T>,
}

/// Something with an id, a code and a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    pub id: String,
    pub code: String,
    pub name: String,
}

/// How many of each mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CountsView {
    pub present: u32,
    pub late: u32,
    pub absent: u32,
    pub excused: u32,
    pub permission: u32,
    pub total: u32,
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        let Counts { present, late, absent, excused, permission, total } = counts;
        CountsView { present, late, absent, excused, permission, total }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct SessionView {
    pub id: String,
    pub class: String,
    pub status: &'static str,
    pub number: u32,
    pub label: String,
    pub scheduled_date: String,
    pub start_datetime: String,
    pub end_datetime: String,
    pub attendance_count: u32,
    pub counts: CountsView,
    pub auto_opened: bool,
    pub auto_closed: bool,
    pub course_section: Option<Named>,
    pub course: Option<Named>,
    pub faculty: Option<Named>,
    pub room: Option<Named>,
}

/// What the views know of a meeting; the register adds the teacher's name.
pub(super) struct Facts {
    pub(super) meeting: Meeting,
    pub(super) class: Option<Class>,
    pub(super) course: Option<Course>,
    pub(super) term: Option<Term>,
    pub(super) room: Option<Room>,
    pub(super) counts: Counts,
}

impl SessionView {
    pub(super) fn new(facts: Facts, teacher: Option<TeacherDetails>) -> Self {
        let Facts { meeting, class, course, term, room, counts } = facts;
        let course_name = course.as_ref().map(|course| course.name.clone());
        SessionView {
            id: meeting.id.to_string(),
            class: meeting.class.to_string(),
            status: meeting.status.word(),
            number: meeting.number,
            label: label(term.as_ref(), meeting.number),
            scheduled_date: meeting.date.to_string(),
            start_datetime: moment(meeting.starts()),
            end_datetime: moment(meeting.ends),
            attendance_count: counts.present.saturating_add(counts.late),
            counts: counts.into(),
            auto_opened: meeting.auto_opened,
            auto_closed: meeting.auto_closed,
            course_section: class.map(|class| Named {
                id: class.id.to_string(),
                name: class.name.or(course_name).unwrap_or_else(|| class.code.to_string()),
                code: class.code.into(),
            }),
            course: course.map(|c| Named { id: c.id.to_string(), code: c.code.into(), name: c.name }),
            faculty: teacher.map(|details| Named {
                id: meeting.teacher.to_string(),
                name: details.name.whole(),
                code: details.code.into(),
            }),
            room: room.map(|r| Named { id: r.id.to_string(), code: r.code.into(), name: r.name }),
        }
    }
}

/// Such as "S1 Lec 3"; a class outside terms has no semester to tell.
fn label(term: Option<&Term>, number: u32) -> String {
    match term {
        Some(term) => format!("S{} Lec {number}", term.semester),
        None => format!("Lec {number}"),
    }
}

pub(crate) fn moment(moment: Moment) -> String {
    moment.to_string()
}

#[derive(Debug, Clone, Serialize)]
pub struct RecordView {
    pub id: String,
    pub session: String,
    pub student: Named,
    pub mark: &'static str,
    pub source: &'static str,
    pub captured_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

impl RecordView {
    /// Nothing if the student has no mark.
    pub(super) fn of(session: SessionId, row: Row) -> Option<Self> {
        let standing = row.standing?;
        Some(RecordView {
            id: rollcall_domain::ids::RecordId { session, student: row.student }.to_string(),
            session: session.to_string(),
            student: Named { id: row.student.to_string(), code: row.code, name: row.name },
            mark: standing.mark.word(),
            source: standing.source.word(),
            captured_at: standing.at.map(moment),
            reason: standing.reason.map(|reason| match reason {
                rollcall_domain::mark::MarkReason::LeftEarly => "left_early",
            }),
        })
    }
}
