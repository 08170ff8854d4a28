//! What can go wrong with the files.

use std::path::PathBuf;

use thiserror::Error;

use crate::keys::Fingerprint;

#[derive(Debug, Error)]
pub enum StoreError {
    #[error(
        "cannot open {path}: {why}; check that the folder belongs to this user and no other gateway uses it"
    )]
    Open { path: PathBuf, why: Box<redb::Error> },
    #[error("the store cannot be read or written: {0}")]
    Engine(Box<redb::Error>),
    #[error(
        "entry {seq} of the ledger is damaged ({what}); restore a backup, or run rollcall verify for details"
    )]
    Damaged { seq: u64, what: &'static str },
    #[error(
        "entry {seq} of the ledger does not follow the one before it: it was changed from outside, or its key is not this one"
    )]
    Chain { seq: u64 },
    #[error("the ledger has no entry {seq}, but later ones; restore a backup")]
    Hole { seq: u64 },
    #[error("the ledger ends before entry {seq}, which was in it: bring the file back that was there")]
    Lost { seq: u64 },
    #[error(
        "a row of the register ({table}) is damaged, or was put there from somewhere else; restore a backup"
    )]
    Row { table: String },
    #[error(
        "the ledger is sealed with another key, whose fingerprint is {wanted}; put that key back, or name it as the one that was replaced"
    )]
    OtherKey { wanted: Fingerprint },
    #[error("the ledger's row of keys is missing or damaged; restore a backup")]
    Keys,
    #[error("a value is too long to be sealed")]
    Sealing,
    #[error("the machine gives no random bytes: {0}")]
    Random(getrandom::Error),
    #[error(
        "the ledger was written by a newer version (format {found}, this one knows up to {known}); install that version again"
    )]
    Newer { found: u8, known: u8 },
    #[error("cannot encode an entry: {0}")]
    Encode(postcard::Error),
    #[error("the store is being reopened after a failure; try again in a moment")]
    Down,
    #[error("a row of the views is damaged; they are being made anew")]
    DamagedViews,
    #[error("the views have stopped following the ledger; restart the gateway")]
    Views,
    #[error("the evidence is damaged")]
    DamagedEvidence,
    #[error("the file holds something else, or was written by another version")]
    NotEvidence,
    #[error("cannot start a thread of the store: {0}")]
    Thread(std::io::Error),
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        StoreError::Engine(Box::new(error.into()))
    }
}
