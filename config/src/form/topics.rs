//! Forms of MQTT topics that a setting may name; terminals never get those of the gateway itself.

use super::Refusal;

type Checked = Result<String, Refusal>;

/// A filter by the rules of MQTT 3.1.1, 4.7.
pub(super) fn filter(text: &str) -> Checked {
    let levels: Vec<&str> = text.split('/').collect();
    let hash_inside = levels.iter().rev().skip(1).any(|level| level.contains('#'));
    let mixed = levels.iter().any(|level| level.len() > 1 && level.contains(['+', '#']));
    if hash_inside {
        return Err(Refusal::new("has a # that is not its last level").advise("end the filter at the #"));
    }
    if mixed {
        return Err(Refusal::new("mixes a wildcard with other characters in one level")
            .advise("let + or # stand alone between the slashes"));
    }
    Ok(text.to_owned())
}

/// The same for a kind of terminals.
pub(super) fn device_filter(text: &str) -> Checked {
    let checked = filter(text)?;
    not_ours(text)?;
    Ok(checked)
}

/// Whole levels, without wildcards.
pub(super) fn prefix(text: &str) -> Checked {
    let levels: Vec<&str> = text.split('/').collect();
    if levels.iter().any(|level| level.is_empty()) {
        return Err(Refusal::new("has an empty level")
            .advise("write levels with one slash between, none at the ends: \"mqtt/face\""));
    }
    if text.contains(['+', '#']) {
        return Err(Refusal::new("holds a wildcard").advise("write the topics' beginning without + and #"));
    }
    not_ours(text)?;
    Ok(text.to_owned())
}

fn not_ours(topic: &str) -> Result<(), Refusal> {
    let first = topic.split('/').next().unwrap_or_default();
    if first == "rollcall" || first.starts_with('$') {
        return Err(Refusal::new(format!("is under {first}/, which the gateway keeps for itself"))
            .advise("choose another first level"));
    }
    Ok(())
}
