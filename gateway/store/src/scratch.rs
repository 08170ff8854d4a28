//! A file for views that are made, read and thrown away, beside the others.
//!
//! Promises: it is never taken for the views of the store, and what was left of an earlier one is not gone
//! on from.
//!
//! Refuses: lasting. Nobody needs it after a restart.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use redb::{Builder, Database, DatabaseError, StorageBackend};

use crate::disk::{Disk, Place};
use crate::error::StoreError;

const PREFIX: &str = "checkpoint.";
const FILE: &str = "views.redb";

/// The same disk, on which every file has another name.
struct Scratch(Arc<dyn Disk>);

fn named(file: &str) -> String {
    format!("{PREFIX}{file}")
}

impl Disk for Scratch {
    fn open(&self, builder: &Builder, file: &str, make: bool) -> Result<Database, DatabaseError> {
        self.0.open(builder, &named(file), make)
    }

    fn raw(&self, file: &str, make: bool) -> io::Result<Box<dyn StorageBackend>> {
        self.0.raw(&named(file), make)
    }

    fn has(&self, file: &str) -> io::Result<bool> {
        self.0.has(&named(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(&named(from), &named(to))
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        self.0.remove(&named(file))
    }

    fn free(&self) -> io::Result<u64> {
        self.0.free()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path(&named(file))
    }
}

/// Where nothing is yet.
pub(crate) fn of(place: &Place) -> Result<Place, StoreError> {
    remove(place)?;
    Ok(Place { disk: Arc::new(Scratch(Arc::clone(&place.disk))), ..place.clone() })
}

/// Throws it away, if it is there.
pub(crate) fn remove(place: &Place) -> Result<(), StoreError> {
    Ok(place.disk.remove(&named(FILE)).map_err(redb::Error::Io)?)
}
