//! Where a request came from.
//!
//! Promises: a browser that tells says the truth about the page a request was made by; if it says
//! another site, or nothing, the request is not from one of our pages.
//!
//! Refuses: programs. They send no cookie, and without one there is nothing to abuse.

use actix_web::HttpRequest;
use actix_web::http::header;

use crate::handles::Options;

const FETCH_SITE: &str = "sec-fetch-site";

/// Whether a page of ours made this request.
pub fn is_our_own_page(request: &HttpRequest, options: &Options) -> bool {
    match text(request, FETCH_SITE) {
        Some("same-origin") => true,
        // Told by browsers where pages come over TLS; an allowed origin may be another site.
        Some(_) => origin(request).is_some_and(|origin| is_allowed(origin, options)),
        None => origin(request).is_some_and(|origin| is_here(request, origin) || is_allowed(origin, options)),
    }
}

/// Whether another site's page made this request; a program that is no browser does not say.
pub fn is_foreign_page(request: &HttpRequest, options: &Options) -> bool {
    origin(request).is_some_and(|origin| !is_here(request, origin) && !is_allowed(origin, options))
}

/// The origin is the very host that the request went to.
fn is_here(request: &HttpRequest, origin: &str) -> bool {
    let host = text(request, header::HOST.as_str());
    let from = origin.split_once("://").map(|(_, host)| host);
    host.zip(from).is_some_and(|(host, from)| host.eq_ignore_ascii_case(from))
}

fn is_allowed(origin: &str, options: &Options) -> bool {
    options.origins.iter().any(|allowed| allowed.trim_end_matches('/').eq_ignore_ascii_case(origin))
}

fn origin(request: &HttpRequest) -> Option<&str> {
    text(request, header::ORIGIN.as_str())
}

fn text<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}
