//! Whatever happened before and after: views made anew from a checkpoint are those that are there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::cell::Cell;
use std::fs;

use common::damage::in_memory;
use common::happenings::any_event;
use common::meetings::{class, created, day, joined, starts};
use common::{KEY, TestClock, append, kept_from, wait_for};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rollcall_domain::event::{Event, How, SessionEvent};
use rollcall_domain::ids::{Seq, SessionId};
use rollcall_domain::moment::Moment;
use rollcall_domain::roster::Days;
use rollcall_store::verify;

/// What happens between two times that something is forgotten: to the sessions that there are by then,
/// counted back from the latest.
#[derive(Debug, Clone)]
struct Stretch {
    commits: Vec<Vec<Event>>,
    created: (u64, u8),
    locks: bool,
    /// Up to which day records are forgotten, and up to which entry others are, in hundredths of all.
    forget: Option<(u8, u64)>,
    opened_again: bool,
}

fn any_stretch() -> impl Strategy<Value = Stretch> {
    // A session comes to be once.
    let once = |event: &Event| {
        !matches!(event, Event::Session(_, SessionEvent::Created { .. }) | Event::Retention(_))
    };
    let event = any_event().prop_filter("a session comes to be once", once);
    (
        prop::collection::vec(prop::collection::vec(event, 1..8), 1..5),
        (1..3_u64, 0..6_u8),
        any::<bool>(),
        prop::option::weighted(0.7, (0..7_u8, 0..101_u64)),
        any::<bool>(),
    )
        .prop_map(|(commits, created, locks, forget, opened_again)| Stretch {
            commits,
            created,
            locks,
            forget,
            opened_again,
        })
}

/// The same event of a session that is so many before the latest.
fn of(latest: u64, event: Event) -> Event {
    match event {
        Event::Session(id, event) => Event::Session(SessionId(latest.saturating_sub(id.0 - 1).max(1)), event),
        event => event,
    }
}

/// Tells how often entries were forgotten, and how often records.
fn live_through(stretches: Vec<Stretch>) -> Result<(u64, u64), TestCaseError> {
    let (folder, clock) = (in_memory(), TestClock::of(300));
    let mut store = clock.open(folder.path());
    let (mut to, mut forgot) = (Seq(0), (0, 0));
    append(&store, vec![class(1), class(2), joined(1, 1, Days::ALWAYS), joined(2, 2, Days::ALWAYS)]);
    for (latest, stretch) in (1..).zip(stretches) {
        let (class, on) = stretch.created;
        append(&store, vec![Event::Session(SessionId(latest), created(class, on))]);
        for events in stretch.commits {
            append(&store, events.into_iter().map(|event| of(latest, event)).collect());
        }
        if stretch.locks {
            let lock = |id| Event::Session(SessionId(id), SessionEvent::Locked { how: How::OnTime });
            append(&store, (1..=latest).map(lock).collect());
        }
        wait_for(&store, store.last());
        if let Some((records, hundredths)) = stretch.forget {
            let end = Seq(store.last().0 * hundredths / 100 + 1);
            let (ledger, records) = (Moment::from_millis(4_000_000_000_000), starts(day(records)));
            clock.age(&store);
            let kept = |id| store.views().now().session(SessionId(id)).unwrap().is_some();
            let before = (1..=latest).filter(|id| kept(*id)).count();
            let forgotten = store.forget_older(ledger, kept_from(records), Some(end)).unwrap();
            forgot.0 += u64::from(forgotten.is_some_and(|now| now.to > to));
            wait_for(&store, store.last());
            forgot.1 += u64::from((1..=latest).filter(|id| kept(*id)).count() < before);
            to = forgotten.map_or(to, |now| now.to);
        }
        if stretch.opened_again {
            drop(store);
            store = clock.open(folder.path());
        }
    }
    drop(store);
    let check = || {
        let scratch = in_memory();
        let verified = verify(folder.path(), KEY, Some(scratch.path())).unwrap();
        prop_assert_eq!((verified.difference, verified.gaps.len()), (None, 0));
        Ok(())
    };
    check()?;
    fs::remove_file(folder.path().join("views.redb")).unwrap();
    drop(clock.open(folder.path()));
    check()?;
    Ok(forgot)
}

#[test]
fn what_a_checkpoint_leaves_out_makes_no_difference() {
    let config = ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() };
    let (entries, records) = (Cell::new(0), Cell::new(0));
    let ran = TestRunner::new(config).run(&prop::collection::vec(any_stretch(), 1..7), |stretches| {
        let forgot = live_through(stretches)?;
        entries.set(entries.get() + forgot.0);
        records.set(records.get() + forgot.1);
        Ok(())
    });
    ran.unwrap();
    let forgot = (entries.get(), records.get());
    assert!(forgot.0 > 48 && forgot.1 > 24, "{forgot:?}");
}
