//! Forms of paths, and the keys that are pasted where a path belongs.
//!
//! Promises: what is plainly a key is neither taken for a path nor quoted.
//!
//! Refuses: certainty. A password that could be the name of a file is taken for one; whoever
//! means a name that looks like a key writes it with a `/` or `./` in front.

use super::Refusal;

/// Keys of 128 bits have at least so many digits.
const SHORTEST_KEY: usize = 32;

pub(super) fn path(text: &str) -> Result<String, Refusal> {
    if may_be_key(text) {
        return Err(key_refusal());
    }
    Ok(text.to_owned())
}

pub(super) fn key_refusal() -> Refusal {
    Refusal::new("looks like a key or a credential, not like a path")
        .advise("save it to a file of its own and write that file's path, beginning with / or ./")
}

/// JSON, PEM, or several lines, in which a service account or a private key may stand.
pub(super) fn is_key(text: &str) -> bool {
    let start = text.trim_start();
    start.starts_with('{') || start.contains("-----BEGIN") || text.chars().any(char::is_control)
}

/// The same, or one long word of hexadecimal or base64.
pub(super) fn may_be_key(text: &str) -> bool {
    is_key(text) || is_encoded(text)
}

fn is_encoded(text: &str) -> bool {
    let has = |kind: fn(&char) -> bool| text.chars().any(|c| kind(&c));
    let alphabet = text.chars().all(|c| c.is_ascii_alphanumeric() || "+/-_=".contains(c));
    let mixed = has(char::is_ascii_digit) && has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
    let hexadecimal = text.chars().all(|c| c.is_ascii_hexdigit());
    let rooted = text.starts_with('/') && !text.ends_with('=');
    text.len() >= SHORTEST_KEY && alphabet && !rooted && (mixed || hexadecimal)
}
