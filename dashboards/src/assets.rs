//! Style, script and pictures, which are part of the binary.
//!
//! Promises: a browser that has a file is not sent it again until it changed; a page names the version it
//! was made for, so that an upgrade never mixes old and new.
//!
//! Refuses: files from a disk. What is served was built in.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::web::{Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use rollcall_api::{Problem, at};
use serde::Deserialize;

/// For ever, as far as browsers are concerned; another version has another address.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

struct Asset {
    name: &'static str,
    kind: &'static str,
    body: &'static str,
}

const ASSETS: [Asset; 4] = [
    Asset {
        name: "rollcall.css",
        kind: "text/css; charset=utf-8",
        body: include_str!("../assets/rollcall.css"),
    },
    Asset {
        name: "live.js",
        kind: "text/javascript; charset=utf-8",
        body: include_str!("../assets/live.js"),
    },
    Asset {
        name: "marking.js",
        kind: "text/javascript; charset=utf-8",
        body: include_str!("../assets/marking.js"),
    },
    Asset { name: "icon.svg", kind: "image/svg+xml", body: include_str!("../assets/icon.svg") },
];

/// What changes whenever any of the files does.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    ASSETS.iter().for_each(|asset| asset.body.hash(&mut hasher));
    format!("{:016x}", hasher.finish())
});

/// For a page to name the files it was made for.
pub(crate) fn version() -> &'static str {
    &VERSION
}

pub(crate) fn configure(config: &mut ServiceConfig) {
    config.service(at("/static/{name}").get(asset));
}

#[derive(Deserialize)]
struct Wanted {
    v: Option<String>,
}

async fn asset(
    name: Path<String>,
    wanted: Query<Wanted>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name.as_str()) else {
        return Err(Problem::new("not_found", "there is no such file"));
    };
    let tag = format!("\"{}\"", version());
    let lasts = if wanted.v.as_deref() == Some(version()) { FOR_EVER } else { "no-cache" };
    let known = request.headers().get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let has_it = known.flat_map(|line| line.split(',')).any(|known| {
        let known = known.trim();
        known.strip_prefix("W/").unwrap_or(known) == tag
    });
    let mut response = if has_it { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, tag)).insert_header((header::CACHE_CONTROL, lasts));
    if has_it {
        return Ok(response.finish());
    }
    Ok(response.insert_header((header::CONTENT_TYPE, asset.kind)).body(asset.body))
}
