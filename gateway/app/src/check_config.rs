//! `rollcall check-config`: every mistake at once, or what is in force and why.

use rollcall_config::{ConfigFile, Environment, Loaded, Problems, STANDARD_FILE, load};

use crate::exit::Exit;
use crate::output;

/// Prints the settings in force, or everything that is wrong with them.
pub(crate) fn check_config(file: &ConfigFile, environment: &Environment) -> Exit {
    let loaded = match load(file, environment) {
        Ok(loaded) => loaded,
        Err(problems) => {
            output::complain(&report(&problems));
            return Exit::CheckFailed;
        }
    };
    match output::print(&effective(file, environment, &loaded)) {
        Ok(()) => Exit::Done,
        Err(error) => {
            output::complain(&format!("rollcall: cannot print the settings: {error}"));
            Exit::CheckFailed
        }
    }
}

fn report(problems: &Problems) -> String {
    match problems.iter().len() {
        1 => format!("{problems}\n1 problem in the settings"),
        several => format!("{problems}\n{several} problems in the settings"),
    }
}

fn effective(file: &ConfigFile, environment: &Environment, loaded: &Loaded) -> String {
    let name = match file {
        ConfigFile::Named(path) => path.display().to_string(),
        ConfigFile::Standard if std::path::Path::new(STANDARD_FILE).exists() => STANDARD_FILE.to_owned(),
        ConfigFile::Standard => format!("none ({STANDARD_FILE} does not exist)"),
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
