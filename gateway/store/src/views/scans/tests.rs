//! What is known follows from the events, and nothing else.

use proptest::prelude::*;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase as _};
use rollcall_domain::code::Pseudonyms;
use rollcall_domain::ids::UserId;
use rollcall_domain::moment::days;

use super::*;

const SMALL: Shape = Shape { keys: 8, blocks: 4, merged: 3 };
/// Some time in 2026.
const START: i64 = 1_772_000_000_000;

fn key(number: u64) -> DedupKey {
    DedupKey::of_upload(UserId(1), &number.to_string(), &Pseudonyms::new([1; 32]))
}

fn after(day: u32) -> Moment {
    Moment::from_millis(START).plus(days(day))
}

/// Rows in memory, and who writes them.
struct Known {
    database: Database,
    scans: Scans,
}

impl Known {
    fn new(shape: Shape) -> Self {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(META).unwrap();
        write.open_table(SCANS).unwrap();
        write.open_table(RECENT_SCANS).unwrap();
        write.commit().unwrap();
        let scans = Scans::load_as(&database.begin_read().unwrap(), shape).unwrap();
        Known { database, scans }
    }

    fn commit(&mut self, found: &[Found]) {
        let write = self.database.begin_write().unwrap();
        let added = self.scans.write(&write, found).unwrap();
        write.commit().unwrap();
        self.scans.written(added);
    }

    fn open_again(&mut self) {
        let shape = self.scans.runs.shape;
        self.scans = Scans::load_as(&self.database.begin_read().unwrap(), shape).unwrap();
    }

    /// Takes keys from the rows that are not kept now; tells how many blocks.
    fn leave_out(&mut self, now: &Known) -> usize {
        let write = self.database.begin_write().unwrap();
        let gone = |block: BlockId| !self.scans.is_kept(block, &now.scans);
        let mut table = write.open_table(SCANS).unwrap();
        let count = table.extract_if(|block, _| gone(block)).unwrap().count();
        drop(table);
        write.commit().unwrap();
        self.open_again();
        count
    }

    fn find(&self, number: u64) -> Option<Seq> {
        let table = self.database.begin_read().unwrap().open_table(SCANS).unwrap();
        let found = self.scans.find(&table, key(number), Seq(u64::MAX)).unwrap();
        assert!(found.is_none() || self.scans.perhaps(key(number)), "{number} is denied");
        found
    }

    /// Every row, as it lies there.
    fn rows(&self) -> Vec<String> {
        let read = self.database.begin_read().unwrap();
        let mut rows = Vec::new();
        for row in read.open_table(META).unwrap().iter().unwrap().map(Result::unwrap) {
            rows.push(format!("{} {:?}", row.0.value(), row.1.value()));
        }
        for row in read.open_table(SCANS).unwrap().iter().unwrap().map(Result::unwrap) {
            rows.push(format!("{:?} {:?}", row.0.value(), row.1.value()));
        }
        for row in read.open_table(RECENT_SCANS).unwrap().iter().unwrap().map(Result::unwrap) {
            rows.push(format!("{} {:?}", row.0.value(), row.1.value()));
        }
        rows
    }
}

/// One scan in each event, with a key by its number, on these days.
fn events(all: &[(u64, u32)]) -> Vec<Found> {
    let found = |(seq, (number, day)): (u64, &(u64, u32))| Found {
        key: key(*number),
        seq: Seq(seq),
        at: after(*day),
        forgotten: Seq(0),
    };
    (1..).zip(all).map(found).collect()
}

/// Numbers of scans, and how many days pass before each.
fn any_events() -> impl Strategy<Value = Vec<(u64, u32)>> {
    let one = (0..60_u64, prop_oneof![4 => Just(0_u32), 4 => 0..30_u32, 1 => 100..500_u32]);
    prop::collection::vec(one, 1..160).prop_map(|mut all| {
        let mut day = 0;
        for (_, passed) in &mut all {
            day += *passed;
            *passed = day;
        }
        all
    })
}

/// Where commits end, and after which the file is opened again.
fn any_commits() -> impl Strategy<Value = Vec<(usize, bool)>> {
    prop::collection::vec((1..40_usize, any::<bool>()), 1..40)
}

fn fold(all: &[Found], commits: &[(usize, bool)], mut each: impl FnMut(&Known, usize)) -> Known {
    let mut known = Known::new(SMALL);
    let (mut done, mut commits) = (0, commits.iter().cycle());
    while done < all.len() {
        let (size, again) = *commits.next().unwrap();
        let to = all.len().min(done + size);
        known.commit(&all[done..to]);
        if again {
            known.open_again();
        }
        done = to;
        each(&known, done);
    }
    known
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rows_are_the_same_whatever_commits_the_scans_came_in(
        all in any_events(), forgets in any_forgetting(), one in any_commits(), other in any_commits(),
    ) {
        let all = forgetting(events(&all), &forgets);
        let one = fold(&all, &one, |_, _| {});
        let other = fold(&all, &other, |_, _| {});
        prop_assert_eq!(one.rows(), other.rows());
        prop_assert_eq!(one.rows(), fold(&all, &[(usize::MAX / 2, false)], |_, _| {}).rows());
    }

    #[test]
    fn a_key_leads_to_the_first_event_that_is_not_forgotten(
        all in any_events(), forgets in any_forgetting(), commits in any_commits(),
    ) {
        let young: Vec<_> = all.iter().map(|(number, _)| (*number, 0)).collect();
        let found = forgetting(events(&young), &forgets);
        fold(&found, &commits, |known, done| {
            let forgotten = found[done - 1].forgotten;
            let mut first = HashMap::new();
            for (found, (number, _)) in found[..done].iter().zip(&young) {
                let seq = first.entry(*number).or_insert(found.seq);
                if *seq <= found.forgotten {
                    *seq = found.seq;
                }
            }
            for (number, seq) in first {
                let expected = Some(seq).filter(|seq| *seq > forgotten);
                assert_eq!(known.find(number).filter(|seq| *seq > forgotten), expected, "{number}");
            }
        });
    }

    #[test]
    fn keys_that_were_let_go_since_can_be_left_out_and_the_rows_come_to_be_the_same(
        all in any_events(), cut in any::<prop::sample::Index>(), forgets in any_forgetting(),
    ) {
        let found = events(&all);
        let new = new_ones(&found, &all);
        let found = found.into_iter().zip(new).filter_map(|(found, new)| new.then_some(found)).collect();
        let found = forgetting(found, &forgets);
        let (before, after) = found.split_at(cut.index(found.len()));
        let mut then = fold(before, &[(usize::MAX / 2, false)], |_, _| {});
        let now = fold(&found, &[(usize::MAX / 2, false)], |_, _| {});
        then.leave_out(&now);
        then.commit(after);
        prop_assert_eq!(then.rows(), now.rows());
    }

    #[test]
    fn a_key_younger_than_400_days_is_always_known_and_leads_to_an_event_that_has_it(
        all in any_events(), commits in any_commits(),
    ) {
        let found = events(&all);
        let new = new_ones(&found, &all);
        fold(&found, &commits, |known, done| {
            let today = all[done - 1].1;
            for (place, (number, day)) in all[..done].iter().enumerate().filter(|(place, _)| new[*place]) {
                let seq = known.find(*number);
                assert!(seq.is_some() || today - day > 400, "{number} of day {day} is not known on day {today}");
                if today - day <= 400 {
                    assert_eq!(seq, Some(Seq(place as u64 + 1)), "{number} on day {today}");
                }
            }
        });
    }
}

/// Has entries forgotten: before some events, up to so many before them.
fn forgetting(mut all: Vec<Found>, forgets: &[u64]) -> Vec<Found> {
    let mut forgotten = Seq(0);
    for (found, back) in all.iter_mut().zip(forgets.iter().cycle()) {
        if *back > 0 {
            forgotten = forgotten.max(Seq(found.seq.0.saturating_sub(*back)));
        }
        found.forgotten = forgotten;
    }
    all
}

fn any_forgetting() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![8 => Just(0_u64), 1 => 1..60_u64], 1..60)
}

/// Which of them were not known when they came, and so were stored.
fn new_ones(found: &[Found], all: &[(u64, u32)]) -> Vec<bool> {
    let mut known = Known::new(SMALL);
    let is_new = |(one, (number, _)): (&Found, &(u64, u32))| {
        let is_new = known.find(*number).is_none();
        known.commit(&[*one]);
        is_new
    };
    found.iter().zip(all).map(is_new).collect()
}

/// So many days, on each of which a whole run comes in.
fn a_run_a_day(known: &mut Known, days: std::ops::Range<u32>) {
    for day in days {
        let first = u64::from(day) * 8;
        let found =
            |number| Found { key: key(number), seq: Seq(number + 1), at: after(day), forgotten: Seq(0) };
        known.commit(&(first..first + 8).map(found).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_older_is_let_go_from_the_rows_and_from_memory() {
    let mut known = Known::new(SMALL);
    a_run_a_day(&mut known, 0..900);
    // Those of the last 400 days and what is merged with them.
    let kept = (0..900 * 8).filter(|number| known.find(*number).is_some()).count();
    assert!((400 * 8..=404 * 8).contains(&kept), "{kept}");
    let perhaps = (0..400 * 8).filter(|number| known.scans.perhaps(key(*number))).count();
    assert!(perhaps < 400, "{perhaps} keys are still in memory");
    let stored = known.rows().len();
    a_run_a_day(&mut known, 900..1_800);
    assert!(known.rows().len().abs_diff(stored) < 40);
}

#[test]
fn keys_of_runs_that_were_let_go_since_are_left_out() {
    let (mut then, mut now) = (Known::new(SMALL), Known::new(SMALL));
    for (known, days) in [(&mut then, 100), (&mut now, 900)] {
        a_run_a_day(known, 0..days);
        known.commit(&[Found { key: key(100_000), seq: Seq(100_000), at: after(days), forgotten: Seq(0) }]);
    }
    assert!(then.leave_out(&now) > 300);
    let kept = then.database.begin_read().unwrap().open_table(SCANS).unwrap();
    assert_eq!(redb::ReadableTableMetadata::len(&kept).unwrap(), 0);
}

#[test]
fn a_key_that_comes_again_after_it_was_forgotten_stands_for_the_later_event() {
    let mut known = Known::new(SMALL);
    a_run_a_day(&mut known, 0..3);
    let again = Found { key: key(0), seq: Seq(100_000), at: after(450), forgotten: Seq(0) };
    let others = (100..116).map(|number| Found {
        key: key(number),
        seq: Seq(number),
        at: after(450),
        forgotten: Seq(0),
    });
    known.commit(&others.collect::<Vec<_>>());
    assert_eq!(known.find(0), None);
    known.commit(&[again]);
    assert_eq!(known.find(0), Some(Seq(100_000)));
}

#[test]
fn a_snapshot_goes_on_telling_what_was_let_go_since() {
    let mut known = Known::new(SMALL);
    a_run_a_day(&mut known, 0..4);
    let (before, read) = (known.scans.clone(), known.database.begin_read().unwrap());
    a_run_a_day(&mut known, 500..501);
    assert_eq!((0..32).filter(|number| known.find(*number).is_some()).count(), 0);
    let table = read.open_table(SCANS).unwrap();
    for number in 0..32 {
        assert_eq!(before.find(&table, key(number), Seq(32)).unwrap(), Some(Seq(number + 1)));
    }
    assert_eq!(before.find(&table, key(500 * 8), Seq(32)).unwrap(), None);
}

#[test]
fn a_few_entries_of_a_clock_that_ran_ahead_let_nothing_go() {
    let mut known = Known::new(SMALL);
    a_run_a_day(&mut known, 0..3);
    for number in 100..130 {
        let day = if number % 8 == 7 { 3 } else { 4_000 };
        known.commit(&[Found { key: key(number), seq: Seq(number), at: after(day), forgotten: Seq(0) }]);
    }
    assert!((0..24).all(|number| known.find(number).is_some()));
}

#[test]
fn every_key_is_found_in_fresh_and_in_merged_runs_and_no_other() {
    let mut known = Known::new(Shape { keys: 500, blocks: 512, merged: 16 });
    for run in 0..35 {
        let found = |number| Found { key: key(number), seq: Seq(number), at: after(0), forgotten: Seq(0) };
        known.commit(&(run * 500..(run + 1) * 500).map(found).collect::<Vec<_>>());
        for number in 0..(run + 1) * 500 {
            // All of the newest, and some of the others.
            if number >= run * 500 || number % 97 == run {
                assert_eq!(known.find(number), Some(Seq(number)), "{number}");
            }
        }
        assert_eq!(known.find(run + 1_000_000), None);
    }
    // Two of sixteen and three that are fresh; none is stored twice.
    let read = known.database.begin_read().unwrap();
    let rows = read.open_table(SCANS).unwrap();
    let stored: usize = rows.iter().unwrap().map(|row| row.unwrap().1.value().len() / 24).sum();
    assert_eq!(stored, 35 * 500);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// If this fails, checkpoints of ledgers that were told to forget are read wrongly: they hold these rows as they
/// are, and where a run ends must not change.
#[test]
fn keys_lie_in_their_rows_as_version_1_of_checkpoints_has_them() {
    assert_eq!(Shape::default(), Shape { keys: 65_536, blocks: 512, merged: 16 });
    let mut known = Known::new(SMALL);
    let all = (1..).take(8 * 3 + 8 + 1);
    let found: Vec<Found> =
        all.map(|seq| Found { key: key(seq), seq: Seq(seq), at: after(0), forgotten: Seq(0) }).collect();
    known.commit(&found);
    let read = known.database.begin_read().unwrap();
    let row = hex(read.open_table(META).unwrap().get(RUNS).unwrap().unwrap().value());
    assert_eq!(row, "0180e0f1b6926780e0f1b69267010080e0f1b6926780e0f1b69267010080e0f1b6926780e0f1b69267");
    let table = read.open_table(SCANS).unwrap();
    let blocks: Vec<(BlockId, String)> =
        table.iter().unwrap().map(Result::unwrap).map(|(id, rows)| (id.value(), hex(rows.value()))).collect();
    let (first, last) = (blocks.first().unwrap(), blocks.last().unwrap());
    assert_eq!((first.0, first.1.as_str()), ((0, 0, 0), "03e58f723c8953e913defdb8d38581ca000000000000001c"));
    assert_eq!(
        (last.0, last.1.as_str()),
        (
            (1, 0, 11),
            "ec69254e4e76f747a79e7bb797b1431a000000000000000cf12504b550f9e7735a87d9785031d0930000000000000004fdbe6f2502d3816bd9c3959940d02f940000000000000011"
        )
    );
}
