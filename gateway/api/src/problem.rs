//! How a request is refused: `application/problem+json`.
//!
//! Promises: every refusal has one code, and every code one status and one title; a refusal for which
//! waiting helps says how long; nothing about the inside of the gateway is told.
//!
//! Refuses: deciding. Codes of rules come from [`Refusal::code`].

use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError, error};
use rollcall_actors::CommandError;
use rollcall_domain::Refusal;
use rollcall_store::StoreError;
use serde::Serialize;

/// The media type of a refusal.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Every code with its status and its title. What is not in the table is a fault of the gateway.
const CODES: &[(&str, u16, &str)] = &[
    ("bad_request", 400, "The request cannot be read"),
    ("already_marked", 400, "Already marked"),
    ("qr_expired", 400, "The code has expired"),
    ("bad_credentials", 401, "Sign-in failed"),
    ("token_invalid", 401, "Not signed in"),
    ("token_expired", 401, "The sign-in has expired"),
    ("account_disabled", 403, "The account is disabled"),
    ("forbidden", 403, "Not allowed"),
    ("not_enrolled", 403, "Not in this class"),
    ("not_found", 404, "Not found"),
    ("qr_unknown", 404, "The code is not known"),
    ("method_not_allowed", 405, "This cannot be done here"),
    ("timeout", 408, "The request took too long"),
    ("session_not_open", 409, "The session is not open"),
    ("session_locked", 409, "The session is locked"),
    ("conflict", 409, "This does not fit what is there"),
    ("too_large", 413, "The request is too large"),
    ("validation_failed", 422, "Something is not right"),
    ("too_many_attempts", 429, "Too many attempts"),
    ("storage_unavailable", 503, "The gateway cannot use its disk now"),
    ("clock_in_doubt", 503, "The clock is in doubt"),
    ("busy", 503, "The gateway is busy"),
];

/// What is answered when the gateway itself is at fault.
const FAULT: (&str, u16, &str) = ("internal", 500, "Something went wrong in the gateway");

/// A request that is refused.
#[derive(Debug, Clone)]
pub struct Problem {
    code: &'static str,
    status: StatusCode,
    title: &'static str,
    detail: String,
    errors: BTreeMap<&'static str, String>,
}

/// Its form on the wire.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    errors: &'a BTreeMap<&'static str, String>,
}

impl Problem {
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let (code, status, title) = CODES.iter().copied().find(|row| row.0 == code).unwrap_or(FAULT);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Problem { code, status, title, detail: detail.into(), errors: BTreeMap::new() }
    }

    /// A value that cannot be taken, under the field that held it.
    pub fn field(field: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        let mut problem = Problem::new("validation_failed", format!("{field}: {what}"));
        problem.errors.insert(field, what);
        problem
    }

    pub fn not_found(what: &str) -> Self {
        Problem::new("not_found", format!("there is no such {what}"))
    }

    pub fn forbidden() -> Self {
        Refusal::Forbidden.into()
    }

    /// Something that should not happen did; the log says what.
    pub fn fault() -> Self {
        Problem::new(
            FAULT.0,
            "this was written to the gateway's log; try again, and tell the admin if it stays so",
        )
    }

    pub fn code(&self) -> &'static str {
        self.code
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn title(&self) -> &'static str {
        self.title
    }

    /// What happened and what to do, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub fn response(&self) -> HttpResponse {
        let body = Body {
            r#type: format!("urn:rollcall:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            errors: &self.errors,
        };
        let mut response = HttpResponse::build(self.status);
        response.insert_header((header::CONTENT_TYPE, MEDIA_TYPE));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                response.insert_header((header::RETRY_AFTER, "2"));
            }
            _ => {}
        }
        response.body(serde_json::to_vec(&body).unwrap_or_default())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Problem::new(refusal.code(), refusal.to_string())
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let detail = error.to_string();
        // For people who cannot know what a store is, and whose press may be on disk all the same.
        let unsaved = "tell the admin, and look whether this was saved before you try again";
        match error {
            CommandError::Refused(refusal) => refusal.into(),
            CommandError::NoSuchSession => Problem::new("not_found", detail),
            CommandError::StorageUnavailable => Problem::new("storage_unavailable", unsaved),
            CommandError::Busy => Problem::new("busy", detail),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request could not read the store");
        Problem::new("storage_unavailable", "this cannot be read; tell the admin, and try again in a moment")
    }
}

/// Nothing answers on this path.
pub(crate) async fn no_such_route(request: HttpRequest) -> HttpResponse {
    bad_path(&request).response()
}

/// The path is right, the method is not.
pub(crate) fn no_such_method(request: &HttpRequest, allowed: &str) -> HttpResponse {
    let what = format!("{} cannot be used on {}; use {allowed}", request.method(), request.path());
    let mut response = Problem::new("method_not_allowed", what).response();
    if let Ok(allowed) = header::HeaderValue::from_str(allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// A body that is not the JSON that was asked for.
pub(crate) fn bad_json(error: &error::JsonPayloadError) -> Problem {
    use error::JsonPayloadError as E;
    match error {
        E::Overflow { .. } | E::OverflowKnownLength { .. } => Problem::new("too_large", error.to_string()),
        E::ContentType => Problem::new("bad_request", "send JSON, with content-type application/json"),
        E::Deserialize(reason) if reason.is_data() => Problem::new("validation_failed", reason.to_string()),
        other => Problem::new("bad_request", other.to_string()),
    }
}

/// A body that is not the form that was asked for.
pub(crate) fn bad_form(error: &error::UrlencodedError) -> Problem {
    use error::UrlencodedError as E;
    match error {
        E::Overflow { .. } => Problem::new("too_large", error.to_string()),
        E::Parse(_) => Problem::new("validation_failed", error.to_string()),
        other => Problem::new("bad_request", other.to_string()),
    }
}

/// A path with something in it that is no text is the path of nothing.
pub(crate) fn bad_path(request: &HttpRequest) -> Problem {
    Problem::new("not_found", format!("nothing answers on {}", request.path()))
}

/// A query that cannot be understood.
pub(crate) fn bad_query(error: &error::QueryPayloadError) -> Problem {
    Problem::new("validation_failed", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_the_rules_has_a_status_of_its_own() {
        let refusals = [
            Refusal::Forbidden,
            Refusal::SessionLocked,
            Refusal::NotEnrolled,
            Refusal::NoRecord,
            Refusal::ReasonNeeded,
            Refusal::QrUnknown,
            Refusal::QrExpired,
            Refusal::AlreadyDecided,
            Refusal::ClockInDoubt,
            Refusal::AlreadyMarked("present"),
        ];
        for refusal in refusals {
            let problem = Problem::from(refusal.clone());
            assert_eq!(problem.code(), refusal.code());
            assert_ne!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR, "{refusal}");
        }
    }

    #[test]
    fn a_code_that_nobody_listed_is_a_fault_of_the_gateway() {
        assert_eq!(Problem::new("made_up", "x").code(), "internal");
    }
}
