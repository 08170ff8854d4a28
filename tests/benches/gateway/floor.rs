//! The least that "on disk" can cost: 4 KiB written and synced, on the gateway's own disk.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::fs::fdatasync;

use crate::stopwatch::now;

const PAGE: [u8; 4096] = [0x5a; 4096];

/// How long each of so many took, one after the other, over a file that has its size already.
pub(crate) fn synced_writes(folder: &Path, count: usize) -> Result<Vec<Duration>> {
    let path = folder.join("floor");
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = open.with_context(|| format!("cannot open {}", path.display()))?;
    file.write_all_at(&PAGE, 0)?;
    fdatasync(&file)?;
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let began = now();
        file.write_all_at(&PAGE, 0)?;
        fdatasync(&file)?;
        took.push(now().duration_since(began));
    }
    Ok(took)
}
