//! What waits for the evidence's thread.
//!
//! Promises: handing an item in takes no longer than to put it into a list; what waits is bounded in number
//! and in bytes; what was handed in before a request is dealt with before it.
//!
//! Refuses: waiting for room. An item that finds none is lost, and counted.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use redb::Database;

use super::file::guarded;
use super::losses::{Loss, Losses};
use super::{Item, Kind, Limits, Subject};
use crate::error::StoreError;

/// Items that may wait, and what they may come to.
const QUEUE_ITEMS: usize = 8_192;
const QUEUE_BYTES: usize = 32 << 20;
/// What goes into one transaction.
const AT_ONCE_ITEMS: usize = 1_024;
const AT_ONCE_BYTES: usize = 8 << 20;

/// How many items it were.
pub(super) type Reply = SyncSender<Result<u64, StoreError>>;

/// Somebody waits for it.
pub(super) enum Request {
    Forget {
        about: Subject,
        gone: u64,
        reply: Reply,
    },
    /// All that was handed in is on disk, and nothing is there that has to go.
    Settle(Reply),
}

enum Order {
    Keep(Item),
    Request(Request),
}

/// What is to be done next.
pub(super) enum Next {
    Keep(Vec<Item>),
    Request(Request),
}

#[derive(Default)]
pub(super) struct Waiting {
    orders: VecDeque<Order>,
    items: usize,
    bytes: usize,
    requests: usize,
    /// Until these are known nothing goes, and pictures are not kept.
    pub(super) limits: Option<Limits>,
    pub(super) limits_changed: bool,
    /// What a reader came upon.
    pub(super) trouble: Option<StoreError>,
    /// The file is not open.
    pub(super) down: bool,
    pub(super) closed: bool,
}

impl Waiting {
    /// Takes the item, or tells why not.
    pub(super) fn push(&mut self, item: Item) -> Result<(), Loss> {
        if item.kind == Kind::Picture && !self.limits.is_some_and(|limits| limits.keep_pictures) {
            return Ok(());
        }
        let size = item.bytes.len();
        let most = self.limits.map_or(u64::MAX, |limits| limits.max_bytes);
        if self.closed {
            return Err(Loss::Unavailable);
        }
        if size > QUEUE_BYTES || item.cost() > most {
            return Err(Loss::TooLarge);
        }
        if self.items >= QUEUE_ITEMS || self.bytes + size > QUEUE_BYTES {
            return Err(if self.down { Loss::Unavailable } else { Loss::QueueFull });
        }
        self.items += 1;
        self.bytes += size;
        self.orders.push_back(Order::Keep(item));
        Ok(())
    }

    pub(super) fn ask(&mut self, request: Request) {
        self.requests += 1;
        self.orders.push_back(Order::Request(request));
    }

    /// There is more to be done about it, before everything else.
    pub(super) fn put_back(&mut self, request: Request) {
        self.requests += 1;
        self.orders.push_front(Order::Request(request));
    }

    /// What came first: items that go into one transaction, or a request.
    pub(super) fn take(&mut self) -> Option<Next> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(order) = self.orders.pop_front() {
            match order {
                Order::Request(request) if taken.is_empty() => {
                    self.requests -= 1;
                    return Some(Next::Request(request));
                }
                Order::Keep(item) if taken.is_empty() || bytes + item.bytes.len() <= AT_ONCE_BYTES => {
                    bytes += item.bytes.len();
                    self.items -= 1;
                    taken.push(item);
                    if taken.len() == AT_ONCE_ITEMS {
                        break;
                    }
                }
                order => {
                    self.orders.push_front(order);
                    break;
                }
            }
        }
        self.bytes -= bytes;
        (!taken.is_empty()).then_some(Next::Keep(taken))
    }

    /// Whether there is nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        let told = self.limits_changed || self.trouble.is_some() || self.closed;
        self.orders.is_empty() && !told
    }

    /// Whether somebody waits for an answer.
    pub(super) fn has_requests(&self) -> bool {
        self.requests > 0
    }

    /// Takes out whatever somebody waits for.
    pub(super) fn take_requests(&mut self) -> Vec<Request> {
        let (requests, items) =
            std::mem::take(&mut self.orders).into_iter().partition::<VecDeque<_>, _>(Order::is_request);
        self.orders = items;
        self.requests = 0;
        let request = |order| match order {
            Order::Request(request) => Some(request),
            Order::Keep(_) => None,
        };
        requests.into_iter().filter_map(request).collect()
    }

    /// Lets go of all items; tells how many it were.
    pub(super) fn drop_items(&mut self) -> u64 {
        self.orders.retain(Order::is_request);
        self.bytes = 0;
        u64::try_from(std::mem::take(&mut self.items)).unwrap_or(u64::MAX)
    }
}

impl Order {
    fn is_request(&self) -> bool {
        matches!(self, Order::Request(_))
    }
}

impl Request {
    pub(super) fn answer(self, answer: Result<u64, StoreError>) {
        let (Request::Forget { reply, .. } | Request::Settle(reply)) = self;
        // Who asked may have gone; there is room for the one answer, so this never waits.
        reply.send(answer).ok();
    }
}

/// What those who hand in, those who read and the thread share.
#[derive(Default)]
pub(super) struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    pub(super) losses: Losses,
    /// Absent while the file is not open.
    database: RwLock<Option<Arc<Database>>>,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what waits, and wakes the thread.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Waiting) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_one();
        changed
    }

    /// Waits as long as `idle` holds; tells whether it waited to the end.
    pub(super) fn wait<'w>(
        &self,
        waiting: MutexGuard<'w, Waiting>,
        at_most: Duration,
        idle: impl Fn(&Waiting) -> bool,
    ) -> (MutexGuard<'w, Waiting>, bool) {
        let woken = self.changed.wait_timeout_while(waiting, at_most, |waiting| idle(waiting));
        let (waiting, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
        (waiting, timeout.timed_out())
    }

    pub(super) fn database(&self) -> Result<Arc<Database>, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or(StoreError::Down)
    }

    /// Puts the database where readers find it; gives back the one that was there.
    pub(super) fn put_database(&self, database: Option<Arc<Database>>) -> Option<Arc<Database>> {
        std::mem::replace(&mut *self.database.write().unwrap_or_else(PoisonError::into_inner), database)
    }

    /// Closes the file, once whoever is reading has ended.
    pub(super) fn drop_database(&self) {
        let database = self.put_database(None);
        // The engine writes once more when it closes; over a damaged file it may panic.
        let closed = guarded(|| {
            drop(database);
            Ok(())
        });
        if closed.is_err() {
            tracing::debug!("the evidence could not be closed in order");
        }
    }
}
