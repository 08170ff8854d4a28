//! The meetings of the weeks around the last event, held in memory: what every scan looks through.
//!
//! Promises: holds every open meeting, and every meeting of a day from [`DAYS_BACK`] before the last event
//! on; shared with whoever looks, and copied when it changes meanwhile.
//!
//! Refuses: records. A mark changes nothing here, so that a busy hour copies nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rollcall_domain::ids::SessionId;
use rollcall_domain::moment::Moment;
use rollcall_domain::session::{Meeting, SessionStatus};

/// A device's scan may be thirty days old; a day more for time zones, and some for good measure.
const DAYS_BACK: i64 = 35;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Near {
    meetings: BTreeMap<SessionId, Arc<Meeting>>,
    by_date: BTreeMap<Date, BTreeSet<SessionId>>,
}

/// The first day that is held in memory when the last event happened `at`.
pub(crate) fn first_day(at: Moment) -> Date {
    at.date(&TimeZone::UTC).saturating_sub(DAYS_BACK.days())
}

/// The days to which a scan made `at` can belong: any zone's day, and a meeting that crosses midnight.
pub(crate) fn days_around(at: Moment) -> (Date, Date) {
    let day = at.date(&TimeZone::UTC);
    (day.saturating_sub(2.days()), day.saturating_add(2.days()))
}

impl Near {
    pub(crate) fn get(&self, id: SessionId) -> Option<&Arc<Meeting>> {
        self.meetings.get(&id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Meeting> {
        self.meetings.values().map(Arc::as_ref)
    }

    /// In the order of days.
    pub(crate) fn between(&self, from: Date, to: Date) -> impl Iterator<Item = &Arc<Meeting>> {
        let ids = self.by_date.range(from..=to).flat_map(|(_, ids)| ids);
        ids.filter_map(|id| self.meetings.get(id))
    }

    /// Takes the meeting as it is now; `first` is the first day that is held.
    pub(crate) fn put(&mut self, meeting: &Meeting, first: Date) {
        self.remove(meeting.id);
        if meeting.date >= first || meeting.status == SessionStatus::Open {
            self.by_date.entry(meeting.date).or_default().insert(meeting.id);
            self.meetings.insert(meeting.id, Arc::new(meeting.clone()));
        }
    }

    fn remove(&mut self, id: SessionId) {
        let Some(gone) = self.meetings.remove(&id) else { return };
        if let Some(ids) = self.by_date.get_mut(&gone.date) {
            ids.remove(&id);
        }
    }

    /// Whether days before `first` are held that need not be.
    pub(crate) fn is_stale(&self, first: Date) -> bool {
        self.by_date.range(..first).any(|(_, ids)| !ids.is_empty() && !ids.iter().all(|id| self.is_open(*id)))
    }

    pub(crate) fn forget_before(&mut self, first: Date) {
        let before = self.by_date.range(..first).flat_map(|(_, ids)| ids.iter().copied());
        let old: Vec<SessionId> = before.filter(|id| !self.is_open(*id)).collect();
        old.into_iter().for_each(|id| self.remove(id));
        self.by_date.retain(|_, ids| !ids.is_empty());
    }

    fn is_open(&self, id: SessionId) -> bool {
        self.meetings.get(&id).is_some_and(|meeting| meeting.status == SessionStatus::Open)
    }
}
