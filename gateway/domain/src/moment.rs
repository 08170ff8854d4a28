//! A point in time, to the millisecond.
//!
//! Promises: arithmetic that saturates instead of failing, an order, a calendar date in a given zone,
//! RFC 3339 text for people and programs, and eight bytes or fewer in the ledger.
//!
//! Refuses: knowing what time it is. `now` is an argument, everywhere.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time. Finer parts than a millisecond are cut off when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Timestamp);

impl Moment {
    /// Any number of milliseconds; what lies outside the calendar is held at its nearest end.
    pub fn from_millis(millis: i64) -> Self {
        let clamped = millis.clamp(Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond());
        Moment(Timestamp::from_millisecond(clamped).unwrap_or_default())
    }

    pub fn millis(self) -> i64 {
        self.0.as_millisecond()
    }

    pub fn plus(self, duration: SignedDuration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(if duration.is_negative() {
            i64::MIN
        } else {
            i64::MAX
        });
        Moment::from_millis(self.millis().saturating_add(millis))
    }

    pub fn minus(self, duration: SignedDuration) -> Self {
        self.plus(duration.checked_neg().unwrap_or(SignedDuration::MAX))
    }

    /// How long after `earlier` this is; negative if it is before.
    pub fn since(self, earlier: Moment) -> SignedDuration {
        SignedDuration::from_millis(self.millis().saturating_sub(earlier.millis()))
    }

    /// The calendar day at this moment in `zone`.
    pub fn date(self, zone: &TimeZone) -> Date {
        zone.to_datetime(self.0).date()
    }

    /// The wall clock at this moment in `zone`.
    pub fn civil(self, zone: &TimeZone) -> DateTime {
        zone.to_datetime(self.0)
    }

    /// The moment at which `zone`'s wall clock shows `civil`: a time that a spring-forward skips is
    /// moved forward by the gap, one that comes twice in autumn is its first coming.
    pub fn from_civil(civil: DateTime, zone: &TimeZone) -> Self {
        let found = zone.to_ambiguous_timestamp(civil).compatible();
        Moment::from(found.unwrap_or_default())
    }
}

impl From<Timestamp> for Moment {
    fn from(timestamp: Timestamp) -> Self {
        Moment::from_millis(timestamp.as_millisecond())
    }
}

impl From<Moment> for Timestamp {
    fn from(moment: Moment) -> Self {
        moment.0
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Moment {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<Timestamp>().map(Moment::from)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.millis())
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Timestamp::deserialize(deserializer).map(Moment::from)
        } else {
            i64::deserialize(deserializer).map(Moment::from_millis)
        }
    }
}

/// A whole number of minutes, as settings count them.
pub fn minutes(count: u32) -> SignedDuration {
    SignedDuration::from_mins(i64::from(count))
}

/// Whole days of 24 hours, as settings count them.
pub fn days(count: u32) -> SignedDuration {
    SignedDuration::from_hours(i64::from(count) * 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_at_the_ends_of_time_saturates() {
        let end = Moment::from_millis(i64::MAX);
        assert_eq!(end.plus(SignedDuration::MAX), end);
        let start = Moment::from_millis(i64::MIN);
        assert_eq!(start.minus(SignedDuration::MAX), start);
        assert_eq!(start.plus(SignedDuration::MIN), start);
    }

    #[test]
    fn text_is_rfc_3339_and_finer_parts_are_cut() {
        let moment: Moment = "2026-11-21T08:43:21.123987+06:00".parse().unwrap();
        assert_eq!(moment.to_string(), "2026-11-21T02:43:21.123Z");
        let json = serde_json::to_string(&moment).unwrap();
        assert_eq!(serde_json::from_str::<Moment>(&json).unwrap(), moment);
    }
}
