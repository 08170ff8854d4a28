//! What all pages share: their frame, their headers, and what is shown when one cannot be.
//!
//! Promises: a page runs no script and shows no picture but our own, is framed by nobody, and is kept by
//! no cache; who is not signed in is sent to sign in and then back.
//!
//! Refuses: text that was not escaped. Templates escape everything.

use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use rollcall_api::sign_in::{SignedIn, user_view};
use rollcall_api::{Api, Problem};
use rollcall_domain::ids::SessionId;
use rollcall_domain::moment::Moment;
use rollcall_domain::people::Role;

use crate::assets;

const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What stands around every page.
pub(crate) struct Frame {
    pub(crate) campus: String,
    /// Who is signed in, by the name they know themselves by.
    pub(crate) who: Option<String>,
    pub(crate) assets: &'static str,
}

impl Frame {
    pub(crate) fn signed_out(api: &Api) -> Self {
        Frame { campus: api.options().campus.clone(), who: None, assets: assets::version() }
    }

    pub(crate) async fn of(api: &Api, who: &SignedIn) -> Result<Self, Problem> {
        let view = user_view(api, who.user.clone()).await?;
        let name = view.name.unwrap_or(view.username);
        Ok(Frame { who: Some(name), ..Frame::signed_out(api) })
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    title: &'a str,
    detail: &'a str,
}

/// A page as it goes out.
pub(crate) fn show(status: StatusCode, page: &impl Template) -> HttpResponse {
    let body = match page.render() {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            return HttpResponse::InternalServerError().finish();
        }
    };
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY))
        // With "no-referrer" browsers would hide the origin of our own forms, by which they are known.
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        .body(body)
}

pub(crate) fn go_to(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, path)).finish()
}

/// The page, or what is shown in its place.
pub(crate) fn answer(api: &Api, request: &HttpRequest, page: Result<HttpResponse, Problem>) -> HttpResponse {
    let problem = match page {
        Ok(page) => return page,
        Err(problem) => problem,
    };
    if matches!(problem.code(), "token_invalid" | "token_expired") {
        return match request.method().is_safe() {
            true => go_to(&format!("/login?next={}", request.path())),
            false => go_to("/login"),
        };
    }
    let page =
        ProblemPage { frame: Frame::signed_out(api), title: problem.title(), detail: problem.detail() };
    show(problem.status(), &page)
}

/// Nothing answers on this path: a page for browsers, the API's refusal for everyone else.
pub(crate) async fn nowhere(api: Data<Api>, request: HttpRequest) -> HttpResponse {
    let problem = Problem::new("not_found", format!("nothing answers on {}", request.path()));
    let accepts = request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    let is_browser =
        request.method().is_safe() && accepts.into_iter().any(|kinds| kinds.contains("text/html"));
    if is_browser { answer(&api, &request, Err(problem)) } else { problem.response() }
}

/// Whether everyone's marks are shown to this user.
pub(crate) fn sees_registers(who: &SignedIn) -> bool {
    matches!(who.user.role, Role::Admin | Role::Teacher)
}

/// The wall clock of the campus, such as `08:43`.
pub(crate) fn clock(api: &Api, at: Moment) -> String {
    let civil = at.civil(&api.options().zone);
    format!("{:02}:{:02}", civil.hour(), civil.minute())
}

/// A time as the API writes it, on the wall clock of the campus.
pub(crate) fn clock_of(api: &Api, rfc3339: &str) -> String {
    rfc3339.parse().map_or_else(|_unreadable| String::new(), |at| clock(api, at))
}

pub(crate) fn path_of(session: SessionId) -> String {
    format!("/sessions/{session}")
}
