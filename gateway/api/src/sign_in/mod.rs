//! Who asks: passwords, tokens, cookies, and where a request came from.
//!
//! Promises: whoever is signed in exists and is active at the moment of the request; a request made
//! with a page's cookie that changes something came from one of our own pages.
//!
//! Refuses: permissions. What the caller may do is [`crate::access`]'s and the domain's.

pub(crate) mod caller;
pub mod cookie;
mod hs256;
pub(crate) mod origin;
pub(crate) mod passwords;
mod routes;
pub(crate) mod tokens;

pub use caller::SignedIn;
pub use origin::{is_foreign_page, is_our_own_page};
pub(crate) use routes::configure;
pub use routes::{Session, UserView, sign_in, user_view};
