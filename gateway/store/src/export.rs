//! The ledger's entries, one after the other, for whoever writes them somewhere else.
//!
//! Promises: memory for a few entries, however many there are; each entry of the span once, in order, from where
//! the ledger begins on; if it comes to begin later than what was read last, that is said; holds up nobody,
//! however slowly it is read.
//!
//! Refuses: formats, and texts from the register.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;

use crate::ended;
use crate::error::StoreError;
use crate::keys::Keyring;
use crate::ledger::Ledger;

/// Entries that are read at a time. Between two steps nothing is held on to: what was there is still there, unless
/// it was forgotten meanwhile.
const AT_ONCE: usize = 1_024;

/// Which entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub seqs: RangeInclusive<Seq>,
    /// From this time on.
    pub from: Option<Moment>,
    /// Before this time.
    pub before: Option<Moment>,
}

impl Span {
    pub const ALL: Span = Span { seqs: Seq(0)..=Seq(u64::MAX), from: None, before: None };

    /// By the time at which they were written. A clock that was put right may have gone back, so every
    /// entry is looked at.
    pub fn between(from: Option<Moment>, before: Option<Moment>) -> Self {
        Span { from, before, ..Span::ALL }
    }

    fn holds(&self, entry: &Entry) -> bool {
        self.from.is_none_or(|from| entry.at >= from) && self.before.is_none_or(|before| entry.at < before)
    }
}

/// Reads on as it is asked; ends after an error.
pub struct Export {
    ledger: Arc<Ledger>,
    span: Span,
    next: Option<Seq>,
    /// Something was read, so that what comes next may not lack.
    begun: bool,
    read: VecDeque<Entry>,
}

impl Export {
    pub(crate) fn of(ledger: &Arc<Ledger>, span: Span) -> Self {
        let Span { seqs, from, before } = span;
        let (first, end) = seqs.into_inner();
        let span = Span { seqs: first..=end.min(ledger.last()), from, before };
        Export { ledger: Arc::clone(ledger), span, next: Some(first), begun: false, read: VecDeque::new() }
    }

    /// Reads the ledger in `folder`, which no gateway may have open.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(folder: &Path, keys: impl Into<Keyring>, span: Span) -> Result<Self, StoreError> {
        let ledger = Arc::new(ended::open_unchanged(folder, &keys.into())?);
        ledger.set_last(ledger.end()?);
        Ok(Export::of(&ledger, span))
    }

    /// Tells whether there may be more.
    fn step(&mut self, from: Seq) -> Result<(), StoreError> {
        let (entries, forgotten) = self.ledger.entries_and_start(from, AT_ONCE)?;
        let goes_on = entries.first().is_some_and(|entry| entry.seq == from);
        if self.begun && !goes_on && forgotten >= from {
            return Err(StoreError::Forgotten { seq: from.0 });
        }
        self.begun = true;
        let last = entries.last().map(|entry| entry.seq).filter(|last| last < self.span.seqs.end());
        self.next = last.map(|last| Seq(last.0 + 1));
        let span = &self.span;
        self.read
            .extend(entries.into_iter().filter(|entry| span.seqs.contains(&entry.seq) && span.holds(entry)));
        Ok(())
    }
}

impl Iterator for Export {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.read.is_empty() {
            let from = self.next.take()?;
            if let Err(error) = self.step(from) {
                return Some(Err(error));
            }
        }
        self.read.pop_front().map(Ok)
    }
}
