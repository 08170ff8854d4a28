//! The gateway's binary: command line, wiring, lifecycle, telemetry, the real clock. No rules.

fn main() {}
