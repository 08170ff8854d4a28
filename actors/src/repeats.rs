//! Scans that a session has seen before.
//!
//! Promises: while the first is on its way, whoever sent it again waits for its result too; then the result
//! is kept until the views know of it, and no longer.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rollcall_domain::ids::Seq;
use rollcall_domain::ports::ScanResult;
use rollcall_domain::scan::{DedupKey, Scan};

use crate::ticket::Ticket;

struct Repeated {
    first: Arc<Scan>,
    answer: Answer,
}

enum Answer {
    OnItsWay(Vec<Ticket>),
    Known(ScanResult),
}

#[derive(Default)]
pub(crate) struct Repeats {
    scans: HashMap<DedupKey, Repeated>,
    /// Those whose result is known, in the order in which they became so.
    known: VecDeque<(Seq, DedupKey)>,
}

impl Repeats {
    /// Takes up a scan that came before, after a `look` at the first one and at it; hands it back if it did
    /// not.
    pub(crate) fn take_up(&mut self, ticket: Ticket, look: impl Fn(&Scan, &Scan)) -> Option<Ticket> {
        let Some(Repeated { first, answer }) = self.scans.get_mut(&ticket.scan().dedup) else {
            return Some(ticket);
        };
        look(first, ticket.scan());
        match answer {
            Answer::OnItsWay(others) => others.push(ticket),
            Answer::Known(result) => ticket.done(result.clone()),
        }
        None
    }

    pub(crate) fn on_its_way(&mut self, first: Arc<Scan>) {
        let answer = Answer::OnItsWay(Vec::new());
        self.scans.insert(first.dedup, Repeated { first, answer });
    }

    /// The first has its result, at `seq` of the ledger; returns who waits for it too.
    pub(crate) fn known(&mut self, first: &Arc<Scan>, seq: Seq, again: ScanResult) -> Vec<Ticket> {
        let (first, answer) = (Arc::clone(first), Answer::Known(again));
        self.known.push_back((seq, first.dedup));
        match self.scans.insert(first.dedup, Repeated { first, answer }) {
            Some(Repeated { answer: Answer::OnItsWay(others), .. }) => others,
            _ => Vec::new(),
        }
    }

    /// What the views have seen is found there.
    pub(crate) fn forget(&mut self, seen: Seq) {
        while let Some((_, key)) = self.known.pop_front_if(|(seq, _)| *seq <= seen) {
            self.scans.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use rollcall_domain::code::Pseudonyms;
    use rollcall_domain::ids::DeviceId;
    use rollcall_domain::mark::Mark;
    use rollcall_domain::moment::Moment;
    use rollcall_domain::scan::{Claim, Outcome};

    use super::*;

    #[test]
    fn a_result_is_kept_until_the_views_know_of_it() {
        let key = |id| DedupKey::of_id(&DeviceId::parse("gate").unwrap(), id, &Pseudonyms::new([1; 32]));
        let scan = |id| {
            let at = Moment::from_millis(0);
            Arc::new(Scan {
                device: DeviceId::parse("gate").unwrap(),
                scan_id: None,
                dedup: key(id),
                claim: Claim::of("S1", &Pseudonyms::new([1; 32])),
                claimed_at: at,
                captured_at: at,
                received_at: at,
                clock_flagged: false,
                method: None,
                quality_milli: None,
                direction: None,
            })
        };
        let outcome = Outcome::Duplicate { mark: Mark::Present };
        let result =
            ScanResult { outcome, student: None, session: None, mark: None, name: None, replayed: true };
        let mut repeats = Repeats::default();
        for (seq, id) in (1..).zip(["a", "b", "c"]) {
            repeats.on_its_way(scan(id));
            repeats.known(&scan(id), Seq(seq), result.clone());
        }
        repeats.on_its_way(scan("d"));
        repeats.forget(Seq(2));
        let mut left: Vec<DedupKey> = repeats.scans.into_keys().collect();
        let mut expected = vec![key("c"), key("d")];
        left.sort();
        expected.sort();
        assert_eq!(left, expected);
        assert_eq!(repeats.known.len(), 1);
    }
}
