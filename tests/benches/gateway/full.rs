//! A store with much in it: how fast it takes more, how soon a gateway on it is ready, what that keeps in
//! memory.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rollcall_tests::gateway::{Gateway, Signal, rollcall};
use rustix::process::{getpid, kill_process};

use crate::figure::{Figure, median, millis, rate};
use crate::stopwatch::now;
use crate::store::{Bench, KEY};

/// Scans in the store, of two events more for each session.
const MANY: u64 = 10_000_000;
const MILLION: u64 = 1_000_000;
const STARTS: usize = 5;
const READY_WITHIN: Duration = Duration::from_secs(1);
const IDLE_MIB: u64 = 64;
/// After so long a gateway that nobody asks for anything is idle.
const IDLE: Duration = Duration::from_secs(5);
/// What makes this program fill a store and kill itself.
pub(crate) const FILL: &str = "--fill-and-die";

/// Appends with few and with many waiters, to an empty store and then with ten million scans in it.
pub(crate) fn full() -> Result<Vec<Figure>> {
    let mut bench = Bench::new()?;
    let empty = [bench.rate(64)?, bench.rate(1_024)?];
    bench.fill(MANY)?;
    let full = [bench.rate(64)?, bench.rate(1_024)?];
    let names = ["64 waiters, 10 million scans stored", "1,024 waiters, 10 million scans stored"];
    let figures = names.into_iter().zip(empty.into_iter().zip(full));
    Ok(figures
        .map(|(what, (empty, full))| Figure {
            what,
            measured: rate(full),
            beside: format!("nothing stored: {}", rate(empty)),
            bar: format!("70 % of that: {}", rate(empty * 0.7)),
            met: full >= empty * 0.7,
            notes: vec![],
        })
        .collect())
}

/// A gateway on a store of a million scans whose last owner was killed.
pub(crate) fn ready() -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    fs::create_dir(&data)?;
    fs::set_permissions(&data, Permissions::from_mode(0o700))?;
    let filled = Command::new(std::env::current_exe()?).arg(FILL).arg(&data).status()?;
    ensure!(filled.code().is_none(), "the store was not filled: {filled}");
    let key = folder.path().join("rollcall.key");
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key)?.write_all(&KEY)?;
    fs::write(folder.path().join("rollcall.toml"), format!("[store]\nkey_file = {key:?}\n"))?;

    let (mut took, mut idle) = (Vec::new(), 0);
    for start in 0..STARTS {
        // Which builds it, if need be.
        let mut command = rollcall(folder.path(), &["--config", "rollcall.toml"]);
        let began = now();
        let gateway = Gateway::start(&mut command);
        let ready = gateway.get("/readyz");
        took.push(now().duration_since(began));
        ensure!(ready.starts_with("HTTP/1.1 200"), "not ready: {ready}");
        if start + 1 == STARTS {
            let (_sender, nothing) = channel::<()>();
            nothing.recv_timeout(IDLE).ok();
            idle = resident_mib(gateway.process())?;
        }
        gateway.signal(Signal::KILL);
        gateway.end();
    }
    let first = took.first().copied().unwrap_or_default();
    let (middle, worst) = (median(took.clone()), took.into_iter().max().unwrap_or_default());
    Ok(vec![
        Figure {
            what: "from kill -9 to ready, a million scans stored",
            measured: format!("{}, the first {}, the worst {}", millis(middle), millis(first), millis(worst)),
            beside: "the whole process, from its start to a 200 of /readyz".to_owned(),
            bar: millis(READY_WITHIN),
            met: worst <= READY_WITHIN,
            notes: vec![],
        },
        Figure {
            what: "memory of that gateway when it is idle",
            measured: format!("{idle} MiB"),
            beside: "resident set of the process".to_owned(),
            bar: format!("{IDLE_MIB} MiB"),
            met: idle < IDLE_MIB,
            notes: vec![],
        },
    ])
}

/// Fills a store in `folder` and ends as a killed process does: in the middle of it.
pub(crate) fn fill_and_die(folder: &Path) -> Result<bool> {
    let mut bench = Bench::in_folder(folder)?;
    bench.fill(MILLION)?;
    bench.go_on()?;
    kill_process(getpid(), Signal::KILL)?;
    Ok(false)
}

fn resident_mib(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no resident set is told")?;
    Ok(kib.parse::<u64>()? >> 10)
}
