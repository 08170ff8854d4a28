//! Meetings and marks, each for those whom they concern.

mod common;

use common::{ADAS_CLASS, ADAS_SESSION, append, set_user, with_gateway};
use rollcall_domain::people::{Permission, User};
use rollcall_store::Append;
use serde_json::json;

const SESSIONS: &str = "/api/v1/attendance/sessions";
const RECORDS: &str = "/api/v1/attendance/records";

fn no_pages(_: &mut actix_web::web::ServiceConfig) {}

#[test]
fn a_teacher_sees_own_sessions_and_an_admin_all() {
    with_gateway(no_pages, async |gateway| {
        for (user, ids) in [
            ("ada", vec!["ses_1"]),
            ("emmy", vec!["ses_2"]),
            ("admin", vec!["ses_2", "ses_1"]),
            ("grace", vec!["ses_1"]),
        ] {
            let token = gateway.token(user).await;
            let list = gateway.get(SESSIONS, &token).await.json();
            let found: Vec<_> = list["results"].as_array().unwrap().iter().map(|s| s["id"].clone()).collect();
            assert_eq!(
                (found, list["count"].clone()),
                (ids.iter().map(|id| json!(id)).collect(), json!(ids.len()))
            );
        }
    });
}

#[test]
fn a_list_goes_by_class_status_and_page() {
    with_gateway(no_pages, async |gateway| {
        let token = gateway.token("admin").await;
        let list = async |query: &str| gateway.get(&format!("{SESSIONS}?{query}"), &token).await;
        assert_eq!(list(&format!("class={ADAS_CLASS}")).await.json()["results"][0]["id"], "ses_1");
        assert_eq!(list("course_section=cls_2").await.json()["results"][0]["id"], "ses_2");
        assert_eq!(list("status=open").await.json()["count"], 0);
        let first = list("status=scheduled&page_size=1").await.json();
        assert_eq!((first["count"].clone(), first["previous"].clone()), (json!(2), json!(null)));
        let next = gateway.get(first["next"].as_str().unwrap(), &token).await.json();
        assert_eq!((next["results"][0]["id"].clone(), next["next"].clone()), (json!("ses_1"), json!(null)));
        for wrong in ["class=none", "page=0", "page_size=x", "status=tired"] {
            let answer = list(wrong).await;
            assert_eq!((answer.status, answer.problem().as_str()), (422, "validation_failed"), "{wrong}");
        }
    });
}

#[test]
fn anothers_session_is_not_there_to_read_and_not_allowed_to_change() {
    with_gateway(no_pages, async |gateway| {
        let emmy = gateway.token("emmy").await;
        let one = format!("{SESSIONS}/{ADAS_SESSION}");
        for path in
            [one.clone(), format!("{one}/records"), format!("{SESSIONS}/ses_99"), format!("{SESSIONS}/x")]
        {
            assert_eq!(gateway.get(&path, &emmy).await.problem(), "not_found", "{path}");
        }
        for deed in ["open", "close"] {
            let answer = gateway.post(&format!("{one}/{deed}"), &emmy, &json!(null)).await;
            assert_eq!((answer.status, answer.problem().as_str()), (403, "forbidden"));
        }
        let mark = json!({"session": ADAS_SESSION, "student": "S-1", "mark": "present"});
        assert_eq!(gateway.post(RECORDS, &emmy, &mark).await.problem(), "forbidden");
        let grace = gateway.token("grace").await;
        assert_eq!(gateway.post(RECORDS, &grace, &mark).await.problem(), "forbidden");
        assert_eq!(gateway.get(&one, "").await.status, 401);
    });
}

#[test]
fn who_may_change_but_not_look_is_answered_with_what_changed() {
    with_gateway(no_pages, async |gateway| {
        let permissions = [Permission::ManageSessions, Permission::MarkAttendance].into();
        let event = set_user(&gateway.store, 2, |ada| User { permissions, ..ada });
        append(&gateway.store, |then| Append { then, ..Append::new(vec![event], |_| {}) }).await;
        let ada = gateway.token("ada").await;
        let one = format!("{SESSIONS}/{ADAS_SESSION}");
        assert_eq!(gateway.get(&one, &ada).await.problem(), "not_found");
        let opened = gateway.post(&format!("{one}/open"), &ada, &json!(null)).await;
        assert_eq!((opened.status, opened.json()["status"].clone()), (200, json!("open")));
        let mark = json!({"session": ADAS_SESSION, "student": "S-1", "mark": "late"});
        let marked = gateway.post(RECORDS, &ada, &mark).await;
        assert_eq!((marked.status, marked.json()["mark"].clone()), (201, json!("late")));
    });
}

#[test]
fn a_session_is_opened_marked_and_closed_and_everything_can_be_read_at_once() {
    with_gateway(no_pages, async |gateway| {
        let ada = gateway.token("ada").await;
        let one = format!("{SESSIONS}/{ADAS_SESSION}");
        let mark =
            |student: &str, mark: &str| json!({"session": ADAS_SESSION, "student": student, "mark": mark});
        let early = gateway.post(RECORDS, &ada, &mark("S-1", "present")).await;
        assert_eq!((early.status, early.problem().as_str()), (409, "session_not_open"));

        let opened = gateway.post(&format!("{one}/open/"), &ada, &json!(null)).await.json();
        assert_eq!((opened["status"].clone(), opened["counts"]["total"].clone()), (json!("open"), json!(3)));
        let again = gateway.post(&format!("{one}/open"), &ada, &json!(null)).await;
        assert_eq!((again.status, again.problem().as_str()), (409, "conflict"));

        let first = gateway.post(RECORDS, &ada, &mark("s-1", "present")).await;
        assert_eq!(first.status, 201, "{}", first.body);
        let body = first.json();
        assert_eq!(
            (body["id"].clone(), body["source"].clone(), body["student"]["name"].clone()),
            (json!("rec_1_1"), json!("manual"), json!("Grace Hopper"))
        );
        assert_eq!(gateway.post(RECORDS, &ada, &mark("stu_1", "late")).await.status, 200);
        assert_eq!(gateway.post(RECORDS, &ada, &mark("S-77", "late")).await.problem(), "validation_failed");

        let closed = gateway.post(&format!("{one}/close"), &ada, &json!(null)).await.json();
        assert_eq!(
            (closed["status"].clone(), closed["counts"]["absent"].clone()),
            (json!("closed"), json!(2))
        );
        let records = gateway.get(&format!("{one}/records"), &ada).await.json();
        assert_eq!(records["count"], 3);
        let grace = gateway.token("grace").await;
        let own = gateway.get(&format!("{one}/records"), &grace).await.json();
        assert_eq!((own["count"].clone(), own["results"][0]["mark"].clone()), (json!(1), json!("late")));
    });
}

#[test]
fn a_list_where_one_record_is_taken_is_refused_as_a_list() {
    with_gateway(no_pages, async |gateway| {
        let ada = gateway.token("ada").await;
        let list = json!([{"session": ADAS_SESSION, "student": "S-1", "mark": "present"}]);
        let answer = gateway.post(RECORDS, &ada, &list).await;
        assert_eq!((answer.status, answer.problem().as_str()), (422, "validation_failed"));
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("sequence, expected one JSON object; send several one by one"), "{detail}");
    });
}
