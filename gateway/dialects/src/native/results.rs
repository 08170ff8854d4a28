//! What a terminal of the native dialect is told about its scans.
//!
//! Promises: each scan gets one result, under its own id if it has one; the only thing about a person in it
//! is the name of who just scanned.

use std::borrow::Cow;

use rollcall_domain::mark::Mark;
use rollcall_domain::ports::ScanResult;
use rollcall_domain::scan::{Outcome, Status};
use serde::Deserialize;

use super::object::Object;
use crate::error::Rejected;

/// What a device is told about a scan.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ResultMessage<'a> {
    /// The device's own id for it; `null` for a scan that had none.
    #[serde(borrow)]
    pub id: Option<Cow<'a, str>>,
    pub status: Status,
    pub mark: Option<Mark>,
    #[serde(borrow)]
    pub student: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub session: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    #[serde(default)]
    pub replayed: bool,
}

impl ResultMessage<'_> {
    fn rejected<'a>(id: Option<&'a str>, code: &'static str, message: Cow<'a, str>) -> ResultMessage<'a> {
        ResultMessage {
            id: id.map(Cow::Borrowed),
            status: Status::Rejected,
            mark: None,
            student: None,
            name: None,
            session: None,
            code: Some(Cow::Borrowed(code)),
            message,
            replayed: false,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        Object::default()
            .with("id", self.id.as_deref())
            .with("status", status_word(self.status))
            .with_some("mark", self.mark.map(Mark::word))
            .with_some("student", self.student.as_deref())
            .with_some("name", self.name.as_deref())
            .with_some("session", self.session.as_deref())
            .with_some("code", self.code.as_deref())
            .with("message", &*self.message)
            .with("replayed", self.replayed)
            .bytes()
    }
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Accepted => "accepted",
        Status::Duplicate => "duplicate",
        Status::Unmatched => "unmatched",
        Status::Rejected => "rejected",
    }
}

/// The result of a scan that is on disk.
pub fn result(id: Option<&str>, result: &ScanResult) -> Vec<u8> {
    let code = match result.outcome {
        Outcome::Unmatched(reason) => Some(Cow::Borrowed(reason.code())),
        _ => None,
    };
    let message = ResultMessage {
        id: id.map(Cow::Borrowed),
        status: result.outcome.status(),
        mark: result.mark,
        student: result.student.map(|student| Cow::Owned(student.to_string())),
        name: result.name.as_deref().map(Cow::Borrowed),
        session: result.session.map(|session| Cow::Owned(session.to_string())),
        code,
        message: Cow::Owned(result.outcome.message()),
        replayed: result.replayed,
    };
    message.bytes()
}

/// The answer to what is no scan.
pub fn bad_payload(rejected: &Rejected) -> Vec<u8> {
    let message = Cow::Owned(rejected.error.to_string());
    ResultMessage::rejected(rejected.id.as_deref(), "bad_payload", message).bytes()
}

/// The answer to a device that may not scan now.
pub fn device_disabled(id: Option<&str>) -> Vec<u8> {
    let message = Cow::Borrowed("this terminal is switched off by the office");
    ResultMessage::rejected(id, "device_disabled", message).bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read_back_as_it_was_written() {
        for status in [Status::Accepted, Status::Duplicate, Status::Unmatched, Status::Rejected] {
            assert_eq!(serde_json::from_value::<Status>(status_word(status).into()).unwrap(), status);
        }
    }
}
