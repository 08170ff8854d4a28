//! The routes of meetings and marks.
//!
//! Promises: see [`crate::sessions`].

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use rollcall_actors::{Command, Deed};
use rollcall_domain::campus::Campus;
use rollcall_domain::code::KeyKind;
use rollcall_domain::decide::marking::Wish;
use rollcall_domain::ids::{ClassId, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_domain::people::{Person, Personal, TextField};
use rollcall_domain::permission::Action;
use rollcall_domain::session::{Session, SessionStatus};
use rollcall_store::views::Snapshot;
use serde::Deserialize;

use super::read::{self, Filter};
use super::view::{Page, RecordView, SessionView};
use crate::access;
use crate::app::at;
use crate::handles::Api;
use crate::object::Object;
use crate::problem::Problem;
use crate::sign_in::SignedIn;

const PAGE: usize = 50;
const LARGEST_PAGE: usize = 500;

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let base = "/api/v1/attendance";
    config.service(at(&format!("{base}/sessions")).get(list));
    config.service(at(&format!("{base}/sessions/{{id}}")).get(one));
    config.service(at(&format!("{base}/sessions/{{id}}/open")).post(open));
    config.service(at(&format!("{base}/sessions/{{id}}/close")).post(close));
    config.service(at(&format!("{base}/sessions/{{id}}/records")).get(records));
    config.service(at(&format!("{base}/records")).post(create_record));
}

#[derive(Deserialize)]
struct ListQuery {
    class: Option<String>,
    course_section: Option<String>,
    status: Option<SessionStatus>,
    #[serde(flatten)]
    paging: Paging,
}

/// Numbers as text, since `flatten` hands them on as such.
#[derive(Deserialize)]
struct Paging {
    page: Option<String>,
    page_size: Option<String>,
}

impl Paging {
    /// The page, counted from 1, and its size.
    fn bounds(&self) -> Result<(usize, usize), Problem> {
        let number = |field, text: &Option<String>, or: usize| match text.as_deref().map(str::parse) {
            None => Ok(or),
            Some(Ok(number)) if number > 0 => Ok(number),
            Some(_) => Err(Problem::field(field, "expected a number from 1 on")),
        };
        let size = number("page_size", &self.page_size, PAGE)?.min(LARGEST_PAGE);
        Ok((number("page", &self.page, 1)?, size))
    }
}

async fn list(
    api: Data<Api>,
    who: SignedIn,
    request: HttpRequest,
    query: Query<ListQuery>,
) -> Result<Json<Page<SessionView>>, Problem> {
    let class = query.class.as_deref().or(query.course_section.as_deref());
    let class = class.map(|text| class_id(&api, text)).transpose()?;
    let (page, size) = query.paging.bounds()?;
    let skip = (page - 1).saturating_mul(size);
    let filter = Filter { class, status: query.status, today: None, skip, take: size };
    let found = read::find(&api, &who, &filter).await?;
    let link = |page: usize| page_link(&request, page);
    Ok(Json(Page {
        next: (skip.saturating_add(size) < found.count).then(|| link(page + 1)),
        previous: (page > 1).then(|| link(page - 1)),
        count: found.count,
        results: found.sessions,
    }))
}

/// The same request for another page.
fn page_link(request: &HttpRequest, page: usize) -> String {
    let others = request.query_string().split('&');
    let others = others.filter(|pair| !pair.is_empty() && !pair.starts_with("page="));
    let query: Vec<String> = others.map(str::to_owned).chain([format!("page={page}")]).collect();
    format!("{}?{}", request.path(), query.join("&"))
}

/// A class by its id or its code.
pub(crate) fn class_id(api: &Api, text: &str) -> Result<ClassId, Problem> {
    let by_id = text.parse().ok();
    let now = api.store().views().now();
    let classes = &now.campus.classes;
    let by_code = || classes.values().find(|class| class.code.as_str().eq_ignore_ascii_case(text.trim()));
    let found = by_id.filter(|id| classes.contains_key(id)).or_else(|| by_code().map(|class| class.id));
    found.ok_or_else(|| Problem::field("class", "there is no class with this id or code"))
}

async fn one(api: Data<Api>, who: SignedIn, id: Path<String>) -> Result<Json<SessionView>, Problem> {
    let id = access::session_id(&id)?;
    read::session(&api, &who, id).await.map(Json)
}

async fn open(api: Data<Api>, who: SignedIn, id: Path<String>) -> Result<Json<SessionView>, Problem> {
    change(&api, &who, (&id, Action::OpenSession), Deed::Open).await
}

async fn close(api: Data<Api>, who: SignedIn, id: Path<String>) -> Result<Json<SessionView>, Problem> {
    change(&api, &who, (&id, Action::CloseSession), Deed::Close).await
}

async fn change(
    api: &Api,
    who: &SignedIn,
    (id, action): (&str, Action),
    deed: Deed,
) -> Result<Json<SessionView>, Problem> {
    let session = access::session_id(id)?;
    access::changing(api, who, (session, action), |_, _| ())?;
    api.command(Command { session, by: who.by(), deed, texts: Vec::new() }).await?;
    read::changed(api, session).await.map(Json)
}

async fn records(
    api: Data<Api>,
    who: SignedIn,
    id: Path<String>,
    paging: Query<Paging>,
    request: HttpRequest,
) -> Result<Json<Page<RecordView>>, Problem> {
    let session = access::session_id(&id)?;
    let (page, size) = paging.bounds()?;
    let rows = read::register_of(&api, &who, session).await?;
    let records: Vec<_> = rows.into_iter().filter_map(|row| RecordView::of(session, row)).collect();
    let (count, skip) = (records.len(), (page - 1).saturating_mul(size));
    Ok(Json(Page {
        count,
        next: (skip.saturating_add(size) < count).then(|| page_link(&request, page + 1)),
        previous: (page > 1).then(|| page_link(&request, page - 1)),
        results: records.into_iter().skip(skip).take(size).collect(),
    }))
}

/// A mark by hand.
#[derive(Debug, Clone, Deserialize)]
pub struct Marking {
    pub session: String,
    /// An id or a code.
    pub student: String,
    pub mark: Mark,
    pub reason: Option<String>,
    pub notes: Option<String>,
}

/// What was said about a mark, for the register; blanks say nothing.
fn said(field: TextField, student: StudentId, text: Option<&str>) -> Option<Personal> {
    let text = text.map(str::trim).filter(|text| !text.is_empty())?.to_owned();
    Some(Personal::Text { field, about: Some(Person::Student(student)), text })
}

async fn create_record(
    api: Data<Api>,
    who: SignedIn,
    body: Json<Object<Marking>>,
) -> Result<HttpResponse, Problem> {
    let (is_new, record) = mark(&api, &who, &body.0.0).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(HttpResponse::build(status).json(record))
}

/// Marks a student; says whether there was no mark before.
///
/// # Errors
/// The caller may not, or a rule refuses it.
pub async fn mark(api: &Api, who: &SignedIn, asked: &Marking) -> Result<(bool, RecordView), Problem> {
    let session = access::session_id(&asked.session)?;
    let look = |now: &Snapshot, session: &Session| {
        let student = student_id(api, &now.campus, &asked.student)?;
        Some((student, session.standing(student).is_none()))
    };
    let found = access::changing(api, who, (session, Action::Mark), look)?;
    let Some((student, is_new)) = found else {
        return Err(Problem::field("student", "there is no student with this id or code"));
    };
    let reason = said(TextField::Reason, student, asked.reason.as_deref());
    let note = said(TextField::Note, student, asked.notes.as_deref());
    let (with_reason, with_note) = (reason.is_some(), note.is_some());
    let texts = reason.into_iter().chain(note).collect();
    let by_admin = who.is_admin();
    let wish = Wish { student, mark: asked.mark, with_reason, with_note, by_admin };
    api.command(Command { session, by: who.by(), deed: Deed::Mark(wish), texts }).await?;
    let row = read::marked(api, session, student).await?;
    let record = row.and_then(|row| RecordView::of(session, row));
    record.map(|record| (is_new, record)).ok_or_else(|| Problem::not_found("record"))
}

/// A student by id or code; a code that two have means nobody.
fn student_id(api: &Api, campus: &Campus, text: &str) -> Option<StudentId> {
    if let Ok(id) = text.parse::<StudentId>() {
        let today = campus.people.today(id);
        return campus.students.contains_key(&today).then_some(today);
    }
    let key = api.pseudonyms().key(KeyKind::Code, text);
    match campus.people.by_number(KeyKind::Code, key) {
        [student] => Some(*student),
        _ => None,
    }
}
