//! Typed settings: defaults, then the TOML file, then the environment; validated once.
//!
//! Promises: every mistake is reported in one go, each with its key, its line and what to write
//! instead; a value that was accepted needs no further checking anywhere.
//!
//! Refuses: reading settings after the start, and printing secrets.
