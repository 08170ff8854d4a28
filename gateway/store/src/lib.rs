//! What is on disk: the ledger, the people register, the views that follow them, the evidence.
//!
//! Promises: an append that was answered survives a power cut and is counted once; everything read
//! by screens and reports is a pure function of the ledger and can be deleted and rebuilt.
//!
//! Refuses: rules. What an event does to the state is `rollcall_domain`'s one fold. This is the only
//! room that names the storage engine.
//!
//! The way of an append: [`Store::append`] puts it into a bounded queue; the writer brings what has gathered to
//! the disk at once, tells everyone who waits, and hands the entries to the [`Views`]. Whoever wants to read
//! what they wrote waits for the views to have seen it.

mod age;
mod answer;
mod append;
mod archive;
mod backup;
mod backup_file;
mod begin;
mod caught;
mod change;
mod checkpoint;
mod chores;
mod codec;
mod disk;
mod ended;
mod error;
mod events;
pub mod evidence;
mod export;
mod follow;
mod gaps;
mod index;
mod keys;
mod ledger;
mod names;
mod opening;
mod overlay;
mod placing;
mod queue;
mod reading;
mod register;
mod reserve;
mod restore;
mod retention;
mod said;
mod salvage;
mod scratch;
mod seal;
mod secrets;
mod steps;
mod tables;
mod tail;
mod upgrade;
mod verify;
pub mod views;
mod waiting;
mod writer;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rollcall_domain::code::Pseudonyms;
use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::{Clock, Health, HealthSource};

use ledger::Ledger;
use reserve::Reserve;

pub use append::{Append, Appended, Claimant, Credential, Expect, Failure, Held, Line};
pub use backup::{Backup, Extent, backup, backup_with, check_backup};
pub use backup_file::part_of_backup;
pub use checkpoint::Forgotten;
pub use disk::{Disk, Place};
pub use error::StoreError;
pub use evidence::Evidence;
pub use export::{Export, Span};
pub use gaps::Gap;
pub use keys::{Fingerprint, Keyring, RootKey};
pub use ledger::Closed;
pub use placing::unneeded_parts;
pub use queue::Full;
pub use register::{Register, Template, Text};
pub use restore::{Overwrite, Restored, restore};
pub use retention::{HeldUp, Holder};
pub use salvage::{Salvaged, salvage};
pub use secrets::{SecretHash, Secrets};
pub use upgrade::{Undone, Upgrade};
pub use verify::{Verified, verify, verify_at, verify_each};
pub use views::{Progress, Stuck, Views};
pub use writer::{Commit, OnCommit};

/// How long a disk may take before it is said not to answer.
const SILENT: Duration = Duration::from_secs(5);

/// The open store. Dropping it closes it.
pub struct Store {
    ledger: Arc<Ledger>,
    views: Views,
    evidence: Evidence,
    reserve: Arc<Reserve>,
    /// How many entries the ledger is known to have lost.
    lost: u64,
    /// Absent once it is closed.
    queue: RwLock<Option<queue::Queue>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    place: Place,
    clock: Arc<dyn Clock>,
    chores: Arc<chores::Chores>,
    /// Held by whoever forgets what is too old.
    forgetting: Mutex<()>,
    held_up: Mutex<Option<HeldUp>>,
}

impl Store {
    /// Opens or makes the files in `place`, a folder, brings the views to the ledger's end, and starts the
    /// writer. A ledger under an older key of the keyring goes on under the current one; of a damaged one in
    /// a real folder a new one is made, of all that is intact.
    ///
    /// # Errors
    /// The files cannot be opened, the ledger is sealed under a key that is not in the keyring, or its chain
    /// is broken.
    pub fn open(
        place: impl Into<Place>,
        keys: impl Into<Keyring>,
        clock: Arc<dyn Clock>,
        on_commit: OnCommit,
    ) -> Result<Self, StoreError> {
        let (place, keys) = (place.into(), keys.into());
        let reserve = Arc::new(Reserve::of(&place));
        let (path, within) = (place.disk.path("evidence.redb"), Some(Arc::clone(&reserve)));
        let evidence = Evidence::start_with(path, Arc::clone(&clock), within)?;
        let opening::Opened { ledger, views, follower, following } =
            opening::open(&place, &keys, &reserve, &clock)?;
        scratch::remove(&place)?;
        place.disk.folder().into_iter().for_each(placing::clear_unfinished);
        let chores = Arc::<chores::Chores>::default();
        let parts = writer::Parts {
            views: views.clone(),
            clock: Arc::clone(&clock),
            on_commit,
            follower,
            chores: Arc::clone(&chores),
        };
        let started = writer::start(&place, Arc::clone(&reserve), Arc::clone(&ledger), parts);
        let (queue, writing) = match started {
            Ok(started) => started,
            Err(error) => {
                // With the follower went the reason for its thread, and that holds the files.
                drop(following.join());
                return Err(error);
            }
        };
        let lost = ledger.gaps()?.iter().map(Gap::entries).sum();
        let (queue, threads) = (RwLock::new(Some(queue)), Mutex::new(vec![writing, following]));
        let (forgetting, held_up) = Default::default();
        Ok(Store {
            ledger,
            views,
            evidence,
            reserve,
            lost,
            queue,
            threads,
            place,
            clock,
            chores,
            forgetting,
            held_up,
        })
    }

    /// Whether a ledger lies in `folder`.
    pub fn is_in(folder: &Path) -> bool {
        ledger::is_in(folder)
    }

    /// Queues an append; its completion is called after the commit, and only then.
    ///
    /// # Errors
    /// The queue is full, and the append comes back, to be tried again once something has been answered;
    /// or the store is closed.
    pub fn append(&self, append: Append) -> Result<(), Full> {
        match &*self.queue.read().unwrap_or_else(PoisonError::into_inner) {
            Some(queue) => queue.push(append),
            None => Err(Full(Box::new(append))),
        }
    }

    /// Takes nothing more, finishes what is queued, and closes the files; whoever still holds the store
    /// finds it down. Waits meanwhile.
    pub fn close(&self) {
        drop(self.queue.write().unwrap_or_else(PoisonError::into_inner).take());
        // Held until they have ended, so that nobody closes the files under them.
        let mut held = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let threads = std::mem::take(&mut *held);
        if threads.iter().any(|thread| thread.thread().id() == thread::current().id()) {
            // The last to let go was a completion. The writer cannot wait for itself: it goes on to the end
            // of its queue, and the files close behind it.
            return;
        }
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked; the ledger is intact, please report this");
            }
        }
        caught::let_go(self.ledger.close());
        self.evidence.close();
    }

    pub fn views(&self) -> &Views {
        &self.views
    }

    /// What devices sent, as it came. Until its limits are set, nothing goes.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// What identifies people.
    pub fn register(&self) -> Register {
        Register::of(&self.ledger)
    }

    /// Hashes personal numbers, as this ledger's events have them.
    pub fn pseudonyms(&self) -> Pseudonyms {
        self.ledger.keys.pseudonyms()
    }

    /// Hashes device secrets, tokens and codes, as this ledger's register has them.
    pub fn secrets(&self) -> Secrets {
        self.ledger.keys.secrets()
    }

    /// Whether rows may still lie under a root key that was replaced. Once they do not, that key is not
    /// needed any more, and should be taken away.
    pub fn is_resealing(&self) -> bool {
        self.ledger.keys.is_resealing()
    }

    /// Up to `limit` entries from `from` on, in order.
    ///
    /// # Errors
    /// The ledger cannot be read, or an entry in it is damaged.
    pub fn entries(&self, from: Seq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.ledger.entries(from, limit)
    }

    /// The entry at `seq`.
    ///
    /// # Errors
    /// There is none, or it is damaged, or the ledger cannot be read.
    pub fn entry(&self, seq: Seq) -> Result<Entry, StoreError> {
        self.ledger.entry(seq)
    }

    /// The entries of a span, read on as they are asked for; those written later are not among them.
    pub fn export(&self, span: Span) -> Export {
        Export::of(&self.ledger, span)
    }

    /// Writes a backup to `target` while appends go on.
    ///
    /// # Errors
    /// The ledger cannot be read, or the file cannot be written, or is there already.
    pub fn backup(&self, target: &Path, at: Moment) -> Result<Backup, StoreError> {
        self.backup_with(target, at, Extent::default())
    }

    /// The same, of more than the ledger if asked for.
    ///
    /// # Errors
    /// As [`Store::backup`]; or the evidence cannot be read.
    pub fn backup_with(&self, target: &Path, at: Moment, extent: Extent) -> Result<Backup, StoreError> {
        self.backup_watched(target, at, extent, &mut |_| ControlFlow::Continue(()))
    }

    /// The same; `watch` is told how many bytes are on disk, and may end the work, which leaves nothing.
    ///
    /// # Errors
    /// As [`Store::backup_with`], and it was ended.
    pub fn backup_watched(
        &self,
        target: &Path,
        at: Moment,
        extent: Extent,
        watch: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Backup, StoreError> {
        let evidence = (extent == Extent::WithEvidence).then_some(backup::Source::Open(&self.evidence));
        backup::of(&self.ledger, evidence, target, at, watch)
    }

    /// Walks the chain up to what is its end now while appends go on; if asked to, also makes the views anew
    /// in `scratch`, an empty folder, as far as they are shown now, and compares. `watch` is told how many
    /// entries of how many were looked at, and may end the work. Pages of the files are looked at only where
    /// an entry or a row lies; [`verify`] looks at all of them.
    ///
    /// # Errors
    /// The ledger is damaged, a file cannot be read or written, or it was ended.
    pub fn verify(
        &self,
        scratch: Option<&Path>,
        watch: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Verified, StoreError> {
        verify::of_open(&self.ledger, &self.views, scratch, watch)
    }

    /// What the ledger is known to have lost.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn gaps(&self) -> Result<Vec<Gap>, StoreError> {
        self.ledger.gaps()
    }

    /// How many appends wait to be written.
    pub fn queued(&self) -> usize {
        self.queue.read().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, queue::Queue::len)
    }

    /// Whether appends are written. It is up again only when the views have seen all that is on disk, unless
    /// it is they that cannot be written.
    pub fn is_up(&self) -> bool {
        self.ledger.is_up()
    }

    /// Returns once appends are written.
    ///
    /// # Errors
    /// They never are again.
    pub async fn until_up(&self) -> Result<(), Closed> {
        self.ledger.until_up().await
    }

    /// Returns once appends are not written any more, for now or for good.
    pub async fn until_down(&self) {
        self.ledger.until_down().await;
    }

    /// The last sequence on disk; the views may be on their way there.
    pub fn last(&self) -> Seq {
        self.ledger.last()
    }

    /// Why nothing is written now, if the store has said no.
    pub fn refuses(&self) -> Option<String> {
        let down =
            || "nothing can be written, so nothing is acknowledged until it can: check the disk".to_owned();
        self.reserve.lack().or_else(|| (!self.is_up()).then(down))
    }
}

impl HealthSource for Store {
    fn part(&self) -> &'static str {
        "store"
    }

    /// Asks the disk for room, too: it may have filled up since the last append.
    fn health(&self) -> Health {
        // First, for such a disk may not tell of its room either.
        let silent = self.ledger.busy_for(self.clock.monotonic());
        if silent >= SILENT {
            let seconds = silent.as_secs();
            let reason = format!(
                "the disk has not answered for {seconds} seconds, and nothing is acknowledged until it does: check the disk"
            );
            return Health::Down { reason };
        }
        if let Some(reason) = self.refuses() {
            return Health::Down { reason };
        }
        if self.views.progress().stuck {
            let reason = "scans are kept, and screens do not show them yet: the views are being mended";
            return Health::Impaired { reason: reason.to_owned() };
        }
        if self.lost > 0 {
            return Health::Impaired { reason: format!("{} entries of the ledger were lost", self.lost) };
        }
        Health::Good
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}
