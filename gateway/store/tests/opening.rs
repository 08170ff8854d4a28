//! Files that cannot be opened, or not as they are: one line says what to do, or the store does it itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use common::damage::{EVENTS, apart};
use common::machine::{Call, Fault, Machine, Wrong};
use common::{KEY, append, at, created, open, setting, step, try_open};
use redb::{Database, ReadableTable as _, TableDefinition};
use rollcall_domain::event::Event;
use rollcall_domain::ids::{Seq, SessionId};
use rollcall_store::{Export, Span, StoreError, backup, verify};
use tempfile::tempdir;

const MEETINGS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("meetings");

/// Why the folder cannot be opened, in one line.
fn refusal(folder: &Path) -> (StoreError, String) {
    let error = common::refusal(folder, KEY);
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    (error, line)
}

fn three_entries() -> tempfile::TempDir {
    let folder = tempdir().unwrap();
    append(&open(folder.path()), vec![setting("1"), setting("2"), setting("3")]);
    folder
}

#[test]
fn a_store_that_is_in_use_says_so() {
    let folder = three_entries();
    let held = open(folder.path());
    let (error, line) = refusal(folder.path());
    assert!(matches!(error, StoreError::InUse { .. }));
    assert!(line.contains("ledger.redb is in use: stop the gateway"), "{line}");
    drop(held);
    assert!(try_open(folder.path(), KEY).is_ok());
}

#[test]
fn a_ledger_that_was_cut_short_before_its_row_of_keys_is_neither_opened_nor_replaced() {
    for length in [0, 100, 4_096] {
        let folder = three_entries();
        let ledger = folder.path().join("ledger.redb");
        fs::OpenOptions::new().write(true).open(&ledger).unwrap().set_len(length).unwrap();
        let (error, line) = refusal(folder.path());
        let expected = match length {
            0 => matches!(error, StoreError::Empty { .. }),
            _ => matches!(error, StoreError::NotWhole { .. } | StoreError::Keys),
        };
        assert!(expected, "{length}: {line}");
        assert!(line.ends_with("restore a backup"), "{line}");
        assert_eq!(fs::metadata(&ledger).unwrap().len(), length);
        assert!(folder.path().join("views.redb").exists());
    }
}

#[test]
fn an_empty_file_in_the_ledgers_place_is_no_ledger_for_anybody() {
    for with_views in [true, false] {
        let folder = three_entries();
        if !with_views {
            fs::remove_file(folder.path().join("views.redb")).unwrap();
        }
        fs::write(folder.path().join("ledger.redb"), b"").unwrap();
        let target = folder.path().join("backup");
        let found = [
            refusal(folder.path()).0,
            verify(folder.path(), KEY, None).unwrap_err(),
            backup(folder.path(), KEY, &target, at()).unwrap_err(),
            Export::open(folder.path(), KEY, Span::ALL).err().unwrap(),
        ];
        for error in found {
            assert!(matches!(error, StoreError::Empty { .. }), "{error}");
        }
        assert!(!target.exists());
        assert_eq!(fs::metadata(folder.path().join("ledger.redb")).unwrap().len(), 0);
    }
}

#[test]
fn an_export_of_a_ledger_whose_end_is_gone_says_so() {
    let folder = three_entries();
    let older = tempdir().unwrap();
    append(&open(older.path()), vec![setting("1")]);
    for file in ["ledger.redb", "ledger.tail"] {
        fs::copy(older.path().join(file), folder.path().join(file)).unwrap();
    }
    let found = Export::open(folder.path(), KEY, Span::ALL).err().unwrap();
    assert!(matches!(found, StoreError::Short { seq: 2 }), "{found}");
}

#[test]
fn a_ledger_that_ends_before_what_the_views_have_seen_is_not_gone_on_with() {
    let folder = three_entries();
    let older = tempdir().unwrap();
    append(&open(older.path()), vec![setting("1")]);
    for file in ["ledger.redb", "ledger.tail"] {
        fs::copy(older.path().join(file), folder.path().join(file)).unwrap();
    }
    let (error, line) = refusal(folder.path());
    assert!(matches!(error, StoreError::Short { seq: 2 }), "{line}");
    assert!(line.contains("delete views.redb"), "{line}");
    assert!(matches!(verify(folder.path(), KEY, None), Err(StoreError::Short { seq: 2 })));
    fs::remove_file(folder.path().join("views.redb")).unwrap();
    assert_eq!(open(folder.path()).last(), Seq(1));
}

#[test]
fn a_ledger_of_a_newer_version_is_left_alone_and_so_are_its_views() {
    let folder = three_entries();
    let database = apart(folder.path());
    let write = database.begin_write().unwrap();
    {
        let mut events = write.open_table(EVENTS).unwrap();
        let mut bytes = events.get(3).unwrap().unwrap().value().to_vec();
        bytes[4] = 9;
        events.insert(3, bytes.as_slice()).unwrap();
    }
    write.commit().unwrap();
    drop(database);
    let views = || fs::metadata(folder.path().join("views.redb")).unwrap().ino();
    let before = views();
    let (error, line) = refusal(folder.path());
    assert!(matches!(error, StoreError::Newer { found: 9, .. }), "{line}");
    assert!(line.contains("install that version again"), "{line}");
    assert_eq!(views(), before);
}

#[test]
fn a_folder_that_is_not_there_is_told_from_a_ledger_that_is_damaged() {
    let folder = tempdir().unwrap();
    let (error, line) = refusal(&folder.path().join("elsewhere"));
    assert!(matches!(error, StoreError::Open { .. }), "{line}");
    assert!(line.contains("check that the folder is there"), "{line}");
}

#[test]
fn wherever_the_power_is_cut_while_the_files_are_made_they_are_made_the_next_time() {
    for call in [Call::Write, Call::Length, Call::Sync] {
        for (file, after) in ["ledger", "views"].into_iter().flat_map(|file| (0..15).map(move |n| (file, n)))
        {
            for seed in 0..2 {
                let machine = Machine::new(seed);
                machine.plan(Fault { file, call, wrong: Wrong::PowerCut, after, times: 1 });
                drop(try_open(machine.place(), KEY));
                machine.cut_power();
                machine.power_on();
                let store = try_open(machine.place(), KEY).unwrap();
                append(&store, vec![setting("1")]);
                assert_eq!(store.last(), Seq(1));
            }
        }
    }
}

/// Puts what is no meeting where session 1 is, and takes the views back to before the last step.
fn with_a_damaged_row(folder: &Path) {
    append(&open(folder), vec![created()]);
    let views = folder.join("views.redb");
    let database = Database::open(&views).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(MEETINGS).unwrap().insert(1, b"no meeting".as_slice()).unwrap();
    write.commit().unwrap();
    drop(database);
    let before = fs::read(&views).unwrap();
    fs::remove_file(&views).unwrap();
    append(&open(folder), vec![step()]);
    fs::write(&views, before).unwrap();
}

#[test]
fn a_row_that_is_found_damaged_while_opening_is_made_anew() {
    let folder = tempdir().unwrap();
    with_a_damaged_row(folder.path());
    assert_eq!(open(folder.path()).views().now().version(SessionId(1)).unwrap(), 2);
    let scratch = tempdir().unwrap();
    assert_eq!(verify(folder.path(), KEY, Some(scratch.path())).unwrap().difference, None);
}

#[test]
fn views_that_could_not_write_everything_before_they_were_closed_are_made_anew() {
    // More than the views take at once, and the last cannot be read.
    const MANY: u64 = 16_400;
    let folder = tempdir().unwrap();
    let first = Event::SettingChanged { key: "campus.name".to_owned(), value: Some("North".to_owned()) };
    let others = (1..MANY).map(|n| setting(&n.to_string()));
    append(&open(folder.path()), [first].into_iter().chain(others).collect());
    fs::remove_file(folder.path().join("views.redb")).unwrap();
    let whole = tempdir().unwrap();
    fs::copy(folder.path().join("ledger.redb"), whole.path().join("ledger.redb")).unwrap();
    let database = apart(folder.path());
    let write = database.begin_write().unwrap();
    {
        let mut events = write.open_table(EVENTS).unwrap();
        let mut bytes = events.get(MANY).unwrap().unwrap().value().to_vec();
        bytes[4] = 9;
        events.insert(MANY, bytes.as_slice()).unwrap();
    }
    write.commit().unwrap();
    drop(database);
    let (error, _) = refusal(folder.path());
    assert!(matches!(error, StoreError::Newer { found: 9, .. }));
    fs::copy(whole.path().join("ledger.redb"), folder.path().join("ledger.redb")).unwrap();
    let store = open(folder.path());
    assert_eq!(store.views().now().office.settings["campus.name"], "North");
    drop(store);
    let scratch = tempdir().unwrap();
    assert_eq!(verify(folder.path(), KEY, Some(scratch.path())).unwrap().difference, None);
}
