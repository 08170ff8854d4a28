//! State over time: one actor per live session, their supervisor, the scheduler, device presence.
//!
//! Promises: bounded mailboxes everywhere; an actor that dies comes back from the ledger with the
//! scans in flight re-sent to it; what is decided is kept apart from what is committed.
//!
//! Refuses: rules. An actor asks `rollcall_domain` what a scan means and carries out the answer.
//!
//! The way of a scan: [`Intake`] gives it one of a limited number of places, the [`Supervisor`] asks the
//! domain whom it means and where it belongs, the session's actor decides and appends, and when the ledger
//! has committed, whoever brought it is answered and whoever watches is told.

mod house;
mod idle;
mod intake;
mod messages;
mod names;
mod repeats;
mod reused;
mod session;
mod supervisor;
mod ticket;
mod watchers;

pub use intake::Intake;
pub use messages::{Command, CommandError, CommandResult, Counts, Deed, Delta, Frame, Row, Snapshot, Watch};
pub use supervisor::Supervisor;
pub use ticket::OnAnswer;

/// Scans that may be between their arrival and their answer. Less than the store's queue holds, so that
/// nothing on the way can run over.
const IN_FLIGHT: usize = 8_192;
