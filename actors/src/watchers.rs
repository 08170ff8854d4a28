//! Who watches a session, and what they are told.
//!
//! Promises: a snapshot first, then every change in order, each linked to the one before; only what is on
//! disk; a watcher that cannot keep up is dropped and may come back for a fresh snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcall_domain::event::{Entry, Event, PersonMark, SessionEvent};
use rollcall_domain::ids::{Seq, StudentId};
use rollcall_domain::session::Session;
use tokio::sync::mpsc::Sender;

use crate::house::House;
use crate::messages::{Counts, Delta, Frame, Row, Snapshot};

pub(crate) struct Watchers {
    house: Arc<House>,
    to: Vec<Sender<Frame>>,
    /// Everyone of the session, without marks; filled when somebody first watches.
    people: BTreeMap<StudentId, Row>,
}

impl Watchers {
    pub(crate) fn new(house: Arc<House>) -> Self {
        Watchers { house, to: Vec::new(), people: BTreeMap::new() }
    }

    pub(crate) fn is_anybody(&self) -> bool {
        self.to.iter().any(|to| !to.is_closed())
    }

    pub(crate) fn add(&mut self, to: Sender<Frame>, seq: Seq, session: &Session) {
        // Here too, for a quiet session tells nobody, however often screens come and go.
        self.to.retain(|to| !to.is_closed());
        self.gather(session);
        let rows = self.people.values().map(|row| self.marked(row, session)).collect();
        let snapshot = Snapshot { seq, meeting: session.meeting.clone(), counts: self.counts(session), rows };
        if to.try_send(Frame::Snapshot(Arc::new(snapshot))).is_ok() {
            self.to.push(to);
        }
    }

    pub(crate) fn tell(&mut self, prev: Seq, entry: &Entry, session: &Session) {
        self.to.retain(|to| !to.is_closed());
        if self.to.is_empty() {
            return;
        }
        let row = student_of(entry).map(|student| {
            let known = self.people.entry(student).or_insert_with(|| self.house.row(student));
            let standing = session.standing(student);
            Row { standing, ..known.clone() }
        });
        let counts = self.counts(session);
        let delta = Delta { prev, entry: entry.clone(), status: session.meeting.status, counts, row };
        let delta = Arc::new(delta);
        self.to.retain(|to| to.try_send(Frame::Delta(Arc::clone(&delta))).is_ok());
    }

    fn gather(&mut self, session: &Session) {
        let meeting = &session.meeting;
        let roster = self.house.store.views().now().campus.rosters.on(meeting.class, meeting.date);
        for student in roster.into_iter().chain(session.records.keys().copied()) {
            self.people.entry(student).or_insert_with(|| self.house.row(student));
        }
    }

    fn marked(&self, row: &Row, session: &Session) -> Row {
        Row { standing: session.standing(row.student), ..row.clone() }
    }

    fn counts(&self, session: &Session) -> Counts {
        Counts::of(session, self.people.keys().copied())
    }
}

/// The student that an entry is about, if it is one.
fn student_of(entry: &Entry) -> Option<StudentId> {
    let Event::Session(_, event) = &entry.event else { return None };
    match event {
        SessionEvent::Scanned(scanned) => Some(scanned.student),
        SessionEvent::Marked(PersonMark { student, .. })
        | SessionEvent::MarkedByQr { student, .. }
        | SessionEvent::MarkedSelf { student, .. }
        | SessionEvent::LeaveTaken { student, .. }
        | SessionEvent::ConflictSettled { student }
        | SessionEvent::RecordDeleted { student } => Some(*student),
        _ => None,
    }
}
