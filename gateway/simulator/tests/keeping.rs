//! A terminal keeps every scan until it is acknowledged, and says truly which were.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use common::{Answer, Broker, Still};
use rollcall_domain::ids::DeviceId;
use rollcall_domain::scan::Status;
use rollcall_simulator::trickle::{Trickle, schedule};
use rollcall_simulator::{Fleet, Load, Plan, Report, Until, Work};

fn plan(url: &str, terminals: usize, each: u64) -> Plan {
    let load =
        Load { students: vec!["S-1".to_owned(), "S-2".to_owned()], rate: None, until: Until::Each(each) };
    Plan {
        url: url.to_owned(),
        devices: (0..terminals).map(|n| (DeviceId::parse(&format!("t-{n}")).unwrap(), "x".into())).collect(),
        work: Work::Load(load),
        in_flight: 7,
        patience: Duration::from_secs(60),
        run: "test".to_owned(),
        seed: 1,
    }
}

async fn run(plan: Plan) -> Report {
    Fleet::start(plan, Arc::new(Still::default())).unwrap().report().await
}

async fn acknowledged(fleet: &Fleet, count: u64) {
    let progress = fleet.progress();
    while progress.acknowledged() < count {
        tokio::task::yield_now().await;
    }
}

fn ids<'a>(ids: impl Iterator<Item = (&'a DeviceId, String)>) -> BTreeSet<String> {
    ids.map(|(_, id)| id).collect()
}

/// The ids in what the broker has seen, for which `wanted` holds.
fn seen(broker: &Broker, wanted: impl Fn(&common::Counts) -> bool) -> BTreeSet<String> {
    let scans = broker.seen().scans;
    let wanted = scans.iter().filter(|(_, counts)| wanted(counts)).map(|((_, payload), _)| {
        let scan: serde_json::Value = serde_json::from_str(payload).unwrap();
        scan.get("id").unwrap().as_str().unwrap().to_owned()
    });
    wanted.collect()
}

#[tokio::test]
async fn every_scan_is_acknowledged_once_over_a_good_connection() {
    let broker = Broker::start(|_| Answer::Acknowledge, true).await;
    let report = run(plan(&broker.url, 3, 50)).await;
    assert_eq!((report.sent, report.acknowledged, report.sent_again), (150, 150, 0));
    assert_eq!(report.results, [(Status::Accepted, 150)].into());
    assert_eq!(ids(report.acknowledged_ids()), seen(&broker, |counts| counts.acknowledged == 1));
    assert!(report.errors.is_empty());
}

#[tokio::test]
async fn what_was_under_way_when_the_connection_broke_is_sent_again_with_the_same_id_and_bytes() {
    // Hanging up also loses the acknowledgements that were not written yet.
    let hang_up = |nth| if nth % 11 == 0 { Answer::HangUp } else { Answer::Acknowledge };
    let broker = Broker::start(hang_up, true).await;
    let report = run(plan(&broker.url, 2, 60)).await;
    assert_eq!((report.sent, report.acknowledged), (120, 120));
    let told = broker.seen();
    // One entry a scan, by topic and payload: sent again means the same bytes again.
    assert_eq!(told.scans.len(), 120);
    assert!(report.sent_again > 0 && told.marked_as_sent_before > 0);
    assert!(report.connections > 2 && told.connections == report.connections);
    assert_eq!(ids(report.acknowledged_ids()), seen(&broker, |counts| counts.acknowledged > 0));
}

#[tokio::test]
async fn what_is_never_acknowledged_is_reported_by_its_id() {
    let broker = Broker::start(|nth| if nth == 2 { Answer::Forget } else { Answer::Acknowledge }, true).await;
    let clock = Arc::new(Still::default());
    let fleet = Fleet::start(plan(&broker.url, 1, 5), Arc::clone(&clock) as _).unwrap();
    acknowledged(&fleet, 4).await;
    clock.set(Duration::from_secs(61));
    let report = fleet.report().await;
    assert_eq!((report.sent, report.acknowledged), (5, 4));
    assert_eq!(ids(report.unacknowledged_ids()), ["test-0-1".to_owned()].into());
    assert_eq!(ids(report.acknowledged_ids()), seen(&broker, |counts| counts.acknowledged > 0));
}

#[tokio::test]
async fn a_refused_sign_in_ends_with_its_reason_when_patience_does() {
    let broker = Broker::start(|_| Answer::Acknowledge, false).await;
    let report = run(Plan { patience: Duration::ZERO, ..plan(&broker.url, 1, 5) }).await;
    assert_eq!((report.sent, report.connections), (0, 0));
    let said: Vec<&String> = report.errors.values().collect();
    assert!(said[0].contains("refused the sign-in (BadUserNamePassword)"), "{said:?}");
}

#[tokio::test]
async fn stopping_a_run_gives_a_report_of_what_was_done() {
    let broker = Broker::start(|nth| if nth > 20 { Answer::Forget } else { Answer::Acknowledge }, true).await;
    let fleet = Fleet::start(plan(&broker.url, 1, 1_000), Arc::new(Still::default())).unwrap();
    acknowledged(&fleet, 20).await;
    fleet.stop();
    let report = fleet.report().await;
    assert_eq!(report.acknowledged, 20);
    assert!((20..=27).contains(&report.sent), "{}", report.sent);
}

#[tokio::test]
async fn a_class_that_trickles_in_is_played_to_its_end() {
    let trickle = Trickle {
        students: (0..30).map(|n| format!("S-{n}")).collect(),
        terminals: vec![0, 1],
        over: Duration::from_millis(20),
        late_from: Duration::from_millis(30),
        late_percent: 20,
        repeated_percent: 0,
        unknown_percent: 10,
    };
    let arrivals = schedule(3, &trickle);
    let count = u64::try_from(arrivals.len()).unwrap();
    let broker = Broker::start(|_| Answer::Acknowledge, true).await;
    let clock = Arc::new(Still::default());
    let plan = Plan { work: Work::Script(arrivals), ..plan(&broker.url, 2, 0) };
    let fleet = Fleet::start(plan, Arc::clone(&clock) as _).unwrap();
    clock.set(Duration::from_secs(1));
    let report = fleet.report().await;
    assert_eq!((report.sent, report.acknowledged), (count, count));
}
