//! What is true of attendance, and nothing else.
//!
//! Promises: every rule of the gateway is here once, as a pure function of its arguments. Time,
//! nonces and random bytes are handed in; time-zone data is compiled in; so the same call gives the
//! same answer on every machine, in a test, and in ten years.
//!
//! Refuses: files, sockets, clocks, randomness, threads, and the name of any technology that stores
//! or carries what is decided here.
//!
//! How to read it, from the words to the decisions:
//!
//! | modules | answer |
//! |---|---|
//! | [`ids`], [`moment`], [`code`] | what things and times are called |
//! | [`people`], [`campus`], [`roster`], [`timetable`] | who and what there is, and when classes meet |
//! | [`office`] | what people asked for and set |
//! | [`mark`], [`record`], [`session`] | what one student's mark is, and what one meeting holds |
//! | [`scan`], [`matching`], [`clock_offset`] | what a device claims, about whom, for which meeting, when |
//! | [`decide`] | what a scan, a person, a leave or the clock does to a meeting |
//! | [`permission`] | who may do what, in which state |
//! | [`percentage`], [`numbering`], [`qr`] | the figures, the numbers, the tokens |
//! | [`event`], [`state`], [`parts`] | what the ledger holds, the one fold over it, and how its result is kept |
//! | [`ports`] | what rooms offer each other without naming each other |
//!
//! Every decision has one shape: a function looks at the state and answers with events or with a
//! [`Refusal`]; only [`state::State::apply`] and the parts it calls change anything.

pub mod campus;
pub mod clock_offset;
pub mod code;
pub mod decide;
pub mod dependents;
mod device;
pub mod event;
pub mod ids;
pub mod mark;
pub mod matching;
pub mod moment;
pub mod numbering;
pub mod office;
pub mod parts;
pub mod people;
pub mod percentage;
pub mod permission;
pub mod policy;
pub mod ports;
pub mod qr;
pub mod record;
pub mod refusal;
pub mod requests;
pub mod roster;
pub mod scan;
pub mod session;
pub mod state;
pub mod timetable;

pub use refusal::Refusal;
