//! Terminals that behave like the hardware: they keep every scan until it is acknowledged.
//!
//! Promises: what it counts as acknowledged was acknowledged by the gateway, so its report can be
//! held against the register, scan for scan.
//!
//! Refuses: shortcuts. It speaks only the protocols a real terminal speaks.
