//! What all actors share: the store, the clock, the rules' settings.
//!
//! Promises: looking something up here changes nothing.

use std::sync::Arc;

use rollcall_domain::clock_offset::{BoxClock, captured};
use rollcall_domain::code::Pseudonyms;
use rollcall_domain::decide::scan::AutoOpen;
use rollcall_domain::event::{Actor as By, Entry, Event, NewEvent, SessionEvent, UnmatchedScan};
use rollcall_domain::ids::{SessionId, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::Moment;
use rollcall_domain::people::{Personal, TextField};
use rollcall_domain::policy::Policy;
use rollcall_domain::ports::{Clock, ScanResult};
use rollcall_domain::scan::{Outcome, RawScan, Scan, Unmatched};
use rollcall_store::views::Snapshot;
use rollcall_store::{Append, Appended, Store};

use crate::messages::Row;
use crate::names::Names;
use crate::reused::Reused;
use crate::ticket::Ticket;

pub(crate) struct House {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Policy,
    pub(crate) pseudonyms: Pseudonyms,
    /// The box's own clock, as it was at the start.
    pub(crate) box_clock: BoxClock,
    pub(crate) reused: Reused,
    pub(crate) names: Names,
}

impl House {
    /// The name of a student, if the register knows it.
    pub(crate) fn name(&self, student: StudentId) -> Option<String> {
        let look_up = || match self.store.register().student(student) {
            Ok(details) => details.map(|details| details.name.whole()),
            Err(error) => {
                tracing::warn!(%error, %student, "a name cannot be looked up");
                None
            }
        };
        self.names.get(&self.store.views().now().campus, student, look_up)
    }

    /// A student as lists show one, without a mark.
    pub(crate) fn row(&self, student: StudentId) -> Row {
        let details = self.store.register().student(student).ok().flatten();
        let (code, name) = details.map_or_else(
            || (student.to_string(), String::new()),
            |details| (details.code.to_string(), details.name.whole()),
        );
        Row { student, code, name, standing: None }
    }

    /// The scan that a device sent, with its time judged.
    pub(crate) fn scan(&self, raw: &RawScan) -> Scan {
        let captured = captured(raw.claimed_at, raw.received_at, None, &self.policy);
        raw.scan(captured, &self.pseudonyms)
    }

    /// Whether a scan may open its session now.
    pub(crate) fn auto_open(&self, now: Moment) -> AutoOpen {
        if self.box_clock.tick(now).in_doubt() { AutoOpen::ClockInDoubt } else { AutoOpen::Allowed }
    }

    /// Keeps a scan that marks nobody, and answers once it is on disk.
    pub(crate) fn unmatched(self: &Arc<Self>, ticket: Ticket, kept: UnmatchedScan) {
        // Before the append: the writer has others to answer once it is written.
        let result = self.nobody(&kept, false);
        let (device, dedup) = (kept.scan.device.clone(), kept.scan.dedup);
        let claim = Personal::Text { field: TextField::Claim, about: None, text: ticket.claim().to_owned() };
        let event = NewEvent {
            by: By::Device(device),
            event: Event::Unmatched(Box::new(kept)),
            personal: vec![claim],
        };
        let house = Arc::clone(self);
        let then = move |appended| match appended {
            Appended::Committed(_) => ticket.done(result),
            Appended::Already(entry) => {
                let result = house.first_result(ticket.scan(), &entry);
                ticket.done(result);
            }
            Appended::Stale | Appended::Failed(_) => drop(ticket),
        };
        let append = Append { dedup: Some(dedup), ..Append::new(vec![event], then) };
        // A full queue drops the append, and with it the ticket, which then tries again.
        drop(self.store.append(append));
    }

    /// What was answered to this scan before, if the views know of it. If they cannot tell, the writer
    /// can, and they are being mended.
    pub(crate) fn known(&self, now: &Snapshot, scan: &Scan) -> Option<ScanResult> {
        let seq = now.scan(scan.dedup).ok().flatten()?;
        let entry = self.store.entry(seq).ok()?;
        Some(self.first_result(scan, &entry))
    }

    /// What was answered when the scan of this entry first came.
    pub(crate) fn first_result(&self, scan: &Scan, entry: &Entry) -> ScanResult {
        let now = self.clock.monotonic();
        match &entry.event {
            Event::Session(session, SessionEvent::Scanned(scanned)) => {
                self.reused.look(scan, &scanned.scan, now);
                ScanResult {
                    outcome: scanned.outcome,
                    student: Some(scanned.student),
                    session: Some(*session),
                    mark: first_mark(scanned.outcome)
                        .or_else(|| self.standing_mark(*session, scanned.student)),
                    name: self.name(scanned.student),
                    replayed: true,
                }
            }
            Event::Unmatched(kept) => {
                self.reused.look(scan, &kept.scan, now);
                self.nobody(kept, true)
            }
            // Only entries that carry a scan have a scan's dedup key.
            _ => nothing(Outcome::Unmatched(Unmatched::NoOpenSession)),
        }
    }

    fn standing_mark(&self, session: SessionId, student: StudentId) -> Option<Mark> {
        match self.store.views().now().session(session) {
            Ok(session) => session?.standing(student).map(|standing| standing.mark),
            Err(error) => {
                tracing::warn!(%error, %session, "a mark cannot be looked up");
                None
            }
        }
    }

    fn nobody(&self, kept: &UnmatchedScan, replayed: bool) -> ScanResult {
        let UnmatchedScan { reason, student, session, .. } = kept;
        let name = student.and_then(|student| self.name(student));
        let outcome = Outcome::Unmatched(*reason);
        ScanResult { student: *student, session: *session, name, replayed, ..nothing(outcome) }
    }
}

/// The mark that a scan's first answer told, as far as its outcome says. It may have changed since.
fn first_mark(outcome: Outcome) -> Option<Mark> {
    match outcome {
        Outcome::Present => Some(Mark::Present),
        Outcome::Late { .. } => Some(Mark::Late),
        Outcome::LeftEarly => Some(Mark::Absent),
        Outcome::Duplicate { mark } => Some(mark),
        Outcome::Out | Outcome::Unmatched(_) => None,
    }
}

fn nothing(outcome: Outcome) -> ScanResult {
    ScanResult { outcome, student: None, session: None, mark: None, name: None, replayed: true }
}
