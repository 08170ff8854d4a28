//! TLS: what the port shows, and whose certificates it takes.
//!
//! Promises: TLS 1.2 and 1.3; certificates are replaced while connections go on, and only by ones that fit
//! together; a client's certificate counts only if its authority is the one that the settings name, and is
//! looked at anew in every handshake.
//!
//! Refuses: reading files, which is for who knows their names; knowing whose name is in a certificate.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rollcall_domain::ports::Clock;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, version};
use tokio_rustls::server::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;

/// What is in the files that the settings name.
#[derive(Clone)]
pub struct Pem {
    /// The gateway's certificate, and those between it and its authority.
    pub cert: Vec<u8>,
    pub key: Vec<u8>,
    /// The authority whose client certificates are taken.
    pub client_ca: Option<Vec<u8>>,
}

/// Which of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Cert,
    Key,
    ClientCa,
}

/// Why files cannot be used, as what is said of one of them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsError {
    #[error("holds no certificate")]
    NoCertificate(Part),
    #[error("is not PEM ({reason})")]
    NotPem { part: Part, reason: String },
    #[error("holds a certificate that cannot be used ({reason})")]
    BadCertificate { part: Part, reason: String },
    #[error("holds no private key")]
    NoKey,
    #[error("holds a key that cannot be used ({reason})")]
    BadKey { reason: String },
    #[error("is not the key of the certificate")]
    Mismatch,
}

impl TlsError {
    /// Which file it is about.
    pub fn part(&self) -> Part {
        match self {
            TlsError::NoCertificate(part)
            | TlsError::NotPem { part, .. }
            | TlsError::BadCertificate { part, .. } => *part,
            TlsError::NoKey | TlsError::BadKey { .. } | TlsError::Mismatch => Part::Key,
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self.part() {
            Part::Cert => {
                "name the PEM file of the certificate, with those between it and its authority behind it"
            }
            Part::Key => {
                "name the PEM file (PKCS #8, PKCS #1 or SEC 1, without a passphrase) that was made with the certificate"
            }
            Part::ClientCa => "name the PEM file of the authority that signs the terminals' certificates",
        }
    }
}

/// What a TLS port goes by; clones share it.
#[derive(Clone)]
pub struct Tls {
    config: Arc<RwLock<Arc<ServerConfig>>>,
    clock: Arc<dyn Clock>,
}

impl Tls {
    /// # Errors
    /// The files cannot be used, or not together.
    pub fn new(pem: &Pem, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let config = Arc::new(RwLock::new(Arc::new(config(pem, &clock)?)));
        Ok(Tls { config, clock })
    }

    /// Takes other certificates. Connections that are there go on under the old ones.
    ///
    /// # Errors
    /// The files cannot be used, or not together; nothing has changed then.
    pub fn replace(&self, pem: &Pem) -> Result<(), TlsError> {
        let fresh = Arc::new(config(pem, &self.clock)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Shakes hands, and tells the name in the client's certificate if it showed one.
    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<(TlsStream<TcpStream>, Shown)> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let (_, session) = stream.get_ref();
        let shown = match session.peer_certificates().and_then(<[_]>::first) {
            Some(certificate) => Shown::Certificate(common_name(certificate).unwrap_or_default()),
            None => Shown::Nothing,
        };
        Ok((stream, shown))
    }
}

/// What a client showed before its first word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    Nothing,
    /// A certificate that was proven to be its own, with this name in it; empty if there is not exactly one.
    Certificate(String),
}

fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let subject = certificate.tbs_certificate().subject();
    let names = subject.iter().filter(|attribute| attribute.oid == COMMON_NAME).count();
    let name = subject.common_name().ok()??;
    (names == 1).then(|| name.value().into_owned())
}

/// The gateway's clock, for the dates in certificates.
struct Dates(Arc<dyn Clock>);

impl fmt::Debug for Dates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the gateway's clock")
    }
}

impl TimeProvider for Dates {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.now().millis()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

fn config(pem: &Pem, clock: &Arc<dyn Clock>) -> Result<ServerConfig, TlsError> {
    let chain = certificates(&pem.cert, Part::Cert)?;
    let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey,
        other => TlsError::NotPem { part: Part::Key, reason: other.to_string() },
    })?;
    let provider = Arc::new(default_provider());
    if let Err(error) = provider.key_provider.load_private_key(key.clone_key()) {
        return Err(TlsError::BadKey { reason: error.to_string() });
    }
    let dates = Arc::new(Dates(Arc::clone(clock)));
    let config = ServerConfig::builder_with_details(Arc::clone(&provider), dates)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|error| bad(Part::Cert, &error))?;
    let config = match &pem.client_ca {
        None => config.with_no_client_auth(),
        Some(authority) => {
            let part = Part::ClientCa;
            let mut roots = RootCertStore::empty();
            for certificate in certificates(authority, part)? {
                roots.add(certificate).map_err(|error| bad(part, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = verifier.allow_unauthenticated().build().map_err(|error| bad(part, &error))?;
            config.with_client_cert_verifier(verifier)
        }
    };
    let config = config.with_single_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch,
        other => bad(Part::Cert, &other),
    });
    config.map(without_resumption)
}

/// Terminals stay connected for days: what a resumed session saves is not worth keeping sessions, nor letting a
/// client in whose certificate has run out since.
fn without_resumption(mut config: ServerConfig) -> ServerConfig {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

fn certificates(text: &[u8], part: Part) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match certificates {
        Ok(none) if none.is_empty() => Err(TlsError::NoCertificate(part)),
        Ok(some) => Ok(some),
        Err(error) => Err(TlsError::NotPem { part, reason: error.to_string() }),
    }
}

fn bad(part: Part, error: &dyn std::error::Error) -> TlsError {
    TlsError::BadCertificate { part, reason: error.to_string() }
}
