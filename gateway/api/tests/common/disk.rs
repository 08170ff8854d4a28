//! A disk that can be told to fail: the name of a ledger leads to a file in memory, which can be sealed.
//!
//! Promises: what was written before it failed is there when it is mended.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

pub struct Disk {
    file: PathBuf,
    memory: File,
}

impl Disk {
    /// Takes over the ledger of this folder, whose store is closed.
    pub fn under(folder: &Path) -> Self {
        let memory: File =
            memfd_create("ledger", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap().into();
        let disk = Disk { file: folder.join("ledger.redb"), memory };
        fs::copy(&disk.file, disk.memory_path()).unwrap();
        fs::remove_file(&disk.file).unwrap();
        symlink(disk.memory_path(), &disk.file).unwrap();
        disk
    }

    /// Also for a gateway that is a process of its own.
    fn memory_path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.memory.as_raw_fd())
    }

    /// From now on nothing can be written.
    pub fn fail(&self) {
        fcntl_add_seals(&self.memory, SealFlags::WRITE | SealFlags::GROW).unwrap();
    }

    /// It can be written again.
    pub fn mend(&self) {
        let next = self.file.with_extension("next");
        fs::copy(self.memory_path(), &next).unwrap();
        fs::rename(next, &self.file).unwrap();
    }
}
