//! Every mark reaches the portal, once, in its newest version, whatever the portal does meanwhile.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod common;

use std::time::Duration;

use common::{ANN, BEN, Gateway, OK, SESSION, StandIn, by_gateway, moment, session};
use rollcall_domain::event::{Event, How, NewEvent, RecordVersion, SessionEvent, UpstreamEvent};
use rollcall_domain::ids::{Name, RecordId, Seq, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_upstream::{State, Status};
use serde_json::json;

async fn gateway() -> (tempfile::TempDir, Gateway, StandIn) {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::open(folder.path());
    gateway.furnish().await;
    (folder, gateway, StandIn::start().await)
}

/// Somebody asks for the dead letter of Ann's first version.
fn retry_of_ann() -> NewEvent {
    let record = RecordId { session: SESSION, student: ANN };
    let records = vec![RecordVersion { record, version: 1 }];
    let asked = UpstreamEvent::RetryAsked { destination: Name::parse("portal").unwrap(), records };
    by_gateway(Event::Upstream(asked))
}

#[tokio::test]
async fn each_mark_is_delivered_once_with_everything_the_portal_needs() {
    let (_folder, gateway, mut portal) = gateway().await;
    let mut sending = gateway.send_to(&portal.url, true);
    gateway.mark(ANN, Mark::Late).await;
    portal.answer([OK]);
    let request = portal.request().await;
    assert_eq!((request.key.as_str(), request.authorization.as_str()), ("rec_7_1:1", "Bearer secret"));
    let mut body = request.body;
    let marked_at = body["marked_at"].take();
    assert!(marked_at.as_str().unwrap().starts_with("2026-11-21T03:00:00."));
    assert_eq!(
        body,
        json!({
            "student_name": "Ann Archer", "admission_number": "ADM-1", "unit_code": "MAT 101",
            "date": "2026-11-21", "time": "08:30", "lecturer": "Tom Teach", "venue": "Hall B",
            "attendance_percentage": 0.0, "session_id": "ses_7", "record_id": "rec_7_1", "version": 1,
            "mark": "late", "source": "manual", "marked_at": null,
        })
    );
    let last = gateway.mark(BEN, Mark::Present).await;
    portal.answer([OK]);
    assert_eq!(portal.request().await.key, "rec_7_2:1");
    let status = sending.until(|status| status.state == State::Idle && status.cursor >= last).await;
    assert_eq!((status.delivered, status.lag, status.last_error), (2, 0, None));
    assert!(!portal.has_more());
    sending.stop().await;
}

#[tokio::test]
async fn closing_sends_the_automatic_absences_too() {
    let (_folder, gateway, mut portal) = gateway().await;
    gateway.mark(ANN, Mark::Present).await;
    let from = moment("2026-11-21T03:30:00Z");
    let closed = SessionEvent::Closed { from, how: How::OnTime, absent: vec![BEN], excused: vec![] };
    gateway.append(vec![session(closed)]).await;
    let sending = gateway.send_to(&portal.url, true);
    portal.answer([OK, OK]);
    let (ann, ben) = (portal.request().await.body, portal.request().await.body);
    assert_eq!((&ann["mark"], &ann["attendance_percentage"]), (&json!("present"), &json!(100.0)));
    assert_eq!((&ben["mark"], &ben["source"]), (&json!("absent"), &json!("auto")));
    assert_eq!(ben["marked_at"], json!("2026-11-21T03:30:00Z"));
    sending.stop().await;
}

#[tokio::test]
async fn a_fault_of_the_portal_is_tried_again_under_the_same_key() {
    let (_folder, gateway, mut portal) = gateway().await;
    gateway.mark(ANN, Mark::Present).await;
    let mut sending = gateway.send_to(&portal.url, true);
    portal.answer([("500 Oops", "")]);
    let first = portal.request().await;
    portal.answer([("401 Who", ""), OK]);
    let (second, third) = (portal.request().await, portal.request().await);
    assert_eq!((&first.key, &first.body), (&second.key, &second.body));
    assert_eq!((&first.key, &first.body), (&third.key, &third.body));
    let status = sending.until(|status| status.state == State::Idle).await;
    assert_eq!((status.delivered, status.dead_letters), (1, 0));
    sending.stop().await;
}

#[tokio::test]
async fn the_portal_is_left_alone_as_long_as_it_asks_and_stopping_does_not_wait_for_it() {
    let (_folder, gateway, mut portal) = gateway().await;
    gateway.mark(ANN, Mark::Present).await;
    let mut sending = gateway.send_to(&portal.url, true);
    portal.answer([("429 Slow down", "retry-after: 1800\r\n"), OK]);
    portal.request().await;
    let status = sending.until(|status| matches!(status.state, State::Waiting(_))).await;
    assert_eq!(status.state, State::Waiting(Duration::from_secs(1800)));
    assert_eq!(status.last_error.as_deref(), Some("the portal is busy (status 429)"));
    assert_eq!(status.lag, 1);
    assert!(!portal.has_more());
    sending.stop().await;
}

#[tokio::test]
async fn a_refusal_for_good_becomes_a_dead_letter_and_the_next_one_goes_on() {
    let (_folder, gateway, mut portal) = gateway().await;
    gateway.mark(ANN, Mark::Present).await;
    gateway.mark(BEN, Mark::Present).await;
    let mut sending = gateway.send_to(&portal.url, true);
    portal.answer([("400 No", ""), OK]);
    assert_eq!(portal.request().await.key, "rec_7_1:1");
    assert_eq!(portal.request().await.key, "rec_7_2:1");
    let status = sending.until(|status| status.state == State::Idle && status.dead_letters == 1).await;
    assert_eq!(status.delivered, 1);
    assert_eq!(status.last_error, None);

    gateway.append(vec![retry_of_ann()]).await;
    portal.answer([OK]);
    assert_eq!(portal.request().await.key, "rec_7_1:1");
    sending.until(|status| status.dead_letters == 0 && status.delivered == 2).await;
    sending.stop().await;
}

#[tokio::test]
async fn a_wrong_url_refuses_nothing_and_is_named_until_it_is_right() {
    let (_folder, gateway, mut portal) = gateway().await;
    gateway.mark(ANN, Mark::Present).await;
    let mut sending = gateway.send_to(&portal.url, true);
    portal.answer([("404 Nothing here", "")]);
    portal.request().await;
    let status = sending.until(|status| status.last_error.is_some()).await;
    let why = "the portal has nothing there (status 404): check upstream.portal.url";
    assert_eq!((status.dead_letters, status.last_error.as_deref()), (0, Some(why)));
    portal.answer([("410 Gone", ""), OK]);
    let status = sending.until(|status| status.delivered == 1).await;
    assert_eq!((status.dead_letters, status.last_error), (0, None));

    // Now it is known to be right, so this is about the record.
    gateway.mark(BEN, Mark::Present).await;
    portal.answer([("404 Who is this", "")]);
    sending.until(|status| status.dead_letters == 1).await;
    sending.stop().await;
}

#[tokio::test]
async fn a_refused_record_is_no_trouble_of_the_portal() {
    let (_folder, gateway, portal) = gateway().await;
    gateway.mark(ANN, Mark::Present).await;
    let mut sending = gateway.send_to(&portal.url, true);
    portal.answer([("503 Later", ""), ("400 No", "")]);
    let status = sending.until(|status| status.state == State::Idle && status.dead_letters == 1).await;
    assert_eq!(status.last_error, None);
    sending.stop().await;
}

#[tokio::test]
async fn a_large_class_is_receipted_before_all_of_it_is_through() {
    let (_folder, gateway, portal) = gateway().await;
    let absent = (1..=300).map(StudentId).collect();
    let from = moment("2026-11-21T03:30:00Z");
    let closed = SessionEvent::Closed { from, how: How::OnTime, absent, excused: vec![] };
    let last = gateway.append(vec![session(closed)]).await;
    gateway.store.views().wait_for(last).await.unwrap();
    // Long enough for the last one to be still under way.
    let mut sending = gateway.send_within(Duration::from_secs(60), &portal.url);
    portal.answer([OK; 256]);
    sending.until(|status| status.delivered == 256).await;
    // Where it begins, and what it has delivered; the next record waits for its answer.
    let written = gateway.store.views().wait_for(Seq(last.0 + 2));
    tokio::time::timeout(Duration::from_secs(20), written).await.unwrap().unwrap();
    let receipt = gateway.store.entry(Seq(last.0 + 2)).unwrap().event;
    let Event::Upstream(UpstreamEvent::Delivered { records, .. }) = receipt else { panic!("{receipt:?}") };
    assert_eq!(records.len(), 256);
    portal.answer([OK; 44]);
    sending.until(|status| status.delivered == 300 && status.state == State::Idle).await;
    sending.stop().await;
}

#[tokio::test]
async fn what_it_needs_of_the_ledger_begins_before_its_last_receipt_and_is_everything_until_it_is_known() {
    let (_folder, gateway, mut portal) = gateway().await;
    let mut sending = gateway.send_to(&portal.url, true);
    // It did not begin yet.
    assert_eq!(sending.status.borrow().needed_from, Seq(0));
    for student in [ANN, BEN] {
        gateway.mark(student, Mark::Present).await;
        portal.answer([OK]);
        portal.request().await;
    }
    let delivered = |status: &Status| status.state == State::Idle && status.delivered == 2;
    let status = sending.until(delivered).await;
    let entries = gateway.store.entries(Seq(1), usize::MAX).unwrap();
    let receipt = entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Upstream(UpstreamEvent::Delivered { low_water, .. }) => Some((entry.seq, *low_water)),
        _ => None,
    });
    let (seq, low_water) = receipt.unwrap();
    assert_eq!(status.needed_from, Seq(low_water.0 + 1));
    assert!(status.needed_from <= seq);
    sending.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was_and_sends_nothing_twice() {
    let (folder, gateway, mut portal) = gateway().await;
    gateway.mark(ANN, Mark::Present).await;
    let sending = gateway.send_to(&portal.url, true);
    portal.answer([OK]);
    portal.request().await;
    let mut status = sending.status.clone();
    status.wait_for(|status| status.delivered == 1 && status.state == State::Idle).await.unwrap();
    sending.stop().await;
    drop(gateway);

    let gateway = Gateway::open(folder.path());
    let mut sending = gateway.send_to(&portal.url, true);
    sending.until(|status| status.state == State::Idle).await;
    gateway.mark(BEN, Mark::Present).await;
    portal.answer([OK]);
    assert_eq!(portal.request().await.key, "rec_7_2:1");
    let status = sending.until(|status| status.delivered == 1 && status.state == State::Idle).await;
    assert_eq!(status.dead_letters, 0);
    assert!(!portal.has_more());
    sending.stop().await;
}

#[tokio::test]
async fn a_dead_letter_that_was_asked_for_while_it_was_stopped_is_sent_after_the_start() {
    let (folder, gateway, mut portal) = gateway().await;
    gateway.mark(ANN, Mark::Present).await;
    let mut sending = gateway.send_to(&portal.url, true);
    portal.answer([("400 No", "")]);
    portal.request().await;
    sending.until(|status| status.state == State::Idle && status.dead_letters == 1).await;
    let later = gateway.mark(BEN, Mark::Present).await;
    portal.answer([OK]);
    portal.request().await;
    sending.until(|status| status.state == State::Idle && status.cursor >= later).await;
    sending.stop().await;
    let last = gateway.append(vec![retry_of_ann()]).await;
    gateway.store.views().wait_for(last).await.unwrap();
    drop(gateway);

    let gateway = Gateway::open(folder.path());
    let mut sending = gateway.send_to(&portal.url, true);
    portal.answer([OK]);
    let status = sending.until(|status| status.state == State::Idle).await;
    assert_eq!((status.delivered, status.dead_letters), (1, 0));
    assert_eq!(portal.request().await.key, "rec_7_1:1");
    sending.stop().await;

    // It was asked for once, so it is not sent once more.
    drop(gateway);
    let gateway = Gateway::open(folder.path());
    let mut sending = gateway.send_to(&portal.url, true);
    sending.until(|status| status.state == State::Idle).await;
    assert!(!portal.has_more());
    sending.stop().await;
}

#[tokio::test]
async fn what_was_cut_off_on_its_way_is_sent_again_under_the_same_key() {
    let (folder, gateway, mut portal) = gateway().await;
    gateway.mark(ANN, Mark::Present).await;
    let sending = gateway.send_to(&portal.url, true);
    let first = portal.request().await;
    sending.stop().await;
    drop(gateway);

    let gateway = Gateway::open(folder.path());
    let mut sending = gateway.send_to(&portal.url, true);
    let second = portal.request().await;
    portal.answer([OK]);
    assert_eq!((first.key, first.body), (second.key, second.body));
    sending.until(|status| status.delivered == 1).await;
    sending.stop().await;
}

#[tokio::test]
async fn a_portal_that_hangs_or_leads_elsewhere_is_asked_again_and_nowhere_else() {
    let (_folder, gateway, mut portal) = gateway().await;
    let elsewhere = StandIn::start().await;
    gateway.mark(ANN, Mark::Present).await;
    let mut sending = gateway.send_within(Duration::from_millis(50), &portal.url);
    let first = portal.request().await;
    let status = sending.until(|status| status.last_error.is_some()).await;
    assert_eq!(status.last_error.as_deref(), Some("the portal does not answer in time"));
    portal.request().await;
    let location: &'static str = format!("location: {}\r\n", elsewhere.url).leak();
    portal.answer([("307 Elsewhere", location), OK]);
    sending.until(|status| status.delivered == 1).await;
    assert_eq!(portal.request().await.key, first.key);
    assert!(!elsewhere.has_more(), "the token would have gone there too");
    sending.stop().await;
}

#[tokio::test]
async fn a_newer_version_takes_the_place_of_one_that_was_not_delivered_yet() {
    let (_folder, gateway, mut portal) = gateway().await;
    gateway.mark(ANN, Mark::Absent).await;
    let mut sending = gateway.send_to(&portal.url, true);
    assert_eq!(portal.request().await.key, "rec_7_1:1");
    let last = gateway.mark(ANN, Mark::Present).await;
    gateway.store.views().wait_for(last).await.unwrap();
    portal.answer([("503 Later", ""), OK]);
    let request = portal.request().await;
    assert_eq!((request.key.as_str(), &request.body["mark"]), ("rec_7_1:2", &json!("present")));
    let status = sending.until(|status| status.state == State::Idle && status.cursor >= last).await;
    assert_eq!(status.delivered, 1);
    assert!(!portal.has_more());
    sending.stop().await;
}

#[tokio::test]
async fn a_mark_that_was_taken_back_is_removed_there_too() {
    let (_folder, gateway, mut portal) = gateway().await;
    gateway.mark(ANN, Mark::Present).await;
    let sending = gateway.send_to(&portal.url, true);
    portal.answer([OK]);
    portal.request().await;
    gateway.append(vec![session(SessionEvent::RecordDeleted { student: ANN })]).await;
    portal.answer([OK]);
    let removal = json!({"record_id": "rec_7_1", "version": 2, "deleted": true});
    assert_eq!(portal.request().await.body, removal);
    sending.stop().await;
}

#[tokio::test]
async fn without_backfill_a_new_destination_hears_only_of_what_comes_after_it() {
    let (folder, gateway, mut portal) = gateway().await;
    let before = gateway.mark(ANN, Mark::Present).await;
    gateway.store.views().wait_for(before).await.unwrap();
    let mut sending = gateway.send_to(&portal.url, false);
    sending.until(|status| status.state == State::Idle).await;
    sending.stop().await;
    gateway.mark(BEN, Mark::Present).await;
    drop(gateway);

    // What came while it was stopped is not from before it.
    let gateway = Gateway::open(folder.path());
    let sending = gateway.send_to(&portal.url, false);
    portal.answer([OK]);
    assert_eq!(portal.request().await.key, "rec_7_2:1");
    sending.stop().await;
}

#[tokio::test]
async fn a_portal_that_cannot_be_reached_is_named_and_the_campus_goes_on() {
    let (_folder, gateway, _portal) = gateway().await;
    gateway.mark(ANN, Mark::Present).await;
    // Nothing listens on the discard port of the loopback.
    let mut sending = gateway.send_to("http://127.0.0.1:9/", true);
    let status = sending.until(|status| status.last_error.is_some()).await;
    assert_eq!(status.last_error.as_deref(), Some("the portal cannot be reached"));
    gateway.mark(BEN, Mark::Present).await;
    sending.stop().await;
}
