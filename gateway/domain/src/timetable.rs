//! The weekly timetable, and the meetings that follow from it.
//!
//! Promises: a slot gives at most one meeting a day, so generating twice changes nothing; days outside the
//! term give none, and on holidays nothing takes place; on the days on which clocks change, a start that the clock skips is
//! moved forward by the gap and one that comes twice is its first coming, and a meeting always ends
//! after it starts; what is already open is never touched by [`reconcile`].
//!
//! Refuses: numbering, opening and closing. It says when meetings should be, not what happens in them.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::campus::Campus;
use crate::ids::{ClassId, RoomId, SessionId, SlotId, TeacherId};
use crate::moment::Moment;
use crate::roster::Days;

/// A weekly row of the timetable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    pub id: SlotId,
    pub class: ClassId,
    /// 1 is Monday, 7 is Sunday.
    pub weekday: SlotDay,
    pub starts: Time,
    /// Not after `starts`: on the next day.
    pub ends: Time,
    /// Where it is, if not in the class's own room.
    pub room: Option<RoomId>,
    /// Who holds it, if not the class's own teacher.
    pub teacher: Option<TeacherId>,
    pub active: bool,
    pub days: Days,
}

/// A day of the week, 1 for Monday to 7 for Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i8", into = "i8")]
pub struct SlotDay(i8);

impl TryFrom<i8> for SlotDay {
    type Error = String;

    fn try_from(number: i8) -> Result<Self, String> {
        if (1..=7).contains(&number) {
            Ok(SlotDay(number))
        } else {
            Err(format!("a weekday is 1 (Monday) to 7 (Sunday), got {number}"))
        }
    }
}

impl From<SlotDay> for i8 {
    fn from(day: SlotDay) -> i8 {
        day.0
    }
}

impl From<Weekday> for SlotDay {
    fn from(day: Weekday) -> Self {
        SlotDay(day.to_monday_one_offset())
    }
}

/// What a meeting of the timetable is known by: the slot, and the day it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SlotDate {
    pub slot: SlotId,
    pub date: Date,
}

/// When, where and with whom a meeting should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub class: ClassId,
    pub teacher: TeacherId,
    pub room: Option<RoomId>,
    pub date: Date,
    pub starts: Moment,
    pub ends: Moment,
}

/// Every meeting that the timetable asks for from `from` to `to`, both included, holidays or not.
pub fn plan(campus: &Campus, from: Date, to: Date, zone: &TimeZone) -> BTreeMap<SlotDate, Plan> {
    let mut plans = BTreeMap::new();
    for date in from.series(1.day()).take_while(|day| *day <= to) {
        for slot in campus.slots.values().filter(|slot| meets_on(campus, slot, date)) {
            if let Some(plan) = plan_of(campus, slot, date, zone) {
                plans.insert(SlotDate { slot: slot.id, date }, plan);
            }
        }
    }
    plans
}

fn meets_on(campus: &Campus, slot: &Slot, day: Date) -> bool {
    let term = campus.classes.get(&slot.class).and_then(|class| class.term);
    let in_term =
        term.and_then(|id| campus.terms.get(&id)).is_none_or(|term| (term.starts..=term.ends).contains(&day));
    slot.active && in_term && slot.days.contains(day) && SlotDay::from(day.weekday()) == slot.weekday
}

fn plan_of(campus: &Campus, slot: &Slot, date: Date, zone: &TimeZone) -> Option<Plan> {
    let class = campus.classes.get(&slot.class)?;
    let (starts, ends) = bounds(date, slot.starts, slot.ends, zone);
    Some(Plan {
        class: slot.class,
        teacher: slot.teacher.unwrap_or(class.teacher),
        room: slot.room.or(class.room),
        date,
        starts,
        ends,
    })
}

/// Start and end of a meeting on `date` by the campus's wall clock.
///
/// An end not after the start is on the next day. Where a change of clocks would make it end before
/// it starts, it lasts as long as its two times are apart on any other day.
pub fn bounds(date: Date, starts: Time, ends: Time, zone: &TimeZone) -> (Moment, Moment) {
    let last_day = if ends > starts { date } else { date.tomorrow().unwrap_or(date) };
    let (first, last) = (date.to_datetime(starts), last_day.to_datetime(ends));
    let start = Moment::from_civil(first, zone);
    let end = Moment::from_civil(last, zone);
    if end > start { (start, end) } else { (start, start.plus(last.duration_since(first))) }
}

/// A meeting that came from the timetable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Existing {
    pub session: SessionId,
    pub plan: Plan,
    pub stage: Stage,
    /// A person set its time, place or teacher; the timetable no longer moves it.
    pub by_hand: bool,
}

/// How far a meeting of the timetable has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Scheduled,
    /// Cancelled because the timetable or a holiday said so; comes back when they ask for it again.
    CancelledByItself,
    /// Opened, held, or cancelled by a person: not the timetable's any more.
    Taken,
}

/// What to do so that the meetings there are become those that are planned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// In the order in which they take place, which is the order of their numbers.
    pub add: Vec<(SlotDate, Plan)>,
    pub change: Vec<(SessionId, Plan)>,
    pub cancel: Vec<SessionId>,
    pub reinstate: Vec<(SessionId, Plan)>,
}

/// Compares what is planned for some days with what there is of those days.
///
/// Whether a day is a holiday is asked of the day on which the meeting takes place, which is not the slot's
/// where a person moved it.
pub fn reconcile(
    planned: &BTreeMap<SlotDate, Plan>,
    existing: &BTreeMap<SlotDate, Existing>,
    is_holiday: impl Fn(Date) -> bool,
) -> Changes {
    let mut changes = Changes::default();
    for (key, plan) in planned {
        match existing.get(key) {
            None if !is_holiday(plan.date) => changes.add.push((*key, *plan)),
            None => {}
            Some(old) => changes.bring(old, *plan, &is_holiday),
        }
    }
    let gone = existing.iter().filter(|(key, old)| !planned.contains_key(key) && !old.by_hand);
    let scheduled = gone.filter(|(_, old)| old.stage == Stage::Scheduled);
    changes.cancel.extend(scheduled.map(|(_, old)| old.session));
    changes.add.sort_by_key(|(key, plan)| (plan.starts, *key));
    changes
}

impl Changes {
    fn bring(&mut self, old: &Existing, plan: Plan, is_holiday: impl Fn(Date) -> bool) {
        let wanted = if old.by_hand { old.plan } else { plan };
        // A meeting stays with its class. A slot does too, so this comes from a slot that was put anew.
        let takes_place = !is_holiday(wanted.date) && wanted.class == old.plan.class;
        match old.stage {
            Stage::Scheduled if !takes_place => self.cancel.push(old.session),
            Stage::CancelledByItself if takes_place => self.reinstate.push((old.session, wanted)),
            Stage::Scheduled if wanted != old.plan => self.change.push((old.session, wanted)),
            Stage::Scheduled | Stage::CancelledByItself | Stage::Taken => {}
        }
    }
}
