//! `/sessions/{id}`: one session, filling up.
//!
//! Promises: the page is whole without script; with it, every mark appears by itself, and when the page is
//! not connected it says so.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use rollcall_actors::{Command, Deed, Row};
use rollcall_api::sessions::{CountsView, Marking, SessionView, mark, register_of, session};
use rollcall_api::sign_in::SignedIn;
use rollcall_api::{Api, Problem, access, at};
use rollcall_domain::Refusal;
use rollcall_domain::ids::SessionId;
use rollcall_domain::mark::{Mark, Source};
use rollcall_domain::permission::Action;
use serde::Deserialize;

use crate::page::{Frame, answer, clock, clock_of, go_to, path_of, sees_registers, show};

pub(crate) fn configure(config: &mut ServiceConfig) {
    config.service(at("/sessions/{id}").get(show_session));
    config.service(at("/sessions/{id}/open").post(open));
    config.service(at("/sessions/{id}/close").post(close));
    config.service(at("/sessions/{id}/mark").post(mark_by_hand));
}

#[derive(Template)]
#[template(path = "session.html")]
struct SessionPage {
    frame: Frame,
    session: SessionView,
    title: String,
    from: String,
    to: String,
    zone: String,
    not_yet: u32,
    lines: Vec<Line>,
    marks: [(&'static str, &'static str); 5],
    may_open: bool,
    may_close: bool,
    may_mark: bool,
}

/// One student, as a line of the page.
struct Line {
    student: String,
    code: String,
    name: String,
    mark: &'static str,
    when: String,
    source: &'static str,
}

async fn show_session(api: Data<Api>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    answer(&api, &request, page(&api, &request, &id).await)
}

async fn page(api: &Api, request: &HttpRequest, id: &str) -> Result<HttpResponse, Problem> {
    let who = SignedIn::of(api, request)?;
    if !sees_registers(&who) {
        return Err(Problem::new("forbidden", "only those who teach see a whole class"));
    }
    let id = access::session_id(id)?;
    let view = session(api, &who, id).await?;
    let rows = register_of(api, &who, id).await?;
    let may = |action| access::changing(api, &who, (id, action), |_, _| ()).is_ok();
    let title = view.course_section.as_ref().map_or_else(|| view.class.clone(), |class| class.name.clone());
    let page = SessionPage {
        frame: Frame::of(api, &who).await?,
        from: clock_of(api, &view.start_datetime),
        to: clock_of(api, &view.end_datetime),
        zone: api.options().zone.iana_name().unwrap_or("UTC").to_owned(),
        not_yet: not_yet(&view.counts),
        lines: rows.into_iter().map(|row| line(api, row)).collect(),
        marks: Mark::ALL.map(|mark| (mark.word(), label(mark))),
        may_open: may(Action::OpenSession),
        may_close: may(Action::CloseSession),
        may_mark: may(Action::Mark),
        title,
        session: view,
    };
    Ok(show(StatusCode::OK, &page))
}

fn not_yet(counts: &CountsView) -> u32 {
    let CountsView { present, late, absent, excused, permission, total } = *counts;
    total.saturating_sub(present + late + absent + excused + permission)
}

fn label(mark: Mark) -> &'static str {
    match mark {
        Mark::Present => "Present",
        Mark::Late => "Late",
        Mark::Absent => "Absent",
        Mark::Excused => "Excused",
        Mark::Permission => "Permission",
    }
}

/// Where a mark came from, in words; `live.js` has the same ones.
fn words(source: Source) -> &'static str {
    match source {
        Source::Qr => "QR code",
        Source::Biometric => "device",
        Source::Manual => "by hand",
        Source::Offline => "device, sent later",
        Source::Own => "said so",
        Source::Leave => "leave",
        Source::Correction => "corrected",
        Source::Auto => "at closing",
    }
}

fn line(api: &Api, row: Row) -> Line {
    let standing = row.standing;
    let at = standing.and_then(|standing| standing.at);
    Line {
        student: row.student.to_string(),
        name: if row.name.is_empty() { row.code.clone() } else { row.name },
        code: row.code,
        mark: standing.map_or("", |standing| standing.mark.word()),
        when: at.map_or_else(String::new, |at| clock(api, at)),
        source: standing.map_or("", |standing| words(standing.source)),
    }
}

async fn open(api: Data<Api>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let done = change(&api, &request, (&id, Action::OpenSession), Deed::Open).await;
    answer(&api, &request, done)
}

async fn close(api: Data<Api>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let done = change(&api, &request, (&id, Action::CloseSession), Deed::Close).await;
    answer(&api, &request, done)
}

async fn change(
    api: &Api,
    request: &HttpRequest,
    (id, action): (&str, Action),
    deed: Deed,
) -> Result<HttpResponse, Problem> {
    let who = SignedIn::of(api, request)?;
    let session = access::session_id(id)?;
    access::changing(api, &who, (session, action), |_, _| ())?;
    api.command(Command { session, by: who.by(), deed, texts: Vec::new() }).await?;
    Ok(go_to(&path_of(session)))
}

#[derive(Deserialize)]
struct Marked {
    student: String,
    mark: Mark,
    reason: Option<String>,
}

/// Asks without script what `marking.js` asks in a dialog.
#[derive(Template)]
#[template(path = "reason.html")]
struct ReasonPage<'a> {
    frame: Frame,
    session: SessionId,
    student: &'a str,
    mark: &'static str,
    label: String,
}

async fn mark_by_hand(
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    form: Form<Marked>,
) -> HttpResponse {
    answer(&api, &request, marked(&api, &request, &id, form.into_inner()).await)
}

async fn marked(api: &Api, request: &HttpRequest, id: &str, form: Marked) -> Result<HttpResponse, Problem> {
    let who = SignedIn::of(api, request)?;
    let session = access::session_id(id)?;
    let Marked { student, mark: wanted, reason } = form;
    let asked = Marking { session: session.to_string(), student, mark: wanted, reason, notes: None };
    match mark(api, &who, &asked).await {
        Ok((_, record)) => Ok(go_to(&format!("{}#{}", path_of(session), record.student.id))),
        Err(problem) if problem.detail() == Refusal::ReasonNeeded.to_string() => {
            let frame = Frame::of(api, &who).await?;
            let label = label(wanted).to_lowercase();
            let page = ReasonPage { frame, session, student: &asked.student, mark: wanted.word(), label };
            Ok(show(problem.status(), &page))
        }
        Err(problem) => Err(problem),
    }
}
