//! What clients of `/ws` ask for.
//!
//! Promises: a frame that is not understood is answered with what is wrong with it; which session is meant
//! is found as the contract says, also when only a class is named.

use rollcall_domain::ids::SessionId;
use rollcall_domain::mark::Mark;
use rollcall_domain::permission::Action;
use rollcall_domain::session::SessionStatus;
use serde::Deserialize;

use super::frames::Trouble;
use crate::access;
use crate::handles::Api;
use crate::object::Object;
use crate::sessions::class_id;
use crate::sign_in::SignedIn;

#[derive(Deserialize)]
#[serde(tag = "event", content = "data")]
pub(super) enum Asked {
    #[serde(rename = "SUBSCRIBE")]
    Subscribe(Object<Target>),
    #[serde(rename = "UNSUBSCRIBE")]
    Unsubscribe(Object<Target>),
    #[serde(rename = "ATTENDANCE_MARKED")]
    Mark(MarkOne),
    #[serde(rename = "DONE")]
    Done(Object<Target>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Target {
    session_id: Option<String>,
    class_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MarkOne {
    #[serde(flatten)]
    pub(super) target: Target,
    pub(super) student_id: String,
    pub(super) status: Mark,
}

impl Asked {
    pub(super) fn parse(text: &str) -> Result<Self, Trouble> {
        let Object(asked) =
            serde_json::from_str(text).map_err(|error| Trouble::NotUnderstood(error.to_string()))?;
        Ok(asked)
    }
}

impl Target {
    /// The session that is meant: the one named, or the class's open one. Another's class has none, as far
    /// as the caller is told.
    pub(super) fn session(&self, api: &Api, who: &SignedIn) -> Result<SessionId, Trouble> {
        if let Some(text) = &self.session_id {
            return Ok(access::session_id(text)?);
        }
        let Some(text) = &self.class_id else {
            return Err(Trouble::NotUnderstood("say which: sessionId or classId".to_owned()));
        };
        let class = class_id(api, text)?;
        let now = api.store().views().now();
        let meetings = now.meetings().filter(|meeting| meeting.class == class);
        let open = meetings.filter(|meeting| meeting.status == SessionStatus::Open);
        let readable = open.filter(|meeting| access::allows(&now, who, Action::ReadSession, meeting));
        let open: Vec<SessionId> = readable.map(|meeting| meeting.id).collect();
        match open.as_slice() {
            [] => Err(Trouble::NoOpenSession),
            [one] => Ok(*one),
            _ => Err(Trouble::Ambiguous(open)),
        }
    }
}
