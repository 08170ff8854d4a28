//! `rollcall check-config`: every mistake at once, or what is in force and why. Files that the settings name are
//! looked at once the settings are sound.

use std::sync::Arc;

use rollcall_config::{ConfigFile, Environment, Loaded, load, reason};

use crate::clock::RealClock;
use crate::exit::Exit;
use crate::{gateway, output};

/// Prints the settings in force, or everything that is wrong with them.
pub(crate) fn check_config(file: &ConfigFile, environment: &Environment) -> Exit {
    for remark in environment.ignored() {
        output::complain(&format!("warning: {remark}"));
    }
    let clock = Arc::new(RealClock::new());
    let checked = load(file, environment)
        .and_then(Loaded::ready)
        .and_then(|loaded| gateway::check_certificates(loaded, clock));
    let loaded = match checked {
        Ok(loaded) => loaded,
        Err(problems) => {
            output::complain(&format!("{problems}\n{}", problems.count()));
            return Exit::CheckFailed;
        }
    };
    match output::print(&effective(file, environment, &loaded)) {
        Ok(()) => Exit::Done,
        Err(error) => {
            output::complain(&format!("rollcall: cannot print the settings: {}", reason(&error)));
            Exit::CheckFailed
        }
    }
}

fn effective(file: &ConfigFile, environment: &Environment, loaded: &Loaded) -> String {
    let name = match &loaded.file {
        Some(path) => path.display().to_string(),
        None => format!("none ({} does not exist)", file.path().display()),
    };
    let password = if environment.admin_password.is_some() { "ROLLCALL_ADMIN_PASSWORD" } else { "not set" };
    let lines = [
        format!("# settings file: {}", name.replace(char::is_control, "?")),
        "# a comment behind a value says who set it; secrets are masked".to_owned(),
        format!("# first password of admin: {password}"),
        format!("# Firebase credentials: {}", loaded.firebase.to_string().replace(char::is_control, "?")),
    ];
    format!("{}\n\n{}", lines.join("\n"), loaded.to_toml())
}
