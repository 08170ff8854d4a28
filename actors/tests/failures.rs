//! Whatever fails, every scan is answered once, and what is shown is what is on disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::disk::Disk;
use common::{Campus, SESSION, clock_at, create, furnish_in, gate, new, open, start, write};
use rollcall_actors::{CommandError, Deed, Frame, Snapshot};
use rollcall_domain::decide::marking::Wish;
use rollcall_domain::event::{Event, SessionEvent};
use rollcall_domain::ids::{SessionId, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::days;
use rollcall_domain::ports::{Health, HealthSource as _, NotTaken, ScanIntake as _, ScanResult};
use rollcall_domain::scan::{Outcome, Unmatched};
use rollcall_domain::session::SessionStatus;
use tempfile::tempdir;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

async fn on(disk: &Disk) -> Campus {
    furnish_in(disk.folder(), 0).await;
    let campus = Campus::on(disk.folder(), Box::new(|_| {}));
    campus.deed(Deed::Open).await.unwrap();
    campus.seen().await;
    campus
}

/// The disk is back with what was on it, and more that had reached it.
async fn bring_back(disk: &Disk, folder: &Path, more: Vec<SessionEvent>) {
    disk.copy_to(folder);
    let store = open(folder, clock_at(0));
    for event in more {
        write(&store, vec![new(Event::Session(SESSION, event))]).await;
    }
    drop(store);
    disk.put_in(folder);
}

async fn snapshot(frames: &mut mpsc::Receiver<Frame>) -> Snapshot {
    let Some(Frame::Snapshot(snapshot)) = frames.recv().await else { panic!("no snapshot") };
    Snapshot::clone(&snapshot)
}

/// The disk has refused what came before.
async fn has_refused(campus: &Campus) {
    while campus.deed(Deed::Bind(gate())).await != Err(CommandError::StorageUnavailable) {}
}

#[actix::test]
async fn a_scan_that_the_disk_did_not_take_waits_for_it_and_is_kept_once() {
    let (disk, next) = (Disk::new(), tempdir().unwrap());
    let campus = on(&disk).await;
    disk.fail();
    let (mut first, again, nobody) =
        (campus.submit("a", "S7"), campus.submit("a", "S7"), campus.submit("x", "S999"));
    has_refused(&campus).await;
    assert_eq!(first.try_recv(), Err(TryRecvError::Empty), "answered, and not on disk");
    bring_back(&disk, next.path(), vec![]).await;
    let (first, again) = (first.await.unwrap().unwrap(), again.await.unwrap().unwrap());
    assert_eq!((first.outcome, again.outcome), (Outcome::Present, Outcome::Present));
    assert!(first.replayed != again.replayed);
    let nobody = nobody.await.unwrap().unwrap();
    assert_eq!(nobody.outcome, Outcome::Unmatched(Unmatched::UnknownStudent));
    assert_eq!(campus.intake.in_flight(), 0);
}

#[actix::test]
async fn a_burst_that_the_disk_did_not_take_waits_for_it_scan_by_scan() {
    let (disk, next) = (Disk::new(), tempdir().unwrap());
    let campus = on(&disk).await;
    disk.fail();
    let who = |n: u64| format!("S{}", n % 50 + 1);
    let waiting: Vec<_> = (0..500).map(|n| campus.submit(&format!("{}", n % 400), &who(n))).collect();
    has_refused(&campus).await;
    assert_eq!(campus.intake.in_flight(), 500);
    bring_back(&disk, next.path(), vec![]).await;
    let mut replayed = 0;
    for answer in waiting {
        replayed += usize::from(answer.await.unwrap().unwrap().replayed);
    }
    assert_eq!(replayed, 100);
}

#[actix::test]
async fn scans_that_wait_for_the_disk_are_given_back_when_the_store_closes() {
    let disk = Disk::new();
    let campus = on(&disk).await;
    disk.fail();
    let waiting = campus.submit("a", "S7");
    has_refused(&campus).await;
    campus.store.close();
    assert_eq!(waiting.await.unwrap(), Err(NotTaken::Stopping));
}

#[actix::test]
async fn when_a_commit_fails_who_watches_is_let_go_and_later_sees_what_reached_the_disk() {
    let (disk, next) = (Disk::new(), tempdir().unwrap());
    let campus = on(&disk).await;
    let mut frames = campus.watch().await.unwrap();
    snapshot(&mut frames).await;
    disk.fail();
    assert_eq!(campus.deed(Deed::Bind(gate())).await, Err(CommandError::StorageUnavailable));
    assert!(frames.recv().await.is_none(), "still watching a session of which nobody knows what it is");
    assert_eq!(campus.watch().await.unwrap_err(), CommandError::StorageUnavailable);
    assert_eq!(campus.deed(Deed::Close).await, Err(CommandError::StorageUnavailable));
    bring_back(&disk, next.path(), vec![SessionEvent::Bound { device: gate() }]).await;
    let mut frames = loop {
        match campus.watch().await {
            Ok(frames) => break frames,
            Err(error) => assert_eq!(error, CommandError::StorageUnavailable),
        }
        // The store tries the disk again by itself.
        tokio::task::yield_now().await;
    };
    let seen = snapshot(&mut frames).await;
    assert_eq!(seen.seq, campus.store.last());
    assert_eq!(seen.meeting.bound().collect::<Vec<_>>(), [&gate()]);
}

#[actix::test]
async fn a_session_that_somebody_else_changed_is_taken_up_anew_and_the_scan_is_answered() {
    let campus = Campus::new().await;
    campus.deed(Deed::Open).await.unwrap();
    for round in 0..20 {
        let change = new(Event::Session(SESSION, SessionEvent::BiometricSet { enabled: true }));
        let (told, answer) = oneshot::channel();
        let append = rollcall_store::Append::new(vec![change], move |appended| drop(told.send(appended)));
        assert!(campus.store.append(append).is_ok());
        let scans = [1, 2, 3].map(|n| campus.submit(&format!("{round}/{n}"), &format!("S{n}")));
        for scan in scans {
            scan.await.unwrap().unwrap();
        }
        answer.await.unwrap();
    }
    campus.seen().await;
    assert_eq!(campus.stored_scans(), 60);
}

#[actix::test]
async fn an_actor_that_panics_takes_no_other_scan_with_it() {
    let panics = AtomicBool::new(true);
    let on_answer = move |_: &ScanResult| {
        assert!(!panics.swap(false, Ordering::Relaxed), "this panic is meant");
    };
    let campus = Campus::telling(Box::new(on_answer)).await;
    campus.deed(Deed::Open).await.unwrap();
    let answers = [1, 2, 3, 4].map(|n| campus.submit(&format!("{n}"), &format!("S{n}")));
    let mut lost = 0;
    for answer in answers {
        match answer.await {
            Ok(result) => assert_eq!(result.unwrap().outcome, Outcome::Present),
            Err(_) => lost += 1,
        }
    }
    assert_eq!(lost, 1, "only the one whose answer panicked");
    assert_eq!(campus.intake.in_flight(), 0);
    assert!(campus.scan("1", "S1").await.unwrap().replayed);
    campus.seen().await;
    assert_eq!(campus.stored_scans(), 4);
}

#[actix::test]
async fn a_house_that_nobody_keeps_any_more_says_so_and_takes_nothing() {
    let on_answer = |result: &ScanResult| assert!(!result.replayed, "this panic is meant");
    let campus = Campus::telling(Box::new(on_answer)).await;
    campus.scan("1", "S1").await.unwrap();
    campus.seen().await;
    assert_eq!(campus.intake.health(), Health::Good);
    // Answered by the supervisor itself, which knows it from the views.
    assert!(campus.submit("1", "S1").await.is_err());
    assert!(matches!(campus.intake.health(), Health::Down { .. }));
    assert_eq!(campus.scan("2", "S2").await, Err(NotTaken::Stopping));
}

#[actix::test]
async fn a_full_house_hands_a_scan_back_and_takes_it_later() {
    let campus = Campus::new().await;
    campus.deed(Deed::Open).await.unwrap();
    let mut waiting = Vec::new();
    let handed_back = loop {
        let (told, answer) = oneshot::channel();
        let id = waiting.len().to_string();
        match campus.intake.submit(campus.submission(&id, "S1", start(), told)) {
            Ok(()) => waiting.push(answer),
            Err(submission) => break (submission, answer),
        }
    };
    assert_eq!(campus.intake.in_flight(), waiting.len());
    for answer in waiting {
        answer.await.unwrap().unwrap();
    }
    let (submission, answer) = handed_back;
    assert!(campus.intake.submit(submission).is_ok());
    answer.await.unwrap().unwrap();
    assert_eq!(campus.intake.in_flight(), 0);
}

#[actix::test]
async fn when_the_store_is_closed_scans_and_commands_are_refused() {
    let campus = Campus::new().await;
    campus.deed(Deed::Open).await.unwrap();
    campus.store.close();
    assert_eq!(campus.scan("a", "S7").await, Err(NotTaken::Stopping));
    assert_eq!(campus.scan("x", "S999").await, Err(NotTaken::Stopping));
    assert!(campus.deed(Deed::Close).await.is_err());
    assert_eq!(campus.intake.in_flight(), 0);
}

#[actix::test]
async fn a_scan_opens_its_session_but_not_while_the_clock_is_in_doubt() {
    let folder = tempdir().unwrap();
    furnish_in(folder.path(), 30).await;
    let campus = Campus::on(folder.path(), Box::new(|_| {}));
    let made = campus.clock_at(1);
    let result = campus.submit_made("a", "S7", made).await.unwrap().unwrap();
    assert_eq!(result.outcome, Outcome::Unmatched(Unmatched::NoOpenSession));
    campus.at_minute(30);
    let result = campus.submit_made("b", "S7", made).await.unwrap().unwrap();
    assert_eq!(result.outcome, Outcome::Present);
    campus.seen().await;
    assert_eq!(
        campus.store.views().now().session(SESSION).unwrap().unwrap().meeting.status,
        SessionStatus::Open
    );
}

#[actix::test]
async fn screens_that_have_gone_are_forgotten_also_by_a_quiet_session() {
    let campus = Campus::new().await;
    let (gone, frames) = mpsc::channel(1);
    let watch = |to| rollcall_actors::Watch { session: SESSION, to };
    campus.supervisor.send(watch(gone.clone())).await.unwrap().unwrap();
    assert_eq!(gone.strong_count(), 2);
    drop(frames);
    let _frames = campus.watch().await.unwrap();
    assert_eq!(gone.strong_count(), 1);
}

#[actix::test]
async fn a_scan_sent_again_tells_its_first_mark_whatever_became_of_it() {
    let campus = Campus::new().await;
    campus.deed(Deed::Open).await.unwrap();
    campus.at_minute(9);
    let first = campus.scan("a", "S7").await.unwrap();
    assert_eq!(first.mark, Some(Mark::Late));
    let wish = Wish {
        student: StudentId(7),
        mark: Mark::Present,
        with_reason: true,
        with_note: false,
        by_admin: false,
    };
    campus.deed(Deed::Mark(wish)).await.unwrap();
    campus.seen().await;
    let again = campus.scan("a", "S7").await.unwrap();
    assert_eq!(again, ScanResult { replayed: true, ..first });
}

#[actix::test]
async fn reopening_does_not_bind_a_device_again_that_a_session_of_another_week_holds() {
    let other = SessionId(2);
    let campus = Campus::new().await;
    create(&campus.store, other, start().plus(days(7))).await;
    for deed in [Deed::Open, Deed::Bind(gate()), Deed::Close] {
        campus.deed(deed).await.unwrap();
        campus.seen().await;
    }
    for deed in [Deed::Open, Deed::Bind(gate())] {
        campus.deed_on(other, deed).await.unwrap();
        campus.seen().await;
    }
    campus.deed(Deed::Reopen).await.unwrap();
    campus.seen().await;
    let bound = |id| campus.store.views().now().session(id).unwrap().unwrap().meeting.bound().count();
    assert_eq!((bound(SESSION), bound(other)), (0, 1));
}
