//! Whatever is refused is refused in one form, and the gateway says how it is.

mod common;

use std::time::Duration;

use common::client::{self, request};
use common::{ADAS_SESSION, PASSWORD, with_disk, with_gateway, with_options};
use rollcall_api::Options;
use rollcall_domain::ports::Health;
use serde_json::json;

fn no_pages(_: &mut actix_web::web::ServiceConfig) {}

#[test]
fn unknown_routes_wrong_methods_and_bad_bodies_are_problems_too() {
    with_gateway(no_pages, async |gateway| {
        let json_head = [("content-type", "application/json")];
        let ask = async |line: &str, body: &str| request(gateway.address, line, &json_head, body).await;
        let sign_in = "POST /api/v1/auth/token";
        let huge = format!("\"{}\"", "x".repeat(300_000));
        for (line, body, status, code) in [
            ("GET /nowhere", "", 404, "not_found"),
            ("DELETE /api/v1/auth/token", "", 405, "method_not_allowed"),
            (sign_in, "{", 400, "bad_request"),
            (sign_in, "{\"username\": 7}", 422, "validation_failed"),
            // One value in a field's place for each field is what JSON has lists for, and not what is asked for.
            (sign_in, "[\"ada\", \"guess\"]", 422, "validation_failed"),
            (sign_in, &huge, 413, "too_large"),
        ] {
            let answer = ask(line, body).await;
            assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{line}");
        }
        let form = request(gateway.address, sign_in, &[("content-type", "text/plain")], "x").await;
        assert_eq!(form.problem(), "bad_request");
    });
}

#[test]
fn a_wrong_method_is_told_the_right_ones_and_head_is_get_without_a_body() {
    with_gateway(no_pages, async |gateway| {
        let ask = async |line: &str| request(gateway.address, line, &[], "").await;
        let delete = ask("DELETE /livez/").await;
        assert_eq!((delete.status, delete.header("allow")), (405, Some("GET, HEAD")));
        assert_eq!(ask("GET /api/token").await.header("allow"), Some("POST"));
        let (get, head) = (ask("GET /livez").await, ask("HEAD /livez").await);
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(head.header("content-length"), get.header("content-length"));
    });
}

#[test]
fn a_path_that_is_no_text_leads_nowhere() {
    with_gateway(no_pages, async |gateway| {
        let ada = gateway.token("ada").await;
        let answer = gateway.get("/api/v1/attendance/sessions/%FF", &ada).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not_found"));
    });
}

#[test]
fn an_answer_is_neither_kept_nor_guessed_at() {
    with_gateway(no_pages, async |gateway| {
        let signed_in = gateway.sign_in("ada", common::PASSWORD).await;
        for answer in [signed_in, request(gateway.address, "GET /nowhere", &[], "").await] {
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    });
}

#[test]
fn the_gateway_says_that_it_lives_is_ready_and_what_is_running() {
    with_gateway(no_pages, async |gateway| {
        let get = async |path: &str| request(gateway.address, &format!("GET {path}"), &[], "").await;
        assert_eq!(get("/livez").await.status, 200);
        let ready = get("/readyz").await;
        assert_eq!((ready.status, ready.json()), (200, json!({"status": "ready"})));
        let status = get("/api/status/").await.json();
        assert_eq!(status["mqtt"], "connected");
        assert_eq!(
            (status["gateway"].clone(), status["database"].clone()),
            (json!("running"), json!("connected"))
        );
    });
}

#[test]
fn a_gateway_with_a_part_that_is_down_is_not_ready_and_says_why() {
    with_gateway(no_pages, async |gateway| {
        gateway.mqtt.is(Health::Down { reason: "port 1883 is taken".to_owned() });
        let ready = request(gateway.address, "GET /readyz", &[], "").await;
        assert_eq!(
            (ready.status, ready.json()["reasons"][0].clone()),
            (503, json!("mqtt: port 1883 is taken"))
        );
    });
}

#[test]
fn whoever_asks_is_told_the_same_of_a_disk_that_takes_nothing_and_not_what_the_system_said() {
    with_disk(async |gateway, disk| {
        let get = async |path: &str| request(gateway.address, &format!("GET {path}"), &[], "").await;
        let ada = gateway.token("ada").await;
        disk.fail();
        gateway.post(&format!("/api/v1/attendance/sessions/{ADAS_SESSION}/open"), &ada, &json!(null)).await;
        assert_eq!(get("/api/status").await.json()["database"], "down");
        let ready = get("/readyz").await;
        let why = "store: nothing can be written, so nothing is acknowledged until it can: check the disk";
        assert_eq!((ready.status, ready.json()["reasons"].clone()), (503, json!([why])));
        assert!(get("/metrics").await.body.contains("rollcall_store_up 0"));
    });
}

#[test]
fn a_body_that_drips_or_never_ends_holds_no_connection() {
    let impatient = |options: &mut Options| options.patience = Duration::from_millis(200);
    with_options(no_pages, impatient, async |gateway| {
        let (length, chunked) = (("content-length", "100"), ("transfer-encoding", "chunked"));
        let json_head = ("content-type", "application/json");
        for (line, kind, begun, status) in [
            ("POST /api/v1/auth/token", length, "{", 408),
            ("POST /api/v1/auth/token", chunked, "1\r\n{\r\n", 408),
            ("POST /nowhere", length, "{", 404),
            ("POST /nowhere", chunked, "1\r\n{\r\n", 404),
        ] {
            let answer = client::drip(gateway.address, line, &[kind, json_head], begun).await;
            assert_eq!(answer.status, status, "{line} {kind:?}");
            answer.problem();
            assert_eq!(answer.header("connection"), Some("close"), "{line} {kind:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{line} {kind:?}");
        }
    });
}

#[test]
fn a_body_in_chunks_is_a_body() {
    with_gateway(no_pages, async |gateway| {
        let body = json!({"username": "ada", "password": PASSWORD}).to_string();
        let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let close = ("connection", "close");
        let head = [("transfer-encoding", "chunked"), ("content-type", "application/json"), close];
        let answer = client::drip(gateway.address, "POST /api/v1/auth/token", &head, &chunks).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    });
}

#[test]
fn metrics_are_for_those_whom_the_settings_name() {
    let elsewhere = |options: &mut Options| options.metrics = Some(vec!["192.0.2.0/24".parse().unwrap()]);
    let here = |options: &mut Options| options.metrics = Some(vec!["127.0.0.0/8".parse().unwrap()]);
    let off = |options: &mut Options| options.metrics = None;
    for (change, status) in [(elsewhere as fn(&mut Options), 404), (here, 200), (off, 404)] {
        with_options(no_pages, change, async |gateway| {
            assert_eq!(request(gateway.address, "GET /metrics", &[], "").await.status, status);
        });
    }
}

#[test]
fn the_metrics_have_the_names_that_were_promised() {
    with_gateway(no_pages, async |gateway| {
        gateway.metrics.scan("device", "accepted");
        gateway.metrics.acknowledged(std::time::Duration::from_millis(1));
        gateway.metrics.mqtt_connections(1);
        gateway.metrics.mqtt_refused("bad_secret");
        gateway.metrics.mqtt_published(1);
        gateway.sign_in("ada", "guess").await;
        let text = request(gateway.address, "GET /metrics", &[], "").await.body;
        let last = gateway.store.views().seen().0;
        for line in [
            "rollcall_scans_total{outcome=\"accepted\",source=\"device\"} 1",
            "rollcall_scan_ack_seconds_count 1",
            "rollcall_commit_seconds_count 1",
            "rollcall_commit_batch_size_count 1",
            "rollcall_ingest_queue 0",
            "rollcall_store_up 1",
            "rollcall_views_lag_events 0",
            "rollcall_mqtt_connections 1",
            "rollcall_mqtt_refused_total{reason=\"bad_secret\"} 1",
            "rollcall_mqtt_publishes_total{qos=\"1\"} 1",
            "rollcall_ws_clients 0",
            "rollcall_sessions_live 0",
            "rollcall_login_failures_total 1",
            "rollcall_build_info{version=\"0.0.0-test\"} 1",
            "rollcall_http_requests_total{method=\"POST\",route=\"/api/v1/auth/token\",status=\"401\"} 1",
            "rollcall_http_request_seconds_count{route=\"/api/v1/auth/token\"} 1",
            &format!("rollcall_ledger_seq {last}"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    });
}
