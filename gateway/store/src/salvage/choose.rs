//! Of everything that was found, what belongs to the ledger.
//!
//! Promises: an entry is taken when the chain leads to it, or when what comes before it is not there any
//! more, which is then written down as a gap; two that do not follow each other are never both taken.
//!
//! Refuses: anything, if the key proves nothing: it is then not this ledger's, or nothing of it is left.
//!
//! Two different entries can claim one sequence: a commit that failed leaves what it wrote lying about, and
//! what was written in its place came later. So of two that both follow, the one is taken from which the ledger
//! goes on for longer than a commit takes, whatever the clock was set to meanwhile; if there is none yet, the one
//! that goes on to the latest time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use rollcall_domain::event::{Event, RetentionEvent};
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;

use super::scan::{Found, Scan, Source};
use crate::codec::{self, Chain, Decoded};
use crate::error::StoreError;
use crate::gaps::{Gap, GapRow};
use crate::ledger::Head;

/// The times of what one commit brings lie within this.
const COMMIT: SignedDuration = SignedDuration::from_secs(2);

/// An entry of the new ledger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) found: Found,
    pub(crate) chain: Chain,
    /// Its own link was damaged; the one after it tells that it belongs here.
    pub(crate) mended: bool,
}

/// The new ledger.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    pub(crate) kept: Vec<Kept>,
    pub(crate) gaps: Vec<GapRow>,
    /// Up to where an entry that was taken says that entries are forgotten.
    pub(crate) forgotten: Seq,
}

/// The key that chains what has this sequence.
pub(crate) type Key<'k> = &'k dyn Fn(u64) -> [u8; 32];

/// A candidate that was read.
struct Read {
    found: Found,
    bytes: Vec<u8>,
    decoded: Decoded,
}

/// What goes on from a candidate.
struct Way<'r> {
    read: &'r Read,
    /// The links that it has come to; none once nothing goes on.
    ends: Vec<Chain>,
    last_at: Moment,
}

impl Way<'_> {
    fn is_longer_than_a_commit(&self) -> bool {
        self.last_at.since(self.read.decoded.entry.at).abs() > COMMIT
    }
}

struct Choice<'a> {
    key: Key<'a>,
    source: &'a Source,
    entries: &'a [Found],
    /// Rows about gaps of an earlier salvage, by where they begin.
    known: BTreeMap<u64, Vec<GapRow>>,
    kept: Vec<Kept>,
    /// The chain up to here; nothing if what comes before is not there.
    head: Option<Chain>,
    /// The sequence that comes next.
    next: u64,
    /// What the first entry follows.
    start: Head,
    /// How many entries the chain led to.
    proven: usize,
    /// That the entries that were taken say was forgotten.
    forgotten: Seq,
    left_out: LeftOut,
}

/// Entries in whose place another was taken, and what goes on from them.
#[derive(Default)]
struct LeftOut {
    links: BTreeSet<Chain>,
    /// Those of the sequence that was looked at last.
    seq: u64,
    ends: Vec<Chain>,
}

impl LeftOut {
    fn add(&mut self, seq: u64, links: impl Iterator<Item = Chain>) {
        if self.seq != seq {
            (self.seq, self.ends) = (seq, Vec::new());
        }
        for link in links.filter(|link| self.links.insert(*link)) {
            self.ends.push(link);
        }
    }

    /// What goes on from what was left out before this sequence.
    fn before(&self, seq: u64) -> &[Chain] {
        if self.seq + 1 == seq { &self.ends } else { &[] }
    }
}

/// `start` is where the ledger begins; nothing before is taken. `known_last` is a sequence that the ledger had,
/// as somebody else remembers.
pub(crate) fn choose(
    source: &Source,
    scan: &Scan,
    key: Key<'_>,
    start: Head,
    known_last: Seq,
    at: Moment,
) -> Result<Chosen, StoreError> {
    let mut known: BTreeMap<u64, Vec<GapRow>> = BTreeMap::new();
    for row in &scan.gaps {
        known.entry(row.gap.first.0).or_default().push(*row);
    }
    let (entries, kept) = (scan.entries.as_slice(), Vec::new());
    let (head, next) = (Some(start.chain), start.last.0 + 1);
    let (proven, forgotten, left_out) = (0, Seq(0), LeftOut::default());
    let mut choice =
        Choice { key, source, entries, known, kept, head, next, start, proven, forgotten, left_out };
    for group in entries.chunk_by(|one, other| one.seq == other.seq) {
        choice.take(group)?;
    }
    // A checkpoint is proven by itself.
    if choice.proven == 0 && start == Head::START {
        return Err(StoreError::NothingProven { found: entries.len() });
    }
    let lost_after = choice.loose_end()?.max(known_last.0);
    choice.finish(lost_after, at)
}

impl Choice<'_> {
    fn read(&self, found: &Found) -> Result<Read, StoreError> {
        let bytes = self.source.entry(found)?;
        let decoded = codec::decode(found.seq, &bytes)?;
        Ok(Read { found: *found, bytes, decoded })
    }

    fn follows(&self, read: &Read, before: &Chain) -> bool {
        read.decoded.follows(&(self.key)(read.found.seq), before, &read.bytes)
    }

    fn row_follows(&self, row: &GapRow, before: &Chain) -> bool {
        row.follows(&(self.key)(row.gap.first.0), before)
    }

    fn read_all(&self, group: &[Found]) -> Result<Vec<Read>, StoreError> {
        group.iter().map(|found| self.read(found)).collect()
    }

    /// Everything that claims a sequence.
    fn group(&self, seq: u64) -> Result<Vec<Read>, StoreError> {
        let start = self.entries.partition_point(|found| found.seq < seq);
        let from = self.entries.get(start..).unwrap_or_default();
        let group = from.iter().take_while(|found| found.seq == seq);
        group.map(|found| self.read(found)).collect()
    }

    fn take(&mut self, group: &[Found]) -> Result<(), StoreError> {
        let Some(seq) = group.first().map(|found| found.seq).filter(|seq| *seq >= self.next) else {
            return Ok(());
        };
        let candidates = self.without_left_out(seq, self.read_all(group)?);
        if candidates.is_empty() {
            return Ok(());
        }
        let resumed = self.over_known_gaps(seq, &candidates);
        if seq != self.next {
            self.head = None;
        }
        let proven = match (resumed, self.head) {
            (Some(place), _) => candidates.get(place).map(|read| (read, read.decoded.chain, false)),
            (None, Some(head)) => self.proven(&candidates, &head)?,
            (None, None) => None,
        };
        if let Some((read, chain, mended)) = proven {
            self.proven += 1;
            self.keep(read, chain, mended, &candidates);
        } else if self.head.is_some() {
            self.contradiction(seq, &candidates)?;
        } else if let Some(read) = self.likeliest(seq, &candidates)? {
            self.keep(read, read.decoded.chain, false, &candidates);
        }
        Ok(())
    }

    /// Without what goes on from something that was not taken.
    fn without_left_out(&mut self, seq: u64, candidates: Vec<Read>) -> Vec<Read> {
        let before = self.left_out.before(seq);
        let goes_on = |read: &Read| before.iter().any(|before| self.follows(read, before));
        let (out, rest): (Vec<_>, Vec<_>) = candidates.into_iter().partition(goes_on);
        self.left_out.add(seq, out.into_iter().map(|read| read.decoded.chain));
        rest
    }

    fn keep(&mut self, read: &Read, chain: Chain, mended: bool, instead_of: &[Read]) {
        if let Event::Retention(RetentionEvent::Entries { to }) = read.decoded.entry.event {
            self.forgotten = self.forgotten.max(to);
        }
        let links = instead_of.iter().map(|read| read.decoded.chain);
        self.left_out.add(read.found.seq, links.filter(|link| *link != chain));
        self.head = Some(chain);
        self.next = read.found.seq + 1;
        self.kept.push(Kept { found: read.found, chain, mended });
    }

    /// Goes over gaps that are known already, and tells which candidate is the one known to come after.
    fn over_known_gaps(&mut self, seq: u64, candidates: &[Read]) -> Option<usize> {
        while self.next < seq {
            let head = self.head?;
            let rows = self.known.get(&self.next)?;
            let row = rows.iter().find(|row| row.gap.last.0 < seq && self.row_follows(row, &head))?;
            self.next = row.gap.last.0 + 1;
            let Some(chain) = row.chain() else {
                let resumed = candidates.iter().position(|read| row.resumes_with(&read.bytes));
                if self.next != seq || resumed.is_none() {
                    self.next = row.gap.first.0;
                }
                return resumed.filter(|_| self.next == seq);
            };
            self.head = Some(chain);
        }
        None
    }

    /// The candidate to which the chain leads.
    fn proven<'r>(
        &self,
        candidates: &'r [Read],
        head: &Chain,
    ) -> Result<Option<(&'r Read, Chain, bool)>, StoreError> {
        let follow = candidates.iter().filter(|read| self.follows(read, head)).collect();
        if let Some(read) = self.acknowledged(follow)? {
            return Ok(Some((read, read.decoded.chain, false)));
        }
        // Perhaps only its own link is damaged. Then the one after it follows the link it should have.
        for read in candidates {
            let Some(link) = read.decoded.link_after(&(self.key)(read.found.seq), head, &read.bytes) else {
                continue;
            };
            let after = self.group(read.found.seq + 1)?;
            if after.iter().any(|after| self.follows(after, &link)) {
                return Ok(Some((read, link, true)));
            }
        }
        Ok(None)
    }

    /// Nothing of what claims this sequence follows what was taken last. If the ledger goes on from it, one
    /// of the two is false, and nobody can tell which: neither is taken.
    fn contradiction(&mut self, seq: u64, candidates: &[Read]) -> Result<(), StoreError> {
        if !self.that_go_on(seq, candidates)?.is_empty()
            && let Some(dropped) = self.kept.pop()
        {
            self.next = dropped.found.seq;
        }
        self.head = None;
        Ok(())
    }

    /// The candidates from which the ledger goes on.
    fn that_go_on<'r>(&self, seq: u64, candidates: &'r [Read]) -> Result<Vec<&'r Read>, StoreError> {
        let after = self.group(seq + 1)?;
        let goes_on = |read: &&Read| after.iter().any(|after| self.follows(after, &read.decoded.chain));
        Ok(candidates.iter().filter(goes_on).collect())
    }

    fn likeliest<'r>(&self, seq: u64, candidates: &'r [Read]) -> Result<Option<&'r Read>, StoreError> {
        let go_on = self.that_go_on(seq, candidates)?;
        self.acknowledged(if go_on.is_empty() { candidates.iter().collect() } else { go_on })
    }

    /// Of candidates for one sequence, the one that was not left by a commit that failed.
    fn acknowledged<'r>(&self, candidates: Vec<&'r Read>) -> Result<Option<&'r Read>, StoreError> {
        let mut ways: Vec<Way<'r>> = Vec::new();
        for read in candidates {
            // Copies of the same entry are one.
            if !ways.iter().any(|way| way.read.bytes == read.bytes) {
                ways.push(Way { read, ends: vec![read.decoded.chain], last_at: read.decoded.entry.at });
            }
        }
        let mut next = ways.first().map_or(0, |way| way.read.found.seq);
        while ways.len() > 1 && ways.iter().any(|way| !way.ends.is_empty()) {
            next += 1;
            let after = self.group(next)?;
            for way in &mut ways {
                let on = after.iter().filter(|after| way.ends.iter().any(|end| self.follows(after, end)));
                let on: Vec<_> = on.collect();
                way.last_at = on.iter().map(|read| read.decoded.entry.at).max().unwrap_or(way.last_at);
                way.ends = on.iter().map(|read| read.decoded.chain).collect();
                way.ends.sort_unstable();
                way.ends.dedup();
            }
            if let Some(way) = ways.iter().find(|way| way.is_longer_than_a_commit()) {
                return Ok(Some(way.read));
            }
        }
        Ok(ways.into_iter().max_by_key(|way| way.last_at).map(|way| way.read))
    }

    /// The last sequence beyond what was taken that was written after it: its link is damaged, so it cannot
    /// be taken, but it was there. What was written before belongs to a commit that failed.
    fn loose_end(&self) -> Result<u64, StoreError> {
        let Some(last) = self.kept.last() else { return Ok(0) };
        let last_at = self.read(&last.found)?.decoded.entry.at;
        let start = self.entries.partition_point(|found| found.seq < self.next);
        let mut end = 0;
        for found in self.entries.get(start..).unwrap_or_default() {
            let decoded = self.read(found)?.decoded;
            if decoded.entry.at > last_at && !self.left_out.links.contains(&decoded.chain) {
                end = found.seq;
            }
        }
        Ok(end)
    }

    /// Writes a row wherever something is missing.
    fn finish(mut self, lost_after: u64, at: Moment) -> Result<Chosen, StoreError> {
        let mut gaps = Vec::new();
        let (mut head, mut next) = (self.start.chain, self.start.last.0 + 1);
        for kept in std::mem::take(&mut self.kept) {
            let seq = kept.found.seq;
            if next < seq {
                let bytes = self.source.entry(&kept.found)?;
                self.rows(&mut gaps, &mut head, next..seq, at, Some(&bytes));
            }
            (head, next) = (kept.chain, seq + 1);
            self.kept.push(kept);
        }
        let end = lost_after.max(self.known_end(head, next)) + 1;
        if next < end {
            self.rows(&mut gaps, &mut head, next..end, at, None);
        }
        Ok(Chosen { kept: self.kept, gaps, forgotten: self.forgotten })
    }

    /// The last sequence of the gaps that are known at the end.
    fn known_end(&self, mut head: Chain, mut next: u64) -> u64 {
        while let Some((row, chain)) = self.known_row(&head, next) {
            (head, next) = (chain, row.gap.last.0 + 1);
        }
        next - 1
    }

    fn known_row(&self, head: &Chain, next: u64) -> Option<(&GapRow, Chain)> {
        let rows = self.known.get(&next)?;
        rows.iter().filter(|row| self.row_follows(row, head)).find_map(|row| Some((row, row.chain()?)))
    }

    /// Rows for everything missing in `lost`: those that are known, and one for the rest.
    fn rows(
        &self,
        gaps: &mut Vec<GapRow>,
        head: &mut Chain,
        lost: std::ops::Range<u64>,
        at: Moment,
        after: Option<&[u8]>,
    ) {
        let mut next = lost.start;
        while let Some((row, chain)) = self.known_row(head, next).filter(|(row, _)| row.gap.last.0 < lost.end)
        {
            gaps.push(*row);
            (*head, next) = (chain, row.gap.last.0 + 1);
        }
        if next >= lost.end {
            return;
        }
        let known = self.known.get(&next).into_iter().flatten().find(|row| {
            let ends = row.gap.last.0 + 1 == lost.end && self.row_follows(row, head);
            ends && after.is_some_and(|bytes| row.resumes_with(bytes))
        });
        let gap = Gap { first: Seq(next), last: Seq(lost.end - 1), at };
        let row = known.copied().unwrap_or_else(|| GapRow::new(&(self.key)(next), head, gap, after));
        gaps.push(row);
        *head = row.chain().unwrap_or(*head);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rollcall_domain::event::{Actor, Entry};

    use super::*;
    use crate::codec::GENESIS;
    use crate::overlay::Held;
    use crate::salvage::scan::scan;

    const KEY: [u8; 32] = [3; 32];

    /// An entry after `before`, its link, and its bytes.
    fn entry(seq: u64, at: i64, value: &str, before: &Chain) -> (Chain, Vec<u8>) {
        let event = Event::SettingChanged { key: value.to_owned(), value: None };
        let entry = Entry { seq: Seq(seq), at: Moment::from_millis(at), by: Actor::Cli, event };
        let mut bytes = Vec::new();
        (codec::encode(&KEY, before, &entry, &mut bytes).unwrap(), bytes)
    }

    /// A run of entries, each after the one before it.
    fn run(from: u64, to: u64, at: i64, value: &str, before: &Chain) -> Vec<(Chain, Vec<u8>)> {
        let mut before = *before;
        let entries = (from..=to).map(|seq| {
            let made = entry(seq, at + i64::try_from(seq).unwrap(), value, &before);
            before = made.0;
            made
        });
        entries.collect()
    }

    /// What is taken of a file in which these lie, with something else between them.
    fn taken(parts: &[&[(Chain, Vec<u8>)]], rows: &[GapRow]) -> Result<(Chosen, Source), StoreError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = b"RCL1 not a frame RCG1".to_vec();
        for (_, part) in parts.iter().copied().flatten() {
            bytes.extend(part);
            bytes.extend(b"RCL");
        }
        rows.iter().for_each(|row| bytes.extend(row.bytes()));
        fs::write(file.path(), bytes).unwrap();
        let source = Source::new(Held::take(file.path()).unwrap(), Vec::new()).unwrap();
        let scan = scan(&source)?;
        let chosen = choose(&source, &scan, &|_| KEY, Head::START, Seq(0), Moment::from_millis(9))?;
        Ok((chosen, source))
    }

    /// Sequences and what was taken for them; where gaps begin and end.
    type Taken = (Vec<(u64, String)>, Vec<(u64, u64)>);

    fn values(parts: &[&[(Chain, Vec<u8>)]]) -> Taken {
        let (chosen, source) = taken(parts, &[]).unwrap();
        let value = |kept: &Kept| {
            let bytes = source.entry(&kept.found).unwrap();
            let Event::SettingChanged { key, .. } =
                codec::decode(kept.found.seq, &bytes).unwrap().entry.event
            else {
                panic!("another event");
            };
            (kept.found.seq, key)
        };
        let gaps = chosen.gaps.iter().map(|row| (row.gap.first.0, row.gap.last.0)).collect();
        (chosen.kept.iter().map(value).collect(), gaps)
    }

    fn named(seqs: std::ops::RangeInclusive<u64>, value: &str) -> Vec<(u64, String)> {
        seqs.map(|seq| (seq, value.to_owned())).collect()
    }

    #[test]
    fn copies_count_once_wherever_they_lie() {
        let all = run(1, 5, 0, "a", &GENESIS);
        assert_eq!(values(&[&all[2..], &all, &all[..3]]), (named(1..=5, "a"), vec![]));
    }

    #[test]
    fn what_a_failed_commit_left_is_not_taken_for_what_was_written_in_its_place() {
        let all = run(1, 3, 0, "a", &GENESIS);
        let failed = run(4, 6, 0, "failed", &all[2].0);
        let after = run(4, 5, 100, "b", &all[2].0);
        let expected = [named(1..=3, "a"), named(4..=5, "b")].concat();
        assert_eq!(values(&[&all, &failed, &after]), (expected, vec![]));
    }

    #[test]
    fn what_was_acknowledged_is_taken_although_the_clock_was_set_back_after_a_commit_that_failed() {
        let all = run(1, 3, 50_000, "a", &GENESIS);
        let failed = run(4, 9, 90_000, "failed", &all[2].0);
        let first = run(4, 5, 10_000, "b", &all[2].0);
        let later = run(6, 7, 13_000, "b", &first[1].0);
        let expected =
            |first, gaps: &[_]| ([named(1..=first, "a"), named(4..=7, "b")].concat(), gaps.to_vec());
        assert_eq!(values(&[&all, &failed, &first, &later]), expected(3, &[]));
        assert_eq!(values(&[&all, &first, &failed, &first, &later]), expected(3, &[]));
        // Also if what comes before is gone.
        assert_eq!(values(&[&all[..2], &failed, &first, &later]), expected(2, &[(3, 3)]));
    }

    #[test]
    fn what_is_missing_is_named_and_the_chain_goes_on_after_it() {
        let all = run(1, 9, 0, "a", &GENESIS);
        let kept = [named(3..=4, "a"), named(7..=7, "a"), named(9..=9, "a")].concat();
        assert_eq!(values(&[&all[2..4], &all[6..7], &all[8..]]), (kept, vec![(1, 2), (5, 6), (8, 8)]));
    }

    #[test]
    fn a_link_that_is_damaged_is_restored_from_the_entry_after_it() {
        let mut all = run(1, 5, 0, "a", &GENESIS);
        let end = all[2].1.len() - 1;
        all[2].1[end] ^= 1;
        let (chosen, _) = taken(&[&all], &[]).unwrap();
        assert_eq!((chosen.kept.len(), chosen.gaps.len()), (5, 0));
        assert!(chosen.kept[2].mended && chosen.kept[2].chain == all[2].0);
        // Nothing comes after the last one.
        let end = all[4].1.len() - 1;
        all[4].1[end] ^= 1;
        assert_eq!(values(&[&all]), (named(1..=4, "a"), vec![(5, 5)]));
    }

    #[test]
    fn of_two_that_do_not_follow_each_other_neither_is_taken() {
        let all = run(1, 6, 0, "a", &GENESIS);
        // Made without the key, with the link of the one whose place it takes.
        let mut forged = entry(4, 50, "forged", &[9; 32]).1;
        let link = forged.len() - 32;
        forged[link..].copy_from_slice(&all[3].0);
        let forged = [(all[3].0, forged)];
        let expected = [named(1..=2, "a"), named(5..=6, "a")].concat();
        assert_eq!(values(&[&all[..3], &forged, &all[4..]]), (expected, vec![(3, 4)]));
    }

    #[test]
    fn a_forged_entry_beside_the_one_it_stands_for_is_not_taken() {
        let all = run(1, 5, 0, "a", &GENESIS);
        let forged = [entry(3, 900, "forged", &[9; 32])];
        assert_eq!(values(&[&all, &forged]), (named(1..=5, "a"), vec![]));
    }

    #[test]
    fn gaps_that_are_known_stay_as_they_were_written_down() {
        let all = run(1, 4, 0, "a", &GENESIS);
        let gap = |first, last| Gap { first: Seq(first), last: Seq(last), at: Moment::from_millis(5) };
        let inside = GapRow::new(&KEY, &all[0].0, gap(2, 2), Some(&all[2].1));
        let end = GapRow::new(&KEY, &all[3].0, gap(5, 8), None);
        let after = run(9, 10, 0, "b", &end.chain().unwrap());
        let (chosen, _) = taken(&[&all[..1], &all[2..], &after], &[inside, end]).unwrap();
        assert_eq!((chosen.kept.len(), chosen.gaps), (5, vec![inside, end]));
        // With nothing after it, and with more lost around it.
        let (chosen, _) = taken(&[&all[..1], &all[2..]], &[inside, end]).unwrap();
        assert_eq!(chosen.gaps, vec![inside, end]);
        let (chosen, _) = taken(&[&all[..1], &all[3..], &after], &[inside, end]).unwrap();
        assert_eq!(chosen.gaps.iter().map(|row| row.gap.first.0).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(chosen.gaps[0].gap.last, Seq(3));
    }

    #[test]
    fn a_file_of_which_the_key_proves_nothing_is_refused() {
        let all = run(5, 5, 0, "a", &GENESIS);
        let alone = taken(&[&all], &[]);
        assert!(matches!(alone, Err(StoreError::NothingProven { found: 1 })));
        assert!(matches!(taken(&[], &[]), Err(StoreError::NothingProven { found: 0 })));
        let mut newer = run(1, 2, 0, "a", &GENESIS);
        let end = newer[1].1.len() - 40;
        let (framed, tail) = newer[1].1.split_at_mut(end);
        framed[4] = codec::VERSION + 1;
        blake3::Hasher::new().update(framed).finalize_xof().fill(&mut tail[..8]);
        assert!(matches!(taken(&[&newer], &[]), Err(StoreError::Newer { .. })));
    }
}
