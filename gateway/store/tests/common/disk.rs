//! A disk that can be told to fail: the ledger's name leads to a file in memory, which can be sealed.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

pub struct Disk {
    folder: tempfile::TempDir,
    memory: File,
}

impl Disk {
    pub fn new() -> Self {
        let memory = memfd_create("ledger", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap().into();
        let disk = Disk { folder: tempfile::tempdir().unwrap(), memory };
        symlink(disk.memory_path(), disk.ledger()).unwrap();
        disk
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger.redb")
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

    /// From now on the ledger cannot even be opened.
    pub fn pull_out(&self) {
        fs::remove_file(self.ledger()).unwrap();
    }

    /// What is on the disk now.
    pub fn copy_to(&self, folder: &Path) {
        fs::copy(self.memory_path(), folder.join("ledger.redb")).unwrap();
    }

    /// The ledger can be written again; it is the one in this folder.
    pub fn put_in(&self, folder: &Path) {
        let next = self.folder.path().join("next");
        symlink(folder.join("ledger.redb"), &next).unwrap();
        fs::rename(next, self.ledger()).unwrap();
    }
}
