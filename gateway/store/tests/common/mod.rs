//! A store in a folder of its own, with a clock that only moves when told.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "test support: each test file uses a part of it and may fail loudly"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use rollcall_domain::event::{Actor, Event, NewEvent};
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::Clock;
use rollcall_domain::scan::DedupKey;
use rollcall_store::{Append, Appended, ChainKey, Expect, Store};

/// Starts in 2026 and goes on by a millisecond with every look.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(TestClock(AtomicI64::new(1_772_000_000_000)))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Moment {
        Moment::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed).unsigned_abs())
    }
}

pub const KEY: ChainKey = ChainKey([3; 32]);

pub fn open(folder: &Path) -> Store {
    Store::open(folder, KEY, TestClock::shared(), Box::new(|_| {})).unwrap()
}

/// Appends and waits for the answer.
pub fn append(store: &Store, events: Vec<Event>) -> Appended {
    append_as(store, events, None, None)
}

pub fn append_as(
    store: &Store,
    events: Vec<Event>,
    dedup: Option<DedupKey>,
    expect: Option<Expect>,
) -> Appended {
    let (sender, receiver) = channel();
    let events =
        events.into_iter().map(|event| NewEvent { by: Actor::Cli, event, personal: Vec::new() }).collect();
    let then = move |appended| sender.send(appended).unwrap();
    let append = Append { dedup, expect, ..Append::new(events, then) };
    store.append(append).unwrap_or_else(|_| panic!("the queue is full"));
    receiver.recv().unwrap()
}

/// An event that needs nothing else to be there.
pub fn setting(value: &str) -> Event {
    Event::SettingChanged { key: "sessions.late_after_minutes".to_owned(), value: Some(value.to_owned()) }
}
