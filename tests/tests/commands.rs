//! Promise: the data is backed up, brought back, verified and exported, with a running gateway and without.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use rollcall_domain::event::{Actor, Event, NewEvent};
use rollcall_simulator::{Fleet, Load, Plan, Progress, Until, Work};
use rollcall_store::{Append, Appended, RootKey, Store};
use rollcall_tests::campus::{Campus, KEY};
use rollcall_tests::gateway::{Gateway, Signal, Started, rollcall};
use serde_json::Value;
use tokio::time::timeout;

const BACKUP: &str = "copy.rollcall-backup";
/// Far longer than anything takes when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(campus: &Campus) -> Gateway {
    let mut command = rollcall(campus.folder.path(), &["--config", "rollcall.toml"]);
    Gateway::start(command.env_remove("ROLLCALL__MQTT__LISTEN"))
}

fn stop(gateway: Gateway) {
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.end().1.code(), Some(0));
}

/// Every terminal sends so many scans.
fn terminals(campus: &Campus, run: &str, each: u64) -> Fleet {
    let students = campus.sample.rooms.iter().flat_map(|room| room.students.clone()).collect();
    let plan = Plan {
        url: format!("mqtt://{}", campus.mqtt),
        devices: campus.devices.clone(),
        work: Work::Load(Load { students, rate: None, until: Until::Each(each) }),
        in_flight: 20,
        patience: PATIENCE,
        run: run.to_owned(),
        seed: 1,
    };
    Fleet::start(plan, Arc::clone(&campus.clock)).unwrap()
}

/// The scans that were acknowledged once all are.
async fn scan(campus: &Campus, each: u64) -> BTreeSet<String> {
    let report = terminals(campus, "commands", each).report().await;
    report.acknowledged_ids().map(|(_, id)| id).collect()
}

/// Returns once so many scans are acknowledged.
async fn acknowledged(progress: &Progress, count: u64) {
    let enough = async {
        let mut look = tokio::time::interval(Duration::from_millis(1));
        while progress.acknowledged() < count {
            look.tick().await;
        }
    };
    let in_time = timeout(PATIENCE, enough).await.is_ok();
    assert!(in_time, "{} of {count} are acknowledged", progress.acknowledged());
}

/// What a command says, and how it ends.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

fn run(campus: &Campus, line: &str) -> Said {
    let arguments: Vec<&str> = line.split(' ').chain(["--config", "rollcall.toml"]).collect();
    let Output { status, stdout, stderr } = rollcall(campus.folder.path(), &arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: status.code(), out: text(stdout), error: text(stderr) }
}

fn done(campus: &Campus, line: &str) -> String {
    let said = run(campus, line);
    assert_eq!((said.code, said.error.as_str()), (Some(0), ""), "{line}: {said:?}");
    said.out
}

/// One line of a command that ends with this code.
fn refused(campus: &Campus, line: &str, code: i32) -> String {
    let said = run(campus, line);
    assert_eq!((said.code, said.error.lines().count()), (Some(code), 1), "{line}: {said:?}");
    said.error
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn scan_id(row: &Value) -> Option<String> {
    Some(row.get("scan_id")?.as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_backed_up_while_scans_arrive_is_restored_elsewhere_and_verified() {
    let campus = Campus::new();
    let gateway = start(&campus);
    let before = scan(&campus, 100).await;
    // They go on until the backup is through, and longer.
    let fleet = terminals(&campus, "meanwhile", 1_000_000);
    let progress = fleet.progress();
    acknowledged(&progress, 100).await;
    let at_least = progress.acknowledged();
    let said = done(&campus, &format!("backup {BACKUP}"));
    acknowledged(&progress, progress.acknowledged() + 1).await;
    let file = campus.folder.path().join(BACKUP);
    assert!(said.contains(&format!("to {}\n", file.canonicalize().unwrap().display())), "{said}");
    assert!(said.contains("only with the sealing key"), "{said}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let said = refused(&campus, &format!("backup {BACKUP}"), 1);
    assert!(said.contains("is there already; name a file that is not"), "{said}");
    assert!(refused(&campus, "backup nowhere/file", 1).contains("there is no folder /"));
    assert!(refused(&campus, "restore nowhere", 1).contains("there is no backup nowhere; look how"));
    let said = refused(&campus, "restore no\u{1b}[31m\u{9b}where", 1);
    assert!(said.contains("there is no backup no [31m where;"), "{said:?}");
    fs::create_dir(campus.folder.path().join("other.part")).unwrap();
    let said = refused(&campus, "backup other", 1);
    assert!(
        said.contains("/other: is a directory; the gateway's user writes it, and needs the right to"),
        "{said}"
    );
    let said = done(&campus, "verify --rebuild");
    assert!(said.contains("the chain of the ledger is whole up to entry "), "{said}");
    assert!(said.ends_with("the views are what the ledger makes them\n"), "{said}");
    assert!(!campus.folder.path().join("data/verify-scratch").exists());
    fleet.stop();
    fleet.report().await;
    stop(gateway);

    let said = done(&campus, &format!("restore {BACKUP} --data-dir other"));
    assert!(said.starts_with("restored "), "{said}");
    done(&campus, "verify --rebuild --data-dir other");
    let mut command = rollcall(campus.folder.path(), &["--config", "rollcall.toml", "--data-dir", "other"]);
    let gateway = Gateway::start(&mut command);
    assert!(done(&campus, "verify --rebuild --data-dir other").ends_with("what the ledger makes them\n"));
    stop(gateway);
    // What the backup has is what was there then.
    let (then, now) = ["export ledger --format jsonl --data-dir other", "export ledger --format jsonl"]
        .map(|line| done(&campus, line))
        .into();
    let scans = |text: &str| rows(text).iter().filter_map(scan_id).collect::<BTreeSet<_>>();
    assert!(now.starts_with(&then), "the backup has something that the ledger has not");
    let (then, now) = (scans(&then), scans(&now));
    assert!(then.is_superset(&before), "a scan is not in the backup that was acknowledged before it began");
    let meanwhile = u64::try_from(then.len() - before.len()).unwrap();
    assert!(meanwhile >= at_least, "{meanwhile} of the {at_least} that were acknowledged are in the backup");
    assert!(now.len() > then.len(), "nothing came after the backup");
}

#[test]
fn restore_replaces_a_ledger_only_by_force_and_never_under_a_running_gateway() {
    let campus = Campus::new();
    let ledger = campus.folder.path().join("data/ledger.redb");
    done(&campus, &format!("backup {BACKUP}"));
    let before = fs::read(&ledger).unwrap();
    let said = refused(&campus, &format!("restore {BACKUP}"), 1);
    assert!(said.contains("is there already: to replace it, say --force"), "{said}");
    assert!(fs::read(&ledger).unwrap() == before);
    let gateway = start(&campus);
    for line in ["restore", "restore --force"] {
        let said = refused(&campus, &format!("{line} {BACKUP}"), 3);
        assert!(
            said.contains("another gateway or command (process ") && said.contains("stop it first"),
            "{said}"
        );
    }
    stop(gateway);
    let said = done(&campus, &format!("restore --force {BACKUP}"));
    let kept =
        said.lines().find_map(|line| line.strip_prefix("the ledger that was there is kept as ")).unwrap();
    assert!(Path::new(kept).exists());
    done(&campus, "verify --rebuild");
    stop(start(&campus));
}

#[test]
fn restore_says_when_the_sealing_key_is_missing_or_another_and_leaves_nothing() {
    let campus = Campus::new();
    done(&campus, &format!("backup {BACKUP}"));
    let (key, moved) = (campus.folder.path().join("rollcall.key"), campus.folder.path().join("moved"));
    fs::rename(&key, &moved).unwrap();
    let said = refused(&campus, &format!("restore {BACKUP} --data-dir other"), 3);
    assert!(
        said.contains("rollcall.key: there is no such file; restore it from where you keep it"),
        "{said}"
    );
    fs::write(campus.folder.path().join("rollcall.toml"), "").unwrap();
    let said = refused(&campus, &format!("restore {BACKUP} --data-dir other"), 3);
    assert!(said.contains("is sealed, and the sealing key is missing: there is no /"), "{said}");
    assert!(said.contains("/other.key; put it back, or name it with store.key_file"), "{said}");
    let other = campus.folder.path().join("other.key");
    fs::write(&other, [1; 32]).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
    let said = refused(&campus, &format!("restore {BACKUP} --data-dir other"), 3);
    assert!(said.contains("sealed with another key, whose fingerprint is "), "{said}");
    assert!(!campus.folder.path().join("other").exists());
    fs::rename(&moved, &other).unwrap();
    done(&campus, &format!("restore {BACKUP} --data-dir other"));
}

/// Someone who is not root.
const OTHER: u32 = 1_234;

/// Everything in a folder, and the folder, becomes that user's.
fn give(path: &Path) {
    chown(path, Some(OTHER), Some(OTHER)).unwrap();
    for entry in fs::read_dir(path).into_iter().flatten() {
        give(&entry.unwrap().path());
    }
}

fn names(folder: &Path) -> BTreeSet<OsString> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn root_makes_nothing_in_another_users_folder_and_asks_its_gateway() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let campus = Campus::new();
    done(&campus, &format!("backup {BACKUP}"));
    let (folder, data) = (campus.folder.path(), campus.folder.path().join("data"));
    fs::remove_file(data.join("lock")).unwrap();
    // Where that user may start it, wherever the tree was built.
    let binary = folder.join("rollcall");
    fs::copy(rollcall(folder, &[]).get_program(), &binary).unwrap();
    give(folder);
    let before = names(&data);
    for line in ["backup other", "verify --rebuild", "export ledger --format csv", "restore --force copy"] {
        let said = refused(&campus, line, 3);
        assert!(said.contains("is another user's; run this as that user, such as with sudo -u"), "{said}");
        assert_eq!(names(&data), before, "{line}");
    }
    let said = refused(&campus, "run", 3);
    assert!(said.contains("is another user's; run this as that user, such as with sudo -u"), "{said}");
    assert_eq!(names(&data), before);
    // The folder that is not there is to be that of the key's user.
    let said = refused(&campus, &format!("restore {BACKUP} --data-dir none"), 3);
    assert!(said.contains("the sealing key is another user's"), "{said}");
    assert!(!folder.join("none").exists());
    let mut command = rollcall(folder, &[]);
    let settings: Vec<_> = command.get_envs().map(|(k, v)| (k.to_owned(), v.unwrap().to_owned())).collect();
    command = Command::new(&binary);
    command.args(["--config", "rollcall.toml"]).env_clear().envs(settings).current_dir(folder);
    let gateway = Gateway::start(command.uid(OTHER).gid(OTHER).stdin(Stdio::null()));
    done(&campus, "verify --rebuild");
    done(&campus, "backup other");
    assert_eq!(fs::metadata(folder.join("other")).unwrap().uid(), OTHER);
    assert!(fs::read_dir(&data).unwrap().all(|entry| entry.unwrap().metadata().unwrap().uid() == OTHER));
    // Its name could be lost there by a power cut.
    let with_mode = |name: &str, mode| {
        let path = folder.join(name);
        fs::create_dir(&path).unwrap();
        give(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let (blind, shut) = (with_mode("blind", 0o300), with_mode("shut", 0o000));
    let said = refused(&campus, "backup blind/copy", 1);
    assert!(said.contains("blind/copy: permission denied; the gateway's user writes it"), "{said}");
    assert_eq!(names(&blind), BTreeSet::new());
    let said = refused(&campus, "backup shut/in/copy", 1);
    assert!(said.contains("the gateway's user may not look into /"), "{said}");
    stop(gateway);
    refused(&campus, "verify", 3);
    let mut command = Command::new(&binary);
    command.args(["backup", "shut/in/copy", "--config", "rollcall.toml"]).env_clear().current_dir(folder);
    let said = command.uid(OTHER).gid(OTHER).output().unwrap().stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("you may not look into /") && shut.exists(), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_and_backup_name_the_entry_with_a_flipped_bit() {
    let campus = Campus::new();
    let gateway = start(&campus);
    let ids = scan(&campus, 2).await;
    stop(gateway);
    done(&campus, "verify");
    let (id, ledger) = (ids.first().unwrap(), campus.folder.path().join("data/ledger.redb"));
    let rows = rows(&done(&campus, "export ledger --format jsonl"));
    let row = rows.iter().find(|row| scan_id(row).as_ref() == Some(id)).unwrap();
    let mut bytes = fs::read(&ledger).unwrap();
    let found: Vec<usize> = bytes
        .windows(id.len())
        .enumerate()
        .filter(|(_, at)| *at == id.as_bytes())
        .map(|(at, _)| at)
        .collect();
    for at in found {
        bytes[at] ^= 1;
    }
    fs::write(&ledger, bytes).unwrap();
    for line in ["verify", &format!("backup {BACKUP}")] {
        let said = refused(&campus, line, 1);
        assert!(said.contains(&format!("entry {} of the ledger is damaged", row["seq"])), "{said}");
    }
    assert!(!campus.folder.path().join(BACKUP).exists());
}

#[test]
fn verify_with_rebuild_names_views_that_are_not_the_ledgers_and_without_one_where_to_look() {
    let (campus, other) = (Campus::new(), Campus::new());
    assert!(done(&campus, "verify --rebuild").ends_with("the views are what the ledger makes them\n"));
    let views = campus.folder.path().join("data/views.redb");
    let whole = fs::read(&views).unwrap();
    fs::copy(other.folder.path().join("data/views.redb"), &views).unwrap();
    let said = refused(&campus, "verify --rebuild", 1);
    assert!(said.contains("views.redb is of another ledger"), "{said}");
    assert!(said.contains("delete views.redb in the data folder"), "{said}");
    fs::write(&views, &whole[..whole.len() / 2]).unwrap();
    assert!(refused(&campus, "verify --rebuild", 1).contains("views.redb cannot be read"));
    done(&campus, "verify");
    let said = refused(&campus, "verify --data-dir nowhere", 3);
    assert!(said.contains("there is no data folder nowhere; name it with --data-dir"), "{said}");
    assert!(!campus.folder.path().join("nowhere").exists());
}

/// Appends so many entries, a thousand at a time, without a gateway.
fn append(campus: &Campus, folder: &Path, entries: usize) {
    let store = Store::open(folder, RootKey::new(KEY), Arc::clone(&campus.clock), Box::new(|_| {})).unwrap();
    let event = || NewEvent { by: Actor::Cli, event: Event::ClockConfirmed, personal: vec![] };
    for first in (0..entries).step_by(1_000) {
        let (sender, receiver) = channel();
        let events = (first..entries.min(first + 1_000)).map(|_| event()).collect();
        assert!(store.append(Append::new(events, move |appended| sender.send(appended).unwrap())).is_ok());
        assert!(matches!(receiver.recv().unwrap(), Appended::Committed(_)));
    }
}

/// What a ledger of its own ends with.
fn some_tail(campus: &Campus) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    append(campus, folder.path(), 1);
    fs::read(folder.path().join("ledger.tail")).unwrap()
}

#[test]
fn a_command_without_a_gateway_that_is_told_to_end_leaves_nothing_of_what_it_began() {
    let campus = Campus::new();
    let (folder, data) = (campus.folder.path(), campus.folder.path().join("data"));
    append(&campus, &data, 10_000);
    done(&campus, &format!("backup {BACKUP}"));
    let (top, within) = (names(folder), names(&data));
    for (line, part) in [
        ("backup other", folder.join("other.part")),
        ("verify --rebuild", data.join("verify-scratch")),
        ("restore --force copy.rollcall-backup", data.join("ledger.restoring.redb")),
    ] {
        for signal in [Signal::INT, Signal::TERM] {
            let arguments: Vec<&str> = line.split(' ').chain(["--config", "rollcall.toml"]).collect();
            let mut command = Started(rollcall(folder, &arguments).stderr(Stdio::piped()).spawn().unwrap());
            while !part.exists() {
                assert!(command.0.try_wait().unwrap().is_none(), "{line} was through too soon");
            }
            command.signal(signal);
            assert_eq!(command.0.wait().unwrap().code(), Some(130), "{line}");
            let mut said = String::new();
            command.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(said.ends_with("it was ended before it was through\n"), "{said}");
            assert_eq!((names(folder), names(&data)), (top.clone(), within.clone()), "{line}");
        }
    }
    done(&campus, "verify --rebuild");
}

#[test]
fn a_tail_of_another_ledger_is_left_out_and_that_is_said() {
    let campus = Campus::new();
    fs::write(campus.folder.path().join("data/ledger.tail"), some_tail(&campus)).unwrap();
    let left_out = "ledger.tail is the end of another ledger than ledger.redb beside it, and was left out";
    assert!(refused(&campus, "verify --rebuild", 1).contains(left_out));
    assert!(done(&campus, &format!("backup {BACKUP}")).contains(left_out));
    let said = done(&campus, &format!("restore --force {BACKUP}"));
    let kept = said
        .lines()
        .find_map(|line| line.strip_prefix("the end of that ledger, which belongs to it, is kept as "));
    assert!(Path::new(kept.unwrap()).exists());
    done(&campus, "verify --rebuild");
    assert!(!done(&campus, "backup another").contains(left_out));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exported_ledger_has_each_acknowledged_scan_once_with_the_devices_id() {
    let campus = Campus::new();
    let gateway = start(&campus);
    let acknowledged = scan(&campus, 30).await;
    let text = done(&campus, "export ledger --format jsonl");
    let exported: Vec<String> = rows(&text).iter().filter_map(scan_id).collect();
    assert_eq!(exported.len(), acknowledged.len());
    assert_eq!(exported.into_iter().collect::<BTreeSet<_>>(), acknowledged);
    let first = &rows(&text)[0];
    assert_eq!((&first["seq"], &first["kind"]), (&Value::from(1), &Value::from("campus.put")));
    let csv = done(&campus, "export ledger --format csv");
    assert!(
        csv.starts_with("seq,at,by,kind,session,class,student,device,scan_id,captured_at,outcome,event\n1,")
    );
    assert_eq!(csv.lines().count(), text.lines().count() + 1);
    stop(gateway);
    assert_eq!(done(&campus, "export ledger --format jsonl"), text);
    // An output that is full is a failure, and one that nobody reads any more is none.
    let arguments = ["export", "ledger", "--format", "jsonl", "--config", "rollcall.toml"];
    let mut command = rollcall(campus.folder.path(), &arguments);
    let full =
        command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap()).output().unwrap();
    assert_eq!(full.status.code(), Some(1));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(done(&campus, "export ledger --format csv"), csv);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_and_days_are_chosen_by_what_the_ledger_says() {
    let campus = Campus::new();
    let gateway = start(&campus);
    scan(&campus, 5).await;
    let all = rows(&done(&campus, "export ledger --format jsonl"));
    let class = all.iter().find_map(|row| row["event"]["Campus"]["Put"]["Class"].as_object()).unwrap();
    let (code, id) = (class["code"].as_str().unwrap(), format!("cls_{}", class["id"]));
    let of_class = rows(&done(&campus, &format!("export ledger --format jsonl --class {code}")));
    let expected: Vec<Value> = all.iter().filter(|row| row["class"] == id.as_str()).cloned().collect();
    assert!(!expected.is_empty() && expected.len() < all.len());
    assert_eq!(of_class, expected);
    assert!(
        refused(&campus, "export ledger --format jsonl --class NONE", 1)
            .contains("no class has the code NONE")
    );
    assert_eq!(done(&campus, "export ledger --format jsonl --to 2020-01-01"), "");
    assert_eq!(rows(&done(&campus, "export ledger --format jsonl --from 2020-01-01")).len(), all.len());
    stop(gateway);
}
