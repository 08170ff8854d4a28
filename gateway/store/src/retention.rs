//! Forgetting what is too old, from the outside of the writer.
//!
//! Promises: records that are not kept any longer leave the views first, by an event that says so; then a
//! checkpoint stands for every entry that is old enough and that nobody needs, and only when it is on disk
//! do those entries go. It can be cut short anywhere: what was begun and is no checkpoint yet means nothing,
//! and what is left over is taken away later. The writer is asked for small steps and does them between
//! batches.
//!
//! Refuses: forgetting an entry that a meeting which is open, or closed and not locked, goes by; or one
//! that could not be proven.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};

use rollcall_domain::event::{Actor, Entry, Event, NewEvent, RetentionEvent};
use rollcall_domain::ids::{Seq, SessionId};
use rollcall_domain::moment::Moment;
use rollcall_domain::session::SessionStatus;

use crate::Store;
use crate::age::{Age, Ages, Old};
use crate::append::{Append, Appended};
use crate::checkpoint::{self, COPIES, Forgotten, ROW, Row, frame};
use crate::chores::Chores;
use crate::disk::Place;
use crate::error::StoreError;
use crate::ledger::{Head, Ledger};
use crate::reserve::Reserve;
use crate::scratch;
use crate::verify::made_anew;
use crate::views::{Item, Snapshot, Views};

/// Entries that are looked at, at a time.
const AT_ONCE: usize = 4_096;
/// Meetings and unmatched scans that one event forgets, or some more of the same time.
const RECORDS_AT_ONCE: usize = 1_024;
/// How large a part becomes, unless its last item is large: with what is around it, it fits into a page of
/// 64 KiB.
const PART_BYTES: usize = 60_000;

impl Store {
    /// Forgets what is too old: records of meetings that ended before `records`, then every entry that was
    /// written before `ledger`, up to the first that is needed: from `needed_from` on, or by a meeting that is
    /// open, or closed and not locked ([`Store::held_up`]). Returns once a checkpoint stands for the entries; they go while the
    /// store runs. Tells what is forgotten by now. Waits meanwhile, so it is for a thread that can.
    ///
    /// A destination finds out where it was from its receipts, which are entries too. So `needed_from` is the
    /// entry after the low water of the last receipt *in the ledger* (`UpstreamEvent::Delivered`), the least of
    /// those of all destinations; never how far a sender has come since, for then the receipt could go, and it
    /// would begin anew. `None` only if there is no destination, as it is the least of none: one that cannot tell,
    /// or has no receipt, needs everything, which is to say `Seq(0)`.
    ///
    /// Whatever is asked for, entries stay for as long as a scan must be known, and both times count from the
    /// ledger's own if the clock is ahead of it.
    ///
    /// # Errors
    /// The store cannot be written, or its views are not up to date. Called again, it goes on.
    pub fn forget_older(
        &self,
        ledger: Moment,
        records: Moment,
        needed_from: Option<Seq>,
    ) -> Result<Option<Forgotten>, StoreError> {
        let _alone = self.forgetting.lock().unwrap_or_else(PoisonError::into_inner);
        let retention = Retention {
            place: &self.place,
            ledger: &self.ledger,
            views: &self.views,
            chores: &self.chores,
            reserve: &self.reserve,
            append: &|append| self.append(append).is_ok(),
            held_up: &self.held_up,
            now: self.clock.now(),
        };
        retention.forget(Old { entries: ledger, records }, needed_from)
    }

    /// What kept entries that were old enough from being forgotten the last time.
    pub fn held_up(&self) -> Option<HeldUp> {
        *self.held_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether entries that are forgotten are still being taken away.
    pub fn is_forgetting(&self) -> bool {
        self.chores.is_sweeping()
    }

    /// What the ledger was told to forget.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn forgotten(&self) -> Result<Option<Forgotten>, StoreError> {
        checkpoint::known(&self.ledger)
    }
}

/// An entry that is old enough to be forgotten, and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldUp {
    pub seq: Seq,
    pub at: Moment,
    pub by: Holder,
}

/// Who needs an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A meeting that is open, or closed and not locked.
    Session(SessionId),
    /// A destination, or the views.
    Reader,
    /// Nobody. The clock was ahead when it was written, as it seems, and entries on too few later days are old.
    Clock,
}

/// What it takes to forget.
struct Retention<'s> {
    place: &'s Place,
    ledger: &'s Arc<Ledger>,
    views: &'s Views,
    chores: &'s Chores,
    reserve: &'s Reserve,
    append: &'s dyn Fn(Append) -> bool,
    held_up: &'s Mutex<Option<HeldUp>>,
    now: Moment,
}

/// Up to where entries may go, and how many that are.
struct Choice {
    head: Head,
    entries: u64,
}

impl Retention<'_> {
    fn forget(&self, wanted: Old, needed_from: Option<Seq>) -> Result<Option<Forgotten>, StoreError> {
        // What an earlier one left.
        self.chores.begin_sweep();
        self.wake();
        self.chores.until_swept()?;
        let Some((old, past)) = Old::by(self.ledger, self.now, wanted)? else {
            self.tell_held_up(None);
            return checkpoint::known(self.ledger);
        };
        self.forget_records(old.records)?;
        let (choice, held) = self.choose(Ages::of(old.entries, past), needed_from)?;
        self.tell_held_up(held);
        if let Some(choice) = choice {
            // Views that are thrown away again must not fill the disk.
            if !self.reserve.has_room() {
                return Err(StoreError::Down);
            }
            self.tell(RetentionEvent::Entries { to: choice.head.last })?;
            self.write_checkpoint(&choice)?;
            self.chores.begin_sweep();
            self.wake();
        }
        checkpoint::known(self.ledger)
    }

    fn tell_held_up(&self, held: Option<HeldUp>) {
        match held {
            Some(HeldUp { seq, at, by: Holder::Clock }) => tracing::warn!(
                %seq, %at,
                "entries from here on are kept although later ones are old enough to be forgotten: this one was written while the clock was ahead, as it seems"
            ),
            Some(HeldUp { seq, at, by }) => {
                tracing::warn!(%seq, %at, ?by, "entries from here on are old enough to be forgotten, and are still needed");
            }
            None => {}
        }
        *self.held_up.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// An append of nothing: the writer comes by, and sees what there is to do. If it has none to spare, it
    /// comes by anyway.
    fn wake(&self) {
        (self.append)(Append::new(Vec::new(), drop));
    }

    /// In both tables, one after the other.
    fn put(&self, (key, bytes): Framed) -> Result<(), StoreError> {
        let bytes: Arc<[u8]> = bytes.into();
        for copies in COPIES {
            if !self.ledger.is_up() {
                return Err(StoreError::Down);
            }
            let done = self.chores.ask(copies, (key, Arc::clone(&bytes)));
            self.wake();
            done.recv().map_err(|_refused| StoreError::Down)?;
        }
        Ok(())
    }

    /// In pieces, so that no commit of the views takes long.
    fn forget_records(&self, records: Moment) -> Result<(), StoreError> {
        let pieces = self.views.now().pieces_before(records, RECORDS_AT_ONCE)?;
        pieces.into_iter().try_for_each(|before| self.tell(RetentionEvent::Records { before }))
    }

    /// Writes it down, and returns once the views know it for good: a checkpoint leaves out what they have
    /// forgotten, and must not come before that.
    fn tell(&self, event: RetentionEvent) -> Result<(), StoreError> {
        let (sender, receiver) = sync_channel(1);
        let new = NewEvent { by: Actor::Gateway, event: Event::Retention(event), personal: Vec::new() };
        // Whoever does not wait any more need not be told.
        let append = Append::new(vec![new], move |appended| sender.send(appended).unwrap_or_default());
        if !(self.append)(append) {
            return Err(StoreError::Down);
        }
        match receiver.recv() {
            Ok(Appended::Committed(entries)) => {
                let last = entries.last().map_or(Seq(0), |entry| entry.seq);
                self.views.wait_until_lasting(last)
            }
            _ => Err(StoreError::Down),
        }
    }

    /// The last entry of those that are all old enough, that nobody needs, and that could be proven; and what keeps
    /// the next one, if that, or one after it, is old, too.
    fn choose(
        &self,
        mut ages: Ages,
        needed_from: Option<Seq>,
    ) -> Result<(Option<Choice>, Option<HeldUp>), StoreError> {
        let now = self.views.now();
        let start = self.ledger.start()?;
        // The views are where the entries of the sessions in them are.
        let end = needed_from.map_or(u64::MAX, |seq| seq.0).min(now.last().0 + 1);
        let mut needs = Needs { now: &now, end, known: HashMap::new() };
        let forgotten = checkpoint::known(self.ledger)?.map_or(0, |forgotten| forgotten.entries);
        // The last that is old, and the last before one that somebody needs; each with how many there are then.
        let (mut old, mut free) = ((start.last, forgotten), (start.last, forgotten));
        let (mut needed, mut reached, mut count) = (None, start, forgotten);
        'all: loop {
            let mut read = Vec::new();
            let next = self.ledger.walk_some(reached, AT_ONCE, |entry| read.push(entry))?;
            for entry in &read {
                let Entry { seq, at, .. } = *entry;
                count += 1;
                match ages.see(seq, at) {
                    Age::Old => old = (seq, count),
                    Age::Unsure => {}
                    Age::Young => break 'all,
                }
                if needed.is_none() {
                    match needs.entry(entry)? {
                        Some(by) => needed = Some(HeldUp { seq, at, by }),
                        None => free = (seq, count),
                    }
                }
                // What comes after it does not matter any more.
                if needed.is_some_and(|needed| needed.seq <= old.0) {
                    break 'all;
                }
            }
            if read.len() < AT_ONCE {
                break;
            }
            reached = next;
        }
        let held = needed.filter(|needed| needed.seq <= old.0);
        let ahead = ages.in_the_way().map(|(seq, at)| HeldUp { seq, at, by: Holder::Clock });
        let (last, entries) = old.min(free);
        let choice = if last > start.last {
            Some(Choice { head: Head { last, chain: self.ledger.link_at(last)? }, entries })
        } else {
            None
        };
        Ok((choice, held.or(ahead)))
    }

    /// The views as they were then, without what is forgotten since.
    fn write_checkpoint(&self, choice: &Choice) -> Result<(), StoreError> {
        let scratch = scratch::of(self.place)?;
        let written = self.write_views(choice, &scratch);
        scratch::remove(self.place)?;
        written
    }

    fn write_views(&self, choice: &Choice, scratch: &Place) -> Result<(), StoreError> {
        let mut watch =
            |_| if self.reserve.has_room() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        let then = match made_anew(self.ledger, scratch, (choice.head, choice.head), &mut watch) {
            Err(StoreError::Ended) => return Err(StoreError::Down),
            then => then?,
        };
        let now = self.views.now();
        // What they do not have any more must not come back with a power cut.
        self.views.wait_until_lasting(now.last())?;
        let last = choice.head.last;
        let of = (last, self.now);
        let mut parts = Parts { of, items: Vec::new(), number: ROW, hasher: blake3::Hasher::new() };
        then.snapshot()?.items(&now, |item| match parts.take(&item)? {
            Some(row) => self.put(row),
            None => Ok(()),
        })?;
        self.put(parts.part()?)?;
        let contents = (parts.number, *parts.hasher.finalize().as_bytes());
        let key = self.ledger.keys.chain(last);
        let row = Row::new(key, choice.head, (choice.entries, self.now), contents);
        self.put(((last.0, ROW), row.bytes()))
    }
}

/// Which entries somebody goes by.
struct Needs<'v> {
    now: &'v Snapshot,
    /// From here on somebody reads them.
    end: u64,
    known: HashMap<SessionId, bool>,
}

impl Needs<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<Option<Holder>, StoreError> {
        if entry.seq.0 >= self.end {
            return Ok(Some(Holder::Reader));
        }
        let Event::Session(id, _) = &entry.event else { return Ok(None) };
        let needs = match self.known.get(id) {
            Some(needs) => *needs,
            None => {
                let meeting = self.now.meeting(*id)?;
                let needs = |status| matches!(status, SessionStatus::Open | SessionStatus::Closed);
                let needs = meeting.is_some_and(|meeting| needs(meeting.status));
                self.known.insert(*id, needs);
                needs
            }
        };
        Ok(needs.then_some(Holder::Session(*id)))
    }
}

/// A row or a part: its key, and its bytes.
type Framed = ((u64, u32), Vec<u8>);

/// Gathers items into parts.
struct Parts {
    /// The last forgotten entry, and when the checkpoint is made.
    of: (Seq, Moment),
    items: Vec<u8>,
    /// Of the part before.
    number: u32,
    hasher: blake3::Hasher,
}

impl Parts {
    /// Hands out a part when one is full.
    fn take(&mut self, item: &Item) -> Result<Option<Framed>, StoreError> {
        self.items.extend(frame::item(item)?);
        if self.items.len() < PART_BYTES { Ok(None) } else { self.part().map(Some) }
    }

    fn part(&mut self) -> Result<Framed, StoreError> {
        self.number += 1;
        let bytes = frame::part(self.of, self.number, &std::mem::take(&mut self.items))?;
        self.hasher.update(&bytes);
        Ok(((self.of.0.0, self.number), bytes))
    }
}
