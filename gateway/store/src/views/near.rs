//! The meetings of the weeks around the last event, held in memory: what every scan looks through.
//!
//! Promises: holds every open meeting, and every meeting of a day from [`DAYS_BACK`] before the last event
//! on; says what that first day is; shared with whoever looks, and copied when it changes meanwhile.
//!
//! Refuses: records. A mark changes nothing here, so that a busy hour copies nothing. Reading rows: days
//! that were let go, and are near again because a clock that ran ahead was set right, are its owner's to
//! bring back.

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

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Near {
    first: Date,
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
    /// Nothing yet; the meetings of these days and all open ones are still to be put in.
    pub(crate) fn starting(first: Date) -> Self {
        Near { first, meetings: BTreeMap::new(), by_date: BTreeMap::new() }
    }

    /// The first day of which every meeting is held.
    pub(crate) fn first(&self) -> Date {
        self.first
    }

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

    /// Whether putting the meeting in would change nothing.
    pub(crate) fn is_current(&self, meeting: &Meeting) -> bool {
        match self.get(meeting.id) {
            Some(known) => **known == *meeting,
            None => !self.belongs(meeting),
        }
    }

    /// Takes the meeting as it is now, unless it is too old.
    pub(crate) fn put(&mut self, meeting: &Meeting) {
        self.remove(meeting.id);
        if self.belongs(meeting) {
            self.by_date.entry(meeting.date).or_default().insert(meeting.id);
            self.meetings.insert(meeting.id, Arc::new(meeting.clone()));
        }
    }

    /// Lets go of what is older than this day and not open.
    pub(crate) fn forget_before(&mut self, first: Date) {
        self.first = first;
        let before = self.by_date.range(..first).flat_map(|(_, ids)| ids);
        let old = before.filter(|id| self.get(**id).is_some_and(|meeting| !self.belongs(meeting)));
        let old: Vec<SessionId> = old.copied().collect();
        old.into_iter().for_each(|id| self.remove(id));
    }

    /// Lets go of meetings that are not kept any more.
    pub(crate) fn forget(&mut self, gone: &BTreeSet<SessionId>) {
        gone.iter().for_each(|id| self.remove(*id));
    }

    fn belongs(&self, meeting: &Meeting) -> bool {
        meeting.date >= self.first || meeting.status == SessionStatus::Open
    }

    fn remove(&mut self, id: SessionId) {
        let Some(gone) = self.meetings.remove(&id) else { return };
        let Some(ids) = self.by_date.get_mut(&gone.date) else { return };
        ids.remove(&id);
        if ids.is_empty() {
            self.by_date.remove(&gone.date);
        }
    }
}
