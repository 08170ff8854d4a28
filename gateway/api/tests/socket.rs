//! A watching screen sees everything once, in order.

mod common;

use common::client::WebSocket;
use common::{ADAS_CLASS, ADAS_SESSION, HOSTILE, with_gateway};
use serde_json::json;

fn no_pages(_: &mut actix_web::web::ServiceConfig) {}

#[test]
fn a_snapshot_comes_first_and_then_every_change_linked_to_the_one_before() {
    with_gateway(no_pages, async |gateway| {
        let ada = gateway.token("ada").await;
        let mut screen =
            WebSocket::connect(gateway.address, &format!("/ws?token={ada}"), &[]).await.ok().unwrap();
        screen.send("SUBSCRIBE", json!({"sessionId": ADAS_SESSION})).await;
        let snapshot = screen.next().await;
        assert_eq!(
            (snapshot["event"].clone(), snapshot["data"]["status"].clone()),
            (json!("SNAPSHOT"), json!("scheduled"))
        );
        assert_eq!(snapshot["data"]["rows"].as_array().unwrap().len(), 3);
        assert!(snapshot["data"]["rows"].as_array().unwrap().iter().any(|row| row["name"] == HOSTILE));

        let open = format!("/api/v1/attendance/sessions/{ADAS_SESSION}/open");
        gateway.post(&open, &ada, &json!(null)).await;
        let opened = screen.next().await;
        assert_eq!(
            (opened["event"].clone(), opened["data"]["status"].clone()),
            (json!("SESSION_STATUS"), json!("open"))
        );
        assert_eq!(opened["prev"], snapshot["seq"]);
        let whole = screen.next().await;
        assert_eq!(
            (whole["event"].clone(), whole["data"]["status"].clone()),
            (json!("SNAPSHOT"), json!("open"))
        );

        let mut seen = whole["seq"].clone();
        for (student, mark) in [("S-1", "present"), ("S-2", "late")] {
            let body = json!({"session": ADAS_SESSION, "student": student, "mark": mark});
            gateway.post("/api/v1/attendance/records", &ada, &body).await;
            let marked = screen.next().await;
            assert_eq!(marked["event"], "ATTENDANCE_MARKED");
            assert_eq!(
                (marked["data"]["code"].clone(), marked["data"]["mark"].clone()),
                (json!(student), json!(mark))
            );
            assert_eq!((marked["prev"].clone(), marked["data"]["source"].clone()), (seen, json!("manual")));
            let summary = screen.next().await;
            assert_eq!(
                (summary["event"].clone(), summary["seq"].clone()),
                (json!("TODAY_SUMMARY"), marked["seq"].clone())
            );
            assert_eq!(
                (summary["data"][mark].clone(), summary["data"]["total"].clone()),
                (json!(1), json!(3))
            );
            seen = marked["seq"].clone();
        }
        screen.send("DONE", json!({"classId": ADAS_CLASS})).await;
        let events = [screen.next().await, screen.next().await, screen.next().await];
        let closed = events.iter().find(|frame| frame["event"] == "SNAPSHOT").unwrap();
        assert_eq!(
            (closed["data"]["status"].clone(), closed["data"]["counts"]["absent"].clone()),
            (json!("closed"), json!(1))
        );
        assert!(events.iter().any(|frame| frame["event"] == "DONE"));
    });
}

#[test]
fn what_cannot_be_watched_is_answered_with_an_error() {
    with_gateway(no_pages, async |gateway| {
        let emmy = gateway.token("emmy").await;
        let grace = gateway.token("grace").await;
        let mut screen =
            WebSocket::connect(gateway.address, &format!("/ws?token={emmy}"), &[]).await.ok().unwrap();
        for (data, code) in [
            (json!({"sessionId": ADAS_SESSION}), "not_found"),
            (json!({"sessionId": "ses_99"}), "not_found"),
            (json!({"classId": "MATH-2"}), "no_open_session"),
            (json!({}), "bad_request"),
        ] {
            screen.send("SUBSCRIBE", data).await;
            let frame = screen.next().await;
            assert_eq!(
                (frame["event"].clone(), frame["data"]["code"].clone()),
                (json!("ERROR"), json!(code))
            );
        }
        screen.send_text("not json").await;
        assert_eq!(screen.next().await["data"]["code"], "bad_request");
        let mut student =
            WebSocket::connect(gateway.address, &format!("/ws?token={grace}"), &[]).await.ok().unwrap();
        student.send("SUBSCRIBE", json!({"sessionId": ADAS_SESSION})).await;
        assert_eq!(student.next().await["data"]["code"], "forbidden");
    });
}

#[test]
fn a_socket_needs_a_token_and_no_other_sites_page() {
    with_gateway(no_pages, async |gateway| {
        let token = gateway.token("ada").await;
        let (cookie, here) = (format!("rollcall_access={token}"), format!("http://{}", gateway.address));
        let with_token = format!("/ws?token={token}");
        let evil = ("origin", "http://evil.example");
        let cookie = ("cookie", cookie.as_str());
        for (path, head, status) in [
            ("/ws", vec![], 401),
            ("/ws?token=nonsense", vec![], 401),
            ("/ws", vec![cookie], 401),
            ("/ws", vec![cookie, evil], 403),
            (with_token.as_str(), vec![evil], 403),
        ] {
            assert_eq!(
                WebSocket::connect(gateway.address, path, &head).await.err(),
                Some(status),
                "{head:?}"
            );
        }
        assert!(WebSocket::connect(gateway.address, "/ws", &[cookie, ("origin", &here)]).await.is_ok());
    });
}
