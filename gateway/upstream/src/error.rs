//! What keeps a destination from being served at all; what a destination answers is an [`Outcome`].
//!
//! [`Outcome`]: crate::Outcome

use rollcall_store::StoreError;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum UpstreamError {
    #[error("cannot prepare for talking to the portal: {0}")]
    Client(reqwest::Error),
    #[error("the token for the portal has characters that no header may have; copy it again")]
    Token,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the ledger does not take receipts now; trying again")]
    NotWritten,
    #[error("reading the ledger was interrupted; trying again")]
    Interrupted,
}
