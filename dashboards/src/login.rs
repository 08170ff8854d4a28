//! Signing in and out.
//!
//! Promises: what went wrong is said on the same page, without telling whether the name or the password
//! was wrong; a form on another site signs nobody in; afterwards one is where one wanted to go.

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Form, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use rollcall_api::sign_in::{SignedIn, cookie, is_our_own_page, sign_in};
use rollcall_api::{Api, Problem, at};
use serde::Deserialize;

use crate::page::{Frame, answer, go_to, show};

pub(crate) fn configure(config: &mut ServiceConfig) {
    config.service(at("/login").get(form).post(submit));
    config.service(at("/logout").post(leave));
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame,
    username: &'a str,
    next: &'a str,
    problem: Option<&'a str>,
}

#[derive(Deserialize)]
struct Wanted {
    next: Option<String>,
}

#[derive(Deserialize)]
struct Submitted {
    username: String,
    password: String,
    #[serde(default)]
    next: String,
}

async fn form(api: Data<Api>, request: HttpRequest, wanted: Query<Wanted>) -> HttpResponse {
    let next = here(wanted.next.as_deref().unwrap_or("/"));
    if SignedIn::of(&api, &request).is_ok() {
        return go_to(next);
    }
    let frame = Frame::signed_out(&api);
    show(StatusCode::OK, &LoginPage { frame, username: "", next, problem: None })
}

async fn submit(api: Data<Api>, request: HttpRequest, form: Form<Submitted>) -> HttpResponse {
    if !is_our_own_page(&request, api.options()) {
        let foreign = Problem::new("forbidden", "sign in on the gateway's own page");
        return answer(&api, &request, Err(foreign));
    }
    let Submitted { username, password, next } = form.into_inner();
    let next = here(&next);
    match sign_in(&api, &username, password).await {
        Ok(session) => {
            let life = api.options().access;
            let kept = cookie::keep(&session.access, life, api.options());
            let mut response = go_to(next);
            set_cookie(&mut response, &kept);
            response
        }
        Err(problem) => {
            let frame = Frame::signed_out(&api);
            let said = said(&problem);
            show(problem.status(), &LoginPage { frame, username: &username, next, problem: Some(&said) })
        }
    }
}

async fn leave(api: Data<Api>, request: HttpRequest) -> HttpResponse {
    if !is_our_own_page(&request, api.options()) {
        let foreign = Problem::new("forbidden", "sign out on the gateway's own page");
        return answer(&api, &request, Err(foreign));
    }
    let mut response = go_to("/login");
    set_cookie(&mut response, &cookie::forget(api.options()));
    response
}

fn set_cookie(response: &mut HttpResponse, line: &str) {
    if let Ok(value) = header::HeaderValue::from_str(line) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}

/// A refusal as a sentence.
fn said(problem: &Problem) -> String {
    match problem.code() {
        "bad_credentials" => "The user name or the password is not right.".to_owned(),
        "account_disabled" => "This account is switched off. Ask the admin to switch it on.".to_owned(),
        _ => format!("{}: {}.", problem.title(), problem.detail()),
    }
}

/// A path on this gateway; whatever leads elsewhere leads to the start.
fn here(next: &str) -> &str {
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if next.starts_with('/') && !next.starts_with("//") && plain { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_nowhere_else() {
        assert_eq!(here("/sessions/ses_1"), "/sessions/ses_1");
        for elsewhere in ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb", "login"]
        {
            assert_eq!(here(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
