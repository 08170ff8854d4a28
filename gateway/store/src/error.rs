//! What can go wrong with the files.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::keys::Fingerprint;

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("cannot open {path}: {why}; check that the folder is there and belongs to this user")]
    Open { path: PathBuf, why: Box<redb::Error> },
    #[error("{path} is in use: stop the gateway or the rollcall command that has it open, then try again")]
    InUse { path: PathBuf },
    #[error("{path} is damaged or was cut short ({why}): keep it, and restore a backup")]
    NotWhole { path: PathBuf, why: Box<redb::Error> },
    #[error(
        "{path} was written by another version of the storage engine ({why}); install that version again"
    )]
    OtherEngine { path: PathBuf, why: Box<redb::Error> },
    #[error("the store cannot be read or written: {0}")]
    Engine(Box<redb::Error>),
    #[error("{path} is damaged: {what}")]
    Broken { path: PathBuf, what: String },
    #[error(
        "entry {seq} of the ledger is damaged ({what}): start the gateway anew, which keeps all that is intact and names what is lost, and look after the disk and your backups"
    )]
    Damaged { seq: u64, what: &'static str },
    #[error(
        "entry {seq} of the ledger does not follow the one before it: it was changed from outside, or its key is not this one"
    )]
    Chain { seq: u64 },
    #[error(
        "none of the {found} entries found in the damaged ledger can be proven with this key: bring the key back that it was written with, or restore a backup"
    )]
    NothingProven { found: usize },
    #[error("entry {seq} of the ledger is forgotten: it was older than entries are kept")]
    Forgotten { seq: u64 },
    #[error(
        "what the ledger begins with after its forgotten entry {seq} is damaged, in both its copies; restore a backup"
    )]
    Checkpoint { seq: u64 },
    #[error(
        "the ledger has no entry {seq}, but later ones: start the gateway anew, which keeps all that is intact and names what is lost, and look after the disk and your backups"
    )]
    Hole { seq: u64 },
    #[error("the ledger ends before entry {seq}, which was in it: bring the file back that was there")]
    Lost { seq: u64 },
    #[error(
        "{path} is gone, and {beside} tells that it had entries: bring the file back that was there, or restore a backup; to begin an empty ledger, move {beside} somewhere else"
    )]
    Gone { path: PathBuf, beside: PathBuf },
    #[error(
        "{path} is empty, which no ledger ever is: bring the file back that was there, or restore a backup"
    )]
    Empty { path: PathBuf },
    #[error("the backup {path} cannot be made or used: {what}")]
    Backup { path: PathBuf, what: String },
    #[error(
        "there is no sealing key, and the backup {path} does not hold it: bring the key back that the ledger was written with"
    )]
    NoKey { path: PathBuf },
    #[error("{path} is there already: to replace it, say --force (it is kept under another name)")]
    IsThere { path: PathBuf },
    #[error(
        "a row of the register ({table}) is damaged, or was put there from somewhere else; restore a backup"
    )]
    Row { table: String },
    #[error(
        "the ledger is sealed with another key, whose fingerprint is {wanted}; put that key back, or name it with store.replaced_key_file"
    )]
    OtherKey { wanted: Fingerprint },
    #[error("the ledger's row of keys is missing or damaged; restore a backup")]
    Keys,
    #[error("a value is too long to be sealed")]
    Sealing,
    #[error("the machine gives no random bytes: {0}")]
    Random(getrandom::Error),
    #[error(
        "the ledger ends before entry {seq}, which the views have seen: bring the file back that was there, or, to go on with this one, delete views.redb"
    )]
    Short { seq: u64 },
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
    #[error("the views cannot be read; they are being opened again")]
    UnreadableViews,
    #[error("the evidence is damaged")]
    DamagedEvidence,
    #[error("the file holds something else, or was written by another version")]
    NotEvidence,
    #[error("it was ended before it was through")]
    Ended,
    #[error("a part of the store panicked; it is opened anew, please report this")]
    Panicked,
    #[error("cannot start a thread of the store: {0}")]
    Thread(io::Error),
}

impl StoreError {
    pub(crate) fn opening(path: PathBuf, why: redb::Error) -> Self {
        match &why {
            redb::Error::DatabaseAlreadyOpen => StoreError::InUse { path },
            redb::Error::UpgradeRequired(_) => StoreError::OtherEngine { path, why: Box::new(why) },
            redb::Error::Corrupted(_) => StoreError::NotWhole { path, why: Box::new(why) },
            redb::Error::Io(error) if is_content(error) => StoreError::NotWhole { path, why: Box::new(why) },
            _ => StoreError::Open { path, why: Box::new(why) },
        }
    }

    /// Whether it is what lies in the file that is wrong, not the disk, the key, or who has it open.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            StoreError::NotWhole { .. }
            | StoreError::Broken { .. }
            | StoreError::Damaged { .. }
            | StoreError::Hole { .. }
            | StoreError::OtherEngine { .. }
            | StoreError::DamagedViews
            | StoreError::Panicked => true,
            StoreError::Engine(error) => match &**error {
                redb::Error::Io(error) => is_content(error),
                redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::DatabaseAlreadyOpen => {
                    false
                }
                _ => true,
            },
            _ => false,
        }
    }

    /// Whether it may be gone when it is tried again: the disk refused, or the file is not open.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            StoreError::Down => true,
            StoreError::Engine(error) => match &**error {
                redb::Error::Io(error) => !is_content(error),
                redb::Error::PreviousIo | redb::Error::DatabaseClosed => true,
                _ => false,
            },
            _ => false,
        }
    }
}

/// What reading a file that is not whole, or not a database, comes to.
fn is_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        StoreError::Engine(Box::new(error.into()))
    }
}
