//! The extractor that says who asks.
//!
//! Promises: see [`crate::sign_in`].

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use rollcall_domain::event::Actor as By;
use rollcall_domain::moment::Moment;
use rollcall_domain::people::{Role, User};
use rollcall_domain::permission::Caller;

use super::{cookie, origin};
use crate::handles::Api;
use crate::problem::Problem;

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub user: User,
    pub expires: Moment,
}

impl SignedIn {
    /// As the permission tables see them.
    pub fn caller(&self) -> Caller {
        let User { id, role, permissions, .. } = &self.user;
        Caller::User { id: *id, role: *role, permissions: permissions.clone() }
    }

    /// As the ledger names who did something.
    pub fn by(&self) -> By {
        By::User(self.user.id)
    }

    pub fn is_admin(&self) -> bool {
        self.user.role == Role::Admin
    }

    /// Who holds this token, if they may still sign in.
    pub(crate) fn with_token(api: &Api, token: &str) -> Result<Self, Problem> {
        let grant = api.tokens().read(token, api.now())?;
        let user = api.store().views().now().campus.users.get(&grant.user).cloned();
        match user {
            Some(user) if user.active => Ok(SignedIn { user, expires: grant.expires }),
            Some(_) => Err(Problem::new("account_disabled", "ask the admin to enable it")),
            None => Err(Problem::new("token_invalid", "the account is no longer there; sign in again")),
        }
    }

    /// Who makes this request.
    ///
    /// # Errors
    /// Nobody who is signed in, or another site's page with one of our cookies.
    pub fn of(api: &Api, request: &HttpRequest) -> Result<Self, Problem> {
        if let Some(value) = request.headers().get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(|text| text.split_once(' '));
            return match token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) {
                Some((_, token)) => SignedIn::with_token(api, token.trim()),
                None => Err(Problem::new("token_invalid", "send the token as Authorization: Bearer")),
            };
        }
        let Some(token) = cookie::of(request) else {
            return Err(Problem::new("token_invalid", "sign in first"));
        };
        if !request.method().is_safe() && !origin::is_our_own_page(request, api.options()) {
            return Err(Problem::new(
                "forbidden",
                "this came from another site's page; use the gateway's own",
            ));
        }
        SignedIn::with_token(api, token)
    }
}

impl FromRequest for SignedIn {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let api = request.app_data::<web::Data<Api>>();
        ready(api.map_or_else(|| Err(Problem::fault()), |api| SignedIn::of(api, request)))
    }
}
