//! Everything the gateway says to others over HTTP: the portal, Firestore, terminals that must be
//! polled.
//!
//! Promises: each destination follows the ledger from a cursor of its own and knows of no other;
//! campus work never waits for any of them.
//!
//! Refuses: deciding what a record is. It carries what the ledger holds.
