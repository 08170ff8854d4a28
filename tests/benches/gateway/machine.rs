//! What the figures were measured on.

use std::fs::read_to_string;
use std::thread::available_parallelism;

use anyhow::{Context as _, Result};

pub(crate) fn facts() -> Result<String> {
    let cores = available_parallelism().context("cannot count the cores")?;
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").and_then(|text| kibibytes(&text));
    let memory = memory.map_or("unknown".to_owned(), |kib| format!("{} GiB", kib >> 20));
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Ok(format!("{cores} cores of {model}, {memory} of memory, Linux {}", kernel.trim()))
}

/// The value of the first line with this name.
fn field(path: &str, name: &str) -> Option<String> {
    let text = read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn kibibytes(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
