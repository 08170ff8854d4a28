//! Evidence is there if all goes well, goes when its time has come, and is never in anybody's way.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::damage::at_one_moment;
use common::disk::Disk;
use common::{START, append, open, setting, unmatched};
use proptest::prelude::*;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use rollcall_domain::ids::{DeviceId, Seq, StudentId};
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::Clock;
use rollcall_store::evidence::{Item, ItemId, Kind, Limits, Loss, Subject};
use rollcall_store::{Appended, Evidence};
use tempfile::{TempDir, tempdir};

const DAY: i64 = 86_400_000;
const WIDE: Limits = Limits { days: 90, max_bytes: 1 << 30, keep_pictures: false };

/// Shows the time that it was given, and can be held, together with whoever looks at it.
struct HandClock {
    now: AtomicI64,
    ticks: AtomicI64,
    held: Mutex<()>,
}

impl HandClock {
    fn shared() -> Arc<Self> {
        Arc::new(HandClock { now: AtomicI64::new(START), ticks: AtomicI64::new(0), held: Mutex::new(()) })
    }

    fn go_on(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::Relaxed);
        self.ticks.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Moment {
        Moment::from_millis(self.now.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        let _held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_millis(self.ticks.fetch_add(1, Ordering::Relaxed).unsigned_abs())
    }
}

fn at(millis: i64) -> Moment {
    Moment::from_millis(START + millis)
}

fn device(name: &str) -> DeviceId {
    DeviceId::parse(name).unwrap()
}

fn item(millis: i64, bytes: &[u8]) -> Item {
    let (at, device, bytes) = (at(millis), device("gate"), bytes.to_vec());
    Item { at, device, kind: Kind::Scan, about: vec![], bytes }
}

fn about(item: Item, about: &[Subject]) -> Item {
    Item { about: about.to_vec(), ..item }
}

fn student(number: u64) -> Subject {
    Subject::Student(StudentId(number))
}

fn start(folder: &Path, limits: Limits) -> Evidence {
    let evidence = Evidence::start(folder.join("evidence.redb"), HandClock::shared()).unwrap();
    evidence.set_limits(limits);
    evidence
}

/// Tries until it is done, as who is told to try again would.
fn settle(evidence: &Evidence) {
    while evidence.settle().is_err() {}
}

/// Before everything.
fn first() -> ItemId {
    ItemId::first_at(at(-10 * DAY))
}

/// Everything that is kept, oldest first.
fn all(evidence: &Evidence) -> Vec<Vec<u8>> {
    let items = evidence.between(first(), at(10 * DAY), usize::MAX).unwrap();
    items.into_iter().map(|kept| evidence.bytes(kept.id).unwrap().unwrap()).collect()
}

fn file(folder: &Path) -> std::path::PathBuf {
    folder.join("evidence.redb")
}

/// Whether these bytes are anywhere in the file, also where it is free.
fn lies_in(folder: &Path, bytes: &[u8]) -> bool {
    fs::read(file(folder)).unwrap().windows(bytes.len()).any(|window| window == bytes)
}

/// Two items of a device of its own each, about different things.
fn with_two() -> (TempDir, Evidence) {
    let folder = tempdir().unwrap();
    let evidence = start(folder.path(), WIDE);
    let scan = Subject::Scan(unmatched("a").1);
    evidence.keep(about(item(1, b"one"), &[student(1), Subject::Event(Seq(7)), scan]));
    let other = about(item(2, b"two"), &[student(1), student(2), student(2)]);
    evidence.keep(Item { device: device("hall"), kind: Kind::BadPayload, ..other });
    settle(&evidence);
    (folder, evidence)
}

#[test]
fn what_was_kept_is_found_by_time_device_entry_scan_and_student_with_its_bytes_as_they_came() {
    let (_folder, evidence) = with_two();
    let found = evidence.between(ItemId::first_at(at(2)), at(3), 10).unwrap();
    assert_eq!(found.len(), 1);
    let two = &found[0];
    assert_eq!((two.id.at, two.size, two.kind), (at(2), 3, Kind::BadPayload));
    assert_eq!((&two.device, two.about.as_slice()), (&device("hall"), [student(1), student(2)].as_slice()));
    assert_eq!(evidence.bytes(two.id).unwrap().unwrap(), b"two");
    assert_eq!(evidence.bytes(two.id.next()).unwrap(), None);
    assert_eq!(evidence.between(ItemId::first_at(at(3)), at(2), 10).unwrap(), []);

    let sizes = |found: Vec<rollcall_store::evidence::Kept>| {
        found.iter().map(|kept| kept.id.at.since(at(0)).as_millis()).collect::<Vec<_>>()
    };
    assert_eq!(sizes(evidence.of_device(&device("gate"), first(), 10).unwrap()), [1]);
    assert_eq!(sizes(evidence.of_device(&device("hal"), first(), 10).unwrap()), [0; 0]);
    assert_eq!(sizes(evidence.about(&student(1), first(), 10).unwrap()), [1, 2]);
    assert_eq!(sizes(evidence.about(&student(2), first(), 10).unwrap()), [2]);
    assert_eq!(sizes(evidence.about(&Subject::Event(Seq(7)), first(), 10).unwrap()), [1]);
    assert_eq!(sizes(evidence.about(&Subject::Scan(unmatched("a").1), first(), 10).unwrap()), [1]);
    assert_eq!(sizes(evidence.about(&Subject::Scan(unmatched("b").1), first(), 10).unwrap()), [0; 0]);
}

#[test]
fn a_page_goes_on_where_the_last_one_ended() {
    let folder = tempdir().unwrap();
    let evidence = start(folder.path(), WIDE);
    for number in 0..10_u8 {
        evidence.keep(about(item(i64::from(number / 3), &[number]), &[student(1)]));
    }
    settle(&evidence);
    let pages: [&dyn Fn(ItemId) -> _; 3] = [
        &|from| evidence.between(from, at(1_000), 4).unwrap(),
        &|from| evidence.of_device(&device("gate"), from, 4).unwrap(),
        &|from| evidence.about(&student(1), from, 4).unwrap(),
    ];
    for page in pages {
        let (mut from, mut seen) = (first(), Vec::new());
        loop {
            let items = page(from);
            let Some(last) = items.last() else { break };
            from = last.id.next();
            seen.extend(items.iter().map(|kept| evidence.bytes(kept.id).unwrap().unwrap()[0]));
        }
        assert_eq!(seen, (0..10).collect::<Vec<u8>>());
    }
}

#[test]
fn what_is_on_disk_is_there_again_after_a_restart_and_after_a_power_cut() {
    let (folder, evidence) = with_two();
    let copy = tempdir().unwrap();
    fs::copy(file(folder.path()), file(copy.path())).unwrap();
    evidence.keep(item(3, b"three"));
    drop(evidence);
    for (folder, expected) in [(folder, 3), (copy, 2)] {
        let evidence = start(folder.path(), WIDE);
        settle(&evidence);
        assert_eq!(all(&evidence).len(), expected);
        evidence.keep(item(4, b"four"));
        settle(&evidence);
        assert_eq!(evidence.size().unwrap().0, u64::try_from(expected).unwrap() + 1);
    }
}

#[test]
fn what_is_too_old_goes_also_when_nothing_new_comes() {
    let folder = tempdir().unwrap();
    let clock = HandClock::shared();
    let evidence = Evidence::start(folder.path().join("evidence.redb"), clock.clone()).unwrap();
    evidence.keep(item(0, b"old"));
    evidence.keep(item(DAY, b"new"));
    clock.go_on(10 * DAY);
    settle(&evidence);
    assert_eq!(all(&evidence).len(), 2, "nobody has said yet how long to keep it");
    evidence.set_limits(Limits { days: 10, ..WIDE });
    settle(&evidence);
    assert_eq!(all(&evidence).len(), 2);
    clock.go_on(1);
    settle(&evidence);
    assert_eq!(all(&evidence), [b"new"]);
    evidence.set_limits(Limits { days: 1, ..WIDE });
    settle(&evidence);
    assert_eq!(evidence.size().unwrap(), (0, 0));
}

#[test]
fn pictures_are_never_written_unless_asked_for() {
    let folder = tempdir().unwrap();
    let evidence = Evidence::start(folder.path().join("evidence.redb"), HandClock::shared()).unwrap();
    let picture = |bytes: &[u8]| Item { kind: Kind::Picture, ..item(1, bytes) };
    evidence.keep(picture(b"before anybody said"));
    evidence.set_limits(WIDE);
    evidence.keep(picture(b"although nobody wants it"));
    settle(&evidence);
    assert_eq!(all(&evidence), [b""; 0]);
    evidence.set_limits(Limits { keep_pictures: true, ..WIDE });
    evidence.keep(picture(b"asked for"));
    settle(&evidence);
    evidence.set_limits(WIDE);
    evidence.keep(picture(b"not any more"));
    settle(&evidence);
    assert_eq!(all(&evidence), [b"asked for"]);
    drop(evidence);
    for never in ["before anybody", "although nobody", "not any more"] {
        assert!(!lies_in(folder.path(), never.as_bytes()), "{never}");
    }
}

#[test]
fn pictures_that_wait_when_they_are_switched_off_are_not_written() {
    let folder = tempdir().unwrap();
    let clock = HandClock::shared();
    let evidence = Evidence::start(folder.path().join("evidence.redb"), clock.clone()).unwrap();
    settle(&evidence);
    let held = clock.held.lock().unwrap();
    evidence.set_limits(Limits { keep_pictures: true, ..WIDE });
    evidence.keep(item(1, b"wakes the thread, which looks at the clock"));
    evidence.keep(Item { kind: Kind::Picture, ..item(1, b"waits") });
    evidence.set_limits(WIDE);
    drop(held);
    settle(&evidence);
    assert_eq!(all(&evidence).len(), 1);
}

#[test]
fn everything_about_a_student_goes_in_steps_and_nothing_else() {
    let (folder, evidence) = with_two();
    for number in 0..5_000 {
        evidence.keep(about(item(3, b"remember me"), &[student(3), Subject::Event(Seq(number))]));
    }
    assert_eq!(evidence.forget(student(3)).unwrap(), 5_000, "also what had not been written yet");
    assert_eq!(evidence.forget(student(3)).unwrap(), 0);
    // Nothing can be read while the file is made smaller, which an erasure brings about.
    settle(&evidence);
    assert_eq!(all(&evidence), [b"one", b"two"]);
    assert_eq!(evidence.about(&Subject::Event(Seq(4_000)), first(), 1).unwrap(), []);
    assert!(!lies_in(folder.path(), b"remember me"), "nor in pages that are free");
    assert_eq!(evidence.forget(Subject::Event(Seq(7))).unwrap(), 1);
    assert_eq!(evidence.forget(student(1)).unwrap(), 1);
    settle(&evidence);
    assert_eq!(evidence.size().unwrap(), (0, 0));
}

#[test]
fn what_was_forgotten_does_not_come_back_after_a_kill() {
    let (folder, evidence) = with_two();
    assert_eq!(evidence.forget(student(2)).unwrap(), 1);
    let copy = tempdir().unwrap();
    // The file is being made smaller meanwhile.
    fs::write(file(copy.path()), at_one_moment(&file(folder.path()))).unwrap();
    let evidence = start(copy.path(), WIDE);
    settle(&evidence);
    assert_eq!(all(&evidence), [b"one"]);
}

#[test]
fn a_file_that_is_mostly_empty_is_made_smaller() {
    let folder = tempdir().unwrap();
    let evidence = start(folder.path(), WIDE);
    for number in 0..3_000 {
        evidence.keep(item(number, &[1; 10_000]));
        if number % 500 == 0 {
            settle(&evidence);
        }
    }
    settle(&evidence);
    assert!(fs::metadata(file(folder.path())).unwrap().len() > 30_000_000);
    evidence.set_limits(Limits { max_bytes: 1_048_576, ..WIDE });
    settle(&evidence);
    assert!(fs::metadata(file(folder.path())).unwrap().len() < 4_000_000);
    assert_eq!(all(&evidence).len(), 102);
}

/// What an item without bytes counts for.
fn least_cost() -> u64 {
    let folder = tempdir().unwrap();
    let evidence = start(folder.path(), WIDE);
    evidence.keep(item(0, b""));
    settle(&evidence);
    evidence.size().unwrap().1
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn the_oldest_go_first_and_no_more_of_them_than_the_cap_asks_for(
        steps in prop::collection::vec((0..50_i64, 0..6_000_usize, prop::option::of(1_000..40_000_u64)), 1..40),
    ) {
        let (folder, least) = (tempdir().unwrap(), least_cost());
        let evidence = start(folder.path(), WIDE);
        let cost = |size: usize| least + u64::try_from(size).unwrap();
        let mut model: BTreeMap<(i64, usize), usize> = BTreeMap::new();
        let total = |model: &BTreeMap<_, usize>| model.values().map(|size| cost(*size)).sum::<u64>();
        let cut = |model: &mut BTreeMap<_, usize>, cap| while total(model) > cap {
            model.pop_first();
        };
        let (mut cap, mut too_large) = (WIDE.max_bytes, 0);
        for (number, (millis, size, next_cap)) in steps.into_iter().enumerate() {
            if let Some(next) = next_cap {
                cap = next;
                evidence.set_limits(Limits { max_bytes: cap, ..WIDE });
            }
            cut(&mut model, cap);
            evidence.keep(item(millis, &vec![1; size]));
            settle(&evidence);
            if cost(size) <= cap {
                model.insert((millis, number), size);
            } else {
                too_large += 1;
            }
            cut(&mut model, cap);
            let kept = evidence.between(first(), at(1_000), usize::MAX).unwrap();
            let kept: Vec<_> = kept.iter().map(|kept| (kept.id.at, kept.size)).collect();
            let expected: Vec<_> = model.iter().map(|((millis, _), size)| (at(*millis), *size)).collect();
            prop_assert_eq!(&kept, &expected);
            prop_assert_eq!(evidence.size().unwrap(), (u64::try_from(kept.len()).unwrap(), total(&model)));
        }
        prop_assert_eq!(evidence.lost(Loss::TooLarge), too_large);
    }

    #[test]
    fn what_comes_in_its_order_is_kept_as_far_back_as_the_cap_reaches(
        sizes in prop::collection::vec(0..6_000_usize, 1..200),
        cap in 6_400..60_000_u64,
    ) {
        let (folder, least) = (tempdir().unwrap(), least_cost());
        let evidence = start(folder.path(), Limits { max_bytes: cap, ..WIDE });
        for (millis, size) in (0..).zip(&sizes) {
            evidence.keep(item(millis, &vec![1; *size]));
        }
        settle(&evidence);
        let mut left = cap;
        let fits = |size: &&usize| {
            let cost = least + u64::try_from(**size).unwrap();
            left.checked_sub(cost).map(|rest| left = rest).is_some()
        };
        let expected = sizes.iter().rev().take_while(fits).count();
        prop_assert_eq!(all(&evidence).len(), expected);
    }

    #[test]
    fn whatever_is_damaged_the_thread_goes_on_and_nothing_panics(
        seed in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..64),
        length in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (folder, evidence) = with_two();
        for number in 0..200 {
            evidence.keep(about(item(5, &[7; 300]), &[student(number)]));
        }
        drop(evidence);
        let mut bytes = fs::read(file(folder.path())).unwrap();
        // Most of the file is empty: what is not, is hit.
        let full: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        for (at, value) in seed {
            bytes[full[at.index(full.len())]] = value;
        }
        if let Some(length) = length {
            bytes.truncate(length.index(bytes.len()));
        }
        fs::write(file(folder.path()), &bytes).unwrap();
        let evidence = start(folder.path(), Limits { days: 1, ..WIDE });
        evidence.keep(item(-9 * DAY, b"goes at once, with all that is older"));
        evidence.keep(item(6, b"later"));
        settle(&evidence);
        // What stands in the way of a reader is dealt with, so this comes to an end.
        while evidence.forget(student(1)).is_err() {}
        for kept in evidence.between(first(), at(DAY), usize::MAX).unwrap_or_default() {
            evidence.bytes(kept.id).ok();
        }
        evidence.of_device(&device("gate"), first(), usize::MAX).ok();
        evidence.keep(item(7, b"last"));
        settle(&evidence);
        drop(evidence);
        settle(&start(folder.path(), WIDE));
    }
}

/// Opens it with something else in its place; tells what was set aside.
fn set_aside(put: impl FnOnce(&Path)) -> Vec<Vec<u8>> {
    let folder = tempdir().unwrap();
    put(&file(folder.path()));
    let evidence = start(folder.path(), WIDE);
    evidence.keep(item(1, b"goes on"));
    settle(&evidence);
    assert_eq!(all(&evidence), [b"goes on"]);
    let aside = evidence.set_aside();
    assert!(aside.iter().all(|aside| aside.to_str().unwrap().contains("evidence.redb.set-aside-")));
    aside.iter().map(|aside| fs::read(aside).unwrap()).collect()
}

#[test]
fn what_is_not_evidence_is_set_aside_as_it_is() {
    assert_eq!(set_aside(|path| fs::write(path, b"").unwrap()), [b""; 0], "an empty file is as good as none");
    let text = b"what somebody put here by mistake".repeat(1_000);
    assert_eq!(set_aside(|path| fs::write(path, &text).unwrap()), [text.as_slice()]);
    let aside = set_aside(|path| {
        let campus = tempdir().unwrap();
        append(&open(campus.path()), vec![setting("1")]);
        fs::copy(campus.path().join("ledger.redb"), path).unwrap();
    });
    assert!(aside.len() == 1 && aside[0].starts_with(b"redb"), "a ledger is not thrown away");
    let aside = set_aside(|path| {
        let database = Database::create(path).unwrap();
        let transaction = database.begin_write().unwrap();
        let meta: TableDefinition<'_, u64, u64> = TableDefinition::new("meta");
        transaction.open_table(meta).unwrap();
        transaction.commit().unwrap();
    });
    assert_eq!(aside.len(), 1);
}

#[test]
fn each_file_that_is_set_aside_has_a_name_of_its_own() {
    let folder = tempdir().unwrap();
    for number in 1..4 {
        fs::write(file(folder.path()), b"garbage").unwrap();
        let evidence = start(folder.path(), WIDE);
        settle(&evidence);
        assert_eq!(evidence.set_aside().len(), number);
    }
}

#[test]
fn a_file_that_somebody_else_has_open_is_waited_for_and_left_alone() {
    let (folder, first) = with_two();
    let second = start(folder.path(), WIDE);
    assert!(second.settle().is_err());
    second.keep(item(3, b"waits"));
    drop(first);
    settle(&second);
    assert_eq!(all(&second), [b"one".as_slice(), b"two", b"waits"]);
    assert!(second.set_aside().is_empty());
}

#[test]
fn when_the_disk_fails_items_are_lost_and_counted_and_it_goes_on_once_the_disk_is_back() {
    let disk = Disk::of("evidence.redb");
    let evidence = start(disk.folder(), WIDE);
    evidence.keep(item(1, b"before"));
    settle(&evidence);
    disk.fail();
    evidence.keep(item(2, &[0; 100_000]));
    assert!(evidence.settle().is_err());
    assert_eq!(evidence.lost(Loss::Unavailable), 1);
    assert!(evidence.forget(student(1)).is_err(), "nobody may believe that it is gone");
    assert!(evidence.between(first(), at(10), 10).is_err());
    for number in 0..10_000 {
        evidence.keep(item(3, format!("{number}").as_bytes()));
    }
    assert_eq!(evidence.lost(Loss::Unavailable), 1 + 10_000 - 8_192, "some can wait");
    let copy = tempdir().unwrap();
    disk.copy_to(copy.path());
    disk.put_in(copy.path());
    settle(&evidence);
    let kept = all(&evidence);
    assert_eq!((kept.len(), &kept[0][..], &kept[8_192][..]), (8_193, &b"before"[..], &b"8191"[..]));
    assert_eq!(evidence.lost(Loss::QueueFull), 0);
    assert!(evidence.set_aside().is_empty());
}

#[test]
fn keeping_waits_for_nobody_and_what_finds_no_room_is_counted() {
    let folder = tempdir().unwrap();
    let clock = HandClock::shared();
    let evidence = Evidence::start(folder.path().join("evidence.redb"), clock.clone()).unwrap();
    settle(&evidence);
    let held = clock.held.lock().unwrap();
    // The thread takes some of these and then stands still, at the clock.
    (0..20_000).for_each(|millis| evidence.keep(item(millis, b"")));
    let lost = evidence.lost(Loss::QueueFull);
    assert!((20_000 - 8_192 - 1_024..=20_000 - 8_192).contains(&lost), "{lost}");
    drop(held);
    settle(&evidence);
    assert_eq!(evidence.size().unwrap().0, 20_000 - lost);
    let held = clock.held.lock().unwrap();
    (0..20).for_each(|millis| evidence.keep(item(millis, &[0; 4 << 20])));
    assert!(evidence.lost(Loss::QueueFull) - lost >= 10, "what waits is bounded in bytes too");
    evidence.keep(item(1, &vec![0; 64 << 20]));
    assert_eq!(evidence.lost(Loss::TooLarge), 1);
    drop(held);
}

#[test]
fn what_comes_after_the_end_is_counted_and_harms_nobody() {
    let (_folder, evidence) = with_two();
    evidence.close();
    evidence.keep(item(3, b"late"));
    assert_eq!(evidence.lost(Loss::Unavailable), 1);
    assert!(evidence.settle().is_err());
    assert!(evidence.forget(student(1)).is_err());
    assert!(evidence.size().is_err());
    evidence.close();
}

#[test]
fn a_store_starts_and_acknowledges_whatever_became_of_its_evidence() {
    let disk = Disk::of("evidence.redb");
    disk.fail();
    let store = open(disk.folder());
    store.evidence().keep(item(1, b"lost"));
    assert!(matches!(append(&store, vec![setting("1")]), Appended::Committed(_)));
    assert!(store.evidence().settle().is_err());
    let evidence = store.evidence().clone();
    drop(store);
    assert_eq!(evidence.lost(Loss::Unavailable), 1);
}

#[test]
fn a_store_keeps_evidence_beside_its_ledger() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    store.evidence().keep(item(1, b"raw"));
    store.evidence().settle().unwrap();
    drop(store);
    assert_eq!(all(&start_settled(folder.path())), [b"raw"]);
}

fn start_settled(folder: &Path) -> Evidence {
    let evidence = start(folder, WIDE);
    settle(&evidence);
    evidence
}

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const ITEMS: TableDefinition<'_, (i64, u64), &[u8]> = TableDefinition::new("items");
const BY_SUBJECT: TableDefinition<'_, (u8, u128, i64, u64), ()> = TableDefinition::new("by_subject");

/// If this fails, the format has changed: give it a new version, or every campus loses its evidence.
#[test]
fn items_lie_in_the_file_as_version_1_wrote_them() {
    let (folder, evidence) = with_two();
    evidence.keep(Item { kind: Kind::Other, ..item(-5, b"") });
    drop(evidence);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let database = Database::open(file(folder.path())).unwrap();
    let read = database.begin_read().unwrap();
    let totals = hex(read.open_table(META).unwrap().get("totals").unwrap().unwrap().value());
    let mut lines = vec![totals];
    for row in read.open_table(ITEMS).unwrap().iter().unwrap() {
        let (key, row) = row.unwrap();
        lines.push(format!("{:?} {}", key.value(), hex(row.value())));
    }
    for row in read.open_table(BY_SUBJECT).unwrap().iter().unwrap() {
        lines.push(format!("{:?}", row.unwrap().0.value()));
    }
    let lines = lines.join("\n") + "\n";
    assert_eq!(lines, include_str!("golden/evidence-v1.txt"), "{lines}");
}
