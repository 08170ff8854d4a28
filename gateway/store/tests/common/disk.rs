//! A disk that can be told to fail: the names of the ledger's files, or of another one, lead to files in memory,
//! which can be sealed.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

const LEDGER: [&str; 2] = ["ledger.redb", "ledger.tail"];
/// How long a tail is that a store does not make anew.
const TAIL: u64 = 8 << 20;

pub struct Disk {
    folder: tempfile::TempDir,
    files: Vec<(&'static str, File)>,
}

impl Disk {
    pub fn new() -> Self {
        let disk = Disk::with(&LEDGER);
        // A ledger is not made in a file that is there already.
        let made = tempfile::tempdir().unwrap();
        super::make(made.path());
        disk.write_from(made.path());
        disk.files
            .iter()
            .filter(|(name, _)| *name == LEDGER[1])
            .for_each(|(_, tail)| tail.set_len(TAIL).unwrap());
        disk
    }

    /// With this file on it.
    pub fn of(name: &'static str) -> Self {
        Disk::with(&[name])
    }

    fn with(names: &[&'static str]) -> Self {
        let memory =
            |name| memfd_create(name, MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap().into();
        let files = names.iter().map(|name| (*name, memory(*name))).collect();
        let disk = Disk { folder: tempfile::tempdir().unwrap(), files };
        for (name, memory) in &disk.files {
            symlink(path_of(memory), disk.file(name)).unwrap();
        }
        disk
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What lies in this folder is what is on the disk.
    pub fn write_from(&self, folder: &Path) {
        for (name, memory) in &self.files {
            if folder.join(name).exists() {
                fs::copy(folder.join(name), path_of(memory)).unwrap();
            }
        }
    }

    /// From now on nothing can be written.
    pub fn fail(&self) {
        for (_, memory) in &self.files {
            fcntl_add_seals(memory, SealFlags::WRITE | SealFlags::GROW).unwrap();
        }
    }

    /// From now on the files cannot even be opened.
    pub fn pull_out(&self) {
        self.files.iter().for_each(|(name, _)| fs::remove_file(self.file(name)).unwrap());
    }

    /// What is on the disk now.
    pub fn copy_to(&self, folder: &Path) {
        for (name, memory) in &self.files {
            fs::copy(path_of(memory), folder.join(name)).unwrap();
        }
    }

    /// The files can be written again; they are those in this folder.
    pub fn put_in(&self, folder: &Path) {
        let next = self.folder.path().join("next");
        // The ledger last: when it can be opened, all is there.
        for (name, _) in self.files.iter().rev() {
            symlink(folder.join(name), &next).unwrap();
            fs::rename(&next, self.file(name)).unwrap();
        }
    }
}

fn path_of(memory: &File) -> String {
    format!("/proc/self/fd/{}", memory.as_raw_fd())
}
