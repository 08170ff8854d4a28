//! `/ws`: what watching screens are told.
//!
//! Promises: a screen sees what is on disk and nothing else, a snapshot first and then every change in
//! order, each linked to the one before; one that cannot keep up is told so and dropped, and costs
//! nobody else anything; one that is silent for a minute is gone.
//!
//! Refuses: other sites' pages, and students where the marks of others are shown.

mod asked;
mod frames;
mod limit;
mod socket;

use actix_web::web::{self, Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::app::at;
use crate::handles::Api;
use crate::problem::Problem;
use crate::sign_in::{SignedIn, origin};

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config.service(at("/ws").get(connect));
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
}

async fn connect(
    api: Data<Api>,
    request: HttpRequest,
    query: Query<Token>,
    body: Payload,
) -> Result<HttpResponse, Problem> {
    let who = who(&api, &request, query.token.as_deref())?;
    let (body, unread) = limit::limited(&request, body).await?;
    let shaken = actix_ws::handle(&request, body);
    let (response, session, stream) =
        shaken.map_err(|error| Problem::new("bad_request", format!("this is for WebSocket: {error}")))?;
    let socket = socket::Socket::new(api.get_ref().clone(), (who, session), unread);
    actix_web::rt::spawn(socket.run(stream));
    Ok(response)
}

fn who(api: &Api, request: &HttpRequest, token: Option<&str>) -> Result<SignedIn, Problem> {
    if origin::is_foreign_page(request, api.options()) {
        return Err(Problem::new("forbidden", "this came from another site's page"));
    }
    if let Some(token) = token {
        return SignedIn::with_token(api, token);
    }
    let by_cookie = !request.headers().contains_key("authorization");
    if by_cookie && !origin::is_our_own_page(request, api.options()) {
        return Err(Problem::new(
            "token_invalid",
            "send the token as ?token=, or come from one of our pages",
        ));
    }
    SignedIn::of(api, request)
}
