//! Looking up meetings and their registers, for routes and for pages.
//!
//! Promises: only what the caller reaches; the views are held for as long as it takes to copy what is on
//! the page asked for, and names are read where waiting for the disk holds up nobody.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use jiff::civil::Date;
use rollcall_actors::{Counts, Row};
use rollcall_domain::ids::{ClassId, SessionId, StudentId, TeacherId};
use rollcall_domain::people::{Role, TeacherDetails};
use rollcall_domain::permission::Action;
use rollcall_domain::record::Standing;
use rollcall_domain::session::{Meeting, Session, SessionStatus};
use rollcall_store::StoreError;
use rollcall_store::views::Snapshot;

use super::view::{Facts, SessionView};
use crate::access;
use crate::handles::Api;
use crate::problem::Problem;
use crate::sign_in::SignedIn;

/// Which meetings are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub class: Option<ClassId>,
    pub status: Option<SessionStatus>,
    /// The meetings of a day; one that is still open belongs to it too, though it began the day before.
    pub today: Option<Date>,
    pub skip: usize,
    pub take: usize,
}

/// A page of meetings, and how many there are in all.
#[derive(Debug)]
pub struct Found {
    pub count: usize,
    pub sessions: Vec<SessionView>,
}

/// The meetings that the caller may read: the latest first, but of a day what is open first and then the
/// earliest.
///
/// # Errors
/// The register cannot be read.
pub async fn find(api: &Api, who: &SignedIn, filter: &Filter) -> Result<Found, Problem> {
    let (count, facts) = {
        let now = api.store().views().now();
        let mut meetings = candidates(&now, filter)?;
        meetings.retain(|meeting| {
            fits(filter, meeting) && access::allows(&now, who, Action::ReadSession, meeting)
        });
        meetings.sort_by_key(|meeting| (meeting.starts(), meeting.id));
        match filter.today {
            Some(_) => meetings.sort_by_key(|meeting| meeting.status != SessionStatus::Open),
            None => meetings.reverse(),
        }
        let page = meetings.iter().skip(filter.skip).take(filter.take);
        let found = page.filter_map(|meeting| now.session(meeting.id).transpose());
        let facts: Vec<Facts> =
            found.map(|session| session.map(|session| facts(&now, &session))).collect::<Result<_, _>>()?;
        (meetings.len(), facts)
    };
    Ok(Found { count, sessions: with_teachers(api, facts).await? })
}

/// No meeting that fits is left out.
fn candidates(now: &Snapshot, filter: &Filter) -> Result<Vec<Arc<Meeting>>, StoreError> {
    let ids = match (filter.class, filter.today) {
        (Some(class), _) => now.sessions_of(class, Date::MIN..=Date::MAX)?,
        // What is open is near, whatever day it is of.
        (None, Some(today)) => {
            let mut ids = now.sessions_on(today..=today)?;
            let open = now.meetings().filter(|meeting| meeting.status == SessionStatus::Open);
            ids.extend(open.filter(|meeting| meeting.date != today).map(|meeting| meeting.id));
            ids
        }
        (None, None) => now.sessions_on(Date::MIN..=Date::MAX)?,
    };
    ids.into_iter().filter_map(|id| now.meeting(id).transpose()).collect()
}

fn fits(filter: &Filter, meeting: &Meeting) -> bool {
    filter.class.is_none_or(|class| meeting.class == class)
        && filter.status.is_none_or(|status| meeting.status == status)
        && filter.today.is_none_or(|date| meeting.date == date || meeting.status == SessionStatus::Open)
}

/// One meeting.
///
/// # Errors
/// There is none, it is another's, or the register cannot be read.
pub async fn session(api: &Api, who: &SignedIn, id: SessionId) -> Result<SessionView, Problem> {
    access::reading(api, who, (id, Action::ReadSession), |_, _| ())?;
    changed(api, id).await
}

/// One meeting, for who just changed it: whoever may do that is shown what came of it.
pub(super) async fn changed(api: &Api, id: SessionId) -> Result<SessionView, Problem> {
    let facts = {
        let now = api.store().views().now();
        now.session(id)?.map(|session| facts(&now, &session))
    };
    let mut views = with_teachers(api, facts.into_iter().collect()).await?;
    views.pop().ok_or_else(|| Problem::not_found("session"))
}

async fn with_teachers(api: &Api, facts: Vec<Facts>) -> Result<Vec<SessionView>, Problem> {
    api.register(move |register| {
        let mut teachers: BTreeMap<TeacherId, Option<TeacherDetails>> = BTreeMap::new();
        for teacher in facts.iter().map(|facts| facts.meeting.teacher) {
            if let Entry::Vacant(place) = teachers.entry(teacher) {
                place.insert(register.teacher(teacher)?);
            }
        }
        let view = |facts: Facts| {
            let teacher = teachers.get(&facts.meeting.teacher).cloned().flatten();
            SessionView::new(facts, teacher)
        };
        Ok(facts.into_iter().map(view).collect())
    })
    .await
}

fn facts(now: &Snapshot, session: &Session) -> Facts {
    let campus = &now.campus;
    let meeting = session.meeting.clone();
    let class = campus.classes.get(&meeting.class).cloned();
    Facts {
        course: class.as_ref().and_then(|class| campus.courses.get(&class.course)).cloned(),
        term: class.as_ref().and_then(|class| class.term).and_then(|id| campus.terms.get(&id)).cloned(),
        room: meeting.room.and_then(|id| campus.rooms.get(&id)).cloned(),
        counts: counts(now, session),
        class,
        meeting,
    }
}

/// Everyone who belongs to a meeting, on its roster or with a record.
fn everyone(now: &Snapshot, session: &Session) -> Vec<StudentId> {
    let meeting = &session.meeting;
    let mut students = now.campus.rosters.on(meeting.class, meeting.date);
    students.extend(session.records.keys());
    students.into_iter().collect()
}

fn counts(now: &Snapshot, session: &Session) -> Counts {
    Counts::of(session, everyone(now, session))
}

/// Everyone of a meeting with their mark, by name; a student sees only their own.
///
/// # Errors
/// There is no such meeting, it is another's, or the register cannot be read.
pub async fn register_of(api: &Api, who: &SignedIn, id: SessionId) -> Result<Vec<Row>, Problem> {
    let own = (who.user.role == Role::Student).then_some(who.user.student);
    let marked = access::reading(api, who, (id, Action::ReadRecords), |now, session| {
        let students = everyone(now, session).into_iter();
        let visible = students.filter(|student| own.is_none_or(|own| own == Some(*student)));
        visible.map(|student| (student, session.standing(student))).collect::<Vec<_>>()
    })?;
    let mut rows = named(api, marked).await?;
    rows.sort_by_cached_key(|row| (row.name.to_lowercase(), row.student));
    Ok(rows)
}

/// One student's line of a meeting, for who just marked them.
pub(super) async fn marked(api: &Api, id: SessionId, student: StudentId) -> Result<Option<Row>, Problem> {
    let session = api.store().views().now().session(id)?;
    let standing = session.and_then(|session| session.standing(student));
    Ok(named(api, vec![(student, standing)]).await?.pop())
}

/// Marks with the names of who has them.
async fn named(api: &Api, marked: Vec<(StudentId, Option<Standing>)>) -> Result<Vec<Row>, Problem> {
    api.register(move |register| {
        let row = |(student, standing)| {
            let details = register.student(student)?;
            let (code, name) = details.map_or_else(
                || (student.to_string(), String::new()),
                |details| (details.code.to_string(), details.name.whole()),
            );
            Ok(Row { student, code, name, standing })
        };
        marked.into_iter().map(row).collect()
    })
    .await
}
