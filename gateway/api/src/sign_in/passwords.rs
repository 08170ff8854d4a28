//! Passwords.
//!
//! Promises: a name that nobody has takes as long as a wrong password; hashing never holds up the
//! threads that serve requests, and only a few hashes are computed at once, so that a flood of sign-ins
//! takes neither the processor nor the memory of the box.
//!
//! Refuses: keeping a password. What is stored is an argon2id hash in the register.

use std::sync::Arc;

use actix_web::web;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use rollcall_domain::ids::UserId;
use rollcall_store::StoreError;
use tokio::sync::Semaphore;

use crate::error::ApiError;
use crate::handles::Api;
use crate::problem::Problem;

/// Hashes computed at once; each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// Sign-ins that may wait for that; further ones are told to come back.
const WAITING: usize = 64;
/// Longer ones are refused, so that nobody makes the box hash a book.
const LONGEST: usize = 1024;

/// The argon2id hash of a password, in PHC form, for [`rollcall_store::Credential::Password`].
///
/// # Errors
/// The machine gives no random bytes for the salt.
pub fn hash_password(password: &str) -> Result<String, ApiError> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(ApiError::Password)?;
    Ok(hash.to_string())
}

/// What a password is compared with when there is no account: it fits none, and takes as long.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub(crate) struct Passwords {
    working: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Passwords { working: Arc::new(Semaphore::new(AT_ONCE)), waiting: Semaphore::new(WAITING) }
    }

    /// Whether this is the password of `user`; of nobody, it never is.
    pub(crate) async fn fits(
        &self,
        api: &Api,
        user: Option<UserId>,
        password: String,
    ) -> Result<bool, Problem> {
        if password.len() > LONGEST {
            return Err(Problem::field("password", format!("at most {LONGEST} bytes")));
        }
        let register = api.store().register();
        let compare = move || {
            let stored = user.map(|user| register.password(user)).transpose()?.flatten();
            let fits = is_password(stored.as_deref().unwrap_or(NOBODY), &password);
            Ok::<_, StoreError>(fits && stored.is_some())
        };
        Ok(self.compute(compare).await??)
    }

    /// Does the work once there is a place for it. The place is taken for as long as the work lasts, also
    /// when whoever asked for it hangs up meanwhile: a thread that hashes cannot be stopped.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let busy =
            || Problem::new("too_many_attempts", "many people sign in just now; try again in a moment");
        let _waits = self.waiting.try_acquire().map_err(|_full| busy())?;
        let place = Arc::clone(&self.working).acquire_owned().await.map_err(|_closed| busy())?;
        let done = web::block(move || {
            let done = work();
            drop(place);
            done
        });
        done.await.map_err(|_stopping| Problem::new("busy", "the gateway is stopping"))
    }
}

fn is_password(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::task::Poll;

    use super::*;

    #[test]
    fn nobodys_password_takes_as_long_as_somebodys() {
        let own = hash_password("one").unwrap();
        let work = |hash| {
            let hash = PasswordHash::new(hash).unwrap();
            let lengths = (hash.salt.unwrap().len(), hash.hash.unwrap().as_bytes().len());
            (hash.algorithm, hash.version, hash.params, lengths)
        };
        assert_eq!(work(&own), work(NOBODY));
        assert!(!is_password(NOBODY, "one"));
    }

    #[test]
    fn a_hash_that_nobody_waits_for_any_more_still_has_its_place() {
        actix_web::rt::System::new().block_on(async {
            let passwords = Passwords::new();
            let (go_on, held) = channel::<()>();
            let (ended, end) = tokio::sync::oneshot::channel();
            let mut asked = Box::pin(passwords.compute(move || {
                held.recv().ok();
                ended.send(()).ok();
            }));
            std::future::poll_fn(|context| {
                assert!(asked.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
            drop(asked);
            assert_eq!(passwords.working.available_permits(), AT_ONCE - 1);
            assert_eq!(passwords.waiting.available_permits(), WAITING);
            drop(go_on);
            end.await.unwrap();
            let all = u32::try_from(AT_ONCE).unwrap();
            passwords.working.acquire_many(all).await.unwrap().forget();
        });
    }
}
