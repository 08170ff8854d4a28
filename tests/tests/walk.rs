//! Promise: a scan at a door is on the teacher's screen without a reload and at the portal exactly once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rollcall_domain::scan::Status;
use rollcall_simulator::trickle::Arrival;
use rollcall_simulator::{Fleet, Plan, Work};
use rollcall_tests::browser::Browser;
use rollcall_tests::campus::Campus;
use rollcall_tests::gateway::{Gateway, Signal, rollcall};
use rollcall_tests::portal::Portal;
use serde_json::Value;

fn start(campus: &Campus, portal: &Portal) -> Gateway {
    let url = portal.url();
    campus.set(&format!("[upstream.portal]\nurl = \"{url}\"\nmode = \"single\"\ninterval_seconds = 1\n"));
    let mut command = rollcall(campus.folder.path(), &["--config", "rollcall.toml"]);
    Gateway::start(command.env_remove("ROLLCALL__MQTT__LISTEN"))
}

/// These people at the door of the first room, one after the other.
fn plan(campus: &Campus, people: &[&str]) -> Plan {
    let arrive =
        |student: &&str| Arrival { after: Duration::ZERO, terminal: 0, student: (*student).to_owned() };
    Plan {
        url: format!("mqtt://{}", campus.mqtt),
        devices: campus.devices.clone(),
        work: Work::Script(people.iter().map(arrive).collect()),
        in_flight: 1,
        patience: Duration::from_secs(20),
        run: "walk".to_owned(),
        seed: 1,
    }
}

fn set(students: &[String]) -> BTreeSet<String> {
    students.iter().cloned().collect()
}

/// Whoever has this mark, as the page says.
fn shown(browser: &Browser, mark: &str) -> BTreeSet<String> {
    browser.texts(&format!("#lines .line[data-mark={mark}] .code")).into_iter().collect()
}

/// Whoever has this mark, as the portal was told.
fn told(bodies: &[Value], mark: &str) -> BTreeSet<String> {
    let field = |body: &Value, name: &str| body.get(name).and_then(Value::as_str).unwrap().to_owned();
    let marked = bodies.iter().filter(|body| field(body, "mark") == mark);
    marked.map(|body| field(body, "admission_number")).collect()
}

/// How often the portal was told each version of each record.
fn times(bodies: &[Value]) -> BTreeMap<(String, u64), u32> {
    let mut times = BTreeMap::new();
    for body in bodies {
        let record = body.get("record_id").and_then(Value::as_str).unwrap().to_owned();
        let version = body.get("version").and_then(Value::as_u64).unwrap();
        *times.entry((record, version)).or_default() += 1;
    }
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_scan_walks_from_the_terminal_to_the_screen_and_the_portal() {
    let (campus, portal) = (Campus::new(), Portal::start());
    let gateway = start(&campus, &portal);
    let browser = Browser::start();
    browser.open_the_session(gateway.http());
    browser.find("//*[@data-count='not_yet'][.='36']");
    // Gone with the page, should it be loaded again.
    browser.run("window.isStillThere = true");

    let class = &campus.sample.rooms.first().unwrap().students;
    let (here, away) = class.split_at(2);
    let [first, second] = here else { panic!("a class of fewer than two") };
    let fleet = Fleet::start(plan(&campus, &[first, "nobody", second]), Arc::clone(&campus.clock)).unwrap();
    let report = fleet.report().await;
    assert_eq!(report.acknowledged, 3, "{report:?}");
    assert_eq!(report.results.get(&Status::Unmatched), Some(&1), "{report:?}");

    browser.find("//*[@id='here'][.='2']");
    assert_eq!(shown(&browser, "present"), set(here));
    browser.find("//*[@data-count='not_yet'][.='34']");
    assert_eq!(browser.run("return window.isStillThere"), true, "the page was loaded again");
    let mut bodies = portal.take(here.len());
    assert_eq!(told(&bodies, "present"), set(here));

    browser.click("details.confirm summary");
    browser.click("details.confirm form button");
    browser.find("#status[data-status=closed]");
    browser.find("//*[@data-count='absent'][.='34']");
    assert_eq!(shown(&browser, "present"), set(here));
    assert_eq!(shown(&browser, "absent"), set(away));

    bodies.extend(portal.take(away.len()));
    let status = gateway.get("/api/status");
    for part in ["database", "mqtt", "portal"] {
        assert!(status.contains(&format!("\"{part}\":\"connected\"")), "{status}");
    }
    assert!(gateway.get("/readyz").starts_with("HTTP/1.1 200"));
    let metrics = gateway.get("/metrics");
    let counted = "rollcall_scans_total{outcome=\"accepted\",source=\"device\"} 2";
    assert!(metrics.contains(counted) && metrics.contains("rollcall_commit_seconds_count"), "{metrics}");
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.end().1.code(), Some(0));
    bodies.extend(portal.rest());
    assert_eq!(told(&bodies, "present"), set(here));
    assert_eq!(told(&bodies, "absent"), set(away));
    assert_eq!(bodies.len(), class.len(), "a mark that nobody made");
    let times = times(&bodies);
    assert!(times.len() == class.len() && times.values().all(|times| *times == 1), "{times:?}");
}
