//! Signing in, and asking who one is.
//!
//! Promises: a wrong name and a wrong password are answered alike and take the same time; whether an
//! account is disabled is told only to who knows its password.

use actix_web::web::{self, Data, Json};
use rollcall_domain::code::KeyKind;
use rollcall_domain::people::{Permission, Role, User};
use serde::{Deserialize, Serialize};

use super::SignedIn;
use crate::app::at;
use crate::handles::Api;
use crate::object::Object;
use crate::problem::Problem;

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

/// A user, as users see themselves.
#[derive(Debug, Clone, Serialize)]
pub struct UserView {
    pub id: String,
    pub username: String,
    pub name: Option<String>,
    pub role: Role,
    pub teacher: Option<String>,
    pub student: Option<String>,
    pub permissions: Vec<Permission>,
}

/// What a sign-in gives.
#[derive(Serialize)]
pub struct Session {
    pub access: String,
    /// Seconds.
    pub expires_in: i64,
    pub user: UserView,
}

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    for path in ["/api/v1/auth/token", "/api/token", "/api/auth/login"] {
        config.service(at(path).post(token));
    }
    for path in ["/api/v1/auth/me", "/api/auth/me"] {
        config.service(at(path).get(me));
    }
}

async fn token(api: Data<Api>, body: Json<Object<Credentials>>) -> Result<Json<Session>, Problem> {
    let Object(Credentials { username, password }) = body.into_inner();
    sign_in(&api, &username, password).await.map(Json)
}

async fn me(api: Data<Api>, caller: SignedIn) -> Result<Json<UserView>, Problem> {
    user_view(&api, caller.user).await.map(Json)
}

/// Checks a name and a password, and gives a token.
///
/// # Errors
/// They do not fit, the account is disabled, or too many sign in at once.
pub async fn sign_in(api: &Api, username: &str, password: String) -> Result<Session, Problem> {
    let key = api.pseudonyms().key(KeyKind::Username, username);
    let now = api.store().views().now();
    let user = now.campus.users.values().find(|user| user.username == key).cloned();
    drop(now);
    let fits = api.passwords().fits(api, user.as_ref().map(|user| user.id), password).await?;
    let Some(user) = user.filter(|_| fits) else {
        api.metrics().login_failed();
        return Err(Problem::new("bad_credentials", "the user name or the password is not right"));
    };
    if !user.active {
        api.metrics().login_failed();
        return Err(Problem::new("account_disabled", "ask the admin to enable it"));
    }
    let access = api.tokens().issue(user.id, api.now()).map_err(|error| {
        tracing::error!(%error, "a token could not be signed");
        Problem::fault()
    })?;
    let user = user_view(api, user).await?;
    Ok(Session { access, expires_in: api.tokens().life().as_secs(), user })
}

/// A user with what the register knows of them.
///
/// # Errors
/// The register cannot be read.
pub async fn user_view(api: &Api, user: User) -> Result<UserView, Problem> {
    api.register(move |register| {
        let details = register.user(user.id)?;
        let teacher = user.teacher.map(|id| register.teacher(id)).transpose()?.flatten();
        let student = user.student.map(|id| register.student(id)).transpose()?.flatten();
        let name = teacher.map(|details| details.name).or(student.map(|details| details.name));
        Ok(UserView {
            id: user.id.to_string(),
            username: details.map(|details| details.username).unwrap_or_default(),
            name: name.map(|name| name.whole()),
            role: user.role,
            teacher: user.teacher.map(|id| id.to_string()),
            student: user.student.map(|id| id.to_string()),
            permissions: user.permissions.into_iter().collect(),
        })
    })
    .await
}
