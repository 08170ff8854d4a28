//! What a backup costs those who append meanwhile.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use rollcall_domain::moment::Moment;

use crate::figure::{Figure, millis, percentile};
use crate::stopwatch::now;
use crate::store::Bench;

/// Scans in the store.
const STORED: u64 = 500_000;
/// Each side is measured for so long, so that what the store does every few seconds happens to both.
const LONG_ENOUGH: Duration = Duration::from_secs(15);
/// Appends, one after the other, between two looks at the clock.
const SOME: usize = 10;
/// Nobody waits longer because of a backup.
const PAUSE: Duration = Duration::from_millis(50);

/// What was appended on one side.
#[derive(Default)]
struct Side {
    took: Vec<Duration>,
    lasted: Duration,
    rounds: u32,
}

/// Appends while backups are made, and for as long without, in turns.
pub(crate) fn backup() -> Result<Vec<Figure>> {
    let mut bench = Bench::new()?;
    bench.fill(STORED)?;
    let folder = tempfile::tempdir()?;
    let (mut during, mut without) = (Side::default(), Side::default());
    while during.lasted < LONG_ENOUGH {
        let (store, target) = (bench.store(), folder.path().join("backup"));
        let written = target.clone();
        let began = now();
        let backing_up = thread::spawn(move || store.backup(&written, Moment::default()));
        while !backing_up.is_finished() {
            during.took.extend(bench.one_by_one(SOME)?);
        }
        let round = now().duration_since(began);
        let made = backing_up.join().map_err(|_panic| anyhow!("the backup panicked"))??;
        ensure!(made.entries >= STORED, "only {} entries are in the backup", made.entries);
        std::fs::remove_file(target)?;
        (during.lasted, during.rounds) = (during.lasted + round, during.rounds + 1);

        let began = now();
        while now().duration_since(began) < round {
            without.took.extend(bench.one_by_one(SOME)?);
        }
        (without.lasted, without.rounds) = (without.lasted + round, without.rounds + 1);
    }
    let (worst, other) = (during.worst()?, without.worst()?);
    Ok(vec![Figure {
        what: "one append at a time while backups are made, half a million scans stored",
        measured: during.shown(),
        beside: format!("for as long without, in turns: {}", without.shown()),
        bar: format!("the worst of all at most {}", millis(PAUSE)),
        met: worst <= PAUSE,
        notes: vec![format!(
            "{} backups took {} each; without one, the machine alone held an append up for {}.",
            during.rounds,
            millis(during.lasted / during.rounds.max(1)),
            millis(other)
        )],
    }])
}

impl Side {
    fn worst(&self) -> Result<Duration> {
        self.took.iter().max().copied().context("nothing was appended")
    }

    fn shown(&self) -> String {
        let mut all = self.took.clone();
        all.sort();
        let [p50, p99, worst] = [50, 99, 100].map(|percent| millis(percentile(&all, percent)));
        format!("p50 {p50}, p99 {p99}, worst {worst}, of {}", all.len())
    }
}
