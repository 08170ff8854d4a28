//! Promise: terminals that go on through kills of the gateway bring all they have, and nothing else is stored.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rollcall_simulator::{Fleet, Load, Plan, Progress, Until, Work};
use rollcall_tests::campus::Campus;
use rollcall_tests::gateway::{Gateway, Signal, rollcall};

const EACH: u64 = 2_000;

fn start(campus: &Campus) -> Gateway {
    let mut command = rollcall(campus.folder.path(), &["--config", "rollcall.toml"]);
    Gateway::start(command.env_remove("ROLLCALL__MQTT__LISTEN"))
}

fn plan(campus: &Campus) -> Plan {
    let students = campus.sample.rooms.iter().flat_map(|room| room.students.clone()).collect();
    Plan {
        url: format!("mqtt://{}", campus.mqtt),
        devices: campus.devices.clone(),
        work: Work::Load(Load { students, rate: None, until: Until::Each(EACH) }),
        in_flight: 20,
        patience: Duration::from_secs(60),
        run: "power".to_owned(),
        seed: 1,
    }
}

/// Returns once so many scans are acknowledged.
async fn acknowledged(progress: &Arc<Progress>, count: u64) {
    let mut look = tokio::time::interval(Duration::from_millis(1));
    while progress.acknowledged() < count {
        look.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminals_that_live_through_kills_bring_every_scan_once_and_nothing_else_is_stored() {
    let campus = Campus::new();
    let all = EACH * u64::try_from(campus.devices.len()).unwrap();
    let mut gateway = start(&campus);
    let fleet = Fleet::start(plan(&campus), Arc::clone(&campus.clock)).unwrap();
    let progress = fleet.progress();
    for part in 1..=3 {
        acknowledged(&progress, all * part / 5).await;
        gateway.signal(Signal::KILL);
        gateway.end();
        gateway = start(&campus);
    }
    let report = fleet.report().await;
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.end().1.code(), Some(0));

    assert_eq!(report.acknowledged, all, "{report:?}");
    assert!(report.connections > u64::try_from(campus.devices.len()).unwrap(), "nobody noticed the kills");
    let mut stored: BTreeMap<String, u32> = BTreeMap::new();
    for id in campus.stored_scans() {
        *stored.entry(id).or_default() += 1;
    }
    for (_, id) in report.acknowledged_ids() {
        assert_eq!(stored.remove(&id), Some(1), "{id}");
    }
    assert_eq!(stored, BTreeMap::new(), "stored, but never sent");
}
