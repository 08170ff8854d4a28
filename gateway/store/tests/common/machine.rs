//! A disk made of memory, which keeps apart what was synced and what was only written.
//!
//! Promises: at a power cut each write since the last sync is there, is not there, or is torn between
//! sectors, and each change of length is there or not, by a seeded choice; so are names of files. A cut comes
//! at any chosen call. A call can fail instead, once, for a while or until told otherwise; a sync that fails
//! may have lost what it should have written, and the next one says that all is well, as Linux does. Parts of
//! a file can lie on a bad place of the disk, which another file does not.
//!
//! Refuses: being nicer than a disk. Whoever opens a file reads what is on the disk and what is yet to be
//! written there, not what a failed sync left in memory.

use std::collections::BTreeMap;
use std::io;
use std::ops::{Bound, Range};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{BackendError, Builder, Database, DatabaseError, StorageBackend};
use rollcall_store::{Disk, Place};

use super::random::Random;
use super::sectors::{Change, File};

/// So short that it is full now and then.
const TAIL_BYTES: u64 = 32 << 10;

/// What is asked of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Read,
    Write,
    Length,
    Sync,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    PowerCut,
    /// No space is left.
    Full,
    /// It says that it failed.
    Broken,
}

/// When it goes wrong.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The start of the file's name.
    pub file: &'static str,
    pub call: Call,
    pub wrong: Wrong,
    /// So many calls go well first.
    pub after: u64,
    pub times: u64,
}

type Names = BTreeMap<String, u64>;

#[derive(Debug)]
struct State {
    random: Random,
    files: BTreeMap<u64, File>,
    names: Names,
    /// Names as they were, each time before they changed, since they were last made to stay.
    names_before: Vec<Names>,
    faults: Vec<Fault>,
    /// Counts power cuts.
    life: u64,
    on: bool,
    made: u64,
    free: u64,
    /// Nothing of a file that is opened from now on is kept in memory.
    forgetful: bool,
}

/// The machine that the disk is in; clones are the same one.
#[derive(Debug, Clone)]
pub struct Machine(Arc<Mutex<State>>, Arc<Mutex<()>>);

#[derive(Debug)]
struct Handle {
    machine: Machine,
    file: u64,
    name: &'static str,
    life: u64,
    id: u64,
}

impl Machine {
    pub fn new(seed: u64) -> Self {
        let (random, files, names) = (Random::new(seed), BTreeMap::new(), Names::new());
        let (names_before, faults) = (Vec::new(), Vec::new());
        let (life, made, free, forgetful) = (0, 0, u64::MAX, false);
        let state =
            State { random, files, names, names_before, faults, life, on: true, made, free, forgetful };
        Machine(Arc::new(Mutex::new(state)), Arc::default())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn place(&self) -> Place {
        Place::on(Arc::new(self.clone())).with_tail_of(TAIL_BYTES)
    }

    /// Another machine with the same on its disk.
    pub fn copy(&self) -> Self {
        let copy = Machine::new(0);
        let state = self.lock();
        let mut copied = copy.lock();
        (copied.files, copied.names, copied.made) = (state.files.clone(), state.names.clone(), state.made);
        copied.files.values_mut().for_each(|file| file.holder = None);
        drop(copied);
        copy
    }

    pub fn plan(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// Whether something that was planned is yet to happen.
    pub fn is_waiting(&self) -> bool {
        !self.lock().faults.is_empty()
    }

    pub fn cut_power(&self) {
        self.lock().cut_power();
    }

    pub fn is_on(&self) -> bool {
        self.lock().on
    }

    pub fn power_on(&self) {
        let mut state = self.lock();
        state.on = true;
        state.faults.clear();
    }

    pub fn set_free(&self, bytes: u64) {
        self.lock().free = bytes;
    }

    /// From now on pages are read from the disk each time.
    pub fn set_forgetful(&self) {
        self.lock().forgetful = true;
    }

    /// Overwrites parts of a file, also while it is in use.
    pub fn garble(&self, name: &str, from: usize) {
        let mut state = self.lock();
        let mut random = state.random.clone();
        let file = state.file(name);
        for bytes in [&mut file.disk, &mut file.memory] {
            bytes.iter_mut().skip(from).for_each(|byte| *byte = random.draw().to_le_bytes()[0]);
        }
        file.changes.clear();
    }

    /// No sync ends before what is returned is dropped.
    pub fn hold_syncs(&self) -> MutexGuard<'_, ()> {
        self.1.lock().unwrap()
    }

    /// From now on the disk neither gives nor takes this part of the file.
    pub fn wear_out(&self, name: &str, part: Range<usize>) {
        self.lock().file(name).bad.push(part);
    }

    /// The files that there are.
    pub fn names(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// How often the file was written to; 0 if it is not there.
    pub fn changes(&self, name: &str) -> u64 {
        let mut state = self.lock();
        if state.names.contains_key(name) { state.file(name).changed } else { 0 }
    }
}

impl State {
    fn file(&mut self, name: &str) -> &mut File {
        let id = self.names[name];
        self.files.get_mut(&id).unwrap()
    }

    fn cut_power(&mut self) {
        self.on = false;
        self.life += 1;
        // Names are kept in a journal: a change is lost with all after it.
        let changes = self.names_before.len() as u64;
        let kept = usize::try_from(self.random.below(changes + 1)).unwrap();
        if let Some(names) = self.names_before.get(kept) {
            self.names = names.clone();
        }
        self.names_before.clear();
        // Often all or nothing of what was written gets through, which chance alone would hardly ever do.
        let odds = self.random.one_of(&[(100, 0), (0, 0), (50, 0), (90, 5), (10, 5), (40, 30)]);
        for file in self.files.values_mut() {
            file.write_some(&mut self.random, odds);
            file.memory = file.disk.clone();
            file.holder = None;
        }
        let named: Vec<u64> = self.names.values().copied().collect();
        self.files.retain(|id, _| named.contains(id));
    }

    /// What goes wrong with this call.
    fn trip(&mut self, name: &str, call: Call) -> Option<Wrong> {
        let found = self.faults.iter().position(|f| f.call == call && name.starts_with(f.file));
        let fault = &mut self.faults[found?];
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        let wrong = fault.wrong;
        fault.times -= 1;
        if fault.times == 0 {
            self.faults.remove(found?);
        }
        Some(wrong)
    }
}

fn is_broken() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn power_is_out() -> io::Error {
    io::Error::other("the power is out")
}

impl Handle {
    /// The file, unless something goes wrong; `then` has a say in what is left of it.
    fn call<T>(
        &self,
        call: Call,
        good: impl FnOnce(&mut File) -> T,
        bad: impl FnOnce(&mut File, &mut Random, Wrong),
    ) -> io::Result<T> {
        let mut state = self.machine.lock();
        if !state.on || state.life != self.life {
            return Err(power_is_out());
        }
        let wrong = state.trip(self.name, call);
        let state = &mut *state;
        let file = state.files.get_mut(&self.file).unwrap();
        let Some(wrong) = wrong else { return Ok(good(file)) };
        bad(file, &mut state.random, wrong);
        if wrong == Wrong::PowerCut {
            state.cut_power();
        }
        Err(match wrong {
            Wrong::PowerCut => power_is_out(),
            Wrong::Full => io::ErrorKind::StorageFull.into(),
            Wrong::Broken => is_broken(),
        })
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        self.call(Call::Read, |file| file.memory.len() as u64, |_, _, _| {})
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let read = self.call(
            Call::Read,
            |file| {
                let bytes = file.memory.get(at..at + out.len());
                bytes.map(|bytes| file.is_good(at, bytes.len()).then(|| out.copy_from_slice(bytes)))
            },
            |_, _, _| {},
        )?;
        read.ok_or(io::ErrorKind::UnexpectedEof)?.ok_or_else(is_broken)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let change = Change::Length(usize::try_from(len).unwrap());
        let again = change.clone();
        self.call(
            Call::Length,
            |file| file.change(change),
            |file, _, wrong| {
                if wrong == Wrong::PowerCut {
                    file.change(again);
                }
            },
        )
    }

    fn sync_data(&self) -> io::Result<()> {
        drop(self.machine.hold_syncs());
        self.call(Call::Sync, File::sync, |file, random, wrong| {
            // Either it can be tried again, or what did not get there is taken for written.
            if wrong != Wrong::PowerCut && random.chance(70) {
                let odds = random.one_of(&[(100, 0), (0, 0), (50, 10)]);
                file.write_some(random, odds);
            }
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.call(
            Call::Write,
            |file| file.is_good(at, data.len()).then(|| file.change(Change::Write(at, data.to_vec()))),
            |file, random, wrong| {
                let written = if wrong == Wrong::PowerCut {
                    data.len() as u64
                } else {
                    random.below(data.len() as u64)
                };
                file.change(Change::Write(at, data[..usize::try_from(written).unwrap()].to_vec()));
            },
        )?
        .ok_or_else(is_broken)
    }

    fn close(&self) -> io::Result<()> {
        let mut state = self.machine.lock();
        if let Some(file) = state.files.get_mut(&self.file).filter(|file| file.holder == Some(self.id)) {
            file.holder = None;
        }
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        let mut state = self.machine.lock();
        let Some(file) = state.files.get_mut(&self.file) else { return Ok(false) };
        let holder = *file.holder.get_or_insert(self.id);
        Ok(holder == self.id)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

impl Machine {
    /// A handle on a file, which is there or is made.
    fn handle(&self, name: &str, make: bool) -> io::Result<Handle> {
        let mut state = self.lock();
        if !state.on {
            return Err(power_is_out());
        }
        if !state.names.contains_key(name) {
            if !make {
                return Err(io::ErrorKind::NotFound.into());
            }
            state.made += 1;
            let (before, made) = (state.names.clone(), state.made);
            state.names_before.push(before);
            state.names.insert(name.to_owned(), made);
            state.files.insert(made, File::default());
        }
        state.made += 1;
        let (id, life, file) = (state.made, state.life, state.names[name]);
        let opened = state.file(name);
        if opened.holder.is_none() {
            opened.forget_memory();
        }
        if !make && opened.memory.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let known = ["ledger.tail", "ledger.redb", "views"];
        let name = known.into_iter().find(|known| name.starts_with(known)).unwrap_or("ledger.redb");
        Ok(Handle { machine: self.clone(), file, name, life, id })
    }
}

impl Disk for Machine {
    fn open(&self, _: &Builder, name: &str, make: bool) -> Result<Database, DatabaseError> {
        let handle = self.handle(name, make).map_err(redb::StorageError::Io)?;
        let mut builder = Database::builder();
        builder.set_cache_size(if self.lock().forgetful { 0 } else { 32 << 20 });
        builder.create_with_backend(handle)
    }

    fn raw(&self, name: &str, make: bool) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(self.handle(name, make)?))
    }

    fn has(&self, name: &str) -> io::Result<bool> {
        let state = self.lock();
        if state.on { Ok(state.names.contains_key(name)) } else { Err(power_is_out()) }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        if !state.on {
            return Err(power_is_out());
        }
        let file = state.names.remove(from).unwrap();
        state.names.insert(to.to_owned(), file);
        state.names_before.clear();
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        if !state.on {
            return Err(power_is_out());
        }
        let before = state.names.clone();
        if state.names.remove(name).is_some() {
            state.names_before.push(before);
        }
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        Ok(self.lock().free)
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("simulated").join(name)
    }
}
