//! Which Firebase credentials are in force.
//!
//! Promises: the order of the contract: `FIREBASE_CREDENTIALS_JSON`, `FIREBASE_CREDENTIALS_PATH`,
//! `upstream.firestore.credentials_path`, `firebase-credentials.json` in the folder of the
//! settings file. The first that is set is taken, also when it turns out to be bad: falling
//! through in silence would write into somebody else's project.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::layers::Layers;
use crate::problem::{Fault, Origin, Problem};
use crate::secret::Secret;
use crate::value::NOT_SHOWN;

/// The file beside the settings that is taken when nothing is set.
const BESIDE: &str = "firebase-credentials.json";

/// Where the credentials for Firestore are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirebaseSource {
    /// None are needed: an emulator at this host and port takes any.
    Emulator(String),
    /// The JSON itself, from the environment.
    Json(Secret),
    /// A file, and who named it.
    File { path: PathBuf, named_by: &'static str },
    /// Nothing was found.
    Nowhere,
}

impl fmt::Display for FirebaseSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Emulator(host) => write!(out, "none needed, emulator at {host} (FIRESTORE_EMULATOR_HOST)"),
            Self::Json(_) => out.write_str("FIREBASE_CREDENTIALS_JSON"),
            Self::File { path, named_by } => write!(out, "{} ({named_by})", path.display()),
            Self::Nowhere => out.write_str("none"),
        }
    }
}

const PROJECT: &str = "upstream.firestore.project";
const CREDENTIALS_PATH: &str = "upstream.firestore.credentials_path";

/// The source in force; looks at the disk only for the file beside the settings.
pub(crate) fn resolve(environment: &Environment, layers: &Layers, folder: &Path) -> FirebaseSource {
    let named = |path: PathBuf, named_by| FirebaseSource::File { path, named_by };
    let beside = folder.join(BESIDE);
    let written = layers.values.get(CREDENTIALS_PATH).and_then(|at| at.value.as_str());
    if let Some(host) = &environment.firestore_emulator {
        FirebaseSource::Emulator(host.clone())
    } else if let Some(json) = &environment.firebase_json {
        FirebaseSource::Json(json.clone())
    } else if let Some(path) = &environment.firebase_path {
        named(path.clone(), "FIREBASE_CREDENTIALS_PATH")
    } else if let Some(path) = written {
        named(PathBuf::from(path), CREDENTIALS_PATH)
    } else if beside.is_file() {
        named(beside, "beside the settings")
    } else {
        FirebaseSource::Nowhere
    }
}

/// What is wrong with the source in force, if Firestore is to be used at all. Whatever else is
/// wrong with the settings, this needs its own two keys alone.
pub(crate) fn check(source: &FirebaseSource, environment: &Environment, layers: &Layers) -> Option<Problem> {
    let project = layers.sound(PROJECT)?;
    match source {
        FirebaseSource::Json(json) => service_account(json),
        FirebaseSource::Emulator(_) | FirebaseSource::File { .. } => None,
        // A variable that was refused is the cause, and said already.
        FirebaseSource::Nowhere if environment.is_damaged() => None,
        FirebaseSource::Nowhere => layers.absent(CREDENTIALS_PATH).then(|| Problem {
            origin: project.origin.clone(),
            key: PROJECT.to_owned(),
            fault: Fault::Alone { other: "credentials" },
            advice: "set credentials_path or FIREBASE_CREDENTIALS_PATH to the service account's file"
                .to_owned(),
        }),
    }
}

fn service_account(json: &Secret) -> Option<Problem> {
    let why = match serde_json::from_str::<serde_json::Value>(json.reveal()) {
        Err(error) => format!("is not JSON (line {}, column {})", error.line(), error.column()),
        Ok(account) => {
            let lacks = ["client_email", "private_key"].into_iter().find(|name| {
                account.get(name).and_then(serde_json::Value::as_str).is_none_or(str::is_empty)
            })?;
            format!("has no {lacks}")
        }
    };
    Some(variable("FIREBASE_CREDENTIALS_JSON", why, "paste the service account's file as it was downloaded"))
}

fn variable(name: &str, why: String, advice: &str) -> Problem {
    Problem {
        origin: Origin::Variable(name.to_owned()),
        key: String::new(),
        fault: Fault::Malformed { found: NOT_SHOWN.to_owned(), why },
        advice: advice.to_owned(),
    }
}
