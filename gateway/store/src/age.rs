//! What is old, by the ledger's own times.
//!
//! Promises: a clock that runs ahead makes nothing old, however far, unless entries were written by it on several
//! days; no entry is old as long as a scan that it stores must be known.
//!
//! Refuses: believing the clock alone. What is forgotten does not come back when the clock is set right.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::{Moment, days};
use rollcall_domain::scan::KNOWN_DAYS;

use crate::error::StoreError;
use crate::ledger::Ledger;

/// On so many days entries must have been written at a time or after it, until it is taken for past.
const DAYS: usize = 7;
/// Entries that are read at a time.
const AT_ONCE: u64 = 4_096;

/// Before which time what is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Old {
    pub(crate) entries: Moment,
    pub(crate) records: Moment,
}

impl Old {
    /// What is old of what somebody takes for it whose clock shows `now`; nothing in a ledger that is too young to
    /// tell.
    pub(crate) fn by(ledger: &Ledger, now: Moment, wanted: Old) -> Result<Option<Self>, StoreError> {
        Ok(past(ledger)?.map(|past| Old {
            entries: as_of(past, now, wanted.entries.min(now.minus(days(KNOWN_DAYS)))),
            records: as_of(past, now, wanted.records.min(now)),
        }))
    }
}

/// As long before the ledger's time as it would be before the clock's, if that is ahead.
fn as_of(past: Moment, now: Moment, old: Moment) -> Moment {
    old.minus(now.since(past).max(SignedDuration::ZERO))
}

/// A time that surely is past: the first of the last days on which entries were written.
fn past(ledger: &Ledger) -> Result<Option<Moment>, StoreError> {
    let first = ledger.start()?.last.0 + 1;
    let mut end = ledger.end()?.0 + 1;
    let (mut seen, mut oldest) = (BTreeSet::new(), None);
    while first < end {
        let from = end.saturating_sub(AT_ONCE).max(first);
        let entries = ledger.entries(Seq(from), usize::try_from(end - from).unwrap_or(usize::MAX))?;
        for entry in entries.iter().rev().filter(|entry| entry.seq.0 < end) {
            seen.insert(entry.at.date(&TimeZone::UTC));
            oldest = Some(oldest.map_or(entry.at, |oldest: Moment| oldest.min(entry.at)));
            if seen.len() == DAYS {
                return Ok(oldest);
            }
        }
        end = from;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_clock_that_is_ahead_takes_for_old_is_told_from_where_the_ledger_is() {
        let at = |day| Moment::from_millis(0).plus(days(day));
        assert_eq!(as_of(at(1_000), at(1_000), at(10)), at(10));
        assert_eq!(as_of(at(1_000), at(1_007), at(10)), at(3));
        assert_eq!(as_of(at(1_000), at(9_000), at(8_500)), at(500));
        // One that is behind makes less old.
        assert_eq!(as_of(at(1_000), at(900), at(10)), at(10));
    }
}
