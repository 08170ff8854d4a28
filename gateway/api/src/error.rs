//! What keeps the API from starting.
//!
//! Promises: facts as fields, so that whoever starts the gateway can say what is the matter.
//!
//! Refuses: refusals. A request that is turned down is answered with a [`crate::Problem`].

use thiserror::Error;

#[derive(Debug, Error)]
pub enum ApiError {
    #[error("cannot hash a password: {0}")]
    Password(argon2::password_hash::Error),
    #[error("cannot sign tokens: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
    #[error("cannot set up metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}
