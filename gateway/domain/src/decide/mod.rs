//! What a scan, a person, a leave or the clock does to a meeting.
//!
//! Promises: each function looks and answers, with events to append or with a [`crate::Refusal`]; none
//! changes anything. What a rule refused by a *state* is checked here; who may ask at all is
//! [`crate::permission::may`]'s, at the edge that knows the caller.
//!
//! Refuses: time of its own. `now` is in the [`Context`].

pub mod due;
pub mod generate;
pub mod lifecycle;
pub mod marking;
pub mod qr;
pub mod requests;
pub mod roster;
pub mod scan;
pub mod unmatched;

use std::collections::{BTreeMap, BTreeSet};

use crate::campus::Campus;
use crate::ids::{LeaveId, StudentId};
use crate::moment::Moment;
use crate::policy::Policy;
use crate::requests::Leave;
use crate::session::Meeting;

/// What decisions may look at besides the meeting itself.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub campus: &'a Campus,
    pub leaves: &'a BTreeMap<LeaveId, Leave>,
    pub policy: &'a Policy,
    pub now: Moment,
}

impl Context<'_> {
    /// Everyone of the meeting's class on its day.
    pub fn roster(&self, meeting: &Meeting) -> BTreeSet<StudentId> {
        self.campus.rosters.on(meeting.class, meeting.date)
    }

    pub fn attends(&self, meeting: &Meeting, student: StudentId) -> bool {
        self.campus.rosters.attends(meeting.class, student, meeting.date)
    }

    /// Those of the roster whose granted leave covers the meeting.
    pub fn on_leave(&self, meeting: &Meeting) -> Vec<(StudentId, LeaveId)> {
        let roster = self.roster(meeting);
        let mut found: BTreeMap<StudentId, LeaveId> = BTreeMap::new();
        for leave in self.leaves.values().filter(|leave| roster.contains(&leave.student)) {
            if leave.excuses(leave.student, meeting.class, meeting.date) {
                found.entry(leave.student).or_insert(leave.id);
            }
        }
        found.into_iter().collect()
    }
}
