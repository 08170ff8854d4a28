//! A disk that can be told to fail: the names of a ledger's files lead to files in memory, which can be sealed.
//!
//! Promises: what was written before it failed is there when it is mended.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// How long a tail is that a store does not make anew.
const TAIL: u64 = 8 << 20;

pub struct Disk(Vec<(PathBuf, File)>);

impl Disk {
    /// Takes over the ledger of this folder, whose store is closed.
    pub fn under(folder: &Path) -> Self {
        let files = ["ledger.redb", "ledger.tail"].map(|name| {
            let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
            let (file, memory): (_, File) = (folder.join(name), memfd_create(name, flags).unwrap().into());
            if file.exists() {
                fs::copy(&file, path_of(&memory)).unwrap();
                fs::remove_file(&file).unwrap();
            } else {
                // A tail is made with the first entry.
                memory.set_len(TAIL).unwrap();
            }
            symlink(path_of(&memory), &file).unwrap();
            (file, memory)
        });
        Disk(files.into())
    }

    /// From now on nothing can be written.
    pub fn fail(&self) {
        for (_, memory) in &self.0 {
            fcntl_add_seals(memory, SealFlags::WRITE | SealFlags::GROW).unwrap();
        }
    }

    /// It can be written again.
    pub fn mend(&self) {
        // The ledger last: when it can be opened, all is there.
        for (file, memory) in self.0.iter().rev() {
            let next = file.with_extension("next");
            fs::copy(path_of(memory), &next).unwrap();
            fs::rename(next, file).unwrap();
        }
    }
}

/// Also for a gateway that is a process of its own.
fn path_of(memory: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd())
}
