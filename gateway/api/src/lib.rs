//! HTTP and WebSocket for programs and pages: REST, OpenAPI, sign-in, permissions, limits.
//!
//! Promises: every answer that changed something is given after it is on disk and readable; every
//! refusal carries a code and says what to do.
//!
//! Refuses: rules of attendance. It asks the domain and carries out the answer. Listening: whoever owns
//! the process hands [`app`] to a server.
//!
//! How to read it:
//!
//! | modules | answer |
//! |---|---|
//! | [`handles`], [`app`](app()), `deadline` | what the API is given, how its routes hang together, and how long a request may take |
//! | [`problem`], [`error`] | how a request is refused; what keeps the API from starting |
//! | [`sign_in`] | who asks |
//! | [`access`] | what of the campus they reach |
//! | [`sessions`] | meetings and marks |
//! | `ws` | what watching screens are told |
//! | [`metrics`], `health` | how the gateway is |

pub mod access;
mod app;
mod deadline;
pub mod error;
pub mod handles;
mod health;
pub mod metrics;
mod object;
pub mod problem;
pub mod sessions;
pub mod sign_in;
mod ws;

pub use app::{app, at};
pub use error::ApiError;
pub use handles::{Api, Handles, Options};
pub use metrics::Metrics;
pub use problem::Problem;
pub use sign_in::passwords::hash_password;
