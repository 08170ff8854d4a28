//! An authority that signs what a test needs, and clients that trust it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rollcall_mqtt::Pem;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// A certificate and its key.
pub(crate) type Signed = (CertificateDer<'static>, PrivateKeyDer<'static>);

pub(crate) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der)).into_bytes()
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    /// Signs a certificate with these common names; `host` is for servers.
    pub(crate) fn sign(&self, names: &[&str], host: Option<&str>) -> Signed {
        let mut params =
            CertificateParams::new(host.map(str::to_owned).into_iter().collect::<Vec<_>>()).unwrap();
        params.distinguished_name.remove(DnType::CommonName);
        // Kept by type, so a second one needs another way to say the same.
        let types = [DnType::CommonName, DnType::CustomDnType(vec![2, 5, 4, 3])];
        for (name, of_type) in names.iter().zip(types) {
            params.distinguished_name.push(of_type, *name);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        (certificate, PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }

    /// What a gateway shows that takes the client certificates of this authority.
    pub(crate) fn pem(&self) -> Pem {
        let (certificate, key) = self.sign(&[], Some("localhost"));
        Pem {
            cert: pem("CERTIFICATE", &certificate),
            key: pem("PRIVATE KEY", key.secret_der()),
            client_ca: Some(pem("CERTIFICATE", &self.certificate)),
        }
    }

    /// Shakes hands with a gateway of this authority.
    pub(crate) async fn shake(
        &self,
        stream: TcpStream,
        versions: &[&'static SupportedProtocolVersion],
        shown: Option<Signed>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key).unwrap(),
        };
        TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await
    }
}
