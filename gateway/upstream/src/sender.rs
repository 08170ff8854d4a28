//! Follows the ledger for one destination.
//!
//! Promises: every mark reaches the destination, the newest version of each at that, once if receipts
//! can be written; a version is never followed by an older one; a refusal for good is put aside and
//! blocks nothing; a restart goes on from the receipts; stopping takes less than a second.
//!
//! Refuses: more than one delivery at a time in this mode, which is what keeps versions in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rollcall_domain::event::{Actor, Entry, Event, NewEvent, RecordVersion, SessionEvent, UpstreamEvent};
use rollcall_domain::ids::{Name, RecordId, Seq, SessionId, StudentId};
use rollcall_domain::moment::Moment;
use rollcall_domain::people::{Person, Personal, TextField};
use rollcall_domain::ports::Clock;
use rollcall_store::views::Snapshot;
use rollcall_store::{Append, Appended, Full, Store, StoreError};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::backoff::Backoff;
use crate::error::UpstreamError;
use crate::outcome::Outcome;
use crate::parcel::{self, Campus, Parcel};
use crate::portal::Portal;
use crate::receipts::Receipts;

/// Entries read at once, and records dealt with after which their receipts are written.
const CHUNK: usize = 256;
/// A cursor is worth a receipt of its own when it has come this far without a delivery.
const STRIDE: u64 = 10_000;
/// How long to wait before asking a store again that could not answer.
const STORE_PAUSE: Duration = Duration::from_millis(200);
/// What stopping may still take, for writing receipts.
const LAST_RECEIPTS: Duration = Duration::from_millis(500);

/// What a destination is at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Starting,
    /// Everything is told.
    Idle,
    Sending,
    /// For so long, because of the last error.
    Waiting(Duration),
    Stopped,
}

/// How a destination is doing; for pages and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    /// Everything up to here is dealt with.
    pub cursor: Seq,
    /// From here on the ledger must keep its entries: after what the last receipt in it says was dealt with, so that
    /// this receipt is kept. All of them, which is `Seq(0)`, as long as there is none, or none was read yet. What is
    /// dealt with and not written down yet does not count: without a receipt, a restart would begin where a new
    /// destination does. What several destinations need begins with the least of theirs.
    pub needed_from: Seq,
    /// Records that are known to be due, and entries that were not looked at yet.
    pub lag: u64,
    /// How old the oldest entry is that is not dealt with.
    pub behind_since: Option<Moment>,
    /// Since the start of the program.
    pub delivered: u64,
    pub dead_letters: usize,
    /// What keeps records from being delivered now.
    pub last_error: Option<String>,
}

/// One destination's way through the ledger.
pub struct Sender {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    campus: Campus,
    destination: Name,
    portal: Portal,
    backoff: Backoff,
    backfill: bool,
    receipts: Receipts,
    /// Up to here the ledger's events are in `receipts`.
    folded: Seq,
    /// Up to here everything is dealt with.
    reached: Seq,
    /// The low water of the last receipt in the ledger.
    written: Option<Seq>,
    /// Delivered and refused, and not in the ledger yet.
    delivered: Vec<RecordVersion>,
    refused: Vec<(RecordVersion, String)>,
    /// The read under way, which outlives whoever stops waiting for it.
    reading: JoinSet<Result<Vec<Entry>, StoreError>>,
    status: watch::Sender<Status>,
}

impl Sender {
    /// `backfill`: a destination that is new is told of what was before it, too.
    pub fn new(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        campus: Campus,
        (destination, portal): (Name, Portal),
        backoff: Backoff,
        backfill: bool,
    ) -> Self {
        Sender {
            store,
            clock,
            campus,
            receipts: Receipts::new(destination.clone()),
            destination,
            portal,
            backoff,
            backfill,
            folded: Seq(0),
            reached: Seq(0),
            written: None,
            delivered: Vec::new(),
            refused: Vec::new(),
            reading: JoinSet::new(),
            status: watch::channel(Status::default()).0,
        }
    }

    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }
}

/// Serves the destination until `shutdown` says so, or whoever could say so is gone.
pub async fn run(mut sender: Sender, mut shutdown: watch::Receiver<bool>) {
    tokio::select! {
        () = sender.follow() => {}
        _ = shutdown.wait_for(|stop| *stop) => {}
    }
    // A read holds the store, and whoever stopped the sender may want to close that next.
    while sender.reading.join_next().await.is_some() {}
    // What was cut off on its way has an unknown outcome and is sent again, under the same key.
    if !matches!(timeout(LAST_RECEIPTS, sender.write()).await, Ok(Ok(()))) {
        tracing::warn!(destination = %sender.destination, "the last receipts were not written; their records are sent again");
    }
    sender.status.send_modify(|status| status.state = State::Stopped);
}

impl Sender {
    async fn follow(&mut self) {
        let mut seen = self.store.views().watch();
        // Once: what comes while starting fails and is tried again is not from before it.
        let first = if self.backfill { Seq(0) } else { seen.borrow().seen };
        while let Err(error) = self.start(first).await {
            self.trouble(&error).await;
        }
        loop {
            let target = seen.borrow_and_update().seen;
            match self.round(target).await {
                Ok(true) => {}
                Ok(false) => {
                    self.status.send_modify(|status| {
                        (status.state, status.lag, status.behind_since) = (State::Idle, 0, None);
                    });
                    if seen.changed().await.is_err() {
                        return;
                    }
                }
                Err(error) => self.trouble(&error).await,
            }
        }
    }

    /// Reads the receipts; a destination without any begins behind `first`.
    async fn start(&mut self, first: Seq) -> Result<(), UpstreamError> {
        let last = self.store.views().seen();
        while self.folded < last {
            let entries = self.entries(self.folded, last).await?;
            entries.iter().for_each(|entry| self.receipts.apply(&entry.event));
            self.folded = entries.last().map_or(last, |entry| entry.seq);
        }
        self.written = self.receipts.cursor;
        self.reached = self.receipts.cursor.unwrap_or(first);
        let (cursor, dead_letters) = (self.reached, self.receipts.dead_letters());
        self.status.send_modify(|status| (status.cursor, status.dead_letters) = (cursor, dead_letters));
        self.tell_needs();
        self.write().await
    }

    /// Deals with the next entries up to `target` and with what was asked for; `false` if there is nothing.
    async fn round(&mut self, target: Seq) -> Result<bool, UpstreamError> {
        self.write().await?;
        let entries = self.entries(self.reached, target).await?;
        let mut due = Vec::new();
        let now = self.store.views().now();
        for entry in &entries {
            if entry.seq > self.folded {
                self.receipts.apply(&entry.event);
                self.folded = entry.seq;
            }
            due.extend(self.touched(&now, entry)?);
        }
        drop(now);
        due.extend(self.receipts.asked());
        if entries.is_empty() && due.is_empty() {
            return Ok(false);
        }
        let last = entries.last().map_or(self.reached, |entry| entry.seq);
        let mut known = BTreeSet::new();
        due.retain(|record| known.insert(*record));
        let (behind, unread) = (entries.first().map(|entry| entry.at), target.0.saturating_sub(last.0));
        for (done, record) in due.iter().enumerate() {
            let left = u64::try_from(due.len() - done).unwrap_or(u64::MAX);
            self.status.send_modify(|status| {
                status.state = State::Sending;
                (status.lag, status.behind_since) = (left.saturating_add(unread), behind);
            });
            self.deliver(*record).await?;
            // One entry may touch a whole class, and all of it would be sent again if the power went.
            if self.delivered.len() + self.refused.len() >= CHUNK {
                self.write().await?;
            }
        }
        self.reached = last;
        self.write().await?;
        self.status.send_modify(|status| status.cursor = last);
        Ok(true)
    }

    /// The records that an entry may have changed and whose version is not dealt with.
    fn touched(&self, now: &Snapshot, entry: &Entry) -> Result<Vec<RecordId>, StoreError> {
        let Event::Session(id, event) = &entry.event else { return Ok(Vec::new()) };
        let Some(session) = now.session(*id)? else { return Ok(Vec::new()) };
        let students: Vec<StudentId> = match only(event) {
            Some(student) => vec![student],
            None => session.records.keys().copied().collect(),
        };
        let records = students.into_iter().map(|student| record(*id, student));
        Ok(records.filter(|id| !self.receipts.is_settled(*id, parcel::version(&session, *id))).collect())
    }

    /// Sends the record as it stands, again and again if need be, until it is delivered or refused.
    async fn deliver(&mut self, record: RecordId) -> Result<(), UpstreamError> {
        let mut last: Option<Parcel> = None;
        loop {
            let Some(fresh) = parcel::pack(&self.store, &self.campus, record)? else {
                self.receipts.stop_asking(record);
                return Ok(());
            };
            if self.receipts.is_settled(record, fresh.version) {
                return Ok(());
            }
            // One key stands for the same bytes each time, although a percentage may have moved on.
            let parcel = last.take().filter(|last| last.version == fresh.version).unwrap_or(fresh);
            let this = RecordVersion { record, version: parcel.version };
            match self.portal.deliver(&parcel, self.clock.now()).await {
                Outcome::Delivered => {
                    self.answered();
                    self.receipts.delivered(this);
                    self.delivered.push(this);
                    self.status.send_modify(|status| status.delivered += 1);
                    return Ok(());
                }
                Outcome::Refused { answer } => {
                    self.answered();
                    tracing::warn!(destination = %self.destination, %record, "refused for good; it is among the dead letters");
                    self.receipts.refused(this);
                    self.refused.push((this, answer));
                    return Ok(());
                }
                Outcome::Retry { after, why } => {
                    last = Some(parcel);
                    self.write().await?;
                    let pause = self.backoff.next(after);
                    self.wait(pause, why).await;
                }
            }
        }
    }

    /// Puts what was delivered and refused into the ledger.
    async fn write(&mut self) -> Result<(), UpstreamError> {
        let far = self.written.is_none_or(|written| self.reached.0.saturating_sub(written.0) >= STRIDE);
        if self.delivered.is_empty() && self.refused.is_empty() && !far {
            return Ok(());
        }
        let (destination, low_water) = (self.destination.clone(), self.reached);
        let delivered = UpstreamEvent::Delivered { destination, low_water, records: self.delivered.clone() };
        let mut events = vec![receipt(delivered, Vec::new())];
        // One event each, so that each has its own answer beside it.
        events.extend(self.refused.iter().map(|(refused, answer)| {
            let (destination, records) = (self.destination.clone(), vec![*refused]);
            let (about, text) = (Some(Person::Student(refused.record.student)), answer.clone());
            let answer = Personal::Text { field: TextField::Response, about, text };
            receipt(UpstreamEvent::DeadLettered { destination, records }, vec![answer])
        }));
        self.append(events).await?;
        self.written = Some(low_water);
        self.tell_needs();
        self.delivered.clear();
        self.refused.clear();
        let dead_letters = self.receipts.dead_letters();
        self.status.send_modify(|status| status.dead_letters = dead_letters);
        Ok(())
    }

    fn tell_needs(&self) {
        let needed_from = self.written.map_or(Seq(0), |written| Seq(written.0.saturating_add(1)));
        self.status.send_modify(|status| status.needed_from = needed_from);
    }

    async fn append(&self, events: Vec<NewEvent>) -> Result<(), UpstreamError> {
        let (told, answer) = oneshot::channel();
        // Nobody listens any more if the sender was stopped meanwhile.
        let append = Append::new(events, move |appended| drop(told.send(appended)));
        match self.store.append(append) {
            Err(Full(_)) => Err(UpstreamError::NotWritten),
            Ok(()) => match answer.await {
                Ok(Appended::Committed(_)) => Ok(()),
                _ => Err(UpstreamError::NotWritten),
            },
        }
    }

    /// Entries behind `after`, up to `last`; read where it may take its time.
    async fn entries(&mut self, after: Seq, last: Seq) -> Result<Vec<Entry>, UpstreamError> {
        let store = Arc::clone(&self.store);
        let limit = usize::try_from(last.0.saturating_sub(after.0)).unwrap_or(usize::MAX).min(CHUNK);
        self.reading.spawn_blocking(move || store.entries(Seq(after.0.saturating_add(1)), limit));
        let read = self.reading.join_next().await.ok_or(UpstreamError::Interrupted)?;
        Ok(read.map_err(|_cancelled| UpstreamError::Interrupted)??)
    }

    async fn trouble(&mut self, error: &UpstreamError) {
        self.wait(STORE_PAUSE, error.to_string()).await;
    }

    /// The destination dealt with a record, so nothing keeps others from it.
    fn answered(&mut self) {
        self.backoff.succeeded();
        let had = self.status.borrow().last_error.is_some();
        if had {
            tracing::info!(destination = %self.destination, "records are dealt with again");
            self.status.send_modify(|status| status.last_error = None);
        }
    }

    /// Says why in the log once, however often it is tried meanwhile.
    async fn wait(&mut self, pause: Duration, why: String) {
        if self.status.borrow().last_error.as_ref() != Some(&why) {
            tracing::warn!(destination = %self.destination, %why, "records cannot be delivered now; trying again");
        }
        self.status.send_modify(|status| {
            (status.state, status.last_error) = (State::Waiting(pause), Some(why));
        });
        timeout(pause, std::future::pending::<()>()).await.ok();
        self.status.send_modify(|status| status.state = State::Sending);
    }
}

/// The one student whom an event is about; `None`: it may be about everyone.
fn only(event: &SessionEvent) -> Option<StudentId> {
    match event {
        SessionEvent::Scanned(scanned) => Some(scanned.student),
        SessionEvent::Marked(mark) => Some(mark.student),
        SessionEvent::MarkedByQr { student, .. } | SessionEvent::MarkedSelf { student, .. } => Some(*student),
        _ => None,
    }
}

fn record(session: SessionId, student: StudentId) -> RecordId {
    RecordId { session, student }
}

fn receipt(event: UpstreamEvent, personal: Vec<Personal>) -> NewEvent {
    NewEvent { by: Actor::Gateway, event: Event::Upstream(event), personal }
}
