//! The campus's central portal, told of one record at a time.
//!
//! Promises: every request has a time limit and the record's own `Idempotency-Key`; the token is never
//! logged; a redirect is not followed, since it would turn the POST into a GET.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use rollcall_domain::moment::Moment;
use url::Url;

use crate::error::UpstreamError;
use crate::outcome::{Answer, Outcome};
use crate::parcel::Parcel;

const CONNECT: Duration = Duration::from_secs(5);
/// How much of an answer is read; more is of no use to anybody.
const MOST_ANSWER: usize = 2_000;

/// Where the portal is and how to be let in.
#[derive(Clone)]
pub struct PortalSettings {
    pub url: Url,
    pub token: Option<String>,
    pub timeout: Duration,
}

pub struct Portal {
    client: Client,
    url: Url,
    /// Since the start of the program.
    has_accepted: bool,
}

impl Portal {
    /// # Errors
    /// The token cannot stand in a header, or the system's certificates cannot be read.
    pub fn new(settings: &PortalSettings) -> Result<Self, UpstreamError> {
        // One provider for the whole program; that another room was first is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &settings.token {
            let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut bearer = bearer.map_err(|_characters| UpstreamError::Token)?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let client = Client::builder()
            .user_agent(concat!("rollcall/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT)
            .timeout(settings.timeout)
            .redirect(Policy::none())
            .build()
            .map_err(UpstreamError::Client)?;
        Ok(Portal { client, url: settings.url.clone(), has_accepted: false })
    }

    pub(crate) async fn deliver(&mut self, parcel: &Parcel, now: Moment) -> Outcome {
        let request = self.client.post(self.url.clone()).header("Idempotency-Key", parcel.key());
        match request.body(parcel.body.clone()).send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let after = after.map(str::to_owned);
                let body = body(answer).await;
                let answer = Answer { status, retry_after: after.as_deref(), body: &body };
                let outcome = Outcome::of(answer, self.has_accepted, now);
                self.has_accepted |= outcome == Outcome::Delivered;
                outcome
            }
            Err(error) => Outcome::Retry { after: None, why: unreachable(&error).to_owned() },
        }
    }
}

/// The beginning of the answer.
async fn body(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    // An answer that breaks off has said what it had to say by its status.
    while let Ok(Some(chunk)) = answer.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= MOST_ANSWER {
            break;
        }
    }
    bytes.truncate(MOST_ANSWER);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn unreachable(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "the portal does not answer in time"
    } else if error.is_connect() {
        "the portal cannot be reached"
    } else {
        "the connection to the portal broke"
    }
}
