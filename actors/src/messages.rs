//! What can be said to the actors, and what they answer.
//!
//! Promises: every message is a named struct with a typed answer.

use std::sync::Arc;

use actix::Message;
use rollcall_domain::Refusal;
use rollcall_domain::decide::marking::Wish;
use rollcall_domain::event::{Actor as By, Entry};
use rollcall_domain::ids::{DeviceId, Seq, SessionId, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_domain::people::Personal;
use rollcall_domain::record::Standing;
use rollcall_domain::session::{Meeting, Session, SessionStatus};
use thiserror::Error;
use tokio::sync::mpsc;

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommandError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("there is no such session")]
    NoSuchSession,
    #[error("the store cannot write now; try again in a moment")]
    StorageUnavailable,
    #[error("the gateway is busy; try again in a moment")]
    Busy,
}

/// What a command came to: the last sequence it wrote, to wait for before reading; nothing if there
/// was nothing to do.
pub type CommandResult = Result<Option<Seq>, CommandError>;

/// Something a person does to a session.
#[derive(Debug, Clone, Message)]
#[rtype(result = "CommandResult")]
pub struct Command {
    pub session: SessionId,
    pub by: By,
    pub deed: Deed,
    /// What was said with it: reasons, notes; for the register.
    pub texts: Vec<Personal>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    Open,
    Close,
    Reopen,
    Mark(Wish),
    Bind(DeviceId),
    Unbind(DeviceId),
}

/// Asks to be told of everything that happens to a session. The first frame is a snapshot.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), CommandError>")]
pub struct Watch {
    pub session: SessionId,
    pub to: mpsc::Sender<Frame>,
}

/// What a watcher gets.
#[derive(Debug, Clone)]
pub enum Frame {
    Snapshot(Arc<Snapshot>),
    Delta(Arc<Delta>),
}

/// A session as it stands on disk, with everyone who belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub seq: Seq,
    pub meeting: Meeting,
    pub counts: Counts,
    pub rows: Vec<Row>,
}

/// One student of a session, and their mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub student: StudentId,
    pub code: String,
    pub name: String,
    pub standing: Option<Standing>,
}

/// How many of each mark; `total` are all who belong to the session, marked or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub present: u32,
    pub late: u32,
    pub absent: u32,
    pub excused: u32,
    pub permission: u32,
    pub total: u32,
}

impl Counts {
    /// The marks of these students in a session.
    pub fn of(session: &Session, students: impl IntoIterator<Item = StudentId>) -> Self {
        let mut counts = Counts::default();
        for student in students {
            counts.total = counts.total.saturating_add(1);
            let Some(standing) = session.standing(student) else { continue };
            let count = match standing.mark {
                Mark::Present => &mut counts.present,
                Mark::Late => &mut counts.late,
                Mark::Absent => &mut counts.absent,
                Mark::Excused => &mut counts.excused,
                Mark::Permission => &mut counts.permission,
            };
            *count = count.saturating_add(1);
        }
        counts
    }
}

/// Something that happened and is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The sequence of the frame before this one.
    pub prev: Seq,
    pub entry: Entry,
    pub status: SessionStatus,
    pub counts: Counts,
    /// The student it is about, if it is about one.
    pub row: Option<Row>,
}
