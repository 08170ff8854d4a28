//! One file of the simulated disk: what is on it, what is only written, and what is read.

use std::ops::Range;

use super::random::Random;

const SECTOR: usize = 512;

#[derive(Debug, Clone)]
pub enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Clone, Default)]
pub struct File {
    pub disk: Vec<u8>,
    /// Since the last sync.
    pub changes: Vec<Change>,
    /// What is read.
    pub memory: Vec<u8>,
    pub holder: Option<u64>,
    pub changed: u64,
    /// Parts of the disk that give and take nothing.
    pub bad: Vec<Range<usize>>,
}

impl File {
    /// Writes what was not synced to the disk, with these odds of a hundred for each change to get there
    /// whole, or in part.
    pub fn write_some(&mut self, random: &mut Random, (whole, torn): (u64, u64)) {
        for change in std::mem::take(&mut self.changes) {
            let lot = random.below(100);
            match change {
                Change::Length(length) if lot < whole + torn / 2 => self.disk.resize(length, 0),
                Change::Write(at, bytes) if lot < whole => put(&mut self.disk, at, &bytes),
                Change::Write(at, bytes) if lot < whole + torn => {
                    for (i, sector) in bytes.chunks(SECTOR).enumerate() {
                        if random.chance(50) {
                            put(&mut self.disk, at + i * SECTOR, sector);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether the disk gives and takes so many bytes there.
    pub fn is_good(&self, at: usize, length: usize) -> bool {
        self.bad.iter().all(|bad| at >= bad.end || at + length <= bad.start)
    }

    /// Everything gets to the disk.
    pub fn sync(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            match change {
                Change::Write(at, bytes) => put(&mut self.disk, at, &bytes),
                Change::Length(length) => self.disk.resize(length, 0),
            }
        }
    }

    pub fn change(&mut self, change: Change) {
        self.changed += 1;
        match &change {
            Change::Write(at, bytes) => put(&mut self.memory, *at, bytes),
            Change::Length(length) => self.memory.resize(*length, 0),
        }
        self.changes.push(change);
    }

    /// What memory alone has is not read again.
    pub fn forget_memory(&mut self) {
        self.memory.clone_from(&self.disk);
        for change in std::mem::take(&mut self.changes) {
            self.change(change);
        }
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}
