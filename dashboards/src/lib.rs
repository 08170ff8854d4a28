//! What people look at: server-rendered pages and the small modules of script beside them.
//!
//! Promises: nothing is fetched from outside the box; every page works with a keyboard, on a phone
//! and on a projector; numbers shown are committed numbers.
//!
//! Refuses: rules and storage. Pages show what the API and the views answer.
