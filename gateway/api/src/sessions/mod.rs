//! Meetings and marks over HTTP.
//!
//! Promises: what is answered after a change holds that change.
//!
//! Refuses: deciding. Commands go to the session's actor, which asks the domain.

mod read;
mod routes;
mod view;

pub use read::{Filter, Found, find, register_of, session};
pub use routes::{Marking, mark};
pub(crate) use routes::{class_id, configure};
pub(crate) use view::moment;
pub use view::{CountsView, Named, Page, RecordView, SessionView};
