//! Forms of names: of the campus, zones, languages, projects, fields, words out of a few.

use jiff::tz::TimeZone;

use super::Refusal;
use crate::secret::MASK;
use crate::suggest;

type Checked = Result<String, Refusal>;

pub(super) fn name(text: &str) -> Checked {
    if text.chars().count() > 100 {
        return Err(Refusal::new("is longer than 100 characters").advise("write a shorter name"));
    }
    Ok(text.to_owned())
}

/// Any zone of the bundled database, in its usual spelling.
pub(super) fn zone(text: &str) -> Checked {
    match TimeZone::get(text) {
        Ok(zone) => Ok(zone.iana_name().unwrap_or(text).to_owned()),
        Err(_unknown) => {
            let refusal = Refusal::new("is not the name of a time zone");
            Err(match nearest_zone(text) {
                Some(near) => refusal.advise(format!("write \"{near}\" if that is the place meant")),
                None => refusal,
            })
        }
    }
}

/// The zone of a city given without its continent, else the nearest by spelling.
fn nearest_zone(text: &str) -> Option<String> {
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
    let wanted = text.replace(' ', "_").to_lowercase();
    let city = |name: &&String| name.rsplit_once('/').is_some_and(|(_, city)| city.to_lowercase() == wanted);
    names
        .iter()
        .find(city)
        .map(String::as_str)
        .or_else(|| suggest::nearest(&wanted, names.iter().map(String::as_str)))
        .map(str::to_owned)
}

pub(super) fn locale(text: &str) -> Checked {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    let good = (2..=3).contains(&language.len())
        && language.chars().all(|letter| letter.is_ascii_lowercase())
        && parts.all(|part| (2..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()));
    if good {
        return Ok(text.to_owned());
    }
    Err(Refusal::new("is not a language tag").advise("write a tag such as \"en\" or \"pt-BR\""))
}

pub(super) fn one_of(words: &'static [&'static str], text: &str) -> Checked {
    if words.contains(&text) {
        return Ok(text.to_owned());
    }
    let refusal = Refusal::new("is not one of the words known here");
    Err(match suggest::nearest(text, words.iter().copied()) {
        Some(near) => refusal.advise(format!("did you mean \"{near}\"? (write {})", suggest::either(words))),
        None => refusal,
    })
}

pub(super) fn token(text: &str) -> Checked {
    if text == MASK {
        return Err(mask_refusal());
    }
    if text.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(Refusal::new("contains a space or a character that no HTTP header can carry"));
    }
    Ok(text.to_owned())
}

/// Somebody loaded what `check-config` printed.
pub(super) fn mask_refusal() -> Refusal {
    Refusal::new("is the mask that check-config prints in place of a secret")
        .advise("write the secret itself")
}

pub(super) fn slug(text: &str) -> Checked {
    let good = text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if good {
        return Ok(text.to_owned());
    }
    Err(Refusal::new("is not a short name")
        .advise("write at most 40 lower case letters, digits and hyphens, a letter first"))
}

pub(super) fn field(text: &str) -> Checked {
    if text.split('.').any(str::is_empty) {
        return Err(Refusal::new("has an empty part between its dots")
            .advise("write the field's name, with dots leading into objects: \"user.id\""));
    }
    Ok(text.to_owned())
}

pub(super) fn project(text: &str) -> Checked {
    let good = (4..=30).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if good {
        return Ok(text.to_owned());
    }
    Err(Refusal::new("is not a project id")
        .advise("write the id (not the display name) from the Firebase console, such as \"example-campus\""))
}

pub(super) fn database(text: &str) -> Checked {
    let good = text == "(default)"
        || (text.len() <= 63 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    if good {
        return Ok(text.to_owned());
    }
    Err(Refusal::new("is not the name of a database")
        .advise("write \"(default)\" unless another was created"))
}

pub(super) fn collection(text: &str) -> Checked {
    let reserved = text == "." || text == ".." || (text.starts_with("__") && text.ends_with("__"));
    if text.contains('/') || reserved || text.len() > 1_500 {
        return Err(Refusal::new("is not the name of a collection")
            .advise("write one name without slashes, such as \"attendance\""));
    }
    Ok(text.to_owned())
}
