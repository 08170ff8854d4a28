//! State over time: one actor per live session, their supervisor, the scheduler, device presence.
//!
//! Promises: bounded mailboxes everywhere; an actor that dies comes back from the ledger with the
//! scans in flight re-sent to it; what is decided is kept apart from what is committed.
//!
//! Refuses: rules. An actor asks `rollcall_domain` what a scan means and carries out the answer.
