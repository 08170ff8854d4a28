//! One record as a destination is told of it.
//!
//! Promises: what the record is at the moment of packing; a record that stands for nothing any more, or
//! whose student is gone from the register, is packed as a removal, without a name.
//!
//! Refuses: history. A version that was overtaken before it could be sent is not sent.

use jiff::tz::TimeZone;
use rollcall_domain::ids::{RecordId, StudentId};
use rollcall_domain::moment::Moment;
use rollcall_domain::percentage::{Target, percentage};
use rollcall_domain::record::Standing;
use rollcall_domain::roster::Days;
use rollcall_domain::session::{Meeting, Session};
use rollcall_store::views::Snapshot;
use rollcall_store::{Store, StoreError};
use serde::Serialize;

/// What destinations are told by, besides what is stored.
#[derive(Debug, Clone)]
pub struct Campus {
    pub zone: TimeZone,
    pub target: Target,
}

/// One record on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub(crate) record: RecordId,
    pub(crate) version: u32,
    pub(crate) body: Vec<u8>,
}

impl Parcel {
    /// The same for the same version of the same record, whenever and however often it is sent.
    pub(crate) fn key(&self) -> String {
        format!("{}:{}", self.record, self.version)
    }
}

#[derive(Serialize)]
struct Mark<'a> {
    student_name: String,
    admission_number: &'a str,
    unit_code: Option<String>,
    date: String,
    time: String,
    lecturer: Option<String>,
    venue: Option<String>,
    attendance_percentage: f64,
    session_id: String,
    record_id: String,
    version: u32,
    mark: &'static str,
    source: &'static str,
    marked_at: Option<Moment>,
}

#[derive(Serialize)]
struct Removal {
    record_id: String,
    version: u32,
    deleted: bool,
}

/// What the views know of a record.
struct Found {
    version: u32,
    standing: Option<Standing>,
    meeting: Meeting,
    student: StudentId,
    unit_code: Option<String>,
    venue: Option<String>,
    percentage: f64,
}

/// The version of a record as it stands now; 0 if nothing was ever said of it.
pub(crate) fn version(session: &Session, id: RecordId) -> u32 {
    session.records.get(&id.student).map_or(0, |record| record.version)
}

/// Packs the record as it stands now; `None` if there is nothing to tell of it.
pub(crate) fn pack(store: &Store, campus: &Campus, id: RecordId) -> Result<Option<Parcel>, StoreError> {
    let now = store.views().now();
    let Some(found) = find(&now, campus, id)? else { return Ok(None) };
    let version = found.version;
    let body = match (found.standing, store.register().student(found.student)?) {
        (Some(standing), Some(student)) => {
            let lecturer = store.register().teacher(found.meeting.teacher)?;
            let starts = found.meeting.starts().civil(&campus.zone);
            let mark = Mark {
                student_name: student.name.whole(),
                admission_number: student.code.as_str(),
                unit_code: found.unit_code,
                date: starts.strftime("%Y-%m-%d").to_string(),
                time: starts.strftime("%H:%M").to_string(),
                lecturer: lecturer.map(|teacher| teacher.name.whole()),
                venue: found.venue,
                attendance_percentage: found.percentage,
                session_id: id.session.to_string(),
                record_id: id.to_string(),
                version,
                mark: standing.mark.word(),
                source: standing.source.word(),
                // An automatic absence is as old as the closing that made it.
                marked_at: standing.at.or(found.meeting.closed_at()),
            };
            serde_json::to_vec(&mark)
        }
        _ => serde_json::to_vec(&Removal { record_id: id.to_string(), version, deleted: true }),
    };
    // Texts, numbers and times: there is nothing in it that JSON could not hold.
    Ok(body.ok().map(|body| Parcel { record: id, version, body }))
}

fn find(now: &Snapshot, campus: &Campus, id: RecordId) -> Result<Option<Found>, StoreError> {
    let Some(session) = now.session(id.session)? else { return Ok(None) };
    let record = session.records.get(&id.student).filter(|record| record.version > 0);
    let Some(record) = record else { return Ok(None) };
    let meeting = &session.meeting;
    let class = now.campus.classes.get(&meeting.class);
    let course = class.and_then(|class| now.campus.courses.get(&class.course));
    let room = meeting.room.and_then(|room| now.campus.rooms.get(&room));
    let term = meeting.term.and_then(|term| now.campus.terms.get(&term));
    let days = term.map_or(Days::ALWAYS, |term| Days::new(term.starts, term.ends));
    let student = now.campus.people.today(id.student);
    let tally = now.tally(student, meeting.class, days)?;
    Ok(Some(Found {
        version: record.version,
        standing: session.standing(id.student),
        meeting: meeting.clone(),
        student,
        unit_code: course.map(|course| course.code.to_string()),
        venue: room.map(|room| if room.name.is_empty() { room.code.to_string() } else { room.name.clone() }),
        percentage: f64::from(percentage(&tally, &campus.target).centi()) / 100.0,
    }))
}
