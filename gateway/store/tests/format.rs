//! What was written by an earlier version can be read by every later one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{KEY, append, created, setting, unmatched};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use rollcall_domain::code::KeyKind;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::Clock;
use rollcall_store::{ChainKey, RootKey, Store};
use tempfile::tempdir;

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

/// Stands still, however often it is looked at.
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Moment {
        Moment::from_millis(1_772_000_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// If this fails, the format has changed: give it a new version, and keep reading this one.
#[test]
fn entries_lie_in_the_ledger_as_version_1_wrote_them() {
    let folder = tempdir().unwrap();
    let store = Store::open(folder.path(), KEY, Arc::new(StoppedClock), Box::new(|_| {})).unwrap();
    append(&store, vec![created(), unmatched("a").0, setting("5")]);
    drop(store);
    let database = Database::open(folder.path().join("ledger.redb")).unwrap();
    let table = database.begin_read().unwrap().open_table(EVENTS).unwrap();
    let rows = table.iter().unwrap().map(Result::unwrap);
    let lines: String = rows.map(|(_, bytes)| hex(bytes.value()) + "\n").collect();
    assert_eq!(lines, include_str!("golden/ledger-v1.hex"), "{lines}");
}

/// If this fails, no campus can read its own files any more.
#[test]
fn a_root_key_gives_the_same_keys_for_ever_and_another_for_each_use() {
    let root = RootKey::new([7; RootKey::BYTES]);
    let ChainKey(chain) = root.chain();
    let person = root.pseudonyms().key(KeyKind::Code, "S1");
    let keys = format!("{}\n{}\n{person:?}\n", hex(&chain), hex(&root.tokens()));
    assert_eq!(keys, include_str!("golden/keys-v1.txt"), "{keys}");
    assert_eq!(format!("{root:?}"), "RootKey(secret)");
}
