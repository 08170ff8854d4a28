//! A history of appends at random, with what must have become of them.
//!
//! Promises: whatever happens to the disk, what lies there is what was answered: every completed append in
//! its order and once, of a failed one all or nothing, and nothing else; dedup keys, versions, secrets and
//! views agree with it. A history can be repeated by its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use rollcall_domain::event::{Actor, Entry, Event, NewEvent, RetentionEvent};
use rollcall_domain::ids::{Seq, SessionId, UserId};
use rollcall_domain::moment::{Moment, minutes};
use rollcall_domain::ports::Clock;
use rollcall_domain::scan::DedupKey;
use rollcall_store::{Append, Appended, Credential, Expect, Line, Place, Store, StoreError, verify_at};

use super::machine::Machine;
use super::random::Random;
use super::{KEY, TestClock, at, created_as, setting, step_of, unmatched, wait_for};

/// What is to be appended.
#[derive(Debug, Clone)]
struct Wish {
    events: Vec<NewEvent>,
    secret: Option<(UserId, String)>,
    key: Option<DedupKey>,
    /// With the number of its line.
    expect: Option<(Expect, u64)>,
}

/// Fewer days than scans are known.
const YEAR: u32 = 300;

pub struct History {
    seed: u64,
    pub machine: Machine,
    pub random: Random,
    pub clock: Arc<TestClock>,
    /// What must be on disk.
    entries: Vec<Entry>,
    keys: BTreeMap<DedupKey, Seq>,
    versions: BTreeMap<SessionId, u64>,
    /// Sessions that were forgotten since the disk was last looked at.
    gone: BTreeSet<SessionId>,
    secrets: BTreeMap<UserId, String>,
    /// Of which something was not written, or was said not to be.
    broken_lines: BTreeSet<u64>,
    /// Of which everything was written, although it was said not to be.
    doubtful_lines: BTreeSet<u64>,
    /// Answered, and not compared with the disk yet.
    answered: Vec<Happened>,
    /// Entries up to here may be gone.
    pub forgotten: Seq,
    /// Scans by number, which their devices may send again.
    scans: u64,
    /// How many of them are so old that they need not be known, and are not sent again.
    old_scans: u64,
    /// Days since.
    days: u32,
    made: u64,
    pub failed: u64,
    /// How often entries were forgotten.
    pub forgot: u64,
}

impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this history repeats with ROLLCALL_SEED={}", self.seed);
        }
    }
}

impl History {
    pub fn new(seed: u64) -> Self {
        let (machine, random, clock) = (Machine::new(seed), Random::new(!seed), TestClock::of(40));
        let (entries, keys, versions) = Default::default();
        let (gone, secrets, broken_lines, doubtful_lines, answered) = Default::default();
        let (scans, old_scans, days, made, failed) = Default::default();
        let forgotten = Seq(0);
        History {
            seed,
            machine,
            random,
            clock,
            entries,
            keys,
            versions,
            gone,
            secrets,
            broken_lines,
            doubtful_lines,
            answered,
            forgotten,
            scans,
            old_scans,
            days,
            made,
            failed,
            forgot: 0,
        }
    }

    pub fn open(&self, place: Place) -> Result<Store, StoreError> {
        let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(&self.clock);
        Store::open(place, KEY, clock, Box::new(|_| {}))
    }

    /// How many entries there must be.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Appends at random, and hands out what is to come.
    pub fn begin(&mut self, store: &Store) -> Vec<impl FnOnce() -> Answered + use<>> {
        // A year and more goes by when something is forgotten, so that it is old the next time.
        if self.days < YEAR {
            self.clock.go_on(1);
            self.days += 1;
        }
        // Held up, the writer takes all that comes in as one batch.
        let gate = self.random.chance(50).then(|| hold_up(store));
        let mut versions = self.versions.clone();
        let mut line = (Line::default(), self.number());
        let wishes = 1 + self.random.below(10);
        let begun = (0..wishes).map(|_| {
            if self.random.chance(20) {
                line = (Line::default(), self.number());
            }
            let wish = self.wish(&mut versions, &line);
            let answer = wish.queue(store);
            move || Answered(wish, answer.recv().unwrap())
        });
        let begun = begun.collect();
        drop(gate);
        begun
    }

    /// Takes the answers to what was begun.
    pub fn end(&mut self, begun: Vec<impl FnOnce() -> Answered>) {
        for answered in begun {
            let Answered(wish, answer) = answered();
            self.failed += u64::from(matches!(answer, Appended::Failed(_)));
            self.answered.push(Happened::Answered(wish, answer));
        }
    }

    /// Has what is old forgotten: any number of entries that were compared already, and all sessions if
    /// wished. Tells whether the disk let it.
    pub fn forget(&mut self, store: &Store, sessions: bool) -> bool {
        let kept = self.entries.len() as u64 - self.forgotten.0;
        let end = Seq(self.forgotten.0 + 1 + self.random.below(kept + 1));
        let whenever = Moment::from_millis(4_000_000_000_000);
        let records = if sessions { whenever } else { at() };
        let forgotten = store.forget_older(whenever, records, Some(end));
        self.forgot += u64::from(matches!(&forgotten, Ok(Some(forgotten)) if forgotten.to > self.forgotten));
        self.clock.go_on(400);
        (self.days, self.old_scans) = (0, self.scans);
        // One that failed is the last thing that happens before the disk is looked at.
        let last = if forgotten.is_ok() { store.last() } else { Seq(u64::MAX) };
        self.answered.push(Happened::Forgotten(last));
        forgotten.is_ok()
    }

    pub fn round(&mut self, store: &Store) {
        let begun = self.begin(store);
        self.end(begun);
    }

    fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    fn wish(&mut self, versions: &mut BTreeMap<SessionId, u64>, (line, number): &(Line, u64)) -> Wish {
        let mut wish = Wish { events: Vec::new(), secret: None, key: None, expect: None };
        let session = SessionId(1 + self.random.below(4));
        match self.random.below(10) {
            0..4 => {
                // Now and then one that was sent before.
                let young = self.scans - self.old_scans;
                let again = young > 0 && self.random.chance(30);
                let number = if again { self.old_scans + self.random.below(young) } else { self.scans };
                self.scans = self.scans.max(number + 1);
                let (event, key) = unmatched(&number.to_string());
                self.put(&mut wish, event);
                wish.key = Some(key);
            }
            4..7 => {
                let version = versions.entry(session).or_default();
                let believed = if self.random.chance(10) { *version + 1 } else { *version };
                let expect = Expect { session, version: believed, line: line.clone() };
                wish.expect = Some((expect, *number));
                self.put(&mut wish, if *version == 0 { created_as(session) } else { step_of(session) });
                *version += 1;
            }
            7 => {
                let user = UserId(1 + self.random.below(5));
                wish.secret = Some((user, format!("hash {}", self.made)));
                self.put(&mut wish, setting("0"));
            }
            _ => {
                // Some are large, so that the file has to grow.
                let length = self.random.one_of(&[1, 10, 1_000, 1_000, 60_000]);
                self.put(&mut wish, setting(&"x".repeat(length)));
            }
        }
        for _ in 0..self.random.one_of(&[0, 0, 0, 1, 5]) {
            let event = if self.random.chance(50) { step_of(session) } else { setting("1") };
            self.put(&mut wish, event);
        }
        wish
    }

    /// Every event is known by who did it.
    fn put(&mut self, wish: &mut Wish, event: Event) {
        let by = Actor::User(UserId(1_000 + self.number()));
        wish.events.push(NewEvent { by, event, personal: Vec::new() });
    }

    /// Compares what was answered with what is on disk.
    pub fn judge(&mut self, store: &Store) {
        let from = Seq(self.entries.len() as u64 + 1);
        let found = store.entries(from, usize::MAX).unwrap();
        // Meanwhile the views have followed.
        self.gone.clear();
        let mut found = found.as_slice();
        for answered in std::mem::take(&mut self.answered) {
            let (wish, answer) = match answered {
                Happened::Answered(wish, answer) => (wish, answer),
                Happened::Forgotten(last) => {
                    found = self.take_forgotten(last, found);
                    continue;
                }
            };
            let broken = wish.expect.as_ref().is_some_and(|(_, line)| self.broken_lines.contains(line));
            let version = |session| self.versions.get(&session).copied().unwrap_or_default();
            let moved_on = wish.expect.as_ref().is_some_and(|(e, _)| version(e.session) != e.version);
            let known = wish.key.and_then(|key| self.keys.get(&key).copied());
            // While the views cannot be written, the writer may know a session that was forgotten.
            let doubtful = wish.expect.as_ref().is_some_and(|(e, _)| self.gone.contains(&e.session));
            let moved_on = moved_on && !doubtful;
            match answer {
                Appended::Committed(entries) => {
                    assert!(found.starts_with(&entries), "{entries:?} were answered, on disk are {found:?}");
                    assert!(
                        known.is_none() && !broken && !moved_on,
                        "{entries:?} must not have been written"
                    );
                    found = self.take(&wish, found);
                    continue;
                }
                Appended::Already(entry) => {
                    assert_eq!(known, Some(entry.seq), "{entry:?} is not the first with its key");
                    assert_eq!(self.entries[usize::try_from(entry.seq.0).unwrap() - 1], *entry);
                }
                Appended::Stale => assert!(broken || moved_on || doubtful, "stale without a reason"),
                Appended::Failed(_) => {
                    if found.first().is_some_and(|first| first.by == wish.events[0].by) {
                        // It reached the disk all the same; so may have others of its line, with it.
                        let broken = broken && !self.doubtful_lines.contains(&wish.line());
                        assert!(
                            known.is_none() && !broken && !moved_on,
                            "{wish:?} must not have been written"
                        );
                        found = self.take(&wish, found);
                        self.doubtful_lines.insert(wish.line());
                    } else {
                        self.doubtful_lines.remove(&wish.line());
                    }
                }
            }
            self.broken_lines.extend(wish.expect.map(|(_, line)| line));
        }
        assert_eq!(found, [], "nobody was told of these, or they are there twice");
        self.agree(store);
    }

    /// Takes what says up to `last` that something is forgotten, if it has come to the disk.
    fn take_forgotten<'e>(&mut self, last: Seq, mut found: &'e [Entry]) -> &'e [Entry] {
        while let [entry, rest @ ..] = found
            && let Event::Retention(event) = entry.event
            && entry.seq <= last
        {
            match event {
                RetentionEvent::Records { before } if before > at().plus(minutes(60)) => {
                    self.gone.extend(std::mem::take(&mut self.versions).into_keys());
                }
                RetentionEvent::Records { .. } => {}
                RetentionEvent::Entries { to } => {
                    self.keys.retain(|_, seq| *seq > to);
                    self.forgotten = self.forgotten.max(to);
                }
            }
            self.entries.push(entry.clone());
            found = rest;
        }
        found
    }

    /// Takes the entries of a wish, which must be the next on disk; what is left is returned.
    fn take<'e>(&mut self, wish: &Wish, found: &'e [Entry]) -> &'e [Entry] {
        let (entries, rest) = found.split_at_checked(wish.events.len()).expect("half an append is on disk");
        for (entry, new) in entries.iter().zip(&wish.events) {
            assert_eq!((&entry.by, &entry.event), (&new.by, &new.event), "not what was appended");
            assert_eq!(entry.seq.0, self.entries.len() as u64 + 1);
            if let Event::Session(id, _) = &entry.event {
                let version = self.versions.entry(*id).or_default();
                let is_made = *version > 0 || entry.event == created_as(*id);
                *version += u64::from(is_made);
            }
            self.entries.push(entry.clone());
        }
        self.secrets.extend(wish.secret.clone());
        if let (Some(key), Some(first)) = (wish.key, entries.first()) {
            self.keys.insert(key, first.seq);
        }
        rest
    }

    /// Everything that can be asked agrees with the entries.
    fn agree(&self, store: &Store) {
        assert_eq!(store.last().0, self.entries.len() as u64);
        for (user, secret) in &self.secrets {
            assert_eq!(store.register().password(*user).unwrap().as_ref(), Some(secret));
        }
    }

    /// The views have seen everything and say so.
    pub fn views_agree(&self, store: &Store) {
        let now = store.views().now();
        assert_eq!(now.last().0, self.entries.len() as u64);
        for (key, seq) in &self.keys {
            assert_eq!(now.scan(*key).unwrap(), Some(*seq));
        }
        for (session, version) in &self.versions {
            assert_eq!(now.version(*session).unwrap(), *version);
        }
    }

    /// Returns once the views have seen everything; then they say so.
    pub fn views_follow(&self, store: &Store) {
        wait_for(store, Seq(self.entries.len() as u64));
        self.views_agree(store);
    }

    /// On a copy of the disk, whatever was answered meanwhile.
    pub fn is_whole(&self) {
        let (copy, scratch) = (self.machine.copy(), Machine::new(0));
        let verified = verify_at(&copy.place(), KEY, Some(&scratch.place())).unwrap();
        assert_eq!(verified.difference, None);
    }

    /// On a copy of the disk, the chain is whole and the views are what they would be if made anew.
    pub fn verify(&self) {
        let (copy, scratch) = (self.machine.copy(), Machine::new(0));
        let verified = verify_at(&copy.place(), KEY, Some(&scratch.place())).unwrap();
        assert_eq!(verified.last.0, self.entries.len() as u64);
        assert_eq!(verified.difference, None);
        // Between the two, the power was cut.
        assert!(verified.forgotten.map_or(Seq(0), |known| known.to) <= self.forgotten);
    }
}

/// What is to be compared with the disk, in its order.
enum Happened {
    Answered(Wish, Appended),
    /// What is old was forgotten; the ledger then ended here, if that is known.
    Forgotten(Seq),
}

/// A wish that was answered.
pub struct Answered(Wish, Appended);

impl Wish {
    /// 0 if it is of none.
    fn line(&self) -> u64 {
        self.expect.as_ref().map_or(0, |(_, line)| *line)
    }

    fn queue(&self, store: &Store) -> Receiver<Appended> {
        let (sender, receiver) = channel();
        let credential = |(user, hash)| Credential::Password { user, hash };
        let append = Append {
            events: self.events.clone(),
            credentials: self.secret.clone().map(credential).into_iter().collect(),
            dedup: self.key,
            expect: self.expect.clone().map(|(expect, _)| expect),
            then: Box::new(move |appended| sender.send(appended).unwrap()),
        };
        store.append(append).unwrap_or_else(|_| panic!("the queue is full"));
        receiver
    }
}

/// Lets the writer wait until what is returned is dropped.
fn hold_up(store: &Store) -> impl Sized + use<> {
    let (go, wait) = channel::<()>();
    let append = Append::new(Vec::new(), move |_| wait.recv().unwrap_or_default());
    store.append(append).unwrap_or_else(|_| panic!("the queue is full"));
    go
}
