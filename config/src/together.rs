//! Rules that join two keys.
//!
//! Promises: settings that pass make sense together: no half-configured TLS, no two listeners on
//! one port, nothing switched on that a missing key keeps off.
//!
//! Refuses: judging a key whose own value was refused (that problem comes first), or that a line
//! which could not be read may have set.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use toml::Value;

use crate::layers::{InForce, Layers};
use crate::problem::{Fault, Origin, Problem};
use crate::value::shown;

/// A key that does nothing without another, and what to do.
const NEEDS: &[(&str, &str, &str)] = &[
    ("http.tls_cert", "http.tls_key", "set both for HTTPS, or neither"),
    ("http.tls_key", "http.tls_cert", "set both for HTTPS, or neither"),
    ("mqtt.tls_listen", "mqtt.tls_cert", "set tls_listen, tls_cert and tls_key, or none of them"),
    ("mqtt.tls_listen", "mqtt.tls_key", "set tls_listen, tls_cert and tls_key, or none of them"),
    ("mqtt.tls_cert", "mqtt.tls_listen", "set tls_listen = \"0.0.0.0:8883\" to use it, or remove it"),
    ("mqtt.tls_cert", "mqtt.tls_key", "set both, or neither"),
    ("mqtt.tls_key", "mqtt.tls_cert", "set both, or neither"),
    ("mqtt.client_ca", "mqtt.tls_listen", "client certificates need TLS: set tls_listen, or remove it"),
    ("mail.smtp_url", "mail.from", "set the sender, such as from = \"rollcall@example.org\""),
    ("mail.from", "mail.smtp_url", "set smtp_url to send mail, or remove it"),
    ("upstream.portal.token", "upstream.portal.url", "set url, or remove the token"),
    ("upstream.firestore.credentials_path", "upstream.firestore.project", "set project, or remove it"),
];

const LISTENERS: &[&str] = &["http.listen", "mqtt.listen", "mqtt.tls_listen"];

/// Everything that does not fit together.
pub(crate) fn check(layers: &Layers) -> Vec<Problem> {
    let mut problems = needs(layers);
    problems.extend(ports(layers));
    problems.extend(not_less(layers, "auth.refresh_minutes", "auth.access_minutes"));
    problems.extend(not_less(layers, "retention.ledger_days", "retention.records_days"));
    let keys = ["store.key_file", "store.replaced_key_file"];
    problems.extend(keys.into_iter().filter_map(|key| key_beside_data(layers, key)));
    problems.extend(topics(layers));
    problems
}

fn problem(at: &InForce, key: &str, fault: Fault, advice: impl Into<String>) -> Problem {
    Problem { origin: at.origin.clone(), key: key.to_owned(), fault, advice: advice.into() }
}

fn needs(layers: &Layers) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    for (key, other, advice) in NEEDS {
        if let Some(at) = layers.sound(key)
            && layers.absent(other)
        {
            problems.push(problem(at, key, Fault::Alone { other }, *advice));
        }
    }
    problems
}

fn ports(layers: &Layers) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen: Vec<(&'static str, SocketAddr, &InForce)> = Vec::new();
    for path in LISTENERS {
        let Some(at) = layers.sound(path) else { continue };
        let Some(address) = at.value.as_str().and_then(|text| text.parse::<SocketAddr>().ok()) else {
            continue;
        };
        match seen.iter().find(|(_, other, _)| clash(*other, address)) {
            // The later line is at fault, but a default never is.
            Some((other, _, earlier)) if at.origin == Origin::Default => {
                problems.push(disagreement(earlier, other, path, address));
            }
            Some((other, _, _)) => problems.push(disagreement(at, path, other, address)),
            None => seen.push((path, address, at)),
        }
    }
    problems
}

fn disagreement(at: &InForce, key: &str, other: &'static str, address: SocketAddr) -> Problem {
    let why = format!("both take port {}", address.port());
    problem(at, key, Fault::Disagrees { other, why }, "give each a port of its own")
}

/// Port 0 is whichever is free, and never clashes.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let same_place = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_place
}

fn not_less(layers: &Layers, key: &'static str, least: &'static str) -> Option<Problem> {
    let (at, other) = (layers.sound(key)?, layers.sound(least)?);
    let (value, bound) = (at.value.as_integer()?, other.value.as_integer()?);
    if value >= bound {
        return None;
    }
    let why = format!("{value} is less than {bound}");
    let advice = format!("write at least {bound}, or lower {least}");
    // A default is never at fault: the key that somebody wrote is.
    if at.origin == Origin::Default {
        let why = format!("{bound} is more than {value}");
        let advice = format!("write at most {value}, or raise {key}");
        return Some(problem(other, least, Fault::Disagrees { other: key, why }, advice));
    }
    Some(problem(at, key, Fault::Disagrees { other: least, why }, advice))
}

/// A copy of the data folder must not hold the key that opens it. This sees what is written; what
/// lies behind links and `..` is for whoever opens the folder.
fn key_beside_data(layers: &Layers, key: &'static str) -> Option<Problem> {
    let (at, data) = (layers.sound(key)?, layers.sound("store.path")?);
    let inside = plain_path(at.value.as_str()?).starts_with(plain_path(data.value.as_str()?));
    inside.then(|| {
        let fault = Fault::Disagrees {
            other: "store.path",
            why: "the key lies in the data folder, where a copy of the data would hold it".to_owned(),
        };
        problem(at, key, fault, "keep it elsewhere, such as \"/etc/rollcall/rollcall.key\"")
    })
}

/// Without the `.` that mean nothing.
fn plain_path(text: &str) -> PathBuf {
    Path::new(text).components().filter(|part| *part != Component::CurDir).collect()
}

/// Topics of mapped terminals under the face terminals' prefix would have two readers.
fn topics(layers: &Layers) -> Vec<Problem> {
    let (Some(at), Some(prefix)) =
        (layers.sound("dialects.mapped"), layers.sound("dialects.facesluice.prefix"))
    else {
        return Vec::new();
    };
    let prefix = prefix.value.as_str().unwrap_or_default();
    let entries = at.value.as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| entry.get("topic").and_then(Value::as_str))
        .filter(|topic| overlap(topic, prefix))
        .map(|topic| {
            let why = format!("{} reaches under {prefix}/", shown(topic));
            let fault = Fault::Disagrees { other: "dialects.facesluice.prefix", why };
            problem(at, "dialects.mapped", fault, "choose a topic that no other dialect uses")
        })
        .collect()
}

/// Whether a filter can match a topic under the prefix.
fn overlap(filter: &str, prefix: &str) -> bool {
    let mut levels = filter.split('/');
    for level in prefix.split('/') {
        match levels.next() {
            Some("#") => return true,
            Some("+") => {}
            Some(same) if same == level => {}
            _ => return false,
        }
    }
    levels.next().is_some()
}
