//! Evidence: what devices sent, as it came, for as long as the settings say.
//!
//! Promises: keeping never waits, so that no acknowledgement does; what is not kept is counted under its
//! cause; not more is there than the limits allow, for long, and the oldest goes first; pictures are
//! written only where the limits say so; what is about a student can be found and forgotten; whatever lies
//! in the file, the gateway starts.
//!
//! Refuses: being the truth. Nothing may be decided by it: an item is there if all went well.
//!
//! A thread of its own (`keeper`) opens `evidence.redb`, writes what has gathered in the `queue` in one
//! transaction, and removes what has to go in steps. Items reach the disk once a second: what a power cut
//! takes with it is lost. Space that is freed is used again; a file that is mostly empty is made smaller.

mod copy;
mod file;
mod keeper;
mod losses;
mod queue;
mod read;
mod rows;
pub(crate) mod tables;

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rollcall_domain::ids::{DeviceId, Seq, StudentId};
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::Clock;
use rollcall_domain::scan::DedupKey;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::reserve::Reserve;
use keeper::Keeper;
use queue::{Reply, Request, Shared};

pub use losses::Loss;

pub(crate) use copy::{Loading, Proof, look_at_closed};
pub(crate) use file::set_aside;

/// Something to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// When it was received.
    pub at: Moment,
    /// Who sent it, by the connection's identity.
    pub device: DeviceId,
    pub kind: Kind,
    /// All that is known of what it belongs to and whom it is about. One message may bring many scans.
    pub about: Vec<Subject>,
    /// As they came.
    pub bytes: Vec<u8>,
}

impl Item {
    /// What it counts for.
    fn cost(&self) -> u64 {
        rows::cost(self.bytes.len(), self.about.len())
    }
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A message that should have been scans and could not be read.
    BadPayload,
    /// A message that brought scans.
    Scan,
    /// A picture of who scanned.
    Picture,
    /// Any other message of a device.
    Other,
}

/// What an item belongs to, or whom it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Subject {
    Student(StudentId),
    /// An entry of the ledger.
    Event(Seq),
    /// A scan, where its entry is not known.
    Scan(DedupKey),
}

/// An item's place: by time, and among those of one time as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId {
    pub at: Moment,
    pub number: u64,
}

impl ItemId {
    /// Before everything of that time and later.
    pub fn first_at(at: Moment) -> Self {
        ItemId { at, number: 0 }
    }

    /// Right after this one: where the next page begins.
    pub fn next(self) -> Self {
        ItemId { number: self.number.saturating_add(1), ..self }
    }
}

/// Something that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub id: ItemId,
    pub device: DeviceId,
    pub kind: Kind,
    pub about: Vec<Subject>,
    /// How many bytes came.
    pub size: usize,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What is older goes.
    pub days: u32,
    /// What all items may come to, with what their rows take; beyond, the oldest go.
    pub max_bytes: u64,
    /// Whether pictures are written. Those that were, stay until the other limits take them.
    pub keep_pictures: bool,
}

/// A handle; clones share one file. The last one to be dropped closes it.
#[derive(Clone)]
pub struct Evidence(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    path: PathBuf,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Evidence {
    /// Starts keeping evidence in `folder`. The file is opened behind the caller's back, so this neither waits
    /// for it nor fails because of it. Until [`Evidence::set_limits`] nothing goes and no pictures are kept.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(path: PathBuf, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::start_with(path, clock, None)
    }

    /// The same; while the disk has less room than the reserve, nothing new is written.
    pub(crate) fn start_with(
        path: PathBuf,
        clock: Arc<dyn Clock>,
        reserve: Option<Arc<Reserve>>,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::default());
        let keeper = Keeper::new(path.clone(), Arc::clone(&shared), clock, reserve);
        let thread = std::thread::Builder::new().name("evidence".to_owned()).spawn(move || keeper.run());
        let thread = Mutex::new(Some(thread.map_err(StoreError::Thread)?));
        Ok(Evidence(Arc::new(Inner { shared, path, thread })))
    }

    /// From now on these hold, also for what is there already.
    pub fn set_limits(&self, limits: Limits) {
        self.shared().change(|waiting| (waiting.limits, waiting.limits_changed) = (Some(limits), true));
    }

    /// Hands an item over, and does not wait for anything.
    pub fn keep(&self, item: Item) {
        if let Err(loss) = self.shared().change(|waiting| waiting.push(item)) {
            self.shared().losses.add(loss, 1);
        }
    }

    /// How many items were not kept, for this cause.
    pub fn lost(&self, loss: Loss) -> u64 {
        self.shared().losses.count(loss)
    }

    /// Removes everything about this, and waits until that is on disk; tells how many items it were. What is
    /// in files that were [set aside](Evidence::set_aside) is not found.
    ///
    /// # Errors
    /// It is not certain that all of it is gone; try again in a moment.
    pub fn forget(&self, about: Subject) -> Result<u64, StoreError> {
        self.ask(|reply| Request::Forget { about, gone: 0, reply })
    }

    /// Waits until all that was handed over is on disk or lost, and nothing is there that has to go.
    ///
    /// # Errors
    /// The file cannot be written now.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.ask(Request::Settle).map(|_none| ())
    }

    /// Files that were damaged or not ours and have been given another name: nobody reads them, and nobody
    /// but a person deletes them.
    pub fn set_aside(&self) -> Vec<PathBuf> {
        file::aside_of(&self.0.path)
    }

    /// Takes nothing more, writes what waits, and closes the file. Waits meanwhile.
    pub fn close(&self) {
        self.0.close();
    }

    fn ask(&self, request: impl FnOnce(Reply) -> Request) -> Result<u64, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.shared().change(|waiting| {
            if !waiting.closed {
                waiting.ask(request(reply));
            }
        });
        answer.recv().map_err(|_closed| StoreError::Down)?
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }
}

impl Inner {
    fn close(&self) {
        self.shared.change(|waiting| waiting.closed = true);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(
                "the thread of the evidence panicked; the ledger is not concerned, please report this"
            );
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
