//! The first account.
//!
//! Promises: a campus without any account gets `admin`, once; its password comes from
//! `ROLLCALL_ADMIN_PASSWORD`, or is made up and told once: on the terminal, or in `admin-password` in the
//! data folder, for this user alone.
//!
//! Refuses: changing an account that is there.

use std::io::IsTerminal as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use rollcall_api::hash_password;
use rollcall_domain::campus::Item;
use rollcall_domain::code::{KeyKind, Pseudonyms};
use rollcall_domain::event::{AccountEvent, Actor, CampusEvent, Event, NewEvent};
use rollcall_domain::ids::UserId;
use rollcall_domain::people::{Personal, Role, User, UserDetails};
use rollcall_store::{Credential, Store};

use super::{ledger, random};
use crate::{output, private_file};

const NAME: &str = "admin";
const FILE: &str = "admin-password";

/// Makes the account if there is none.
pub(crate) async fn ensure(
    store: &Store,
    pseudonyms: &Pseudonyms,
    data: &Path,
    given: Option<&str>,
) -> Result<()> {
    let (none, id) = {
        let now = store.views().now();
        (now.campus.users.is_empty(), now.next_number(UserId::PREFIX))
    };
    if !none {
        return Ok(());
    }
    let password = match given {
        Some(password) => password.to_owned(),
        None => random::password()?,
    };
    // Told before it is written: a password that nobody knows would lock everybody out.
    if given.is_none() {
        tell(data, &password)?;
    }
    create(store, pseudonyms, UserId(id), Role::Admin, NAME, &password).await
}

/// Writes an account and its password.
pub(crate) async fn create(
    store: &Store,
    pseudonyms: &Pseudonyms,
    id: UserId,
    role: Role,
    name: &str,
    password: &str,
) -> Result<()> {
    let username = pseudonyms.key(KeyKind::Username, name);
    let permissions = std::collections::BTreeSet::new();
    let user = User { id, username, role, teacher: None, student: None, permissions, active: true };
    let details = UserDetails { username: name.to_owned(), email: None };
    let put = NewEvent {
        by: Actor::Gateway,
        event: Event::Campus(CampusEvent::Put(Box::new(Item::User(user)))),
        personal: vec![Personal::User(id, details)],
    };
    let (events, credentials) = with_password(id, password)?;
    ledger::write(store, [vec![put], events].concat(), credentials).await
}

/// The event and the hash of a password that was set.
pub(crate) fn with_password(user: UserId, password: &str) -> Result<(Vec<NewEvent>, Vec<Credential>)> {
    let hash = hash_password(password).context("cannot hash the password")?;
    let event = Event::Account(AccountEvent::PasswordSet { user });
    let set = NewEvent { by: Actor::Gateway, event, personal: Vec::new() };
    Ok((vec![set], vec![Credential::Password { user, hash }]))
}

fn tell(data: &Path, password: &str) -> Result<()> {
    if std::io::stdout().is_terminal() {
        let line = format!("first start: sign in as {NAME} with the password {password}\n");
        return output::print(&line).context("cannot show the first password");
    }
    let path = data.join(FILE);
    let shown = path.display();
    private_file::write(&path, format!("{password}\n").as_bytes())
        .with_context(|| format!("cannot write the first password to {shown}"))?;
    tracing::info!(file = %shown, "first start: the account admin has its one-time password in this file");
    Ok(())
}
