//! What is on disk: the ledger, the people register, the views that follow them, the evidence.
//!
//! Promises: an append that was answered survives a power cut and is counted once; everything read
//! by screens and reports is a pure function of the ledger and can be deleted and rebuilt.
//!
//! Refuses: rules. What an event does to the state is `rollcall_domain`'s one fold. This is the only
//! room that names the storage engine.
