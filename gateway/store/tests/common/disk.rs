//! A disk that can be told to fail: the name of the ledger, or of another file, leads to a file in memory,
//! which can be sealed.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

pub struct Disk {
    folder: tempfile::TempDir,
    memory: File,
    name: &'static str,
}

impl Disk {
    pub fn new() -> Self {
        Disk::of("ledger.redb")
    }

    /// With this file on it.
    pub fn of(name: &'static str) -> Self {
        let memory = memfd_create("ledger", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap().into();
        let disk = Disk { folder: tempfile::tempdir().unwrap(), memory, name };
        if name == "ledger.redb" {
            // A ledger is not made in a file that is there already.
            let made = tempfile::tempdir().unwrap();
            super::make(made.path());
            disk.write_from(made.path());
        }
        symlink(disk.memory_path(), disk.file()).unwrap();
        disk
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    fn memory_path(&self) -> String {
        format!("/proc/self/fd/{}", self.memory.as_raw_fd())
    }

    /// The ledger in this folder is what is on the disk.
    pub fn write_from(&self, folder: &Path) {
        fs::copy(folder.join("ledger.redb"), self.memory_path()).unwrap();
    }

    /// From now on nothing can be written.
    pub fn fail(&self) {
        fcntl_add_seals(&self.memory, SealFlags::WRITE | SealFlags::GROW).unwrap();
    }

    /// From now on the file cannot even be opened.
    pub fn pull_out(&self) {
        fs::remove_file(self.file()).unwrap();
    }

    /// What is on the disk now.
    pub fn copy_to(&self, folder: &Path) {
        fs::copy(self.memory_path(), folder.join(self.name)).unwrap();
    }

    /// The file can be written again; it is the one in this folder.
    pub fn put_in(&self, folder: &Path) {
        let next = self.folder.path().join("next");
        symlink(folder.join(self.name), &next).unwrap();
        fs::rename(next, self.file()).unwrap();
    }
}
