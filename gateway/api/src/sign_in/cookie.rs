//! The cookie in which a page keeps its access token.
//!
//! Promises: no script can read it, no other site can send it, and over TLS it never travels without.
//!
//! Refuses: other cookies. There is one, so forty lines do and no library is needed.

use actix_web::HttpRequest;
use actix_web::http::header;
use jiff::SignedDuration;

use crate::handles::Options;

const NAME: &str = "rollcall_access";

/// The `Set-Cookie` that keeps `token` for as long as it lasts.
pub fn keep(token: &str, life: SignedDuration, options: &Options) -> String {
    format!("{NAME}={token}; Max-Age={}; {}", life.as_secs(), attributes(options))
}

/// The `Set-Cookie` that signs a page out.
pub fn forget(options: &Options) -> String {
    format!("{NAME}=; Max-Age=0; {}", attributes(options))
}

fn attributes(options: &Options) -> &'static str {
    if options.tls {
        "Path=/; HttpOnly; SameSite=Strict; Secure"
    } else {
        "Path=/; HttpOnly; SameSite=Strict"
    }
}

/// The token that a page's cookie holds.
pub(crate) fn of(request: &HttpRequest) -> Option<&str> {
    let cookies = request.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, value)| *name == NAME && !value.is_empty()).map(|(_, value)| value)
}
