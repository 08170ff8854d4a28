//! What the project checks itself with: `cargo xtask test`, and what later joins it.

fn main() {}
