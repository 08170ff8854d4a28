//! The store alone: appends of scans, and the views behind them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::tz::TimeZone;
use rollcall_domain::code::Pseudonyms;
use rollcall_domain::event::{Actor, Event, How, NewEvent, Origin, Scanned, SessionEvent};
use rollcall_domain::ids::{ClassId, DeviceId, SessionId, StudentId, TeacherId};
use rollcall_domain::moment::{Moment, minutes};
use rollcall_domain::policy::SessionRules;
use rollcall_domain::ports::Clock;
use rollcall_domain::scan::{Claim, DedupKey, Outcome, Scan};
use rollcall_domain::timetable::Plan;
use rollcall_store::{Append, Appended, Expect, Line, RootKey, Store};
use tempfile::TempDir;

use crate::figure::{Figure, median, millis, percentile, rate};
use crate::floor;
use crate::stopwatch::now;

const SESSIONS: u64 = 200;
const STUDENTS: u64 = 60;
const RULES: SessionRules = SessionRules { late_after_minutes: 5, min_present_minutes: 10 };
const NINE: i64 = 1_772_010_000_000;
/// Waiters while a store is filled.
const FILLING: usize = 4_096;
pub(crate) const KEY: [u8; RootKey::BYTES] = [42; RootKey::BYTES];
/// Lone appends and their floor are taken in turns, so many at a time.
const LONE_ROUNDS: usize = 10;
const LONE: usize = 200;
/// Appends of one round with many waiters.
const ROUND: u64 = 200_000;
const ROUNDS: usize = 5;

/// Goes on from a fixed morning.
struct Morning(Instant);

impl Clock for Morning {
    fn now(&self) -> Moment {
        Moment::from_millis(NINE).plus(jiff::SignedDuration::try_from(self.monotonic()).unwrap_or_default())
    }

    fn monotonic(&self) -> Duration {
        now().duration_since(self.0)
    }
}

/// A store in a folder of its own, and scans for it.
pub(crate) struct Bench {
    folder: PathBuf,
    store: Arc<Store>,
    _own: Option<TempDir>,
    pseudonyms: Pseudonyms,
    device: DeviceId,
    sessions: Vec<(Line, u64)>,
    scans: u64,
    answers: (SyncSender<bool>, Receiver<bool>),
}

impl Bench {
    pub(crate) fn new() -> Result<Self> {
        let own = tempfile::tempdir()?;
        let bench = Self::in_folder(own.path())?;
        Ok(Bench { _own: Some(own), ..bench })
    }

    pub(crate) fn in_folder(folder: &Path) -> Result<Self> {
        let clock = Arc::new(Morning(now()));
        let store = Arc::new(Store::open(folder, RootKey::new(KEY), clock, Box::new(|_| {}))?);
        let (pseudonyms, device) = (store.pseudonyms(), DeviceId::parse("door-1")?);
        let sessions = vec![(Line::default(), 2); usize::try_from(SESSIONS)?];
        let (folder, answers) = (folder.to_owned(), sync_channel(65_536));
        let bench = Bench { folder, store, _own: None, pseudonyms, device, sessions, scans: 0, answers };
        for id in 1..=SESSIONS {
            let events = [created(id), opened()].map(|event| new(Event::Session(SessionId(id), event)));
            bench.append(Append { events: events.into(), ..Append::new(vec![], |_| {}) })?;
            bench.wait()?;
        }
        Ok(bench)
    }

    /// One more scan, none like another.
    fn scan(&mut self) -> Append {
        let number = self.scans;
        self.scans += 1;
        let (place, student) = (number % SESSIONS, number / SESSIONS % STUDENTS + 1);
        let at = Moment::from_millis(NINE);
        let id = format!("{number:08x}");
        let scan = Scan {
            device: self.device.clone(),
            dedup: DedupKey::of_id(&self.device, &id, &self.pseudonyms),
            scan_id: Some(id),
            claim: Claim::of("S0001", &self.pseudonyms),
            claimed_at: at,
            captured_at: at,
            received_at: at,
            clock_flagged: false,
            method: None,
            quality_milli: Some(930),
            direction: None,
        };
        let dedup = Some(scan.dedup);
        let (student, outcome) = (StudentId(student), Outcome::Present);
        let scanned = Scanned { student, scan, outcome, late_upload: false, was_unmatched: None };
        let session = SessionId(place + 1);
        let event = new(Event::Session(session, SessionEvent::Scanned(Box::new(scanned))));
        let known = usize::try_from(place).ok().and_then(|place| self.sessions.get_mut(place));
        let expect = known.map(|(line, version)| {
            *version += 1;
            Expect { session, version: *version - 1, line: line.clone() }
        });
        Append { dedup, expect, ..Append::new(vec![event], |_| {}) }
    }

    fn append(&self, append: Append) -> Result<()> {
        let told = self.answers.0.clone();
        let then = move |appended: Appended| {
            // Whoever measures is gone only if the run is over.
            told.send(matches!(appended, Appended::Committed(_))).ok();
        };
        let queued = self.store.append(Append { then: Box::new(then), ..append });
        if queued.is_err() {
            bail!("the store's queue is full");
        }
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        ensure!(self.answers.1.recv()?, "an append was not written");
        Ok(())
    }

    /// How long each of so many took, one after the other.
    pub(crate) fn one_by_one(&mut self, count: usize) -> Result<Vec<Duration>> {
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            let scan = self.scan();
            let began = now();
            self.append(scan)?;
            self.wait()?;
            took.push(now().duration_since(began));
        }
        Ok(took)
    }

    /// How many a second, while so many wait at any time.
    fn with_waiters(&mut self, waiters: usize, count: u64) -> Result<f64> {
        let scans: Vec<Append> = (0..count).map(|_| self.scan()).collect();
        let began = now();
        let mut waiting = 0;
        for scan in scans {
            self.append(scan)?;
            waiting += 1;
            if waiting >= waiters {
                self.wait()?;
                waiting -= 1;
                // Whatever has been answered with it.
                while let Ok(written) = self.answers.1.try_recv() {
                    ensure!(written, "an append was not written");
                    waiting -= 1;
                }
            }
        }
        for _ in 0..waiting {
            self.wait()?;
        }
        Ok(f64::from(u32::try_from(count)?) / now().duration_since(began).as_secs_f64())
    }

    pub(crate) fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Goes on until there are so many scans, all of them in the views.
    pub(crate) fn fill(&mut self, scans: u64) -> Result<()> {
        while self.scans < scans {
            self.with_waiters(FILLING, ROUND.min(scans - self.scans))?;
        }
        self.catch_up()
    }

    /// A little more, of which the last are still on their way.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        self.with_waiters(64, 10_000)?;
        for _ in 0..FILLING {
            let scan = self.scan();
            self.append(scan)?;
        }
        self.wait()
    }

    /// The middle one of a few rounds; between them the views catch up.
    pub(crate) fn rate(&mut self, waiters: usize) -> Result<f64> {
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            rates.push(self.with_waiters(waiters, ROUND)?);
            self.catch_up()?;
        }
        Ok(median(rates))
    }

    fn catch_up(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        ensure!(
            runtime.block_on(self.store.views().wait_for(self.store.last())).is_ok(),
            "the views are stuck"
        );
        Ok(())
    }
}

fn new(event: Event) -> NewEvent {
    NewEvent { by: Actor::Gateway, event, personal: Vec::new() }
}

fn created(id: u64) -> SessionEvent {
    let starts = Moment::from_millis(NINE);
    let (date, ends) = (starts.date(&TimeZone::UTC), starts.plus(minutes(60)));
    let plan = Plan { class: ClassId(id), teacher: TeacherId(1), room: None, date, starts, ends };
    SessionEvent::Created { plan, term: None, number: 1, origin: Origin::ByHand, rules: RULES }
}

fn opened() -> SessionEvent {
    let from = Moment::from_millis(NINE);
    SessionEvent::Opened { from, how: How::ByPerson, rules: RULES, excused: Vec::new() }
}

/// One append at a time beside the disk alone, then many waiters.
pub(crate) fn appends() -> Result<Vec<Figure>> {
    let mut bench = Bench::new()?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..LONE_ROUNDS {
        ours.extend(bench.one_by_one(LONE)?);
        floor.extend(floor::synced_writes(&bench.folder, LONE)?);
    }
    ours.sort();
    floor.sort();
    let (p50, floor50) = (percentile(&ours, 50), percentile(&floor, 50));
    let beside = format!("4 KiB + fdatasync: p50 {}", millis(floor50));
    let lone = Figure {
        what: "one append at a time",
        measured: format!("p50 {}, p99 {}", millis(p50), millis(percentile(&ours, 99))),
        beside: beside.clone(),
        bar: format!("p50 within twice the floor: {}", millis(floor50 * 2)),
        met: p50 <= floor50 * 2,
        notes: vec![],
    };
    let many = |what, bar: f64, measured: f64| Figure {
        what,
        measured: rate(measured),
        beside: beside.clone(),
        bar: rate(bar),
        met: measured >= bar,
        notes: vec![],
    };
    let few = bench.rate(64)?;
    let more = bench.rate(1_024)?;
    Ok(vec![
        lone,
        many("scans appended, 64 waiters", 100_000.0, few),
        many("scans appended, 1,024 waiters", 300_000.0, more),
    ])
}

/// How fast the views follow: from the first append until they have seen the last.
pub(crate) fn views() -> Result<Vec<Figure>> {
    let mut bench = Bench::new()?;
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let began = now();
        bench.with_waiters(FILLING, ROUND)?;
        bench.catch_up()?;
        rates.push(f64::from(u32::try_from(ROUND)?) / now().duration_since(began).as_secs_f64());
    }
    let measured = median(rates);
    Ok(vec![Figure {
        what: "scans brought into the views, 200 sessions x 60 students",
        measured: rate(measured),
        beside: format!("4 KiB + fdatasync: p50 {}", millis(floor50(&bench)?)),
        bar: rate(50_000.0),
        met: measured >= 50_000.0,
        notes: vec![],
    }])
}

fn floor50(bench: &Bench) -> Result<Duration> {
    let mut floor = floor::synced_writes(&bench.folder, LONE).context("the floor")?;
    floor.sort();
    Ok(percentile(&floor, 50))
}
