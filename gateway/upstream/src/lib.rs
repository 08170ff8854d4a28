//! Everything the gateway says to others over HTTP: the portal, Firestore, terminals that must be
//! polled.
//!
//! Promises: each destination follows the ledger from a cursor of its own and knows of no other;
//! campus work never waits for any of them.
//!
//! Refuses: deciding what a record is. It carries what the ledger holds.
//!
//! The way of a mark: an entry of the ledger touches a record -> the record as it stands *now* is sent,
//! under a key of its id and version -> the answer is an [`Outcome`] -> what was delivered or refused
//! goes back into the ledger as a receipt. The cursor and the versions that were dealt with are read
//! from those receipts again at the next start, so a restart goes on where it was.

mod backoff;
mod error;
mod outcome;
mod parcel;
mod portal;
mod receipts;
mod sender;

pub use backoff::Backoff;
pub use error::UpstreamError;
pub use outcome::{Answer, Outcome};
pub use parcel::Campus;
pub use portal::{Portal, PortalSettings};
pub use sender::{Sender, State, Status, run};
