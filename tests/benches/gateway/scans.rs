//! Scans, from the terminal's packet to its acknowledgement.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use rollcall_simulator::sample::Size;
use rollcall_tests::campus::Campus;
use rollcall_tests::gateway::{Gateway, Signal, rollcall};

use crate::figure::{Figure, median, millis, percentile, rate};
use crate::floor;
use crate::mosquitto::Mosquitto;
use crate::terminals::{Outcome, Sender, Terminals};
use crate::threads;

const CONNECTIONS: u64 = 50;
const IN_FLIGHT: u16 = 20;
const STUDENTS_OF_A_CLASS: u64 = 60;
const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(1);
const ROUND: Duration = Duration::from_secs(4);

/// Lone scans and their floor are taken in turns, so many at a time.
const LONE_ROUNDS: usize = 10;
const LONE: usize = 200;

/// A campus where every class has a terminal, and the gateway that runs it.
struct Bench {
    campus: Campus,
    gateway: Gateway,
}

impl Bench {
    fn start() -> Self {
        let campus = Campus::of(Size {
            sections: CONNECTIONS,
            students_of_a_section: STUDENTS_OF_A_CLASS,
            classes: CONNECTIONS,
            rooms: CONNECTIONS,
            teachers: CONNECTIONS,
        });
        let mut command = rollcall(campus.folder.path(), &["--config", "rollcall.toml"]);
        let gateway = Gateway::start(command.env_remove("ROLLCALL__MQTT__LISTEN"));
        Bench { campus, gateway }
    }

    fn senders<'a>(&'a self, at: &'a str, run: &'a str) -> Vec<Sender<'a>> {
        let devices = self.campus.devices.iter().zip(&self.campus.sample.rooms);
        let sender = devices.map(|((device, secret), room)| Sender {
            device: device.as_str(),
            secret,
            students: &room.students,
            at,
            run,
        });
        sender.collect()
    }

    /// Stops the gateway and holds what it acknowledged against its ledger.
    fn check(self, acknowledged: u64) -> Result<()> {
        self.gateway.signal(Signal::TERM);
        let (log, status) = self.gateway.end();
        ensure!(status.success(), "the gateway did not stop cleanly:\n{log}");
        let stored = self.campus.stored_scans();
        let count = u64::try_from(stored.len())?;
        let distinct: HashSet<String> = stored.into_iter().collect();
        ensure!(
            count == acknowledged && u64::try_from(distinct.len())? == count,
            "acknowledged {acknowledged}, in the ledger {count}, different {}",
            distinct.len()
        );
        Ok(())
    }
}

/// As many as the gateway takes, beside a broker that keeps nothing.
pub(crate) fn busy() -> Result<Vec<Figure>> {
    let bench = Bench::start();
    let (peer, at) = (Mosquitto::start()?, bench.campus.clock.now().to_string());
    let (mut ours, mut theirs, mut acknowledged) = (Vec::new(), Vec::new(), 0);
    let mut spent = String::new();
    for round in 0..ROUNDS {
        let run = format!("round{round}");
        let senders = bench.senders(&at, &run);
        let mut terminals = Terminals::sign_in(bench.campus.mqtt, &senders, IN_FLIGHT)?;
        terminals.flood(WARM_UP)?;
        let before = threads::spent(bench.gateway.process())?;
        let outcome = terminals.flood(ROUND)?;
        let after = threads::spent(bench.gateway.process())?;
        spent = threads::shares(&before, &after, outcome.took);
        acknowledged += terminals.acknowledged();
        ours.push(outcome.per_second());
        theirs.push(flooded(&peer, &senders)?.per_second());
    }
    bench.check(acknowledged)?;
    let (ours, theirs) = (median(ours), median(theirs));
    Ok(vec![Figure {
        what: "scans acknowledged, 50 connections x 20 in flight",
        measured: rate(ours),
        beside: format!("{}, keeping nothing: {}", Mosquitto::version()?, rate(theirs)),
        bar: format!("half of it: {}", rate(theirs / 2.0)),
        met: ours >= theirs / 2.0,
        notes: vec![
            format!("{acknowledged} scans were acknowledged under load; each is in the ledger once."),
            format!("Processor time of the gateway's threads under load, of one core: {spent}."),
        ],
    }])
}

fn flooded(peer: &Mosquitto, senders: &[Sender<'_>]) -> Result<Outcome> {
    let mut terminals = Terminals::sign_in(peer.address, senders, IN_FLIGHT)?;
    terminals.flood(WARM_UP)?;
    terminals.flood(ROUND)
}

/// One scan with nobody else there, beside the disk alone.
pub(crate) fn lone() -> Result<Vec<Figure>> {
    let bench = Bench::start();
    let at = bench.campus.clock.now().to_string();
    let senders = bench.senders(&at, "lone");
    let mut terminals = Terminals::sign_in(bench.campus.mqtt, &senders, 1)?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..LONE_ROUNDS {
        ours.extend(terminals.one_by_one(LONE)?);
        floor.extend(floor::synced_writes(bench.campus.folder.path(), LONE)?);
    }
    bench.check(terminals.acknowledged())?;
    ours.sort();
    floor.sort();
    let (p50, floor50) = (percentile(&ours, 50), percentile(&floor, 50));
    let bar = floor50 * 2 + Duration::from_micros(200);
    Ok(vec![Figure {
        what: "one scan alone, until it is acknowledged",
        measured: format!("p50 {}, p99 {}", millis(p50), millis(percentile(&ours, 99))),
        beside: format!("4 KiB + fdatasync: p50 {}, p99 {}", millis(floor50), millis(percentile(&floor, 99))),
        bar: format!("p50 within twice the floor + 0.2 ms: {}", millis(bar)),
        met: p50 <= bar,
        notes: vec![],
    }])
}
