//! The forms that a text in the settings may have, and what to write instead of a bad one.
//!
//! Promises: a text that [`Form::check`] returns parses into the type that `Settings` holds.
//!
//! Refuses: looking at the world. Whether a file exists or an address is free is for the part
//! that opens it; the same settings are right or wrong on every machine.

mod files;
mod names;
mod network;
mod topics;

pub(crate) use network::host_and_port;

use crate::suggest;

/// What a text has to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A name for people, on one line.
    Name,
    /// An IANA time zone.
    Zone,
    /// A language tag such as `en` or `pt-BR`.
    Locale,
    /// An IP address and a port to listen on.
    Listen,
    /// A URL of this gateway.
    WebUrl,
    /// A URL to which records are sent; may hold a key in its query.
    PortalUrl,
    /// A mail server with its password.
    SmtpUrl,
    /// Scheme, host and port of a web site.
    WebOrigin,
    /// A host name or IP address.
    Host,
    /// A network such as `192.0.2.0/24`.
    Network,
    /// A path in the file system.
    FilePath,
    /// A secret of any shape.
    Token,
    /// A sender of mail.
    Mailbox,
    /// An MQTT topic filter.
    Filter,
    /// The same, outside `rollcall/`.
    DeviceFilter,
    /// The beginning of MQTT topics outside `rollcall/`.
    Prefix,
    /// A short name of lower case letters, digits and hyphens.
    Slug,
    /// A path of field names in JSON.
    Field,
    /// A Google Cloud project.
    Project,
    /// A Firestore database.
    Database,
    /// A Firestore collection.
    Collection,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// Why a text was refused. Neither part quotes the text of a secret.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Continues the sentence "the text …".
    pub(crate) why: String,
    /// What to write instead, if the text tells; otherwise [`Form::wanted`] is shown.
    pub(crate) advice: Option<String>,
}

impl Refusal {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), advice: None }
    }

    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// Whether a text that is not known to be a secret may be quoted: no URL with a password, no key.
pub(crate) fn may_quote(text: &str) -> bool {
    !text.contains('@') && !files::is_key(text)
}

impl Form {
    /// Whether texts of this form are never shown.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::Token | Self::SmtpUrl | Self::PortalUrl)
    }

    /// Whether this very text may be quoted in a message. A password can stand in any URL, and in
    /// what was meant to be a mail address.
    pub(crate) fn may_quote(self, text: &str) -> bool {
        match self {
            _ if self.is_secret() || files::is_key(text) => false,
            Self::FilePath => !files::may_be_key(text) && !text.contains('@'),
            Self::Mailbox => !text.rsplit_once('@').map_or(text, |(local, _)| local).contains(':'),
            _ => may_quote(text),
        }
    }

    /// A good text of this form, as TOML.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::Name => "\"Campus\"",
            Self::Zone => "\"Africa/Nairobi\"",
            Self::Locale => "\"en\"",
            Self::Listen => "\"0.0.0.0:8080\"",
            Self::WebUrl => "\"https://rollcall.example.org\"",
            Self::PortalUrl => "\"https://portal.example.org/api/attendance\"",
            Self::SmtpUrl => "\"smtps://user:password@mail.example.org\"",
            Self::WebOrigin => "\"https://www.example.org\"",
            Self::Host => "\"rollcall.example.org\"",
            Self::Network => "\"192.0.2.0/24\"",
            Self::FilePath => "\"/etc/rollcall/file\"",
            Self::Token => "\"the token\"",
            Self::Mailbox => "\"Rollcall <rollcall@example.org>\"",
            Self::Filter | Self::DeviceFilter => "\"lab/+/scan\"",
            Self::Prefix => "\"mqtt/face\"",
            Self::Slug => "\"lab-reader\"",
            Self::Field => "\"user.id\"",
            Self::Project => "\"example-campus\"",
            Self::Database => "\"(default)\"",
            Self::Collection => "\"attendance\"",
            Self::OneOf(_) => "\"…\"",
        }
    }

    /// What to write, as the object of "write".
    pub(crate) fn wanted(self) -> String {
        match self {
            Self::OneOf(words) => suggest::either(words),
            Self::Zone => "an IANA name such as \"Africa/Nairobi\" or \"UTC\"".to_owned(),
            Self::Listen => "an IP address and a port: \"0.0.0.0:PORT\"".to_owned(),
            Self::FilePath => "the path of a file or folder, such as \"/etc/rollcall/file\"".to_owned(),
            Self::Token => "the token in quotes".to_owned(),
            _ => format!("text such as {}", self.example()),
        }
    }

    /// The text as it is kept, if it has this form.
    pub(crate) fn check(self, text: &str) -> Result<String, Refusal> {
        if text.trim().is_empty() {
            return Err(Refusal::new("is empty"));
        }
        if self == Self::FilePath && files::is_key(text) {
            return Err(files::key_refusal());
        }
        if text.chars().any(char::is_control) {
            return Err(Refusal::new("contains a line break or another control character"));
        }
        if text.trim() != text {
            return Err(Refusal::new("begins or ends with a space"));
        }
        match self {
            Self::Name => names::name(text),
            Self::Zone => names::zone(text),
            Self::Locale => names::locale(text),
            Self::Slug => names::slug(text),
            Self::Field => names::field(text),
            Self::Project => names::project(text),
            Self::Database => names::database(text),
            Self::Collection => names::collection(text),
            Self::OneOf(words) => names::one_of(words, text),
            Self::Token => names::token(text),
            Self::FilePath => files::path(text),
            Self::Mailbox => network::mailbox(text),
            Self::Listen => network::listen(text),
            Self::WebUrl => network::web_url(text),
            Self::PortalUrl => network::portal_url(text),
            Self::SmtpUrl => network::smtp_url(text),
            Self::WebOrigin => network::web_origin(text),
            Self::Host => network::host(text),
            Self::Network => network::network(text),
            Self::Filter => topics::filter(text),
            Self::DeviceFilter => topics::device_filter(text),
            Self::Prefix => topics::prefix(text),
        }
    }
}
