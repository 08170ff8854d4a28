//! Who may do what, and in which state.
//!
//! Promises: one table for roles and one for states; a teacher reaches only classes they teach, a
//! student only themselves, a device only scanning, a monitor only health. Whoever may not touch a
//! thing at all is refused before its state is told.
//!
//! Refuses: finding out who is asking, or looking the object up. Both are arguments.

use std::collections::BTreeSet;

use crate::campus::Class;
use crate::ids::{DeviceId, StudentId, UserId};
use crate::people::{Permission, Role, User};
use crate::refusal::Refusal;
use crate::session::{Meeting, SessionStatus};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The command line on the box itself.
    Cli,
    User {
        id: UserId,
        role: Role,
        permissions: BTreeSet<Permission>,
    },
    Device(DeviceId),
    /// Somebody at a QR page who has not signed in.
    Visitor,
}

/// Whose the object is, seen from the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// The caller's own: a class they teach, a session they hold, their own student record.
    Own,
    Other,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Everything that can be asked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $($(#[$doc])* $name),+ }

        impl Action {
            /// All of them, for the table in the documentation.
            pub const ALL: &[Action] = &[$(Action::$name),+];
        }
    };
}

actions! {
    SubmitScan,
    ReadSession,
    ReadRecords,
    CreateSession,
    EditSession,
    OpenSession,
    CloseSession,
    ReopenSession,
    LockSession,
    CancelSession,
    ReinstateSession,
    BindDevice,
    ShowQr,
    /// Write the first mark of a student in a session.
    Mark,
    /// Change a mark that is there.
    ChangeMark,
    DeleteRecord,
    MarkByQr,
    /// Use a student's QR token in their name.
    MarkByQrFor,
    AskSelfMark,
    AskLeave,
    AskCorrection,
    DecideSelfMark,
    DecideLeave,
    DecideCorrection,
    ResolveConflict,
    AssignUnmatched,
    ViewStatistics,
    ExportData,
    ReadClass,
    CreateOwnClass,
    EditClass,
    EditClassRoster,
    ManageRoster,
    ManageTimetable,
    ManageDevices,
    ManageBiometric,
    ManageUsers,
    ManageSettings,
    ReadAudit,
    DecidePrivacy,
    ReadOwnData,
    ManageUpstream,
    ReadHealth,
}

/// What a teacher needs, and whether it reaches beyond their own classes.
enum Teachers {
    Never,
    /// With this permission, for their own.
    Own(Permission),
    /// With this permission, for everything.
    Everywhere(Permission),
}

fn teachers(action: Action) -> Teachers {
    use Action as A;
    use Permission as P;
    match action {
        A::ReadSession | A::ReadRecords | A::ReadClass => Teachers::Own(P::ViewAttendance),
        A::Mark | A::ChangeMark | A::MarkByQrFor | A::ResolveConflict | A::AssignUnmatched => {
            Teachers::Own(P::MarkAttendance)
        }
        A::CreateSession
        | A::EditSession
        | A::OpenSession
        | A::CloseSession
        | A::ReopenSession
        | A::CancelSession
        | A::BindDevice
        | A::ShowQr
        | A::CreateOwnClass
        | A::EditClass
        | A::EditClassRoster => Teachers::Own(P::ManageSessions),
        A::DecideSelfMark | A::DecideLeave | A::DecideCorrection => Teachers::Own(P::ApproveCorrections),
        A::ViewStatistics => Teachers::Own(P::ViewStatistics),
        A::ExportData => Teachers::Own(P::ExportData),
        A::ManageRoster => Teachers::Everywhere(P::ManageRoster),
        A::ManageBiometric => Teachers::Everywhere(P::ManageBiometric),
        A::SubmitScan
        | A::LockSession
        | A::ReinstateSession
        | A::DeleteRecord
        | A::MarkByQr
        | A::AskSelfMark
        | A::AskLeave
        | A::AskCorrection
        | A::ManageTimetable
        | A::ManageDevices
        | A::ManageUsers
        | A::ManageSettings
        | A::ReadAudit
        | A::DecidePrivacy
        | A::ReadOwnData
        | A::ManageUpstream
        | A::ReadHealth => Teachers::Never,
    }
}

fn student_may(action: Action) -> bool {
    matches!(
        action,
        Action::ReadSession
            | Action::ReadRecords
            | Action::ReadClass
            | Action::MarkByQr
            | Action::AskSelfMark
            | Action::AskLeave
            | Action::AskCorrection
            | Action::ViewStatistics
            | Action::ReadOwnData
    )
}

/// Students ask for these for themselves; nobody can ask in their name.
fn only_for_oneself(action: Action) -> bool {
    matches!(
        action,
        Action::MarkByQr
            | Action::AskSelfMark
            | Action::AskLeave
            | Action::AskCorrection
            | Action::SubmitScan
    )
}

/// Whether the caller may do this at all, to an object that is theirs or another's.
pub fn may(caller: &Caller, action: Action, reach: Reach) -> bool {
    let own = reach == Reach::Own;
    match caller {
        Caller::Cli | Caller::User { role: Role::Admin, .. } => !only_for_oneself(action),
        Caller::Device(_) => own && matches!(action, Action::SubmitScan | Action::MarkByQrFor),
        Caller::Visitor => action == Action::MarkByQr,
        Caller::User { role: Role::Monitor, .. } => action == Action::ReadHealth,
        Caller::User { role: Role::Student, .. } => own && student_may(action),
        Caller::User { role: Role::Teacher, permissions, .. } => match teachers(action) {
            Teachers::Never => false,
            Teachers::Own(needed) => own && permissions.contains(&needed),
            Teachers::Everywhere(needed) => permissions.contains(&needed),
        },
    }
}

/// Whether this can be done to a session in this state, and by an admin only.
pub fn in_state(action: Action, status: SessionStatus, is_admin: bool) -> Result<(), Refusal> {
    use SessionStatus as S;
    let fits = match action {
        Action::SubmitScan => matches!(status, S::Scheduled | S::Open | S::Closed),
        Action::MarkByQr
        | Action::MarkByQrFor
        | Action::AskSelfMark
        | Action::Mark
        | Action::ShowQr
        | Action::CloseSession => status == S::Open,
        Action::OpenSession => status == S::Scheduled,
        Action::EditSession | Action::BindDevice | Action::CancelSession => {
            matches!(status, S::Scheduled | S::Open)
        }
        Action::ReopenSession => status == S::Closed,
        Action::LockSession => status == S::Closed && is_admin,
        Action::ReinstateSession => status == S::Cancelled && is_admin,
        Action::ChangeMark
        | Action::DecideLeave
        | Action::DecideCorrection
        | Action::DecideSelfMark
        | Action::ResolveConflict
        | Action::AssignUnmatched => {
            matches!(status, S::Open | S::Closed) || (status == S::Locked && is_admin)
        }
        Action::DeleteRecord => matches!(status, S::Open | S::Closed | S::Locked) && is_admin,
        Action::AskCorrection => matches!(status, S::Closed | S::Locked),
        // Everything else does not depend on a session's state.
        _ => true,
    };
    if fits { Ok(()) } else { Err(why_not(action, status)) }
}

fn why_not(action: Action, status: SessionStatus) -> Refusal {
    let marks = matches!(
        action,
        Action::SubmitScan
            | Action::MarkByQr
            | Action::MarkByQrFor
            | Action::AskSelfMark
            | Action::Mark
            | Action::ChangeMark
    );
    match status {
        _ if action == Action::Mark => Refusal::SessionNotOpen(status),
        SessionStatus::Locked => Refusal::SessionLocked,
        _ if marks => Refusal::SessionNotOpen(status),
        _ => Refusal::WrongState(status),
    }
}

/// Whose a class is, seen from a signed-in user.
pub fn reach_of_class(user: &User, class: &Class) -> Reach {
    own_if(user.teacher.is_some_and(|teacher| class.is_taught_by(teacher)))
}

/// Whose a meeting is: the class's teachers' and that of who holds it in their place.
pub fn reach_of_meeting(user: &User, class: &Class, meeting: &Meeting) -> Reach {
    let holds = user.teacher == Some(meeting.teacher);
    own_if(holds || reach_of_class(user, class) == Reach::Own)
}

/// Whose a student's matter is.
pub fn reach_of_student(user: &User, student: StudentId) -> Reach {
    own_if(user.student == Some(student))
}

/// Whose a leave is to decide: a teacher's if it is for a class they teach; leave from all classes reaches
/// beyond any one teacher.
pub fn reach_of_leave(user: &User, class: Option<&Class>) -> Reach {
    class.map_or(Reach::Other, |class| reach_of_class(user, class))
}

fn own_if(own: bool) -> Reach {
    if own { Reach::Own } else { Reach::Other }
}

/// Both tables at once, for an action on a session.
pub fn check(caller: &Caller, action: Action, reach: Reach, status: SessionStatus) -> Result<(), Refusal> {
    if !may(caller, action, reach) {
        return Err(Refusal::Forbidden);
    }
    let is_admin = matches!(caller, Caller::Cli | Caller::User { role: Role::Admin, .. });
    in_state(action, status, is_admin)
}
