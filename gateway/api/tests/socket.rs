//! A watching screen sees everything once, in order.

mod common;

use common::client::WebSocket;
use common::{
    ADAS_CLASS, ADAS_SESSION, HOSTILE, append, impatient, session, set_user, with_disk, with_gateway,
    with_options,
};
use rollcall_domain::people::User;
use rollcall_store::Append;
use serde_json::json;

fn no_pages(_: &mut actix_web::web::ServiceConfig) {}

#[test]
fn who_is_no_longer_signed_in_can_do_nothing_more_and_is_told_so() {
    with_gateway(no_pages, async |gateway| {
        let (mut ada, mut emmy) = (gateway.screen("ada").await, gateway.screen("emmy").await);
        let event = set_user(&gateway.store, 2, |ada| User { active: false, ..ada });
        append(&gateway.store, |then| Append { then, ..Append::new(vec![event], |_| {}) }).await;
        ada.send("SUBSCRIBE", json!({"sessionId": ADAS_SESSION})).await;
        assert_eq!(ada.close_code().await, Some(4401));
        gateway.clock.go_on(60);
        emmy.send("DONE", json!({"classId": "MATH-2"})).await;
        assert_eq!(emmy.close_code().await, Some(4401));
    });
}

#[test]
fn a_screen_that_only_watches_is_told_when_its_sign_in_ends() {
    with_options(no_pages, impatient, async |gateway| {
        let mut screen = gateway.screen("ada").await;
        gateway.clock.go_on(60);
        assert_eq!(screen.close_code().await, Some(4401));
    });
}

#[test]
fn a_gateway_that_stops_sends_its_screens_away() {
    with_gateway(no_pages, async |gateway| {
        let mut screen = gateway.screen("ada").await;
        gateway.api.stop();
        assert_eq!(screen.close_code().await, Some(1001));
        let mut late = gateway.screen("emmy").await;
        assert_eq!(late.close_code().await, Some(1001));
    });
}

#[test]
fn while_nothing_can_be_saved_screens_are_told_and_afterwards_they_begin_anew() {
    with_disk(async |gateway, disk| {
        let ada = gateway.token("ada").await;
        let path = format!("/ws?token={ada}");
        let connect = async || WebSocket::connect(gateway.address, &path, &[]).await.ok().unwrap();
        let target = json!({"sessionId": ADAS_SESSION});
        let mut screen = connect().await;
        screen.send("SUBSCRIBE", target.clone()).await;
        assert_eq!(screen.next().await["event"], "SNAPSHOT");

        disk.fail();
        let open = format!("/api/v1/attendance/sessions/{ADAS_SESSION}/open");
        let refused = gateway.post(&open, &ada, &json!(null)).await;
        assert_eq!((refused.status, refused.problem().as_str()), (503, "storage_unavailable"));
        let told = screen.next().await;
        assert_eq!((&told["event"], &told["data"]["code"]), (&json!("ERROR"), &json!("storage_unavailable")));
        let mut late = connect().await;
        assert_eq!(late.next().await["data"]["code"], "storage_unavailable");
        late.send("SUBSCRIBE", target).await;
        assert_eq!(late.next().await["data"]["code"], "storage_unavailable");

        disk.mend();
        for screen in [&mut screen, &mut late] {
            let mut frame = screen.next().await;
            while frame["event"] == "ERROR" {
                frame = screen.next().await;
            }
            assert_eq!(
                (&frame["event"], &frame["data"]["status"]),
                (&json!("SNAPSHOT"), &json!("scheduled"))
            );
        }
        gateway.post(&open, &ada, &json!(null)).await;
        assert_eq!(screen.next().await["event"], "SESSION_STATUS");
    });
}

#[test]
fn a_screen_that_may_not_watch_any_more_is_told_so() {
    with_options(no_pages, impatient, async |gateway| {
        let mut screen = gateway.screen("ada").await;
        screen.send("SUBSCRIBE", json!({"sessionId": ADAS_SESSION})).await;
        assert_eq!(screen.next().await["event"], "SNAPSHOT");
        let event = set_user(&gateway.store, 2, |ada| User { teacher: None, ..ada });
        append(&gateway.store, |then| Append { then, ..Append::new(vec![event], |_| {}) }).await;
        let told = screen.next().await["data"].clone();
        assert_eq!((&told["code"], &told["sessionId"]), (&json!("not_found"), &json!(ADAS_SESSION)));
    });
}

#[test]
fn a_screen_that_is_silent_or_does_not_read_is_gone() {
    with_options(no_pages, impatient, async |gateway| {
        let silent = gateway.screen("ada").await;
        gateway.is_left_alone().await;
        drop(silent);
        let mut deaf = gateway.screen("ada").await;
        let payload = json!({"event": "SUBSCRIBE", "data": {"sessionId": ADAS_SESSION}}).to_string();
        let mut frame = vec![0x81, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
        frame.extend_from_slice(payload.as_bytes());
        // A ping that must be answered, and more questions than answers fit on the way.
        frame.extend_from_slice(&[0x89, 0x80, 0, 0, 0, 0]);
        let much = frame.repeat(1_000);
        let speaks = async { while deaf.send_bytes(&much).await.is_ok() {} };
        tokio::select! { () = gateway.is_left_alone() => {}, () = speaks => gateway.is_left_alone().await }
    });
}

#[test]
fn what_is_too_large_or_no_frame_at_all_ends_the_connection_with_a_reason() {
    with_gateway(no_pages, async |gateway| {
        let mut large = vec![0x81, 0x80 | 126, 0x4e, 0x20, 0, 0, 0, 0];
        large.resize(8 + 0x4e20, b'x');
        for (bytes, code) in [
            (large.as_slice(), 1009),
            // Not masked, as clients must.
            (&[0x81, 1, b'x'], 1002),
            (&[0x8b, 0x80, 0, 0, 0, 0], 1002),
        ] {
            let mut screen = gateway.screen("ada").await;
            screen.send_bytes(bytes).await.unwrap();
            assert_eq!(screen.close_code().await, Some(code), "{bytes:?}");
        }
    });
}

#[test]
fn a_message_without_end_is_cut_off_before_it_fills_the_memory() {
    with_gateway(no_pages, async |gateway| {
        let mut screen = gateway.screen("grace").await;
        screen.send_bytes(&[0x81, 0x80 | 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
        // The connection may be cut while these are on their way.
        screen.send_bytes(&vec![b'x'; 1024 * 1024]).await.ok();
        gateway.is_left_alone().await;
    });
}

#[test]
fn one_connection_watches_so_many_sessions_and_no_more() {
    with_gateway(no_pages, async |gateway| {
        let now = rollcall_domain::ports::Clock::now(&*gateway.clock);
        let more = (3..=17).map(|number| session(number, now)).collect();
        append(&gateway.store, |then| Append { then, ..Append::new(more, |_| {}) }).await;
        let mut screen = gateway.screen("admin").await;
        for number in 1..=17 {
            screen.send("SUBSCRIBE", json!({"sessionId": format!("ses_{number}")})).await;
            let frame = screen.next().await;
            assert_eq!(frame["event"], if number > 16 { "ERROR" } else { "SNAPSHOT" }, "{frame}");
        }
    });
}

#[test]
fn whether_anothers_class_has_an_open_session_is_not_told() {
    with_gateway(no_pages, async |gateway| {
        let open = format!("/api/v1/attendance/sessions/{ADAS_SESSION}/open");
        let ada = gateway.token("ada").await;
        let mut screen = gateway.screen("emmy").await;
        for _ in ["closed", "open"] {
            screen.send("SUBSCRIBE", json!({"classId": ADAS_CLASS})).await;
            assert_eq!(screen.next().await["data"]["code"], "no_open_session");
            gateway.post(&open, &ada, &json!(null)).await;
        }
    });
}

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
            screen.send("SUBSCRIBE", data.clone()).await;
            let frame = screen.next().await;
            assert_eq!(
                (frame["event"].clone(), frame["data"]["code"].clone()),
                (json!("ERROR"), json!(code))
            );
            assert_eq!(frame["data"]["sessionId"], data["sessionId"]);
        }
        let as_list = format!("[\"SUBSCRIBE\",{{\"sessionId\":\"{ADAS_SESSION}\"}}]");
        let inner_list = format!("{{\"event\":\"SUBSCRIBE\",\"data\":[\"{ADAS_SESSION}\",null]}}");
        for text in ["not json", &as_list, &inner_list] {
            screen.send_text(text).await;
            assert_eq!(screen.next().await["data"]["code"], "bad_request", "{text}");
        }
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
