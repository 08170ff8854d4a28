//! What was written by an earlier version can be read by every later one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use common::damage::{damage, in_memory, ledger, places, stored};
use common::everything::everything;
use common::{
    KEY, WEEK, append, at, created, gate, kept_from, news, note, open, register, setting, student, unmatched,
    wait_for,
};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use rollcall_domain::event::{Actor, Entry};
use rollcall_domain::ids::{Name, RecordId, Seq, SessionId, StudentId, UserId};
use rollcall_domain::moment::{Moment, days, minutes};
use rollcall_domain::people::{DeviceDetails, Person, Personal};
use rollcall_domain::ports::Clock;
use rollcall_domain::scan::Method;
use rollcall_domain::state::State;
use rollcall_store::evidence::{Item, ItemId, Kind, Subject};
use rollcall_store::views::Delivery;
use rollcall_store::{
    Append, Appended, Credential, Evidence, Extent, Gap, Overwrite, Store, Template, backup, backup_with,
    restore, salvage, verify,
};
use tempfile::tempdir;

const GAPS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("gaps");

/// Stands still, however often it is looked at.
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Moment {
        at()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// Shows what it is set to.
struct SetClock(AtomicI64);

impl SetClock {
    fn go_on(&self, count: u32) {
        self.0.fetch_add(i64::try_from(days(count).as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Moment {
        Moment::from_millis(self.0.load(Ordering::Relaxed))
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
    let lines: String = stored(folder.path()).iter().map(|(_, bytes)| hex(bytes) + "\n").collect();
    assert_eq!(lines, include_str!("golden/ledger-v1.hex"), "{lines}");
}

/// If this fails, the format has changed: give it a new version, and keep reading this one.
#[test]
fn entries_lie_in_the_tail_as_version_1_wrote_them() {
    let folder = tempdir().unwrap();
    let store = Store::open(folder.path(), KEY, Arc::new(StoppedClock), Box::new(|_| {})).unwrap();
    append(&store, vec![created(), unmatched("a").0, setting("5")]);
    let mut record = std::fs::read(folder.path().join("ledger.tail")).unwrap();
    // Whose it is differs each time, and so does the checksum over that.
    record[5..13].fill(0);
    record[69..77].fill(0);
    let length = record.iter().rposition(|byte| *byte != 0).unwrap();
    let lines = hex(&record[..=length]) + "\n";
    assert_eq!(lines, include_str!("golden/tail-v1.hex"), "{lines}");
}

/// If this fails, the format has changed: give it a new version, and keep reading this one.
#[test]
fn rows_lie_sealed_in_the_register_as_version_1_wrote_them() {
    let folder = tempdir().unwrap();
    let store = Store::open(folder.path(), KEY, Arc::new(StoppedClock), Box::new(|_| {})).unwrap();
    let ann = StudentId(5);
    let endpoint = Some("http://a:b@10.0.0.7/".to_owned());
    let personal = vec![
        Personal::Student(ann, student("Ann Berg")),
        Personal::Device(gate(), DeviceDetails { ip_address: None, endpoint }),
        note(Some(Person::Student(ann)), "came late"),
    ];
    let form = "iso".to_owned();
    let finger =
        Template { student: ann, method: Method::Fingerprint, number: 2, form, bytes: vec![1, 2, 3] };
    let credentials = vec![
        Credential::Template(finger),
        Credential::Password { user: UserId(1), hash: "$argon2id$x".to_owned() },
        Credential::SecondFactor { user: UserId(1), secret: vec![7; 20] },
    ];
    register(&store, setting("5"), personal, credentials);
    drop(store);
    let database = Database::open(folder.path().join("ledger.redb")).unwrap();
    let read = database.begin_read().unwrap();
    let mut lines = String::new();
    macro_rules! dump {
        ($name:literal, $key:ty) => {
            let table: TableDefinition<'_, $key, &[u8]> = TableDefinition::new($name);
            for row in read.open_table(table).unwrap().iter().unwrap() {
                let (key, row) = row.unwrap();
                writeln!(lines, "{} {:?} {}", $name, key.value(), hex(row.value())).unwrap();
            }
        };
    }
    dump!("people", (u8, u64));
    dump!("devices", String);
    dump!("texts", (u64, u8));
    dump!("templates", (u64, u8, u16));
    dump!("credentials", (u8, u64));
    assert_eq!(lines, include_str!("golden/register-v1.txt"), "{lines}");
}

/// A ledger that was told to forget everything but the last week, and how many entries that was.
fn forgetful() -> (tempfile::TempDir, Seq) {
    let folder = in_memory();
    let clock = Arc::new(SetClock(AtomicI64::new(at().millis())));
    let shown: Arc<dyn Clock> = Arc::<SetClock>::clone(&clock);
    let store = Store::open(folder.path(), KEY, shown, Box::new(|_| {})).unwrap();
    append(&store, everything());
    let last = store.last();
    clock.go_on(400);
    for _ in 0..WEEK {
        clock.go_on(1);
        append(&store, vec![setting("5")]);
    }
    wait_for(&store, store.last());
    let all = Moment::from_millis(4_000_000_000_000);
    let forgotten = store.forget_older(all, kept_from(at().minus(minutes(1))), None).unwrap();
    assert_eq!(forgotten.map(|forgotten| forgotten.to), Some(last));
    (folder, last)
}

const CHECKPOINT: &str = include_str!("golden/checkpoint-v1.txt");

/// If this fails, the format of checkpoints has changed: give it a new version, and keep reading this one.
#[test]
fn a_checkpoint_lies_in_the_ledger_as_version_1_wrote_it() {
    let (folder, _) = forgetful();
    let database = Database::open(ledger(folder.path())).unwrap();
    let table = database.begin_read().unwrap().open_table(COPIES[0]).unwrap();
    let rows = table.iter().unwrap().map(Result::unwrap);
    let lines: String =
        rows.map(|(key, bytes)| format!("{:?} {}\n", key.value(), hex(bytes.value()))).collect();
    assert_eq!(lines, CHECKPOINT, "{lines}");
}

type Copies = TableDefinition<'static, (u64, u32), &'static [u8]>;
const COPIES: [Copies; 2] = [TableDefinition::new("checkpoint"), TableDefinition::new("checkpoint_again")];

#[test]
fn a_ledger_that_begins_with_a_checkpoint_of_version_1_is_opened_and_gone_on_with() {
    let folder = in_memory();
    drop(open(folder.path()));
    let database = Database::open(ledger(folder.path())).unwrap();
    let write = database.begin_write().unwrap();
    let mut last = 0;
    for line in CHECKPOINT.lines() {
        let (key, bytes) = line.strip_prefix('(').unwrap().split_once(") ").unwrap();
        let (of, number) = key.split_once(", ").unwrap();
        last = of.parse().unwrap();
        for copies in COPIES {
            let mut table = write.open_table(copies).unwrap();
            table.insert((last, number.parse().unwrap()), unhex(bytes).as_slice()).unwrap();
        }
    }
    write.commit().unwrap();
    drop(database);
    std::fs::remove_file(folder.path().join("views.redb")).unwrap();
    let store = open(folder.path());
    // Everything is what the events make it of which it was made.
    let mut state = State::default();
    for (seq, event) in (1..).zip(everything()) {
        state.apply(&Entry { seq: Seq(seq), at: at(), by: Actor::Cli, event });
    }
    let now = store.views().now();
    assert_eq!(now.last(), Seq(last));
    assert_eq!((&now.campus, &now.office), (&state.campus, &state.office));
    let session = now.session(SessionId(1)).unwrap();
    assert_eq!(session.as_ref(), state.sessions.get(&SessionId(1)));
    assert!(session.is_some_and(|session| session.records.len() == 3));
    assert_eq!(now.unmatched(Seq(0), 9).unwrap(), state.unmatched.into_iter().collect::<Vec<_>>());
    for (key, seq) in &state.scans {
        assert_eq!(now.scan(*key).unwrap(), Some(*seq));
    }
    let record = RecordId { session: SessionId(1), student: StudentId(1) };
    for (destination, version, dead) in [("portal", 2, false), ("firestore", 1, true)] {
        let told = now.delivery(&Name::parse(destination).unwrap(), record).unwrap();
        assert_eq!(told, Some(Delivery { version, dead }));
    }
    drop(now);
    let appended = append(&store, vec![setting("6")]);
    assert!(matches!(appended, Appended::Committed(new) if new.first().unwrap().seq == Seq(last + 1)));
    drop(store);
    let verified = verify(folder.path(), KEY, Some(in_memory().path())).unwrap();
    assert_eq!((verified.difference, verified.forgotten.unwrap().to), (None, Seq(last)));
}

/// A whole file as version 1 left it, with a person, their password and a gap; only what is not zero of it.
/// It was made by `made_by_this_version` below when that was version 1, and is never made again.
const WHOLE: &str = include_str!("golden/ledger-v1.pages.txt");

/// The same as a backup.
const BACKUP: &str = include_str!("golden/backup-v1.hex");

/// With evidence, as version 2.
const WITH_EVIDENCE: &str = include_str!("golden/backup-v2.hex");

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.trim().as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Puts the file together: its length, then where a stretch lies, how often it comes, and what it is.
fn unpack(text: &str) -> Vec<u8> {
    let mut lines = text.lines();
    let mut bytes = vec![0; lines.next().unwrap().parse().unwrap()];
    for line in lines {
        let [at, times, part] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let part = unhex(part).repeat(times.parse().unwrap());
        let at = at.parse::<usize>().unwrap();
        bytes.get_mut(at..at + part.len()).unwrap().copy_from_slice(&part);
    }
    bytes
}

/// What the golden files were made of; entry 2 is then damaged, and salvaged.
fn made_by_this_version() -> tempfile::TempDir {
    let folder = in_memory();
    let store = Store::open(folder.path(), KEY, Arc::new(StoppedClock), Box::new(|_| {})).unwrap();
    let (sender, receiver) = channel();
    let mut events = news(vec![created(), unmatched("a").0, setting("5")]);
    events.first_mut().unwrap().personal = vec![Personal::Student(StudentId(1), student("Some One"))];
    let credentials = vec![Credential::Password { user: UserId(1), hash: "of a password".to_owned() }];
    let then = move |appended| sender.send(appended).unwrap();
    assert!(store.append(Append { credentials, ..Append::new(events, then) }).is_ok());
    receiver.recv().unwrap();
    drop(store);
    let second = stored(folder.path()).remove(1).1;
    let places = places(folder.path(), &second);
    damage(folder.path(), |bytes| places.iter().for_each(|at| *bytes.get_mut(at + 30).unwrap() ^= 1));
    salvage(folder.path(), KEY, StoppedClock.now()).unwrap();
    folder
}

/// What the golden files hold, brought into this folder by whatever means.
fn is_what_version_1_wrote(folder: &Path) {
    let verified = verify(folder, KEY, None).unwrap();
    let gap = Gap { first: Seq(2), last: Seq(2), at: StoppedClock.now() };
    assert_eq!((verified.last, verified.gaps), (Seq(3), vec![gap]));
    let store = open(folder);
    let events: Vec<_> = store.entries(Seq(1), 9).unwrap().into_iter().map(|entry| entry.event).collect();
    assert_eq!(events, [created(), setting("5")]);
    assert_eq!(store.register().student(StudentId(1)).unwrap(), Some(student("Some One")));
    assert_eq!(store.register().password(UserId(1)).unwrap().as_deref(), Some("of a password"));
    let appended = append(&store, vec![setting("6")]);
    assert!(matches!(appended, Appended::Committed(new) if new.first().unwrap().seq == Seq(4)));
}

#[test]
fn a_whole_file_that_version_1_wrote_is_opened_and_gone_on_with() {
    let folder = in_memory();
    std::fs::write(ledger(folder.path()), unpack(WHOLE)).unwrap();
    is_what_version_1_wrote(folder.path());
}

/// The golden backup, brought back.
fn brought_back() -> tempfile::TempDir {
    let folder = in_memory();
    let path = folder.path().join("backup");
    std::fs::write(&path, unhex(BACKUP)).unwrap();
    restore(&path, folder.path(), Some(&KEY.into()), Overwrite::Refuse, StoppedClock.now()).unwrap();
    std::fs::remove_file(path).unwrap();
    folder
}

#[test]
fn a_backup_that_version_1_wrote_is_brought_back() {
    is_what_version_1_wrote(brought_back().path());
}

/// If this fails, the format of backups has changed: give it a new version, and keep reading this one.
#[test]
fn a_backup_of_what_was_brought_back_lies_as_version_1_wrote_it() {
    let folder = brought_back();
    let path = folder.path().join("backup");
    backup(folder.path(), KEY, &path, StoppedClock.now()).unwrap();
    let made = hex(&std::fs::read(&path).unwrap());
    assert_eq!(made, BACKUP.trim(), "{made}");
}

/// What the golden backup holds of evidence.
fn evidence() -> Vec<Item> {
    let item = |kind, about: &[Subject], bytes: &[u8]| Item {
        at: at(),
        device: gate(),
        kind,
        about: about.to_vec(),
        bytes: bytes.to_vec(),
    };
    vec![
        item(Kind::Scan, &[Subject::Event(Seq(1)), Subject::Student(StudentId(1))], b"a scan"),
        item(Kind::BadPayload, &[], b""),
    ]
}

/// If this fails, the format of backups has changed: give it a new version, and keep reading this one.
#[test]
fn a_backup_with_evidence_lies_as_version_2_wrote_it() {
    let folder = brought_back();
    let path = folder.path().join("evidence.redb");
    let kept = Evidence::start(path, Arc::new(StoppedClock)).unwrap();
    evidence().into_iter().for_each(|item| kept.keep(item));
    kept.settle().unwrap();
    drop(kept);
    let path = folder.path().join("backup");
    backup_with(folder.path(), KEY, &path, StoppedClock.now(), Extent::WithEvidence).unwrap();
    let made = hex(&std::fs::read(&path).unwrap());
    assert_eq!(made, WITH_EVIDENCE.trim(), "{made}");
}

#[test]
fn a_backup_with_evidence_that_version_2_wrote_is_brought_back() {
    let folder = in_memory();
    let path = folder.path().join("backup");
    std::fs::write(&path, unhex(WITH_EVIDENCE)).unwrap();
    restore(&path, folder.path(), Some(&KEY.into()), Overwrite::Refuse, StoppedClock.now()).unwrap();
    let kept = Evidence::start(folder.path().join("evidence.redb"), Arc::new(StoppedClock)).unwrap();
    kept.settle().unwrap();
    let found = kept.between(ItemId::first_at(at()), at().plus(minutes(1)), 9).unwrap();
    let items = found.into_iter().map(|found| Item {
        at: found.id.at,
        device: found.device,
        kind: found.kind,
        about: found.about,
        bytes: kept.bytes(found.id).unwrap().unwrap(),
    });
    let mut expected = evidence();
    expected.iter_mut().for_each(|item| item.about.sort_unstable());
    assert_eq!(items.collect::<Vec<_>>(), expected);
    drop(kept);
    is_what_version_1_wrote(folder.path());
}

/// If this fails, the format of gaps has changed: give it a new version, and keep reading this one.
#[test]
fn gaps_lie_as_version_1_wrote_them() {
    let rows = |folder: &Path| -> Vec<(u64, Vec<u8>)> {
        let database = Database::open(ledger(folder)).unwrap();
        let table = database.begin_read().unwrap().open_table(GAPS).unwrap();
        let rows = table.iter().unwrap().map(Result::unwrap);
        rows.map(|(first, bytes)| (first.value(), bytes.value().to_vec())).collect()
    };
    assert_eq!(rows(made_by_this_version().path()), rows(brought_back().path()));
}
