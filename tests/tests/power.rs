//! Promise: a scan that was acknowledged is on disk and counted once, whatever becomes of the process.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and says how to repeat it"
)]

use std::collections::BTreeSet;
use std::future::pending;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rollcall_simulator::{Fleet, Load, Plan, Progress, Report, Until, Work};
use rollcall_tests::campus::Campus;
use rollcall_tests::gateway::{Gateway, Signal, Started, rollcall};
use rollcall_tests::random::Random;
use tokio::time::timeout;

/// In the test command; `ROLLCALL_KILLS` asks for more.
const KILLS: u64 = 100;
/// Kills that the terminals of one run live through, at most.
const KILLS_EACH: u64 = 3;
/// Scans that one terminal has to bring in one run.
const EACH: u64 = 45;
/// The views are made anew and compared after every so many kills.
const VIEWS_EVERY: u64 = 10;
/// Of a hundred kills, how many come before the gateway is ready.
const EARLY: u64 = 25;
/// In about so many milliseconds a gateway is ready.
const START: u64 = 150;
/// In so many milliseconds there are some commits.
const COMMITS: u64 = 4;
/// Far longer than anything takes when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// A number from outside, which asks for more kills or for the same ones again.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap())
}

/// One campus, and what must be true of it.
struct Life {
    campus: Campus,
    random: Random,
    seed: u64,
    kills: u64,
    /// Kills of a gateway that was ready.
    ready: u64,
    /// Those of them before which not everything was acknowledged.
    at_work: u64,
    runs: u64,
    /// Scans that were found stored.
    stored: BTreeSet<String>,
    /// Those that must be.
    acknowledged: BTreeSet<String>,
}

impl Drop for Life {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("after {} kills; the moments repeat with ROLLCALL_SEED={}", self.kills, self.seed);
        }
    }
}

impl Life {
    fn new(seed: u64) -> Self {
        let (campus, random) = (Campus::new(), Random::new(seed));
        let (stored, acknowledged) = Default::default();
        Life { campus, random, seed, kills: 0, ready: 0, at_work: 0, runs: 0, stored, acknowledged }
    }

    /// Terminals with work that they have not begun yet.
    fn fleet(&mut self) -> Fleet {
        self.runs += 1;
        let students = self.campus.sample.rooms.iter().flat_map(|room| room.students.clone()).collect();
        let plan = Plan {
            url: format!("mqtt://{}", self.campus.mqtt),
            devices: self.campus.devices.clone(),
            work: Work::Load(Load { students, rate: None, until: Until::Each(EACH) }),
            in_flight: 20,
            patience: PATIENCE,
            run: self.run(),
            seed: self.runs,
        };
        Fleet::start(plan, Arc::clone(&self.campus.clock)).unwrap()
    }

    /// The ids of its scans begin so.
    fn run(&self) -> String {
        format!("run{}", self.runs)
    }

    /// How many scans a run brings.
    fn all(&self) -> u64 {
        EACH * u64::try_from(self.campus.devices.len()).unwrap()
    }

    /// Kills the gateway before it is ready, or some time after; then looks at what it left.
    async fn kill(&mut self, progress: &Progress) {
        if self.random.chance(EARLY) {
            let starting = Started::spawn(&mut command(&self.campus));
            moment(self.random.below(START)).await;
            drop(starting);
        } else {
            let gateway = Gateway::start(&mut command(&self.campus));
            let left = self.all() - progress.acknowledged();
            acknowledged(progress, self.all() - self.random.below(left.max(1))).await;
            moment(self.random.below(COMMITS)).await;
            gateway.signal(Signal::KILL);
            self.ready += 1;
            self.at_work += u64::from(progress.acknowledged() < self.all());
            gateway.end();
        }
        self.kills += 1;
        self.look(progress);
    }

    /// What was acknowledged is on disk, everything once, and nothing is gone that was there before.
    fn look(&mut self, progress: &Progress) {
        let acknowledged = usize::try_from(progress.acknowledged()).unwrap();
        let with_views = self.kills.is_multiple_of(VIEWS_EVERY);
        let campus = &self.campus;
        let ids = if with_views { campus.stored_scans_with_views() } else { campus.stored_scans() };
        let count = ids.len();
        let stored: BTreeSet<String> = ids.into_iter().collect();
        assert_eq!(stored.len(), count, "a scan is stored twice");
        let run = format!("{}-", self.run());
        let of_run = stored.iter().filter(|id| id.starts_with(&run)).count();
        assert!(of_run >= acknowledged, "{acknowledged} were acknowledged, {of_run} are stored");
        assert!(stored.is_superset(&self.stored), "a scan is gone that was stored");
        self.stored = stored;
    }

    /// Nobody sends any more.
    fn over(&mut self, report: &Report) {
        let acknowledged = report.acknowledged_ids().map(|(_, id)| id);
        self.acknowledged.extend(acknowledged);
        let lost: Vec<_> = self.acknowledged.difference(&self.stored).collect();
        assert!(lost.is_empty(), "acknowledged and not stored: {lost:?}");
    }
}

fn command(campus: &Campus) -> Command {
    let mut command = rollcall(campus.folder.path(), &["--config", "rollcall.toml"]);
    command.env_remove("ROLLCALL__MQTT__LISTEN");
    command
}

/// Returns once so many scans are acknowledged.
async fn acknowledged(progress: &Progress, count: u64) {
    let enough = async {
        let mut look = tokio::time::interval(Duration::from_millis(1));
        while progress.acknowledged() < count {
            look.tick().await;
        }
    };
    let acknowledged = timeout(PATIENCE, enough).await;
    assert!(acknowledged.is_ok(), "{} of {count} are acknowledged", progress.acknowledged());
}

/// Here the time itself is what matters: a moment like any other.
async fn moment(millis: u64) {
    timeout(Duration::from_millis(millis), pending::<()>()).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_every_acknowledged_scan_is_there_once_and_the_rest_arrives() {
    let kills = number("ROLLCALL_KILLS").unwrap_or(KILLS);
    let mut life = Life::new(number("ROLLCALL_SEED").unwrap_or(1));
    while life.kills < kills {
        let fleet = life.fleet();
        let progress = fleet.progress();
        for _ in 0..=life.random.below(KILLS_EACH).min(kills - life.kills - 1) {
            life.kill(&progress).await;
        }
        if life.kills == kills || life.random.chance(30) {
            let gateway = Gateway::start(&mut command(&life.campus));
            acknowledged(&progress, life.all()).await;
            gateway.signal(Signal::TERM);
            assert_eq!(gateway.end().1.code(), Some(0));
            life.look(&progress);
        }
        fleet.stop();
        life.over(&fleet.report().await);
    }
    life.campus.stored_scans_with_views();
    let Life { kills, ready, at_work, seed, .. } = &life;
    eprintln!(
        "{kills} kills, {at_work} of {ready} while scans were coming, {} scans stored; seed {seed}",
        life.stored.len()
    );
    assert!(at_work * 2 >= *ready, "too many kills found a gateway with nothing to do");
}
