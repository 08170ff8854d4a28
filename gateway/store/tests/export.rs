//! Every entry of a span, once and in order, however long the ledger is.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use common::damage::{fill, in_memory, many};
use common::{KEY, append, open, setting};
use rollcall_domain::event::Entry;
use rollcall_domain::ids::Seq;
use rollcall_store::{Export, Span, Store, StoreError};

fn seqs(export: Export) -> Vec<u64> {
    export.map(|entry| entry.unwrap().seq.0).collect()
}

fn filled() -> (tempfile::TempDir, Store) {
    let folder = in_memory();
    fill(folder.path(), &many(3_000));
    let store = open(folder.path());
    (folder, store)
}

#[test]
fn all_entries_come_in_order_and_those_written_meanwhile_do_not() {
    let (_folder, store) = filled();
    let mut export = store.export(Span::ALL);
    let first: Entry = export.next().unwrap().unwrap();
    append(&store, vec![setting("later")]);
    let rest = seqs(export);
    assert_eq!((first.seq, rest), (Seq(1), (2..=3_000).collect()));
}

#[test]
fn a_span_of_sequences_has_both_its_ends() {
    let (_folder, store) = filled();
    let span = |seqs| Span { seqs, ..Span::ALL };
    assert_eq!(seqs(store.export(span(Seq(1_000)..=Seq(2_100)))), (1_000..=2_100).collect::<Vec<_>>());
    assert_eq!(seqs(store.export(span(Seq(2_999)..=Seq(u64::MAX)))), [2_999, 3_000]);
    assert_eq!(seqs(store.export(span(Seq(4_000)..=Seq(5_000)))), [0_u64; 0]);
}

#[test]
fn a_span_of_times_has_its_beginning_and_not_its_end() {
    let (folder, store) = filled();
    let entries = store.entries(Seq(1), 5_000).unwrap();
    let (from, before) = (entries[1_500].at, entries[1_700].at);
    let expected: Vec<u64> = entries
        .iter()
        .filter(|entry| entry.at >= from && entry.at < before)
        .map(|entry| entry.seq.0)
        .collect();
    assert!(expected.len() > 100);
    assert_eq!(seqs(store.export(Span::between(Some(from), Some(before)))), expected);
    drop(store);
    let closed = Export::open(folder.path(), KEY, Span::between(Some(from), Some(before))).unwrap();
    assert_eq!(seqs(closed), expected);
}

#[test]
fn an_export_of_a_store_that_closes_says_so_and_ends() {
    let (_folder, store) = filled();
    let mut export = store.export(Span::ALL);
    export.next();
    store.close();
    let errors = export.filter(Result::is_err).collect::<Vec<_>>();
    assert!(matches!(errors[..], [Err(StoreError::Down)]));
}
