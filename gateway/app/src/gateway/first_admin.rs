//! The first account.
//!
//! Promises: a campus without any account gets `admin`, once; its password comes from
//! `ROLLCALL_ADMIN_PASSWORD`, or is made up and told once: on the terminal, after everything else that a
//! start says, or in `admin-password` in the data folder, for this user alone; none is told where the account
//! cannot be written.
//!
//! Refuses: changing an account that is there.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use rollcall_api::hash_password;
use rollcall_domain::campus::Item;
use rollcall_domain::code::{KeyKind, Pseudonyms};
use rollcall_domain::event::{AccountEvent, Actor, CampusEvent, Event, NewEvent};
use rollcall_domain::ids::UserId;
use rollcall_domain::people::{Personal, Role, User, UserDetails};
use rollcall_domain::ports::{Health, HealthSource as _};
use rollcall_store::{Credential, Store};

use super::{ledger, random};
use crate::{output, private_file};

const NAME: &str = "admin";
const FILE: &str = "admin-password";

/// Makes the account if there is none, unless its password is to be shown on the terminal: then that is
/// still to be done, by [`introduce`], and the answer is true.
pub(crate) async fn ensure(
    store: &Store,
    pseudonyms: &Pseudonyms,
    data: &Path,
    given: Option<&str>,
) -> Result<bool> {
    if !store.views().now().campus.users.is_empty() {
        return Ok(false);
    }
    if let Health::Down { reason } = store.health() {
        return Err(anyhow!(reason));
    }
    let (password, kept) = match given {
        Some(password) => (password.to_owned(), None),
        None if std::io::stdout().is_terminal() => return Ok(true),
        None => {
            let password = random::password()?;
            // Told before it is written: a password that nobody knows would lock everybody out.
            let kept = keep(data, &password)?;
            (password, Some(kept))
        }
    };
    let (events, credentials) = account(store, pseudonyms, &password)?;
    ledger::write(store, events, credentials).await?;
    if let Some(file) = kept {
        tracing::info!(file = %file.display(), "first start: the account admin has its first password in this file");
    }
    Ok(false)
}

/// Makes the account and shows its password, as the last thing of a start, so that no log line pushes it
/// out of sight.
pub(crate) async fn introduce(store: &Store, pseudonyms: &Pseudonyms, http: SocketAddr) -> Result<()> {
    let password = random::password()?;
    let (events, credentials) = account(store, pseudonyms, &password)?;
    let line = format!(
        "\nfirst start: sign in at {} as {NAME} with the first password {password}\nIt is shown this once; keep it.\n",
        url(http)
    );
    // Before it is written, as in a file.
    output::print(&line).context("cannot show the first password")?;
    ledger::write(store, events, credentials).await
}

/// An address that leads there from this machine.
fn url(listen: SocketAddr) -> String {
    let mut address = listen;
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}/")
}

/// The account and its password, to be written.
fn account(
    store: &Store,
    pseudonyms: &Pseudonyms,
    password: &str,
) -> Result<(Vec<NewEvent>, Vec<Credential>)> {
    let id = UserId(store.views().now().next_number(UserId::PREFIX));
    let user = User {
        id,
        username: pseudonyms.key(KeyKind::Username, NAME),
        role: Role::Admin,
        teacher: None,
        student: None,
        permissions: BTreeSet::new(),
        active: true,
    };
    let details = UserDetails { username: NAME.to_owned(), email: None };
    let put = NewEvent {
        by: Actor::Gateway,
        event: Event::Campus(CampusEvent::Put(Box::new(Item::User(user)))),
        personal: vec![Personal::User(id, details)],
    };
    let (events, credentials) = with_password(id, password)?;
    Ok(([vec![put], events].concat(), credentials))
}

/// The event and the hash of a password that was set.
pub(crate) fn with_password(user: UserId, password: &str) -> Result<(Vec<NewEvent>, Vec<Credential>)> {
    let hash = hash_password(password).context("cannot hash the password")?;
    let event = Event::Account(AccountEvent::PasswordSet { user });
    let set = NewEvent { by: Actor::Gateway, event, personal: Vec::new() };
    Ok((vec![set], vec![Credential::Password { user, hash }]))
}

fn keep(data: &Path, password: &str) -> Result<PathBuf> {
    let path = data.join(FILE);
    private_file::write(&path, format!("{password}\n").as_bytes())
        .with_context(|| format!("cannot write the first password to {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rollcall_store::{Place, RootKey};

    use super::*;
    use crate::clock::RealClock;

    #[tokio::test]
    async fn on_a_disk_that_is_too_full_no_password_is_told_and_the_reason_is_all_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::from(folder.path()).keeping_free(u64::MAX);
        let key = RootKey::new([7; RootKey::BYTES]);
        let store = Store::open(place, key, Arc::new(RealClock::new()), Box::new(|_| {})).unwrap();
        let error = ensure(&store, &store.pseudonyms(), folder.path(), None).await.unwrap_err();
        let said = format!("{error:#}");
        assert!(said.contains("bytes are free on the disk") && !said.contains("password"), "{said}");
        assert!(!folder.path().join(FILE).exists());
    }

    #[test]
    fn where_to_sign_in_is_an_address_that_leads_there() {
        for (listen, shown) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080/"),
            ("[::]:8080", "http://[::1]:8080/"),
            ("192.0.2.7:80", "http://192.0.2.7:80/"),
        ] {
            assert_eq!(url(listen.parse().unwrap()), shown);
        }
    }
}
