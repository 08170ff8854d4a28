//! What people look at: server-rendered pages and the small modules of script beside them.
//!
//! Promises: nothing is fetched from outside the box; every page works with a keyboard, on a phone
//! and on a projector; numbers shown are committed numbers; opening, closing and marking work without
//! script too, which only adds that a page fills by itself.
//!
//! Refuses: rules and storage. Pages show what the API and the views answer.

mod assets;
mod live;
mod login;
mod page;
mod today;

use actix_web::web::{self, ServiceConfig};

/// Adds the pages to an application of [`rollcall_api::app`].
pub fn configure(config: &mut ServiceConfig) {
    assets::configure(config);
    login::configure(config);
    today::configure(config);
    live::configure(config);
    config.default_service(web::to(page::nowhere));
}
