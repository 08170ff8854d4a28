//! What people asked for, agreed to and set: requests, consents, settings; and which numbers are given.
//!
//! Promises: a request is decided once; a number is never given twice; two students who turn out to be one
//! have everything together afterwards.
//!
//! Refuses: marks. What a granted request does to a register is an event of that session.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::RequestEvent;
use crate::ids::{CorrectionId, LeaveId, SelfMarkId, StudentId};
use crate::requests::{Correction, Leave, RequestStatus, SelfMark};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Office {
    pub leaves: BTreeMap<LeaveId, Leave>,
    pub corrections: BTreeMap<CorrectionId, Correction>,
    pub self_marks: BTreeMap<SelfMarkId, SelfMark>,
    /// Settings that people changed, by key; the value as the settings file would write it.
    pub settings: BTreeMap<String, String>,
    pub consents: BTreeSet<StudentId>,
    pub templates: BTreeSet<StudentId>,
    /// The highest number ever given to an id of each kind, so that none is given twice.
    pub(crate) highest: BTreeMap<String, u64>,
}

impl Office {
    pub(crate) fn request(&mut self, event: &RequestEvent) {
        match event {
            RequestEvent::LeaveAsked(leave) => {
                self.used(LeaveId::PREFIX, leave.id.0);
                self.leaves.insert(leave.id, leave.clone());
            }
            RequestEvent::CorrectionAsked(correction) => {
                self.used(CorrectionId::PREFIX, correction.id.0);
                self.corrections.insert(correction.id, correction.clone());
            }
            RequestEvent::SelfMarkAsked(asked) => {
                self.used(SelfMarkId::PREFIX, asked.id.0);
                self.self_marks.insert(asked.id, asked.clone());
            }
            RequestEvent::LeaveDecided { leave, approved } => {
                decide(self.leaves.get_mut(leave).map(|leave| &mut leave.status), *approved);
            }
            RequestEvent::CorrectionDecided { correction, approved } => {
                decide(self.corrections.get_mut(correction).map(|asked| &mut asked.status), *approved);
            }
            RequestEvent::SelfMarkDecided { request, approved } => {
                decide(self.self_marks.get_mut(request).map(|asked| &mut asked.status), *approved);
            }
        }
    }

    pub(crate) fn set(&mut self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => self.settings.insert(key.to_owned(), value.to_owned()),
            None => self.settings.remove(key),
        };
    }

    pub(crate) fn consent(&mut self, student: StudentId, given: bool) {
        member(&mut self.consents, student, given);
    }

    pub(crate) fn template(&mut self, student: StudentId, present: bool) {
        member(&mut self.templates, student, present);
    }

    pub(crate) fn forget(&mut self, student: StudentId) {
        self.consents.remove(&student);
        self.templates.remove(&student);
    }

    pub(crate) fn merge(&mut self, from: StudentId, into: StudentId) {
        for members in [&mut self.consents, &mut self.templates] {
            if members.remove(&from) {
                members.insert(into);
            }
        }
        self.leaves.values_mut().filter(|asked| asked.student == from).for_each(|asked| asked.student = into);
        let corrections = self.corrections.values_mut().map(|asked| &mut asked.record);
        let self_marks = self.self_marks.values_mut().map(|asked| &mut asked.record);
        let records = corrections.chain(self_marks).filter(|record| record.student == from);
        records.for_each(|record| record.student = into);
    }

    /// An id with this prefix has this number.
    pub(crate) fn used(&mut self, prefix: &str, number: u64) {
        let highest = self.highest.entry(prefix.to_owned()).or_default();
        *highest = number.max(*highest);
    }

    /// The next number for an id with this prefix, such as [`LeaveId::PREFIX`].
    pub fn next_number(&self, prefix: &str) -> u64 {
        self.highest.get(prefix).map_or(1, |highest| highest.saturating_add(1))
    }
}

fn member(members: &mut BTreeSet<StudentId>, student: StudentId, is_in: bool) {
    if is_in {
        members.insert(student);
    } else {
        members.remove(&student);
    }
}

fn decide(status: Option<&mut RequestStatus>, approve: bool) {
    if let Some(status) = status {
        *status = status.decide(approve).unwrap_or(*status);
    }
}
