//! Who may do what, as one table each for roles and for states. The golden files are the tables.

#![allow(clippy::unwrap_used, reason = "a table that cannot be made should fail loudly")]

use std::collections::BTreeSet;

use rollcall_domain::ids::{DeviceId, UserId};
use rollcall_domain::people::{Permission, Role};
use rollcall_domain::permission::{Action, Caller, Reach, check, in_state, may};
use rollcall_domain::session::SessionStatus;

fn user(role: Role, permissions: BTreeSet<Permission>) -> Caller {
    Caller::User { id: UserId(1), role, permissions }
}

fn callers() -> Vec<(&'static str, Caller)> {
    vec![
        ("admin", user(Role::Admin, BTreeSet::new())),
        ("teacher", user(Role::Teacher, Permission::teachers_start())),
        ("all-rights", user(Role::Teacher, Permission::ALL.into())),
        ("no-rights", user(Role::Teacher, BTreeSet::new())),
        ("student", user(Role::Student, Permission::ALL.into())),
        ("monitor", user(Role::Monitor, Permission::ALL.into())),
        ("device", Caller::Device(DeviceId::parse("gate").unwrap())),
        ("visitor", Caller::Visitor),
        ("cli", Caller::Cli),
    ]
}

#[test]
fn roles() {
    let callers = callers();
    let mut table = format!("{:18}", "own / another's");
    callers.iter().for_each(|(name, _)| table.push_str(&format!("{name:>12}")));
    for action in Action::ALL {
        table.push_str(&format!("\n{:18}", format!("{action:?}")));
        for (_, caller) in &callers {
            let word = match (may(caller, *action, Reach::Own), may(caller, *action, Reach::Other)) {
                (true, true) => "yes",
                (true, false) => "own",
                (false, true) => "WRONG",
                (false, false) => "-",
            };
            table.push_str(&format!("{word:>12}"));
        }
    }
    insta::assert_snapshot!(table);
}

const STATES: [SessionStatus; 5] = [
    SessionStatus::Scheduled,
    SessionStatus::Open,
    SessionStatus::Closed,
    SessionStatus::Locked,
    SessionStatus::Cancelled,
];

#[test]
fn states() {
    let mut table = format!("{:18}", "");
    STATES.iter().for_each(|status| table.push_str(&format!("{:>18}", status.word())));
    for action in Action::ALL {
        let all =
            STATES.map(|status| match (in_state(*action, status, false), in_state(*action, status, true)) {
                (Ok(()), _) => "yes".to_owned(),
                (Err(_), Ok(())) => "admin".to_owned(),
                (Err(refusal), Err(_)) => refusal.code().to_owned(),
            });
        // What does not depend on a session's state is not in this table.
        if all.iter().any(|word| word != "yes") {
            table.push_str(&format!("\n{:18}", format!("{action:?}")));
            all.iter().for_each(|word| table.push_str(&format!("{word:>18}")));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn who_may_not_touch_a_session_is_not_told_its_state() {
    let teacher = user(Role::Teacher, Permission::teachers_start());
    for status in STATES {
        let refusal = check(&teacher, Action::CloseSession, Reach::Other, status).unwrap_err();
        assert_eq!(refusal.code(), "forbidden", "{status:?}");
    }
    assert_eq!(check(&teacher, Action::CloseSession, Reach::Own, SessionStatus::Open), Ok(()));
}
