//! What the environment says: overrides of settings, and the few variables of other names.
//!
//! Promises: only what is named here is looked at; values of secrets are never shown; variables
//! that look meant for the gateway but say nothing to it can be warned about.
//!
//! Refuses: reading the process's environment by itself. The caller hands it in.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::document;
use crate::foreign;
use crate::form::{self, Form, Refusal};
use crate::key::{Key, Kind, VARIABLE_PREFIX, variable_of};
use crate::keys;
use crate::problem::{Fault, Origin, Problem};
use crate::secret::Secret;
use crate::suggest;
use crate::value::{NOT_SHOWN, Raw, Written};

/// The variables that concern the gateway.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `ROLLCALL__…`: overrides, with their values as given.
    overrides: Vec<(OsString, Secret, bool)>,
    /// `ROLLCALL_ADMIN_PASSWORD`: the first password of the account `admin`.
    pub admin_password: Option<Secret>,
    /// `FIREBASE_CREDENTIALS_JSON`: a service account, as JSON.
    pub firebase_json: Option<Secret>,
    /// `FIREBASE_CREDENTIALS_PATH`: the file of a service account.
    pub firebase_path: Option<PathBuf>,
    /// `FIRESTORE_EMULATOR_HOST`: host and port of an emulator.
    pub firestore_emulator: Option<String>,
    /// What is wrong with the variables of other names.
    problems: Vec<Problem>,
    /// Variables that nobody reads although they look meant for the gateway, each with a reason.
    ignored: Vec<String>,
}

impl Environment {
    /// Picks out what concerns the gateway. An empty variable counts as not set, except that an
    /// empty override takes a value away that the file set.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in pairs {
            let known = name.to_string_lossy().into_owned();
            if known.starts_with(VARIABLE_PREFIX) {
                let readable = value.to_str().is_some();
                environment.overrides.push((
                    name,
                    Secret::new(value.to_string_lossy().into_owned()),
                    readable,
                ));
            } else if !value.is_empty() {
                environment.take(&known, value);
            }
        }
        environment.overrides.sort_by(|one, other| one.0.cmp(&other.0));
        environment.ignored.sort();
        environment
    }

    fn take(&mut self, name: &str, value: OsString) {
        match name {
            "FIREBASE_CREDENTIALS_PATH" => {
                let refusal = Form::FilePath.check(&value.to_string_lossy()).err();
                self.firebase_path = self.unless(refusal, name, &Form::FilePath.wanted(), value.into());
            }
            "ROLLCALL_ADMIN_PASSWORD" => self.admin_password = self.text(name, value).map(Secret::new),
            "FIREBASE_CREDENTIALS_JSON" => self.firebase_json = self.text(name, value).map(Secret::new),
            "FIRESTORE_EMULATOR_HOST" => {
                let Some(host) = self.text(name, value) else { return };
                let refusal = form::host_and_port(&host).err();
                let wanted = "it as \"127.0.0.1:8085\", without http://";
                self.firestore_emulator = self.unless(refusal, name, wanted, host);
            }
            _ => self.ignored.extend(foreign::remark(name)),
        }
    }

    /// The value, unless it was refused: then it is neither kept nor shown.
    fn unless<T>(&mut self, refusal: Option<Refusal>, name: &str, wanted: &str, value: T) -> Option<T> {
        let Some(Refusal { why, advice }) = refusal else { return Some(value) };
        self.problems.push(Problem {
            origin: Origin::Variable(name.to_owned()),
            key: String::new(),
            fault: Fault::Malformed { found: NOT_SHOWN.to_owned(), why },
            advice: advice.unwrap_or_else(|| format!("write {wanted}")),
        });
        None
    }

    /// Whether one of the variables of other names was refused.
    pub(crate) fn is_damaged(&self) -> bool {
        !self.problems.is_empty()
    }

    /// A line for each variable that looks meant for the gateway but is not read, and why.
    pub fn ignored(&self) -> impl Iterator<Item = &str> {
        self.ignored.iter().map(String::as_str)
    }

    fn text(&mut self, name: &str, value: OsString) -> Option<String> {
        match value.into_string() {
            Ok(text) => Some(text),
            Err(_not_text) => {
                self.problems.push(not_utf8(name, String::new()));
                None
            }
        }
    }

    /// The overrides as values of their keys, and what is wrong with the rest.
    pub(crate) fn overrides(&self) -> (Vec<(&'static Key, Option<Written>)>, Vec<Problem>) {
        let mut found = Vec::new();
        let mut problems = self.problems.clone();
        for (name, value, readable) in &self.overrides {
            let name = name.to_string_lossy();
            let Some(key) = keys::keys().find(|key| key.variable() == name) else {
                problems.push(unknown(&name));
                continue;
            };
            if !readable {
                problems.push(not_utf8(&name, key.path.to_owned()));
                continue;
            }
            match read(key, &Origin::Variable(name.into_owned()), value.reveal()) {
                Ok(written) => found.push((key, written)),
                Err(wrong) => problems.extend(wrong),
            }
        }
        (found, problems)
    }
}

/// A variable's text as a value of its key's kind; `None` takes the value away.
fn read(key: &'static Key, origin: &Origin, text: &str) -> Result<Option<Written>, Vec<Problem>> {
    let raw = match key.kind {
        Kind::List(_) if !text.trim_start().starts_with('[') => Raw::List(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Written { origin: origin.clone(), raw: Raw::Text(item.to_owned()) })
                .collect(),
        ),
        _ if text.is_empty() => return Ok(None),
        Kind::List(_) | Kind::Tables(_) => {
            return document::parse_value(origin, text).map(Some).map_err(|message| {
                vec![Problem {
                    origin: origin.clone(),
                    key: key.path.to_owned(),
                    fault: Fault::Syntax { message },
                    advice: format!("write {}", key.kind.wanted()),
                }]
            });
        }
        Kind::Flag => match text {
            "true" => Raw::Flag(true),
            "false" => Raw::Flag(false),
            other => Raw::Text(other.to_owned()),
        },
        Kind::Whole { .. } => text.parse().map_or_else(|_not_whole| Raw::Text(text.to_owned()), Raw::Whole),
        Kind::Fraction { .. } => {
            text.parse().map_or_else(|_no_number| Raw::Text(text.to_owned()), Raw::Fraction)
        }
        Kind::Text(_) => Raw::Text(text.to_owned()),
    };
    Ok(Some(Written { origin: origin.clone(), raw }))
}

fn unknown(name: &str) -> Problem {
    let path = name.strip_prefix(VARIABLE_PREFIX).unwrap_or(name).to_lowercase().replace("__", ".");
    let names: Vec<String> = keys::keys().map(Key::variable).collect();
    let last = path.rsplit('.').next().unwrap_or_default();
    let whole =
        keys::keys().find(|key| path.strip_prefix(key.path).is_some_and(|rest| rest.starts_with('.')));
    let advice = match (keys::find(&path), whole) {
        (Some(key), _) => format!("write it in capitals: {}", key.variable()),
        (None, Some(key)) => format!("set {} as a whole: write {}", key.variable(), key.kind.wanted()),
        (None, None) => match suggest::nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None => match homes(last).as_slice() {
                [] => "unset it; every key is in rollcall.example.toml".to_owned(),
                homes => format!("did you mean {}?", homes.join(" or ")),
            },
        },
    };
    Problem {
        origin: Origin::Variable(name.to_owned()),
        key: String::new(),
        fault: Fault::UnknownKey,
        advice,
    }
}

/// The variables of all keys with this name, in whatever section.
fn homes(name: &str) -> Vec<String> {
    keys::keys().filter(|key| key.name() == name).map(|key| variable_of(key.path)).collect()
}

fn not_utf8(name: &str, key: String) -> Problem {
    Problem {
        origin: Origin::Variable(name.to_owned()),
        key,
        fault: Fault::NotUtf8,
        advice: "set it to text in UTF-8".to_owned(),
    }
}
