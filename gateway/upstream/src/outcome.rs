//! What an answer means; apart from what is done about it.
//!
//! Promises: only an answer about this one record refuses it for good. What says something about the
//! destination as a whole (it is down, busy, moved, does not know our token) is tried again, since it
//! would be the same for every record. "Not found" counts as such until something was accepted there: a
//! wrong url would otherwise refuse a whole history.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use rollcall_domain::moment::Moment;

/// What became of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    /// Not now; perhaps not before `after`.
    Retry {
        after: Option<Duration>,
        why: String,
    },
    /// Never, as it is.
    Refused {
        answer: String,
    },
}

/// What a destination said.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub status: u16,
    pub retry_after: Option<&'a str>,
    pub body: &'a str,
}

impl Outcome {
    /// By HTTP status; `has_accepted`: records were accepted under this url before.
    pub fn of(answer: Answer<'_>, has_accepted: bool, now: Moment) -> Self {
        let Answer { status, retry_after, body } = answer;
        let after = retry_after.and_then(|text| asked(text, now));
        let retry = |what: &str| Outcome::Retry { after, why: format!("{what} (status {status})") };
        match status {
            200..=299 => Outcome::Delivered,
            300..=399 => retry("the portal has moved; correct its url"),
            401 | 403 | 407 => retry("the portal does not accept the token; correct it"),
            405 | 415 | 421 | 426 => retry("the portal takes no records there; correct its url"),
            404 | 410 if !has_accepted => {
                let why =
                    format!("the portal has nothing there (status {status}): check upstream.portal.url");
                Outcome::Retry { after, why }
            }
            408 | 425 | 429 => retry("the portal is busy"),
            400..=499 => Outcome::Refused { answer: format!("status {status}: {body}") },
            500..=599 => retry("the portal has a fault"),
            _ => retry("the portal answers what nobody understands"),
        }
    }
}

/// `Retry-After`: seconds, or a date.
fn asked(text: &str, now: Moment) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::parse(text).ok()?.timestamp();
    let wait = at.duration_since(Timestamp::from(now));
    Some(Duration::try_from(wait).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, retry_after: Option<&str>) -> Outcome {
        let answer = Answer { status, retry_after, body: "no such unit" };
        Outcome::of(answer, true, "2026-11-21T08:00:00Z".parse().unwrap())
    }

    #[test]
    fn not_found_is_about_the_url_until_it_has_accepted_something() {
        for status in [404, 410] {
            let answer = Answer { status, retry_after: None, body: "" };
            let Outcome::Retry { why, .. } = Outcome::of(answer, false, Moment::default()) else {
                panic!("refused for good")
            };
            assert_eq!(
                why,
                format!("the portal has nothing there (status {status}): check upstream.portal.url")
            );
            assert!(matches!(of(status, None), Outcome::Refused { .. }));
        }
    }

    #[test]
    fn only_what_is_about_the_record_itself_refuses_it() {
        for status in [200, 201, 202, 204] {
            assert_eq!(of(status, None), Outcome::Delivered);
        }
        for status in [301, 401, 403, 405, 407, 408, 415, 421, 425, 426, 429, 500, 502, 503, 504, 600, 999] {
            assert!(matches!(of(status, None), Outcome::Retry { after: None, .. }), "{status}");
        }
        for status in [400, 404, 409, 410, 413, 422] {
            let answer = format!("status {status}: no such unit");
            assert_eq!(of(status, None), Outcome::Refused { answer });
        }
    }

    #[test]
    fn retry_after_may_be_seconds_or_a_date() {
        let after = |text| match of(503, Some(text)) {
            Outcome::Retry { after, .. } => after.map(|after| after.as_secs()),
            other => panic!("{other:?}"),
        };
        assert_eq!(after("120"), Some(120));
        assert_eq!(after("Sat, 21 Nov 2026 08:00:30 GMT"), Some(30));
        assert_eq!(after("Sat, 21 Nov 2026 07:00:00 GMT"), Some(0));
        assert_eq!(after("soon"), None);
    }
}
