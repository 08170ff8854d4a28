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
use rollcall_domain::ids::{DeviceId, RoomId, SessionId};
use rollcall_domain::moment::Moment;
use rollcall_domain::session::{Meeting, SessionStatus};

/// A device's scan may be thirty days old; a day more for time zones, and some for good measure.
const DAYS_BACK: i64 = 35;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Near {
    first: Date,
    meetings: BTreeMap<SessionId, Arc<Meeting>>,
    by_date: BTreeMap<Date, BTreeSet<SessionId>>,
    by_room: BTreeMap<(RoomId, Date), BTreeSet<SessionId>>,
    /// Those to which a device is bound, or was.
    by_device: BTreeMap<DeviceId, BTreeSet<SessionId>>,
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
        let (by_date, by_room, by_device) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Near { first, meetings: BTreeMap::new(), by_date, by_room, by_device }
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

    /// Those of these days that a scan of a device in this room can belong to, and perhaps a few more.
    pub(crate) fn of_device(
        &self,
        device: &DeviceId,
        room: RoomId,
        (from, to): (Date, Date),
    ) -> impl Iterator<Item = &Arc<Meeting>> {
        let here = self.by_room.range((room, from)..=(room, to)).flat_map(|(_, ids)| ids);
        let bound = self.by_device.get(device).into_iter().flatten();
        let bound = bound.filter_map(|id| self.meetings.get(id));
        let bound = bound.filter(move |meeting| meeting.room != Some(room));
        here.filter_map(|id| self.meetings.get(id)).chain(bound)
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
            if let Some(room) = meeting.room {
                self.by_room.entry((room, meeting.date)).or_default().insert(meeting.id);
            }
            for device in meeting.ever_bound() {
                self.by_device.entry(device.clone()).or_default().insert(meeting.id);
            }
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
        take(&mut self.by_date, &gone.date, id);
        if let Some(room) = gone.room {
            take(&mut self.by_room, &(room, gone.date), id);
        }
        gone.ever_bound().for_each(|device| take(&mut self.by_device, device, id));
    }
}

fn take<K: Ord>(index: &mut BTreeMap<K, BTreeSet<SessionId>>, key: &K, id: SessionId) {
    let Some(ids) = index.get_mut(key) else { return };
    ids.remove(&id);
    if ids.is_empty() {
        index.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rollcall_domain::event::{Origin, SessionEvent};
    use rollcall_domain::ids::{ClassId, TeacherId};
    use rollcall_domain::policy::Policy;
    use rollcall_domain::session::{Session, Span};
    use rollcall_domain::timetable::Plan;

    use super::*;

    const DAY: i64 = 86_400_000;

    fn device(number: u8) -> DeviceId {
        DeviceId::parse(&format!("d{number}")).unwrap()
    }

    fn meeting(id: u64, room: Option<u64>, day: i64, bound: &[u8]) -> Meeting {
        let at = Moment::from_millis(day * DAY);
        let date = at.date(&TimeZone::UTC);
        let (class, teacher, room) = (ClassId(1), TeacherId(1), room.map(RoomId));
        let created = SessionEvent::Created {
            plan: Plan { class, teacher, room, date, starts: at, ends: at },
            term: None,
            number: 1,
            origin: Origin::ByHand,
            rules: Policy::default().rules,
        };
        let mut meeting = Session::create(SessionId(id), at, &created).unwrap().meeting;
        let span = Span { from: at, until: Some(at) };
        meeting.bindings = bound.iter().map(|number| (device(*number), span)).collect();
        meeting
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_device_finds_what_is_in_its_room_or_was_ever_bound_to_it_whatever_was_put_in_before(
            put in prop::collection::vec(
                (0..12_u64, prop::option::of(0..3_u64), 0..9_i64, prop::collection::vec(0..3_u8, 0..2)),
                0..40,
            ),
            gone in prop::collection::btree_set(0..12_u64, 0..4),
        ) {
            let mut near = Near::starting(Date::MIN);
            for (id, room, day, bound) in put {
                near.put(&meeting(id, room, day, &bound));
            }
            near.forget(&gone.into_iter().map(SessionId).collect());
            let day = |day: i64| Moment::from_millis(day * DAY).date(&TimeZone::UTC);
            let days = (day(2), day(6));
            for (number, room) in [(0, 0), (1, 2)] {
                let found: BTreeSet<u64> =
                    near.of_device(&device(number), RoomId(room), days).map(|meeting| meeting.id.0).collect();
                let expected = near.all().filter(|meeting| {
                    meeting.room == Some(RoomId(room)) && (days.0..=days.1).contains(&meeting.date)
                        || meeting.room != Some(RoomId(room))
                            && meeting.ever_bound().any(|bound| *bound == device(number))
                });
                prop_assert_eq!(found, expected.map(|meeting| meeting.id.0).collect::<BTreeSet<_>>());
            }
            let all: Vec<SessionId> = near.all().map(|meeting| meeting.id).collect();
            near.forget(&all.into_iter().collect());
            prop_assert!(near.by_date.is_empty() && near.by_room.is_empty() && near.by_device.is_empty());
        }
    }
}
