//! Stores with something that is old.

use std::path::Path;

use rollcall_domain::event::{Event, How, SessionEvent};
use rollcall_domain::ids::{Seq, SessionId};
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::Moment;
use rollcall_domain::roster::Days;
use rollcall_store::{Store, verify};

use super::damage::in_memory;
use super::meetings::{class, closed, created, joined, marked, opened};
use super::{KEY, TestClock, append, unmatched, wait_for};

/// Before everything: nothing is that old.
pub fn never() -> Moment {
    Moment::from_millis(0)
}

/// After everything.
pub fn whenever() -> Moment {
    Moment::from_millis(4_000_000_000_000)
}

pub fn settle(store: &Store) {
    while store.is_forgetting() {
        std::thread::yield_now();
    }
    wait_for(store, store.last());
}

/// The ledger is whole, and views made anew are those that are there; tells what is forgotten.
pub fn whole(folder: &Path) -> Option<Seq> {
    let scratch = in_memory();
    let verified = verify(folder, KEY, Some(scratch.path())).unwrap();
    assert_eq!((verified.gaps.len(), verified.difference), (0, None));
    verified.forgotten.map(|forgotten| forgotten.to)
}

/// A class with two students and meetings on four days, long ago; the last is open.
pub fn campus(store: &Store, clock: &TestClock) {
    append(store, vec![class(1), joined(1, 1, Days::ALWAYS), joined(1, 2, Days::ALWAYS)]);
    for offset in 0..4_u8 {
        let session = u64::from(offset) + 1;
        append(store, vec![of(session, created(1, offset))]);
        append(store, vec![of(session, opened(&[]))]);
        append(store, vec![of(session, marked(1, Mark::Present, true))]);
        append(store, vec![unmatched(&format!("of {session}")).0]);
        if offset < 3 {
            append(store, vec![of(session, closed(&[2], &[]))]);
            append(store, vec![of(session, SessionEvent::Locked { how: How::OnTime })]);
        }
    }
    clock.age(store);
}

pub fn of(session: u64, event: SessionEvent) -> Event {
    Event::Session(SessionId(session), event)
}
