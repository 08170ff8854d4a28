//! Settings that were accepted, and where each value comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use crate::environment::Environment;
use crate::file::{ConfigFile, Source};
use crate::firebase::{self, FirebaseSource};
use crate::key::{Built, Initial, Key};
use crate::keys;
use crate::layers::{self, InForce, Layers};
use crate::problem::{Fault, Origin, Problem, Problems};
use crate::settings::Settings;
use crate::together;

/// The outcome of a good load.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Which Firebase credentials are in force.
    pub firebase: FirebaseSource,
    /// The file that was read; `None` if there was none.
    pub file: Option<PathBuf>,
    /// Every key with what is in force, in the order of the table.
    pub(crate) entries: Vec<Entry>,
}

/// One key with what is in force.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: &'static Key,
    pub(crate) in_force: Option<InForce>,
}

impl fmt::Debug for Entry {
    /// Never the value: it may be a secret.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.in_force.as_ref().map(|in_force| &in_force.origin);
        out.debug_struct("Entry")
            .field("key", &self.key.path)
            .field("origin", &origin)
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// Whether somebody set it to something else than the default.
    fn is_changed(&self) -> bool {
        let Some(in_force) = &self.in_force else { return false };
        match self.key.initial {
            _ if in_force.origin == Origin::Default => false,
            Initial::Is(text) => layers::default_of(self.key, text).as_ref() != Some(&in_force.value),
            Initial::Unset { .. } | Initial::Required { .. } => true,
        }
    }

    /// Whether somebody asks for what is not built yet.
    pub(crate) fn is_idle(&self) -> bool {
        self.key.built != Built::Yes && self.is_changed()
    }
}

impl Loaded {
    /// The keys that somebody set although nothing goes by them yet.
    #[must_use]
    pub fn idle_keys(&self) -> Vec<&'static Key> {
        self.entries.iter().filter(|entry| entry.is_idle()).map(|entry| entry.key).collect()
    }

    /// Whether the environment set any of it.
    #[must_use]
    pub fn uses_environment(&self) -> bool {
        let in_force = self.entries.iter().filter_map(|entry| entry.in_force.as_ref());
        in_force.into_iter().any(|in_force| matches!(in_force.origin, Origin::Variable(_)))
    }

    /// The settings, if a gateway may run on them today.
    ///
    /// # Errors
    /// Something is asked for that is not built yet and that nothing else can stand in for.
    pub fn ready(self) -> Result<Self, Problems> {
        let idle = self.entries.iter().filter(|entry| entry.is_idle());
        let refused = idle.filter(|entry| entry.key.built == Built::NotYetSoRefused);
        let problems: Vec<Problem> = refused.map(refusal).collect();
        if problems.is_empty() { Ok(self) } else { Err(Problems::sorted(problems)) }
    }

    /// What whoever opens the files that the settings name found wrong with them, each under its key and with
    /// what to do; `None` if it is nothing.
    pub fn problems(
        &self,
        found: impl IntoIterator<Item = (&'static str, Fault, &'static str)>,
    ) -> Option<Problems> {
        let origin = |path: &str| {
            let entry = self.entries.iter().find(|entry| entry.key.path == path)?;
            entry.in_force.as_ref().map(|in_force| in_force.origin.clone())
        };
        let problem = |(path, fault, advice): (&str, Fault, &str)| Problem {
            origin: origin(path).unwrap_or(Origin::Default),
            key: path.to_owned(),
            fault,
            advice: advice.to_owned(),
        };
        let problems: Vec<Problem> = found.into_iter().map(problem).collect();
        (!problems.is_empty()).then(|| Problems::sorted(problems))
    }

    /// The keys whose value in force differs between the two.
    #[must_use]
    pub fn changed_keys(&self, other: &Self) -> Vec<&'static Key> {
        let value = |entry: &Entry| entry.in_force.as_ref().map(|in_force| in_force.value.clone());
        self.entries
            .iter()
            .zip(&other.entries)
            .filter(|(one, two)| value(one) != value(two))
            .map(|(one, _)| one.key)
            .collect()
    }
}

/// All keys of this kind are about TLS.
fn refusal(entry: &Entry) -> Problem {
    Problem {
        origin: entry.in_force.as_ref().map_or(Origin::Default, |in_force| in_force.origin.clone()),
        key: entry.key.path.to_owned(),
        fault: Fault::NotBuilt,
        advice: "remove it, or everything would go in plain text where you asked for TLS; \
                 let a proxy on the same box speak TLS meanwhile"
            .to_owned(),
    }
}

/// Reads the file and lays the environment over it.
///
/// # Errors
/// Everything that is wrong with either, as far as it can be told: what a file that cannot be read
/// to its end may hold besides is not judged, and the count says so.
pub fn load(file: &ConfigFile, environment: &Environment) -> Result<Loaded, Problems> {
    let folder = file.path().parent().unwrap_or(Path::new("."));
    match file.read() {
        Ok(source) => compose(source.as_ref(), folder, environment, None),
        Err(problem) => compose(None, folder, environment, Some(*problem)),
    }
}

/// The same for a file that is already in memory.
///
/// # Errors
/// The same.
pub fn load_source(source: &Source, environment: &Environment) -> Result<Loaded, Problems> {
    compose(Some(source), source.folder(), environment, None)
}

/// `unread` is why there is no source although there should be one.
fn compose(
    source: Option<&Source>,
    folder: &Path,
    environment: &Environment,
    unread: Option<Problem>,
) -> Result<Loaded, Problems> {
    let mut layers = layers::lay(source, environment);
    layers.incomplete |= unread.is_some();
    let mut problems = std::mem::take(&mut layers.problems);
    problems.extend(unread);
    problems.extend(together::check(&layers));
    let firebase = firebase::resolve(environment, &layers, folder);
    problems.extend(firebase::check(&firebase, environment, &layers));
    if !problems.is_empty() {
        return Err(Problems::sorted(problems).incomplete(layers.incomplete));
    }
    let settings = settings(&layers)?;
    let entries =
        keys::keys().map(|key| Entry { key, in_force: layers.values.get(key.path).cloned() }).collect();
    let file = source.map(|source| source.path.to_path_buf());
    Ok(Loaded { settings, firebase, file, entries })
}

fn settings(layers: &Layers) -> Result<Settings, Problems> {
    let mut root = Table::new();
    for key in keys::keys() {
        let Some(section) = section(&mut root, key.section()) else { continue };
        if let Some(in_force) = layers.values.get(key.path) {
            section.insert(key.name().to_owned(), in_force.value.clone());
        }
    }
    Settings::deserialize(root).map_err(|error| {
        Problems::one(Problem {
            origin: Origin::Default,
            key: String::new(),
            fault: Fault::Internal { message: error.message().to_owned() },
            advice: "report this as a fault of rollcall".to_owned(),
        })
    })
}

/// The table of a section, made on the way if need be.
fn section<'a>(root: &'a mut Table, path: &str) -> Option<&'a mut Table> {
    path.split('.').try_fold(root, |table, name| {
        table.entry(name).or_insert_with(|| Value::Table(Table::new())).as_table_mut()
    })
}
