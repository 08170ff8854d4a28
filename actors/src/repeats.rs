//! Scans that a session has seen before.
//!
//! Promises: while the first is on its way, whoever sent it again waits for its result too; then the result
//! is kept until the views know of it, and no longer.

use std::collections::{HashMap, VecDeque};

use rollcall_domain::ids::Seq;
use rollcall_domain::ports::ScanResult;
use rollcall_domain::scan::DedupKey;

use crate::ticket::Ticket;

enum Repeated {
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
    /// Takes up a scan that came before; hands it back if it did not.
    pub(crate) fn take_up(&mut self, ticket: Ticket) -> Option<Ticket> {
        match self.scans.get_mut(&ticket.scan().dedup) {
            Some(Repeated::OnItsWay(others)) => others.push(ticket),
            Some(Repeated::Known(result)) => ticket.done(result.clone()),
            None => return Some(ticket),
        }
        None
    }

    pub(crate) fn on_its_way(&mut self, key: DedupKey) {
        self.scans.insert(key, Repeated::OnItsWay(Vec::new()));
    }

    /// The first has its result, at `seq` of the ledger; returns who waits for it too.
    pub(crate) fn known(&mut self, key: DedupKey, seq: Seq, again: ScanResult) -> Vec<Ticket> {
        self.known.push_back((seq, key));
        match self.scans.insert(key, Repeated::Known(again)) {
            Some(Repeated::OnItsWay(others)) => others,
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
    use rollcall_domain::scan::Outcome;

    use super::*;

    #[test]
    fn a_result_is_kept_until_the_views_know_of_it() {
        let key = |id| DedupKey::of_id(&DeviceId::parse("gate").unwrap(), id, &Pseudonyms::new([1; 32]));
        let outcome = Outcome::Duplicate { mark: Mark::Present };
        let result =
            ScanResult { outcome, student: None, session: None, mark: None, name: None, replayed: true };
        let mut repeats = Repeats::default();
        for (seq, id) in (1..).zip(["a", "b", "c"]) {
            repeats.on_its_way(key(id));
            repeats.known(key(id), Seq(seq), result.clone());
        }
        repeats.on_its_way(key("d"));
        repeats.forget(Seq(2));
        let mut left: Vec<DedupKey> = repeats.scans.into_keys().collect();
        let mut expected = vec![key("c"), key("d")];
        left.sort();
        expected.sort();
        assert_eq!(left, expected);
        assert_eq!(repeats.known.len(), 1);
    }
}
