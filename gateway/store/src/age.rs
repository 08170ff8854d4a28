//! What is old, by the ledger's own times.
//!
//! Promises: a clock that runs ahead makes nothing old, however far, unless entries were written by it on several
//! days, and keeps nothing from becoming old; no entry is old as long as a scan that it stores must be known.
//!
//! Refuses: believing the clock alone. What is forgotten does not come back when the clock is set right.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::civil::Date;
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
    /// What is old of what somebody takes for it whose clock shows `now`, and what surely is past; nothing in a
    /// ledger that is too young to tell.
    pub(crate) fn by(
        ledger: &Ledger,
        now: Moment,
        wanted: Old,
    ) -> Result<Option<(Self, Moment)>, StoreError> {
        let old = |past| Old {
            entries: as_of(past, now, wanted.entries.min(now.minus(days(KNOWN_DAYS)))),
            records: as_of(past, now, wanted.records.min(now)),
        };
        Ok(past(ledger)?.map(|past| (old(past), past)))
    }
}

/// How old entries are that come one after the other.
///
/// One that was written while the clock was ahead has a time after which surely past ones come: by itself it would
/// never be old, and none after it could go. It is old once entries on so many later days are, without another that
/// is not.
pub(crate) struct Ages {
    old: Moment,
    past: Moment,
    /// The first of those that the clock was ahead for, as it seems.
    ahead: Option<(Seq, Moment)>,
    /// On which old ones came since the last of those.
    days: BTreeSet<Date>,
    /// An old one came since the first.
    is_in_the_way: bool,
}

/// What one more entry tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// It and all before it are old.
    Old,
    /// Those after it will tell.
    Unsure,
    /// It is not old.
    Young,
}

impl Ages {
    pub(crate) fn of(old: Moment, past: Moment) -> Self {
        Ages { old, past, ahead: None, days: BTreeSet::new(), is_in_the_way: false }
    }

    pub(crate) fn see(&mut self, seq: Seq, at: Moment) -> Age {
        if at < self.old {
            if self.ahead.is_some() {
                self.is_in_the_way = true;
                self.days.insert(at.date(&TimeZone::UTC));
                if self.days.len() < DAYS {
                    return Age::Unsure;
                }
                *self = Ages::of(self.old, self.past);
            }
            return Age::Old;
        }
        if at <= self.past {
            return Age::Young;
        }
        self.ahead.get_or_insert((seq, at));
        self.days.clear();
        Age::Unsure
    }

    /// The entry that keeps later ones, which are old, from being taken for it.
    pub(crate) fn in_the_way(&self) -> Option<(Seq, Moment)> {
        self.ahead.filter(|_| self.is_in_the_way)
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

    #[test]
    fn an_entry_from_a_clock_that_was_ahead_is_old_when_those_of_seven_later_days_are() {
        let at = |day| Moment::from_millis(0).plus(days(day));
        let mut ages = Ages::of(at(100), at(500));
        let mut see = |day| (ages.see(Seq(u64::from(day)), at(day)), ages.in_the_way());
        assert_eq!(see(1), (Age::Old, None));
        assert_eq!(see(9_000), (Age::Unsure, None));
        let held = Some((Seq(9_000), at(9_000)));
        assert_eq!(see(2), (Age::Unsure, held));
        // One more such entry, and it begins anew.
        assert_eq!(see(9_001), (Age::Unsure, held));
        for day in 3..9 {
            assert_eq!(see(day), (Age::Unsure, held), "{day}");
            assert_eq!(see(day), (Age::Unsure, held), "{day}");
        }
        assert_eq!(see(9), (Age::Old, None));
        assert_eq!(see(10), (Age::Old, None));
        // A time that may well be right is believed.
        assert_eq!(see(499), (Age::Young, None));
    }
}
