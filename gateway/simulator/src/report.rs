//! What became of a run.
//!
//! Promises: acknowledged and unacknowledged scans together are exactly those that were made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rollcall_domain::ids::DeviceId;
use rollcall_domain::scan::Status;

/// What one terminal counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Scans made; their numbers are those below.
    pub(crate) made: u64,
    pub(crate) left: BTreeSet<u64>,
    pub(crate) sent_again: u64,
    pub(crate) connections: u64,
    pub(crate) results: BTreeMap<Status, u64>,
    pub(crate) replayed: u64,
    pub(crate) latencies: Latencies,
    /// When the last scan was acknowledged, counted from the start.
    pub(crate) last_acknowledged: Duration,
    pub(crate) last_error: Option<String>,
}

/// A finished run.
#[derive(Debug, Clone)]
pub struct Report {
    /// Different scans; one that was sent again counts once.
    pub sent: u64,
    pub acknowledged: u64,
    pub sent_again: u64,
    pub connections: u64,
    /// What the gateway said of them, as far as it said so before the end.
    pub results: BTreeMap<Status, u64>,
    /// Results that were told a second time.
    pub replayed: u64,
    /// From first being sent to being acknowledged.
    pub latency: Latency,
    /// From the start to the last acknowledgement.
    pub took: Duration,
    /// The last thing that went wrong, by terminal.
    pub errors: BTreeMap<DeviceId, String>,
    run: String,
    terminals: Vec<(DeviceId, Tally)>,
}

impl Report {
    pub(crate) fn new(run: String, terminals: Vec<(DeviceId, Tally)>) -> Self {
        let mut report = Report {
            sent: 0,
            acknowledged: 0,
            sent_again: 0,
            connections: 0,
            results: BTreeMap::new(),
            replayed: 0,
            latency: Latency::default(),
            took: Duration::ZERO,
            errors: BTreeMap::new(),
            run,
            terminals: Vec::new(),
        };
        let mut latencies = Latencies::default();
        for (device, tally) in &terminals {
            let left = u64::try_from(tally.left.len()).unwrap_or(u64::MAX);
            report.sent += tally.made;
            report.acknowledged += tally.made.saturating_sub(left);
            report.sent_again += tally.sent_again;
            report.connections += tally.connections;
            report.replayed += tally.replayed;
            report.took = report.took.max(tally.last_acknowledged);
            for (status, count) in &tally.results {
                *report.results.entry(*status).or_default() += count;
            }
            latencies.add(&tally.latencies);
            report.errors.extend(tally.last_error.clone().map(|error| (device.clone(), error)));
        }
        report.latency = latencies.summary();
        report.terminals = terminals;
        report
    }

    /// Every scan that the gateway acknowledged: what must be in its ledger.
    pub fn acknowledged_ids(&self) -> impl Iterator<Item = (&DeviceId, String)> {
        self.ids(|tally, number| !tally.left.contains(&number))
    }

    pub fn unacknowledged_ids(&self) -> impl Iterator<Item = (&DeviceId, String)> {
        self.ids(|tally, number| tally.left.contains(&number))
    }

    fn ids(&self, wanted: impl Fn(&Tally, u64) -> bool + Copy) -> impl Iterator<Item = (&DeviceId, String)> {
        self.terminals.iter().enumerate().flat_map(move |(place, (device, tally))| {
            let numbers = (0..tally.made).filter(move |number| wanted(tally, *number));
            numbers.map(move |number| (device, scan_id(&self.run, place, number)))
        })
    }
}

/// The id of a terminal's `number`th scan.
pub(crate) fn scan_id(run: &str, place: usize, number: u64) -> String {
    format!("{run}-{place}-{number}")
}

/// Percentiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    pub p50: Duration,
    pub p90: Duration,
    pub p99: Duration,
    pub max: Duration,
}

/// Counts durations in buckets of about 3 %, whatever their number.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// By bucket; each power of two microseconds has [`PER_POWER`] of them.
    buckets: BTreeMap<u64, u64>,
    count: u64,
    max: Duration,
}

const PER_POWER: u64 = 32;

impl Latencies {
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        *self.buckets.entry(bucket(micros)).or_default() += 1;
        self.count += 1;
        self.max = self.max.max(duration);
    }

    pub fn add(&mut self, other: &Latencies) {
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub fn summary(&self) -> Latency {
        Latency {
            p50: self.percentile(50),
            p90: self.percentile(90),
            p99: self.percentile(99),
            max: self.max,
        }
    }

    /// The upper end of the bucket that the percentile falls into.
    fn percentile(&self, percent: u64) -> Duration {
        let rank = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        let reached = self.buckets.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        reached.map_or(Duration::ZERO, |(bucket, _)| Duration::from_micros(upper(*bucket)).min(self.max))
    }
}

fn bucket(micros: u64) -> u64 {
    let power = u64::from(micros.checked_ilog2().unwrap_or(0));
    let shift = power.saturating_sub(u64::from(PER_POWER.ilog2()));
    shift * PER_POWER + (micros >> shift)
}

/// The greatest number of microseconds in the bucket.
fn upper(bucket: u64) -> u64 {
    let shift = (bucket / PER_POWER).saturating_sub(1);
    let place = bucket - shift * PER_POWER;
    ((place + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gap_and_are_fine() {
        let mut last = 0;
        for micros in 0..100_000 {
            let bucket = bucket(micros);
            assert!(bucket == last || bucket == last + 1, "{micros}");
            assert!(upper(bucket) >= micros && upper(bucket) <= micros + micros / 16, "{micros}");
            last = bucket;
        }
    }

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let (mut one, mut other) = (Latencies::default(), Latencies::default());
        (1..=50).for_each(|millis| one.record(Duration::from_millis(millis)));
        (51..=100).for_each(|millis| other.record(Duration::from_millis(millis)));
        one.add(&other);
        let summary = one.summary();
        let near = |is: Duration, millis: u128| (millis..=millis + millis / 16).contains(&is.as_millis());
        assert!(near(summary.p50, 50) && near(summary.p90, 90) && near(summary.p99, 99), "{summary:?}");
        assert_eq!(summary.max, Duration::from_millis(100));
        assert_eq!(Latencies::default().summary(), Latency::default());
    }

    #[test]
    fn acknowledged_and_unacknowledged_ids_make_up_what_was_sent() {
        let device = DeviceId::parse("gate").unwrap();
        let tally = Tally { made: 3, left: [1].into(), ..Tally::default() };
        let report = Report::new("r".to_owned(), vec![(device, tally)]);
        let ids = |ids: Vec<(&DeviceId, String)>| ids.into_iter().map(|(_, id)| id).collect::<Vec<_>>();
        assert_eq!(ids(report.acknowledged_ids().collect()), ["r-0-0", "r-0-2"]);
        assert_eq!(ids(report.unacknowledged_ids().collect()), ["r-0-1"]);
        assert_eq!((report.sent, report.acknowledged), (3, 2));
    }
}
