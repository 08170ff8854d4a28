//! The thread that keeps the evidence.
//!
//! Promises: what has gathered goes into one transaction, and reaches the disk within a second; nothing new
//! is written while too much is there, or the disk is nearly full; a file that is damaged or not ours is set aside and a new one begun;
//! a disk that fails is tried again until it takes writes.
//!
//! Refuses: keeping anyone from anything. What it cannot write is lost, counted, and said.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rollcall_domain::moment::days;
use rollcall_domain::ports::Clock;

use super::file::{Bounds, EvidenceFile, is_damage, remove, set_aside};
use super::losses::Loss;
use super::queue::{Next, Request, Shared, Waiting};
use super::{Item, Kind, Limits};
use crate::error::StoreError;
use crate::reserve::Reserve;
use crate::said::Said;

/// How long items may be in memory alone.
const LASTING: Duration = Duration::from_secs(1);
/// How long to wait before trying a disk again that refused.
const RETRY: Duration = Duration::from_millis(500);
/// How often to look whether something has become too old.
const TICK: Duration = Duration::from_secs(60);
/// How long a file that was made smaller is left alone.
const COMPACT_EVERY: Duration = Duration::from_secs(600);
/// A file that is damaged so soon after another was set aside is not worth keeping: a disk that damages
/// everything would be full of them.
const ASIDE_EVERY: Duration = Duration::from_secs(3_600);
/// How long a reader who stands in the way of that is given.
const READING: Duration = Duration::from_secs(1);

pub(super) struct Keeper {
    path: PathBuf,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    /// What has to stay free of the disk, if anything has to.
    reserve: Option<Arc<Reserve>>,
    /// Absent while it cannot be opened.
    file: Option<EvidenceFile>,
    limits: Option<Limits>,
    /// Whether it is time to try the disk again.
    open_due: bool,
    /// There may be more than there should be.
    surplus: bool,
    /// When a file was last set aside.
    aside_at: Option<Duration>,
    /// When the items were last all on disk.
    lasting_since: Duration,
    /// Not before is the file made smaller.
    compact_from: Duration,
    /// Free pages still hold what was forgotten.
    residue: bool,
    trouble: Said,
    /// How many were lost when the trouble was said that is not over yet.
    lost_before: Option<u64>,
    queue_full: Said,
    too_large: Said,
    no_room: Said,
}

enum Task {
    Open,
    Keep(Vec<Item>),
    Trim,
    MakeLasting,
    Forget(Request),
    Settle(Request),
    Compact,
    GiveUp(StoreError),
    End,
}

impl Keeper {
    pub(super) fn new(
        path: PathBuf,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        reserve: Option<Arc<Reserve>>,
    ) -> Self {
        let lasting_since = clock.monotonic();
        Keeper {
            path,
            shared,
            clock,
            reserve,
            file: None,
            limits: None,
            open_due: true,
            surplus: true,
            aside_at: None,
            lasting_since,
            compact_from: Duration::ZERO,
            residue: false,
            trouble: Said::default(),
            lost_before: None,
            queue_full: Said::default(),
            too_large: Said::default(),
            no_room: Said::default(),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let done = match self.next() {
                Task::Open => self.open(),
                Task::Keep(items) => self.keep(items),
                Task::Trim => self.write(&[], false),
                Task::MakeLasting => self.write(&[], true),
                Task::Forget(request) => self.forget(request),
                Task::Settle(request) => self.settle(request),
                Task::Compact => self.compact(),
                Task::GiveUp(error) => Err(error),
                Task::End => return self.finish(),
            };
            if let Err(error) = done {
                self.fail(&error);
            }
            self.say_losses();
        }
    }

    fn next(&mut self) -> Task {
        let shared = Arc::clone(&self.shared);
        let mut waiting = shared.lock();
        loop {
            if std::mem::take(&mut waiting.limits_changed) {
                self.limits = waiting.limits;
                self.surplus = true;
            }
            let trouble = waiting.trouble.take();
            let Some(file) = &self.file else {
                if std::mem::take(&mut self.open_due) || waiting.has_requests() {
                    return Task::Open;
                }
                if waiting.closed {
                    return Task::End;
                }
                let idle = |waiting: &Waiting| !waiting.closed && !waiting.has_requests();
                (waiting, self.open_due) = shared.wait(waiting, RETRY, idle);
                continue;
            };
            if let Some(error) = trouble {
                return Task::GiveUp(error);
            }
            if self.surplus {
                return Task::Trim;
            }
            match waiting.take() {
                Some(Next::Keep(items)) => return Task::Keep(items),
                Some(Next::Request(request @ Request::Forget { .. })) => return Task::Forget(request),
                Some(Next::Request(request @ Request::Settle(_))) => return Task::Settle(request),
                None if waiting.closed => return Task::End,
                None => {}
            }
            if file.is_volatile() {
                let left = LASTING.saturating_sub(self.clock.monotonic().saturating_sub(self.lasting_since));
                if left == Duration::ZERO {
                    return Task::MakeLasting;
                }
                waiting = shared.wait(waiting, left, Waiting::is_idle).0;
            } else if self.should_compact() {
                return Task::Compact;
            } else {
                (waiting, self.surplus) = shared.wait(waiting, TICK, Waiting::is_idle);
            }
        }
    }

    fn open(&mut self) -> Result<(), StoreError> {
        self.file = Some(EvidenceFile::open(&self.path, &self.shared)?);
        self.surplus = true;
        self.shared.change(|waiting| waiting.down = false);
        Ok(())
    }

    fn keep(&mut self, mut items: Vec<Item>) -> Result<(), StoreError> {
        // The setting may have changed while they waited.
        let pictures = self.limits.is_some_and(|limits| limits.keep_pictures);
        items.retain(|item| pictures || item.kind != Kind::Picture);
        // What is left is for scans. What has to go goes all the same.
        if self.reserve.as_ref().is_some_and(|reserve| !reserve.has_room()) {
            self.shared.losses.add(Loss::NoRoom, u64::try_from(items.len()).unwrap_or(u64::MAX));
            items.clear();
        }
        let done = self.write(&items, false);
        if done.is_err() {
            self.shared.losses.add(Loss::Unavailable, u64::try_from(items.len()).unwrap_or(u64::MAX));
        }
        done
    }

    fn write(&mut self, items: &[Item], at_once: bool) -> Result<(), StoreError> {
        let now = self.clock.monotonic();
        let lasting = at_once || now.saturating_sub(self.lasting_since) >= LASTING;
        let bounds = self.limits.map(|limits| Bounds {
            before: self.clock.now().minus(days(limits.days)),
            bytes: limits.max_bytes,
        });
        self.surplus = self.file.as_mut().ok_or(StoreError::Down)?.write(items, bounds, lasting)?;
        if lasting {
            self.lasting_since = now;
            if let Some(before) = self.lost_before.take() {
                let lost = self.shared.losses.count(Loss::Unavailable) - before;
                tracing::info!(lost, "evidence is kept again");
            }
        }
        Ok(())
    }

    fn forget(&mut self, mut request: Request) -> Result<(), StoreError> {
        let Request::Forget { about, gone, .. } = &mut request else { return Ok(()) };
        match self.file.as_mut().ok_or(StoreError::Down).and_then(|file| file.forget(about)) {
            Ok((count, more)) => {
                *gone += count;
                let gone = *gone;
                if more {
                    self.put_back(request);
                } else {
                    self.residue |= gone > 0;
                    request.answer(Ok(gone));
                }
                Ok(())
            }
            Err(error) => {
                self.put_back(request);
                Err(error)
            }
        }
    }

    fn settle(&mut self, request: Request) -> Result<(), StoreError> {
        let mut done = self.write(&[], true);
        if done.is_ok() && !self.surplus && self.should_compact() {
            done = self.compact();
        }
        if done.is_ok() && !self.surplus {
            request.answer(Ok(0));
        } else {
            self.put_back(request);
        }
        done
    }

    /// There is more to be done about it, or it is to be told of a failure once that has been counted.
    fn put_back(&self, request: Request) {
        self.shared.change(|waiting| waiting.put_back(request));
    }

    fn should_compact(&self) -> bool {
        let wanted = self.residue || self.file.as_ref().is_some_and(EvidenceFile::is_roomy);
        wanted && self.clock.monotonic() >= self.compact_from
    }

    fn compact(&mut self) -> Result<(), StoreError> {
        let compacted = self.file.as_mut().ok_or(StoreError::Down)?.compact()?;
        self.residue &= !compacted;
        self.compact_from = self.clock.monotonic() + if compacted { COMPACT_EVERY } else { READING };
        Ok(())
    }

    /// Lets go of the file. If it is at fault, a new one is begun at once; if it may be the disk, it is tried
    /// again after a while.
    fn fail(&mut self, error: &StoreError) {
        let unsaved = self.file.take().map_or(0, |file| file.unsaved);
        self.shared.losses.add(Loss::Unavailable, unsaved);
        self.shared.drop_database();
        self.shared.change(|waiting| waiting.down = true);
        if is_damage(error) {
            match self.put_away(error) {
                Ok(true) => return self.open_due = true,
                Ok(false) => self.say_trouble(error),
                Err(error) => self.say_trouble(&error),
            }
        } else {
            self.say_trouble(error);
        }
        self.open_due = false;
        let requests = self.shared.change(Waiting::take_requests);
        requests.into_iter().for_each(|request| request.answer(Err(StoreError::Down)));
    }

    /// Makes way for a new file; tells whether it may be begun at once.
    fn put_away(&mut self, error: &StoreError) -> Result<bool, StoreError> {
        let now = self.clock.monotonic();
        let is_young = self.aside_at.is_some_and(|at| now.saturating_sub(at) < ASIDE_EVERY);
        if is_young && !matches!(error, StoreError::NotEvidence) {
            remove(&self.path)?;
            return Ok(false);
        }
        let aside = set_aside(&self.path)?;
        self.aside_at = Some(now);
        tracing::warn!(
            path = %self.path.display(), aside = %aside.display(), %error,
            "the evidence cannot be read and is set aside; it may hold personal data: delete it once nobody needs it"
        );
        Ok(true)
    }

    fn say_trouble(&mut self, error: &StoreError) {
        if self.trouble.may_say(self.clock.monotonic()) {
            tracing::error!(%error, "evidence cannot be kept; everything else goes on, and the disk is tried again: check it");
            let lost = self.shared.losses.count(Loss::Unavailable);
            self.lost_before.get_or_insert(lost);
        }
    }

    fn say_losses(&mut self) {
        let now = self.clock.monotonic();
        let losses = &self.shared.losses;
        if let Some(lost) = self.queue_full.news(now, losses.count(Loss::QueueFull)) {
            tracing::warn!(lost, "evidence was not kept: it came faster than the disk takes it");
        }
        if let Some(lost) = self.too_large.news(now, losses.count(Loss::TooLarge)) {
            tracing::warn!(
                lost,
                "evidence was not kept: it was larger than retention.evidence_max_bytes allows"
            );
        }
        if let Some(lost) = self.no_room.news(now, losses.count(Loss::NoRoom)) {
            tracing::warn!(lost, "evidence was not kept: the disk is nearly full; free some space");
        }
    }

    fn finish(mut self) {
        let done = if self.file.is_some() { self.write(&[], true) } else { Ok(()) };
        let unsaved = self.file.take().filter(|_| done.is_err()).map_or(0, |file| file.unsaved);
        let lost = unsaved + self.shared.change(Waiting::drop_items);
        self.shared.drop_database();
        if lost > 0 {
            self.shared.losses.add(Loss::Unavailable, lost);
            tracing::warn!(lost, "the last evidence is not on disk");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Whatever ended the thread, nobody waits for it any longer.
        let requests = self.shared.change(|waiting| {
            waiting.closed = true;
            waiting.take_requests()
        });
        requests.into_iter().for_each(|request| request.answer(Err(StoreError::Down)));
    }
}
