//! The files of the MQTT port that speaks TLS.
//!
//! Promises: what is wrong with each of them is told under its key, with what to do; on a reload good files take
//! the place of the old ones without a connection noticing, and bad ones change nothing.
//!
//! Refuses: pipes and devices, and files larger than any chain of certificates.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use rollcall_config::settings::Mqtt;
use rollcall_config::{Fault, Loaded, Problems, reason};
use rollcall_domain::ports::Clock;
use rollcall_mqtt::{Part, Pem, Tls, TlsError};

const LARGEST: u64 = 1024 * 1024;

/// A file that cannot be used.
pub(crate) struct Bad {
    key: &'static str,
    path: PathBuf,
    why: String,
    advice: &'static str,
}

impl Bad {
    /// In one line.
    fn said(&self) -> String {
        format!("{}: {} {}; {}", self.key, self.path.display(), self.why, self.advice)
    }
}

/// What a running gateway shows.
#[derive(Clone)]
pub(crate) struct Certificates {
    pub(crate) tls: Tls,
}

impl Certificates {
    /// What the settings name; `None` if they ask for no TLS.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(crate) fn load(settings: &Mqtt, clock: Arc<dyn Clock>) -> Result<Option<Self>> {
        let Some(pem) = read(settings).map_err(|bad| one_line(&bad))? else { return Ok(None) };
        let tls = Tls::new(&pem, clock).map_err(|error| anyhow!(about(settings, &error).said()))?;
        warn_of_readers(settings);
        Ok(Some(Certificates { tls }))
    }

    /// Reads the files again and goes by them.
    ///
    /// # Errors
    /// A file cannot be used; the old ones stay in force.
    pub(crate) fn reload(&self, settings: &Mqtt) -> Result<()> {
        // Settings without TLS wait for a restart; until then what is shown stays as it is.
        let Some(pem) = read(settings).map_err(|bad| one_line(&bad))? else { return Ok(()) };
        self.tls.replace(&pem).map_err(|error| anyhow!(about(settings, &error).said()))?;
        warn_of_readers(settings);
        Ok(())
    }
}

/// The same settings, if the files that they name can be used.
///
/// # Errors
/// Everything that is wrong with the files.
pub(crate) fn check(loaded: Loaded, clock: Arc<dyn Clock>) -> Result<Loaded, Problems> {
    let settings = &loaded.settings.mqtt;
    let bad = match read(settings) {
        Ok(None) => Vec::new(),
        Ok(Some(pem)) => {
            Tls::new(&pem, clock).err().map(|error| about(settings, &error)).into_iter().collect()
        }
        Err(bad) => bad,
    };
    let found =
        bad.into_iter().map(|Bad { key, path, why, advice }| (key, Fault::File { path, why }, advice));
    loaded.problems(found).map_or(Ok(loaded), Err)
}

fn one_line(bad: &[Bad]) -> anyhow::Error {
    anyhow!(bad.iter().map(Bad::said).collect::<Vec<_>>().join("; and "))
}

fn key(part: Part) -> &'static str {
    match part {
        Part::Cert => "mqtt.tls_cert",
        Part::Key => "mqtt.tls_key",
        Part::ClientCa => "mqtt.client_ca",
    }
}

/// Which file the settings name for it.
fn path(settings: &Mqtt, part: Part) -> Option<&Path> {
    let path = match part {
        Part::Cert => &settings.tls_cert,
        Part::Key => &settings.tls_key,
        Part::ClientCa => &settings.client_ca,
    };
    path.as_deref()
}

fn about(settings: &Mqtt, error: &TlsError) -> Bad {
    let part = error.part();
    let path = path(settings, part).unwrap_or(Path::new("")).to_owned();
    Bad { key: key(part), path, why: error.to_string(), advice: error.advice() }
}

fn read(settings: &Mqtt) -> Result<Option<Pem>, Vec<Bad>> {
    if settings.tls_listen.is_none() {
        return Ok(None);
    }
    let mut bad = Vec::new();
    let mut read = |part| {
        let path = path(settings, part)?;
        match contents(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                bad.push(unread(part, path, &error));
                None
            }
        }
    };
    let (cert, key, client_ca) = (read(Part::Cert), read(Part::Key), read(Part::ClientCa));
    match (cert, key) {
        (Some(cert), Some(key)) if bad.is_empty() => Ok(Some(Pem { cert, key, client_ca })),
        _ => Err(bad),
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, Error> {
    if !fs::metadata(path)?.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST);
    if fits { Ok(bytes) } else { Err(ErrorKind::FileTooLarge.into()) }
}

fn unread(part: Part, path: &Path, error: &Error) -> Bad {
    let (why, advice) = match error.kind() {
        ErrorKind::NotFound => (
            "does not exist".to_owned(),
            "check the path; one that begins without / counts from the folder in which the gateway is started",
        ),
        ErrorKind::PermissionDenied => (
            "cannot be read (permission denied)".to_owned(),
            "let the gateway's user read it, and a key nobody else",
        ),
        ErrorKind::InvalidInput => ("is not a file".to_owned(), "name a regular PEM file"),
        ErrorKind::FileTooLarge => {
            ("is too large".to_owned(), "name a PEM file that holds only what is needed")
        }
        _ => (format!("cannot be read ({})", reason(error)), "check the path, the links on it and the disk"),
    };
    Bad { key: key(part), path: path.to_owned(), why, advice }
}

fn warn_of_readers(settings: &Mqtt) {
    const OTHERS: u32 = 0o007;
    if let Some(path) = &settings.tls_key
        && fs::metadata(path).is_ok_and(|about| about.permissions().mode() & OTHERS != 0)
    {
        tracing::warn!(path = %path.display(), "other users may read the key of mqtt.tls_key; run chmod 600 on it");
    }
}
