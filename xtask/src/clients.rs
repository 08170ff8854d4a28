//! MQTT clients that other people's programs use, for the whole-gateway tests.
//!
//! Promises: each at one version, looked for first, and installed into `target/tools` if it is missing; one that
//! cannot be had fails the step with the command to run by hand.
//!
//! Refuses: installing into the system or the home folder, and running what a package brings for its installation.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{output_of, program, run};

/// A library, what it runs on, and how it is asked for and installed.
struct Client {
    name: &'static str,
    version: &'static str,
    /// Where it lies, from the root of the repository.
    folder: &'static str,
    /// Says its version.
    ask: &'static [&'static str],
    /// The variable under which its language looks for it, and the place in its folder.
    found_by: (&'static str, &'static str),
    /// Without its name and version.
    install: &'static [&'static str],
    /// Between name and version.
    joint: &'static str,
}

const CLIENTS: [Client; 2] = [
    Client {
        name: "paho-mqtt",
        version: "2.1.0",
        folder: "target/tools/python",
        ask: &["python3", "-c", "import paho.mqtt; print(paho.mqtt.__version__)"],
        found_by: ("PYTHONPATH", ""),
        install: &[
            "python3",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--upgrade",
            "--target",
            "target/tools/python",
        ],
        joint: "==",
    },
    Client {
        name: "mqtt",
        version: "5.16.0",
        folder: "target/tools/node",
        ask: &["node", "-p", "require('mqtt/package.json').version"],
        found_by: ("NODE_PATH", "node_modules"),
        install: &[
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
            "target/tools/node",
        ],
        joint: "@",
    },
];

/// Makes sure that every client is there.
pub(crate) fn ensure(root: &Path) -> Result<()> {
    for client in &CLIENTS {
        if client.is_there(root) {
            continue;
        }
        let words = client.installation();
        let by_hand = words.join(" ");
        println!("installing {} {} into {}, once", client.name, client.version, client.folder);
        let folder = root.join(client.folder);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let failed = || format!("cannot get {}: run `{by_hand}` at the root of the repository", client.name);
        run(&mut command(&words, root)).with_context(failed)?;
        if !client.is_there(root) {
            bail!(failed());
        }
    }
    Ok(())
}

impl Client {
    fn is_there(&self, root: &Path) -> bool {
        let (variable, place) = self.found_by;
        let mut ask = command(self.ask, root);
        ask.env(variable, root.join(self.folder).join(place));
        output_of(&mut ask).is_ok_and(|said| said.trim() == self.version)
    }

    fn installation(&self) -> Vec<String> {
        let words = self.install.iter().map(|word| (*word).to_owned());
        words.chain([format!("{}{}{}", self.name, self.joint, self.version)]).collect()
    }
}

fn command<S: AsRef<str>>(words: &[S], root: &Path) -> Command {
    let mut words = words.iter().map(AsRef::as_ref);
    let mut command = program(words.next().unwrap_or_default(), root);
    command.args(words);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_asked_for_at_one_version_and_installed_beside_the_other_tools() {
        for client in &CLIENTS {
            let words = client.installation();
            assert!(words.contains(&client.folder.to_owned()), "{words:?}");
            assert!(words.last().is_some_and(|last| last.ends_with(client.version)), "{words:?}");
            assert!(client.folder.starts_with("target/tools/"));
        }
    }
}
