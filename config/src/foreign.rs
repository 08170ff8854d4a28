//! Variables that look meant for the gateway but are not read by it.
//!
//! Promises: a slip such as `ROLLCALL_HTTP_LISTEN` is remarked upon with the name that was meant.
//!
//! Refuses: calling it a mistake. An orchestrator sets such variables for a service named rollcall
//! by itself, and a gateway that would not start for their sake helps nobody.

use crate::key::Key;
use crate::keys;
use crate::suggest;

/// What all of them begin with, whatever their case.
const OURS: &str = "ROLLCALL_";

/// The variables of other names, which have one underscore and no key.
const PLAIN: &[&str] = &["ROLLCALL_ADMIN_PASSWORD"];

/// Why a variable that nobody reads may be a slip; `None` if it has nothing to do with us.
pub(crate) fn remark(name: &str) -> Option<String> {
    let capitals = name.to_uppercase();
    let rest = capitals.strip_prefix(OURS)?;
    if is_of_orchestrator(rest) {
        return None;
    }
    let names: Vec<String> =
        keys::keys().map(Key::variable).chain(PLAIN.iter().map(|name| (*name).to_owned())).collect();
    let bare = |name: &str| name.replace('_', "");
    let meant = names
        .iter()
        .find(|known| bare(known) == bare(&capitals))
        .map(String::as_str)
        .or_else(|| suggest::nearest(&capitals, names.iter().map(String::as_str)));
    let advice = match meant {
        Some(meant) => format!("did you mean {meant}?"),
        None => "settings are given as ROLLCALL__SECTION__KEY".to_owned(),
    };
    Some(format!("environment {} is not read; {advice}", name.replace(char::is_control, "?")))
}

/// What Kubernetes and Docker links set for a service named rollcall.
fn is_of_orchestrator(rest: &str) -> bool {
    rest == "PORT"
        || rest.starts_with("SERVICE_HOST")
        || rest.starts_with("SERVICE_PORT")
        || rest.strip_prefix("PORT_").is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()))
}
