//! What a backup costs those who append meanwhile.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use rollcall_domain::moment::Moment;

use crate::figure::{Figure, median, millis, percentile};
use crate::stopwatch::now;
use crate::store::Bench;

/// Scans in the store.
const STORED: u64 = 500_000;
const BACKUPS: usize = 5;
/// Appends, one after the other, between two looks whether the backup goes on.
const SOME: usize = 10;
/// Nobody waits longer because of a backup.
const PAUSE: Duration = Duration::from_millis(50);

/// Appends while backups are made, and as many without, in turns.
pub(crate) fn backup() -> Result<Vec<Figure>> {
    let mut bench = Bench::new()?;
    bench.fill(STORED)?;
    let folder = tempfile::tempdir()?;
    let (mut during, mut without, mut lasted) = (Vec::new(), Vec::new(), Duration::ZERO);
    for number in 0..BACKUPS {
        let (store, target) = (bench.store(), folder.path().join(number.to_string()));
        let began = now();
        let backing_up = thread::spawn(move || store.backup(&target, Moment::default()));
        let mut took = Vec::new();
        while !backing_up.is_finished() {
            took.extend(bench.one_by_one(SOME)?);
        }
        lasted += now().duration_since(began);
        let made = backing_up.join().map_err(|_panic| anyhow!("the backup panicked"))??;
        ensure!(made.entries >= STORED, "only {} entries are in the backup", made.entries);
        without.push(bench.one_by_one(took.len())?);
        during.push(took);
    }
    let more = median(worsts(&during)).saturating_sub(median(worsts(&without)));
    Ok(vec![Figure {
        what: "one append at a time while a backup is made, half a million scans stored",
        measured: shown(&during),
        beside: format!("as many without one, in turns: {}", shown(&without)),
        bar: format!("the middle one of the worst at most {} more", millis(PAUSE)),
        met: more <= PAUSE,
        notes: vec![format!(
            "{BACKUPS} backups took {} each; {} scans were appended meanwhile.",
            millis(lasted / u32::try_from(BACKUPS)?),
            during.iter().map(Vec::len).sum::<usize>()
        )],
    }])
}

/// The longest of each round. What a backup does it does every time; a busy neighbour comes and goes.
fn worsts(rounds: &[Vec<Duration>]) -> Vec<Duration> {
    rounds.iter().filter_map(|took| took.iter().max().copied()).collect()
}

fn shown(rounds: &[Vec<Duration>]) -> String {
    let mut all = rounds.concat();
    all.sort();
    let worsts: Vec<String> = worsts(rounds).into_iter().map(millis).collect();
    let (p50, p99) = (percentile(&all, 50), percentile(&all, 99));
    format!("p50 {}, p99 {}, worst of each {}", millis(p50), millis(p99), worsts.join(", "))
}
