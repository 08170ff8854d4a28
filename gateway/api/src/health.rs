//! How the gateway is: for supervisors, load balancers, Prometheus, and the systems before this one.
//!
//! Promises: `/livez` says that requests are answered; `/readyz` is refused, with reasons, while scans
//! cannot be kept; all of it goes by what the store and the parts say of themselves in words made for that;
//! none of it needs signing in, and none of it names a person or tells what the system said.

use actix_web::http::StatusCode;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use rollcall_domain::ports::{Health, HealthSource};
use rollcall_domain::session::SessionStatus;
use serde_json::{Map, Value, json};

use crate::app::at;
use crate::handles::Api;
use crate::problem::{Problem, no_such_route};

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config.service(at("/livez").get(alive));
    config.service(at("/readyz").get(ready));
    config.service(at("/api/status").get(status));
    config.service(at("/metrics").get(metrics));
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

/// How the store is: the one answer for supervisors, dashboards and Prometheus.
fn store(api: &Api) -> &dyn HealthSource {
    &**api.store()
}

fn is_up(api: &Api) -> bool {
    !matches!(store(api).health(), Health::Down { .. })
}

async fn ready(api: Data<Api>) -> HttpResponse {
    let parts = std::iter::once(store(&api)).chain(api.parts().iter().map(|part| &**part));
    let reasons: Vec<String> = parts
        .filter_map(|part| match part.health() {
            Health::Down { reason } => Some(format!("{}: {reason}", part.part())),
            Health::Good | Health::Impaired { .. } => None,
        })
        .collect();
    if reasons.is_empty() {
        return HttpResponse::Ok().json(json!({"status": "ready"}));
    }
    HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE).json(json!({"status": "down", "reasons": reasons}))
}

/// The form that the earlier systems' dashboards read.
async fn status(api: Data<Api>) -> HttpResponse {
    let mut parts = Map::new();
    // What is not there says so itself once it is: a part that nobody wired is switched off.
    for name in ["firebase", "portal", "mqtt"] {
        parts.insert(name.to_owned(), "disabled".into());
    }
    parts.insert("gateway".to_owned(), "running".into());
    let database = if is_up(&api) { "connected" } else { "down" };
    parts.insert("database".to_owned(), database.into());
    for part in api.parts() {
        let word = match part.health() {
            Health::Good => "connected",
            // Of a destination that waits for the line, those dashboards know no other word.
            Health::Impaired { .. } | Health::Down { .. } => "down",
        };
        parts.insert(part.part().to_owned(), word.into());
    }
    HttpResponse::Ok().json(Value::Object(parts))
}

async fn metrics(api: Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let allowed = api.options().metrics.as_ref().is_some_and(|networks| {
        let from = request.peer_addr().map(|peer| peer.ip().to_canonical());
        networks.is_empty() || from.is_some_and(|from| networks.iter().any(|net| net.contains(&from)))
    });
    if !allowed {
        return Ok(no_such_route(request).await);
    }
    let (store, is_up) = (api.store(), is_up(&api));
    let now = store.views().now();
    let open = now.meetings().filter(|meeting| meeting.status == SessionStatus::Open).count();
    api.metrics().store(is_up, store.queued(), store.last().0, store.views().seen().0);
    api.metrics().sessions_live(open);
    let text = api.metrics().text().map_err(|error| {
        tracing::error!(%error, "the metrics cannot be written");
        Problem::fault()
    })?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}
