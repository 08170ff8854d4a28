//! A scan is answered once, when it is on disk, and then shown.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;

use common::{Campus, SESSION, STUDENTS};
use rollcall_actors::{CommandError, Deed, Frame, Watch};
use rollcall_domain::Refusal;
use rollcall_domain::decide::marking::Wish;
use rollcall_domain::event::{Event, SessionEvent};
use rollcall_domain::ids::{Seq, StudentId};
use rollcall_domain::mark::{Mark, Source};
use rollcall_domain::scan::{Outcome, Unmatched};
use rollcall_domain::session::SessionStatus;
use tokio::sync::mpsc;

/// The scans that the ledger holds, by the device's own id for them.
fn stored(campus: &Campus) -> Vec<String> {
    let entries = campus.store.entries(Seq(1), 100_000).unwrap();
    let scan_id = |event: Event| match event {
        Event::Session(_, SessionEvent::Scanned(scanned)) => scanned.scan.scan_id,
        Event::Unmatched(kept) => kept.scan.scan_id,
        _ => None,
    };
    entries.into_iter().filter_map(|entry| scan_id(entry.event)).collect()
}

#[actix::test]
async fn a_scan_is_on_disk_when_it_is_answered() {
    let campus = Campus::new().await;
    campus.deed(Deed::Open).await.unwrap();
    let result = campus.scan("a", "S7").await.unwrap();
    assert_eq!(stored(&campus), ["a"]);
    assert_eq!(result.outcome, Outcome::Present);
    assert_eq!((result.student, result.session), (Some(StudentId(7)), Some(SESSION)));
    assert_eq!((result.mark, result.name.as_deref()), (Some(Mark::Present), Some("Student 7")));
    assert!(!result.replayed);
}

#[actix::test]
async fn a_scan_sent_again_gets_its_first_result_and_writes_nothing() {
    let campus = Campus::new().await;
    campus.deed(Deed::Open).await.unwrap();
    let both = (campus.submit("a", "S7"), campus.submit("a", "S7"));
    let (first, second) = (both.0.await.unwrap().unwrap(), both.1.await.unwrap().unwrap());
    let third = campus.scan("a", "S7").await.unwrap();
    assert!(!first.replayed && second.replayed && third.replayed);
    for again in [second, third] {
        assert_eq!((again.outcome, again.student, again.mark), (first.outcome, first.student, first.mark));
    }
    assert_eq!(stored(&campus), ["a"]);
}

#[actix::test]
async fn another_scan_of_the_same_student_is_a_duplicate_and_is_kept() {
    let campus = Campus::new().await;
    campus.deed(Deed::Open).await.unwrap();
    campus.scan("a", "S7").await.unwrap();
    let second = campus.scan("b", "S7").await.unwrap();
    assert_eq!(second.outcome, Outcome::Duplicate { mark: Mark::Present });
    assert_eq!(stored(&campus), ["a", "b"]);
}

#[actix::test]
async fn a_scan_of_nobody_is_kept_and_said_again() {
    let campus = Campus::new().await;
    for replayed in [false, true] {
        let result = campus.scan("x", "S999").await.unwrap();
        assert_eq!(result.outcome, Outcome::Unmatched(Unmatched::UnknownStudent));
        assert_eq!(result.replayed, replayed);
    }
    assert_eq!(stored(&campus), ["x"]);
}

#[actix::test]
async fn a_burst_is_answered_scan_by_scan_and_counted_once() {
    let campus = Campus::new().await;
    campus.deed(Deed::Open).await.unwrap();
    let who = |n: u64| format!("S{}", n % STUDENTS + 1);
    let waiting: Vec<_> = (0..2_000).map(|n| campus.submit(&format!("{}", n % 1_500), &who(n))).collect();
    for answer in waiting {
        answer.await.unwrap().unwrap();
    }
    let ids = stored(&campus);
    assert_eq!(ids.len(), 1_500);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 1_500);
    assert_eq!(campus.intake.in_flight(), 0);
    campus.deed(Deed::Close).await.unwrap();
    let session = campus.store.entries(Seq(1), 100_000).unwrap().last().unwrap().seq;
    campus.store.views().wait_for(session).await.unwrap();
    let session = campus.store.views().now().session(SESSION).unwrap().unwrap();
    let present = session.records.keys().filter(|id| session.standing(**id).unwrap().mark.attended());
    assert_eq!(u64::try_from(present.count()).unwrap(), STUDENTS);
}

#[actix::test]
async fn who_watches_sees_a_snapshot_and_then_every_change_in_order() {
    let campus = Campus::new().await;
    campus.deed(Deed::Open).await.unwrap();
    campus.scan("a", "S1").await.unwrap();
    let (to, mut frames) = mpsc::channel(64);
    campus.supervisor.send(Watch { session: SESSION, to }).await.unwrap().unwrap();
    campus.at_minute(9);
    campus.scan("b", "S2").await.unwrap();
    campus.deed(Deed::Mark(wish(3, Mark::Permission))).await.unwrap();
    campus.deed(Deed::Close).await.unwrap();

    let Some(Frame::Snapshot(snapshot)) = frames.recv().await else { panic!("no snapshot") };
    assert_eq!((snapshot.counts.present, u64::from(snapshot.counts.total)), (1, STUDENTS));
    let mut last = snapshot.seq;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let Some(Frame::Delta(delta)) = frames.recv().await else { panic!("no delta") };
        assert_eq!(delta.prev, last);
        last = delta.entry.seq;
        let row = delta.row.as_ref().and_then(|row| Some((row.code.clone(), row.standing?.mark)));
        seen.push((row, delta.status, delta.counts.absent));
    }
    assert_eq!(
        seen,
        [
            (Some(("S2".to_owned(), Mark::Late)), SessionStatus::Open, 0),
            (Some(("S3".to_owned(), Mark::Permission)), SessionStatus::Open, 0),
            (None, SessionStatus::Closed, u32::try_from(STUDENTS - 3).unwrap()),
        ]
    );
}

fn wish(student: u64, mark: Mark) -> Wish {
    Wish { student: StudentId(student), mark, with_reason: false, with_note: false, by_admin: false }
}

#[actix::test]
async fn a_scan_sent_again_meanwhile_disturbs_nobody_who_watches() {
    let campus = Campus::new().await;
    campus.deed(Deed::Open).await.unwrap();
    let mut frames = campus.watch().await.unwrap();
    let answers = [("a", "S1"), ("a", "S1"), ("b", "S2")].map(|(id, who)| campus.submit(id, who));
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    assert!(matches!(frames.recv().await, Some(Frame::Snapshot(_))));
    for student in [1, 2] {
        let Some(Frame::Delta(delta)) = frames.recv().await else { panic!("no delta") };
        assert_eq!(delta.row.as_ref().map(|row| row.student), Some(StudentId(student)));
    }
}

#[actix::test]
async fn a_snapshot_shows_nothing_that_is_not_on_disk() {
    let campus = Campus::new().await;
    campus.deed(Deed::Open).await.unwrap();
    let last = campus.store.last();
    let answer = campus.submit("a", "S1");
    let mut frames = campus.watch().await.unwrap();
    let Some(Frame::Snapshot(snapshot)) = frames.recv().await else { panic!("no snapshot") };
    answer.await.unwrap().unwrap();
    assert_eq!(snapshot.counts.present, u32::from(snapshot.seq > last));
}

#[actix::test]
async fn who_watches_and_cannot_keep_up_is_let_go() {
    let campus = Campus::new().await;
    campus.deed(Deed::Open).await.unwrap();
    let (to, mut frames) = mpsc::channel(1);
    campus.supervisor.send(Watch { session: SESSION, to }).await.unwrap().unwrap();
    campus.scan("a", "S1").await.unwrap();
    assert!(matches!(frames.recv().await, Some(Frame::Snapshot(_))));
    assert!(frames.recv().await.is_none());
}

#[actix::test]
async fn a_command_that_the_rules_refuse_says_why_and_writes_nothing() {
    let campus = Campus::new().await;
    let before = campus.store.views().seen();
    let refused = campus.deed(Deed::Mark(wish(1, Mark::Present))).await.unwrap_err();
    assert_eq!(refused, CommandError::Refused(Refusal::SessionNotOpen(SessionStatus::Scheduled)));
    assert_eq!(campus.store.views().seen(), before);
}

#[actix::test]
async fn an_upload_after_closing_corrects_the_automatic_absence() {
    let campus = Campus::new().await;
    campus.deed(Deed::Open).await.unwrap();
    let made = campus.clock_at(3);
    campus.at_minute(30);
    let seq = campus.deed(Deed::Close).await.unwrap().unwrap();
    campus.store.views().wait_for(seq).await.unwrap();
    let result = campus.submit_made("late", "S4", made).await.unwrap().unwrap();
    assert_eq!((result.outcome, result.mark), (Outcome::Present, Some(Mark::Present)));
    let entry = campus.store.entries(Seq(1), 100_000).unwrap().pop().unwrap();
    campus.store.views().wait_for(entry.seq).await.unwrap();
    let session = campus.store.views().now().session(SESSION).unwrap().unwrap();
    assert_eq!(session.standing(StudentId(4)).unwrap().source, Source::Offline);
}
