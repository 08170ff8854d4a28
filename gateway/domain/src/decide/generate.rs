//! The timetable's meetings, as the ledger is to have them.
//!
//! Promises: doing it twice does nothing the second time; numbers follow the order in which meetings take
//! place; what was opened, held, or changed by a person is left alone; a holiday cancels everything that is
//! scheduled then, and its removal brings that back.
//!
//! Refuses: guessing what a limit leaves out: it says which meetings did not fit.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::campus::Holiday;
use crate::decide::lifecycle;
use crate::event::{Event, How, Origin, SessionEvent};
use crate::ids::SessionId;
use crate::moment::Moment;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::session::{Meeting, SessionStatus};
use crate::state::State;
use crate::timetable::{Changes, Existing, Plan, SlotDate, Stage, plan, reconcile};

/// What is to be appended, and what could not be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Generated {
    pub events: Vec<Event>,
    pub left_out: Vec<(SlotDate, Refusal)>,
}

/// Brings the meetings from `from` to `to`, both included, in line with timetable, terms and holidays.
pub fn generate(
    state: &State,
    policy: &Policy,
    days: (Date, Date),
    zone: &TimeZone,
    now: Moment,
) -> Generated {
    let (from, to) = days;
    let planned = plan(&state.campus, from, to, zone);
    let existing = existing(state, from, to);
    let changes = reconcile(&planned, &existing, |day| state.campus.is_holiday(day));
    let mut generated = Generated::default();
    // Decided on a copy that takes each step at once, so that no two get one number or one start.
    let mut ahead = state.clone();
    generated.bring(&mut ahead, policy, changes, now);
    generated.bring_back(&mut ahead, policy, now);
    generated
}

/// The timetable's meetings of some days.
fn existing(state: &State, from: Date, to: Date) -> BTreeMap<SlotDate, Existing> {
    let of = |meeting: &Meeting| match meeting.origin {
        Origin::Timetable(key) if (from..=to).contains(&key.date) => {
            let stage = match (meeting.status, meeting.cancelled) {
                (SessionStatus::Scheduled, _) => Stage::Scheduled,
                (SessionStatus::Cancelled, Some(how)) if how.is_automatic() => Stage::CancelledByItself,
                _ => Stage::Taken,
            };
            let (session, by_hand) = (meeting.id, meeting.by_hand);
            Some((key, Existing { session, plan: meeting.plan(), stage, by_hand }))
        }
        _ => None,
    };
    state.meetings().filter_map(of).collect()
}

impl Generated {
    fn bring(&mut self, ahead: &mut State, policy: &Policy, changes: Changes, now: Moment) {
        for session in changes.cancel {
            let date = ahead.sessions.get(&session).map(|session| session.meeting.date);
            let holiday = date.is_some_and(|date| ahead.campus.is_holiday(date));
            let how = if holiday { How::Holiday } else { How::TimetableChanged };
            self.push(ahead, session, vec![SessionEvent::Cancelled { how }], now);
        }
        for (session, plan) in changes.change {
            let others = ahead.numbered(plan.class, Some(session));
            let found = ahead.sessions.get(&session);
            if let Some(Ok(event)) = found.map(|found| lifecycle::edit(found, plan, false, &others)) {
                self.push(ahead, session, vec![event], now);
            }
        }
        for (session, plan) in changes.reinstate {
            self.reinstate(ahead, session, plan, now);
        }
        for (key, plan) in changes.add {
            self.add(ahead, policy, (key, plan), now);
        }
    }

    fn add(&mut self, ahead: &mut State, policy: &Policy, new: (SlotDate, Plan), now: Moment) {
        let (key, plan) = new;
        let existing = ahead.numbered(plan.class, None);
        let context = ahead.context(policy, now);
        match lifecycle::create(plan, Origin::Timetable(key), &existing, &context) {
            Ok(event) => {
                let session = SessionId(ahead.next_number(SessionId::PREFIX));
                self.push(ahead, session, vec![event], now);
            }
            Err(refusal) => self.left_out.push((key, refusal)),
        }
    }

    /// Meetings made by hand that a holiday cancelled and that no holiday cancels any more.
    fn bring_back(&mut self, ahead: &mut State, policy: &Policy, now: Moment) {
        let back = |meeting: &&Meeting| {
            meeting.origin == Origin::ByHand
                && meeting.cancelled == Some(How::Holiday)
                && !ahead.campus.is_holiday(meeting.date)
                && now <= meeting.ends.plus(policy.close_after())
        };
        let found: Vec<(SessionId, Plan)> =
            ahead.meetings().filter(back).map(|meeting| (meeting.id, meeting.plan())).collect();
        for (session, plan) in found {
            self.reinstate(ahead, session, plan, now);
        }
    }

    fn reinstate(&mut self, ahead: &mut State, session: SessionId, plan: Plan, now: Moment) {
        let others = ahead.numbered(plan.class, Some(session));
        let found = ahead.sessions.get(&session);
        if let Some(Ok(events)) = found.map(|found| lifecycle::reinstate(found, plan, &others)) {
            self.push(ahead, session, events, now);
        }
    }

    fn push(&mut self, ahead: &mut State, session: SessionId, events: Vec<SessionEvent>, now: Moment) {
        for event in events {
            ahead.look_ahead(session, &event, now);
            self.events.push(Event::Session(session, event));
        }
    }
}

/// What a new holiday cancels: everything that is scheduled on its days, made by hand or not.
pub fn observe(state: &State, holiday: &Holiday) -> Vec<Event> {
    let falls = |meeting: &&Meeting| {
        meeting.status == SessionStatus::Scheduled && (holiday.from..=holiday.to).contains(&meeting.date)
    };
    let cancelled =
        |meeting: &Meeting| Event::Session(meeting.id, SessionEvent::Cancelled { how: How::Holiday });
    state.meetings().filter(falls).map(cancelled).collect()
}
