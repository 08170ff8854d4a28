//! The frames of `/ws`, as text.
//!
//! Promises: names and fields are those of the documented contract.
//!
//! Refuses: deciding who gets them.

use rollcall_actors::{Counts, Delta, Row, Snapshot};
use rollcall_domain::ids::{ClassId, Seq, SessionId};
use rollcall_domain::session::Meeting;
use serde::Serialize;
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::sessions::{CountsView, moment};

#[derive(Serialize)]
struct Envelope<'a> {
    event: &'a str,
    data: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<u64>,
}

/// Where a frame stands in what its client should have seen.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub(super) seq: Seq,
    pub(super) prev: Seq,
}

fn text(event: &str, data: Value, link: Option<Link>) -> String {
    let (seq, prev) = (link.map(|link| link.seq.0), link.map(|link| link.prev.0));
    serde_json::to_string(&Envelope { event, data, seq, prev }).unwrap_or_default()
}

/// Everything a screen needs to begin, or to begin again.
pub(super) fn snapshot(snapshot: &Snapshot) -> String {
    let Snapshot { seq, meeting, counts, rows } = snapshot;
    let rows: Vec<Value> = rows.iter().map(row).collect();
    let data = json!({
        "sessionId": meeting.id.to_string(),
        "classId": meeting.class.to_string(),
        "status": meeting.status.word(),
        "counts": CountsView::from(*counts),
        "rows": rows,
    });
    text("SNAPSHOT", data, Some(Link { seq: *seq, prev: *seq }))
}

/// One student as they stand now. `status` is the mark under the name that earlier screens read.
fn row(row: &Row) -> Value {
    let mark = row.standing.map(|standing| standing.mark.word());
    json!({
        "studentId": row.student.to_string(),
        "code": row.code,
        "name": row.name,
        "status": mark,
        "mark": mark,
        "source": row.standing.map(|standing| standing.source.word()),
        "at": row.standing.and_then(|standing| standing.at).map(moment),
    })
}

pub(super) fn marked(meeting: (SessionId, ClassId), who: &Row, link: Link) -> String {
    let mut data = row(who);
    if let Some(fields) = data.as_object_mut() {
        fields.insert("sessionId".to_owned(), meeting.0.to_string().into());
        fields.insert("classId".to_owned(), meeting.1.to_string().into());
    }
    text("ATTENDANCE_MARKED", data, Some(link))
}

pub(super) fn status(meeting: (SessionId, ClassId), delta: &Delta, link: Link) -> String {
    let data = json!({
        "sessionId": meeting.0.to_string(),
        "classId": meeting.1.to_string(),
        "status": delta.status.word(),
        "at": moment(delta.entry.at),
    });
    text("SESSION_STATUS", data, Some(link))
}

pub(super) fn summary(meeting: (SessionId, ClassId), counts: Counts, link: Link) -> String {
    let Counts { present, late, absent, excused, permission, total } = counts;
    let data = json!({
        "sessionId": meeting.0.to_string(),
        "classId": meeting.1.to_string(),
        "present": present,
        "late": late,
        "absent": absent,
        "excused": excused,
        "permission": permission,
        "total": total,
    });
    text("TODAY_SUMMARY", data, Some(link))
}

pub(super) fn done(meeting: &Meeting) -> String {
    let data = json!({"sessionId": meeting.id.to_string(), "classId": meeting.class.to_string()});
    text("DONE", data, None)
}

/// Why what a client asked for was not done.
pub(super) enum Trouble {
    Problem(Problem),
    /// The same, of a session that is known.
    Of(SessionId, Problem),
    /// A class has several open sessions; these.
    Ambiguous(Vec<SessionId>),
    NoOpenSession,
    NotUnderstood(String),
}

impl Trouble {
    /// What is wrong is about this session.
    pub(super) fn of(session: SessionId) -> impl FnOnce(Problem) -> Self {
        move |problem| Trouble::Of(session, problem)
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Trouble::Problem(problem)
    }
}

pub(super) fn error(trouble: &Trouble) -> String {
    let data = match trouble {
        Trouble::Problem(problem) => json!({"code": problem.code(), "message": problem.detail()}),
        Trouble::Of(session, problem) => json!({
            "code": problem.code(),
            "message": problem.detail(),
            "sessionId": session.to_string(),
        }),
        Trouble::Ambiguous(sessions) => json!({
            "code": "ambiguous_session",
            "message": "this class has several open sessions; name one by its sessionId",
            "sessionIds": sessions.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        Trouble::NoOpenSession => {
            json!({"code": "no_open_session", "message": "this class has no open session"})
        }
        Trouble::NotUnderstood(why) => json!({"code": "bad_request", "message": why}),
    };
    text("ERROR", data, None)
}
