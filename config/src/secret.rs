//! Texts that are used but never shown.
//!
//! Promises: no `Debug`, `Display` or `Serialize` of these types gives away what they hold.
//!
//! Refuses: guarding memory. Whoever can read the process's memory reads the secret.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use url::Url;

/// What is shown in place of a secret.
pub const MASK: &str = "***";

/// A token or password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being shown.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that sends or checks it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(MASK)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

/// A URL that may hold a password or a key: shown without user, password, path and query. The
/// secret of a web hook often stands in its path.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// The URL itself, for the one place that connects to it.
    #[must_use]
    pub fn reveal(&self) -> &Url {
        &self.0
    }
}

impl TryFrom<String> for SecretUrl {
    type Error = url::ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Url::parse(&text).map(Self)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.0;
        write!(out, "{}://", url.scheme())?;
        if !url.username().is_empty() || url.password().is_some() {
            write!(out, "{MASK}@")?;
        }
        out.write_str(url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(out, ":{port}")?;
        }
        if matches!(url.path(), "" | "/") {
            out.write_str(url.path())?;
        } else {
            write!(out, "/{MASK}")?;
        }
        if url.query().is_some() {
            write!(out, "?{MASK}")?;
        }
        if url.fragment().is_some() {
            write!(out, "#{MASK}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
