//! Values that more is asked of than being text.
//!
//! Promises: what is refused is wrong usage (exit code 2), with what to write instead.

use jiff::civil::Date;
use url::Url;

/// A name: not nothing, and nothing that a list could not show.
pub(super) fn filled(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err("write at least one character, all of them visible");
    }
    Ok(text.to_owned())
}

/// A day, in the one order that sorts.
pub(super) fn day(text: &str) -> Result<Date, &'static str> {
    text.parse().map_err(|_not_a_day: jiff::Error| "write a day of the calendar, such as 2026-09-01")
}

/// The address of a broker, as the simulator takes it.
pub(super) fn broker(text: &str) -> Result<Url, &'static str> {
    Url::parse(text)
        .ok()
        .filter(|url| url.scheme() == "mqtt" && url.host_str().is_some_and(|host| !host.is_empty()))
        .ok_or("write the address of a gateway, such as mqtt://127.0.0.1:1883")
}
