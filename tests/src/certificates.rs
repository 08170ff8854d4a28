//! Certificates for a gateway and its terminals, made anew for each test.
//!
//! Promises: nothing but the authority that signed them makes them true.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Signs certificates, as a campus does for its terminals.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    /// Writes its own certificate.
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, &self.certificate).unwrap();
        path
    }

    /// Writes a certificate for this machine (`localhost`) or a terminal, and its key.
    pub fn sign(&self, common_name: &str, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let hosts: Vec<String> =
            (common_name == "localhost").then(|| common_name.to_owned()).into_iter().collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (cert, secret) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        fs::write(&cert, pem("CERTIFICATE", certificate.der())).unwrap();
        fs::write(&secret, pem("PRIVATE KEY", &key.serialize_der())).unwrap();
        (cert, secret)
    }
}
