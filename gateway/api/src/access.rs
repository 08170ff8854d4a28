//! What of the campus a caller reaches.
//!
//! Promises: another's object is "not there" to who only reads, and "not allowed" to who wants to change
//! it; the state of a session is not told before that.
//!
//! Refuses: the tables of who may do what. They are [`rollcall_domain::permission`]'s; this finds out whose
//! a thing is.

use rollcall_domain::ids::SessionId;
use rollcall_domain::people::{Role, User};
use rollcall_domain::permission::{Action, Reach, may, reach_of_meeting};
use rollcall_domain::session::{Meeting, Session};
use rollcall_store::views::Snapshot;

use crate::handles::Api;
use crate::problem::Problem;
use crate::sign_in::SignedIn;

/// Whose a meeting is, seen from a user: who teaches its class or stands in, or attends it.
pub fn reach(now: &Snapshot, user: &User, meeting: &Meeting) -> Reach {
    let own = match user.role {
        Role::Student => user
            .student
            .is_some_and(|student| now.campus.rosters.attends(meeting.class, student, meeting.date)),
        _ => {
            let class = now.campus.classes.get(&meeting.class);
            return class.map_or(Reach::Other, |class| reach_of_meeting(user, class, meeting));
        }
    };
    if own { Reach::Own } else { Reach::Other }
}

/// Whether the caller may do this to that meeting.
pub fn allows(now: &Snapshot, who: &SignedIn, action: Action, meeting: &Meeting) -> bool {
    may(&who.caller(), action, reach(now, &who.user, meeting))
}

/// A session's id as a path or a message names it.
///
/// # Errors
/// The text is the id of nothing.
pub fn session_id(text: &str) -> Result<SessionId, Problem> {
    text.parse().map_err(|_not_an_id| Problem::not_found("session"))
}

/// Looks at a session that the caller may read.
///
/// # Errors
/// There is none, or it is another's.
pub fn reading<T>(
    api: &Api,
    who: &SignedIn,
    (id, action): (SessionId, Action),
    look: impl FnOnce(&Snapshot, &Session) -> T,
) -> Result<T, Problem> {
    let now = api.store().views().now();
    match now.session(id)? {
        Some(session) if allows(&now, who, action, &session.meeting) => Ok(look(&now, &session)),
        _ => Err(Problem::not_found("session")),
    }
}

/// Looks at a session that the caller is about to change.
///
/// # Errors
/// There is none, or the caller may not.
pub fn changing<T>(
    api: &Api,
    who: &SignedIn,
    (id, action): (SessionId, Action),
    look: impl FnOnce(&Snapshot, &Session) -> T,
) -> Result<T, Problem> {
    let now = api.store().views().now();
    match now.session(id)? {
        None => Err(Problem::not_found("session")),
        Some(session) if allows(&now, who, action, &session.meeting) => Ok(look(&now, &session)),
        Some(_) => Err(Problem::forbidden()),
    }
}
