//! Programs that the whole-gateway tests meet as peers, from Debian's packages.
//!
//! Promises: each is looked for first, and what is missing is named with its reason before it is
//! installed; one that cannot be had fails the step with the command to run by hand; no service that
//! comes with a package is left running or set to start with the machine.
//!
//! Refuses: other distributions, whose packages have other names: their users install the programs
//! themselves, and then nothing is missing here. It never asks for a password.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::process::{output_of, program, run};

/// A program, the package that brings it, and what the tests do with it.
struct Peer {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const PEERS: [Peer; 8] = [
    Peer {
        program: "mosquitto",
        package: BROKER,
        why: "the broker that the gateway is compared and bridged with",
    },
    Peer {
        program: "mosquitto_pub",
        package: "mosquitto-clients",
        why: "an MQTT client that shares no code with the gateway",
    },
    Peer { program: "chromium", package: "chromium", why: "the browser that opens the pages" },
    Peer { program: "chromedriver", package: "chromium-driver", why: "steers the browser" },
    Peer { program: "python3", package: "python3", why: "runs the MQTT client paho-mqtt" },
    Peer { program: "pip3", package: "python3-pip", why: "installs that client into target/tools" },
    Peer { program: "node", package: "nodejs", why: "runs the MQTT client mqtt of npm" },
    Peer { program: "npm", package: "npm", why: "installs that client into target/tools" },
];

/// The one package among them that brings a service.
const BROKER: &str = "mosquitto";
const SERVICE: &str = "mosquitto.service";

/// Where Debian keeps servers such as mosquitto; a person's own `PATH` often leaves these out.
const SERVERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Set for apt-get: no questions; and, where there is no systemd, a run level in which no service starts.
const QUIETLY: [&str; 3] = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"];

/// One command, word by word.
type Words = Vec<&'static str>;

/// Makes sure that every peer is there.
pub(crate) fn ensure_peers(root: &Path) -> Result<()> {
    let is_there = |name: &str| find(name, &folders()).is_some();
    let absent = missing(is_there);
    if absent.is_empty() {
        return Ok(());
    }
    let packages = packages(&absent);
    let by_hand = by_hand(&packages);
    println!("{}", announcement(&absent));
    let plan = Plan::new(&packages, has_systemd(), is_active(root));
    let rights = Rights::of_this_user(root);
    let path = path()?;
    plan.carry_out(|words| run(rights.command(words, root).env("PATH", &path)))
        .with_context(|| format!("cannot install {}: run by hand: {by_hand}", packages.join(", ")))?;
    match missing(is_there).as_slice() {
        [] => Ok(()),
        still => bail!("installed, and still no `{}` in PATH: run by hand: {by_hand}", programs(still)),
    }
}

/// The `PATH` under which every peer is found, for the tests that start them.
pub(crate) fn path() -> Result<OsString> {
    env::join_paths(folders()).map_err(|error| anyhow!("cannot extend PATH: {error}"))
}

fn folders() -> Vec<PathBuf> {
    let own = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&own).chain(SERVERS.map(PathBuf::from)).collect()
}

/// The first file of this name that can be run.
fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let can_run = |path: &PathBuf| {
        path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    folders.iter().map(|folder| folder.join(name)).find(can_run)
}

fn missing(is_there: impl Fn(&str) -> bool) -> Vec<&'static Peer> {
    PEERS.iter().filter(|peer| !is_there(peer.program)).collect()
}

fn packages(peers: &[&'static Peer]) -> Words {
    peers.iter().map(|peer| peer.package).collect()
}

fn programs(peers: &[&Peer]) -> String {
    peers.iter().map(|peer| peer.program).collect::<Vec<_>>().join("`, `")
}

/// What is about to be installed, and why.
fn announcement(peers: &[&Peer]) -> String {
    let mut text = String::from("installing Debian packages into the system, once:");
    for peer in peers {
        text.push_str(&format!("\n  {:<18} no `{}`: {}", peer.package, peer.program, peer.why));
    }
    text
}

fn by_hand(packages: &[&str]) -> String {
    format!("sudo apt-get update && sudo apt-get install -y --no-install-recommends {}", packages.join(" "))
}

fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Whether a service of this name runs already, and so is somebody's.
fn is_active(root: &Path) -> bool {
    output_of(program("systemctl", root).args(["is-active", SERVICE])).is_ok()
}

/// How commands that change the system are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    Root,
    /// Without asking for a password: nobody may be there to answer.
    Sudo,
}

impl Rights {
    fn of_this_user(root: &Path) -> Self {
        let id = output_of(program("id", root).arg("-u"));
        if id.is_ok_and(|id| id.trim() == "0") { Self::Root } else { Self::Sudo }
    }

    fn command(self, words: &[&str], root: &Path) -> Command {
        let before: &[&str] = if self == Self::Root { &[] } else { &["sudo", "-n"] };
        let mut words = before.iter().chain(words);
        let mut command = program(words.next().copied().unwrap_or_default(), root);
        command.args(words);
        command
    }
}

/// The commands of one installation.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    before: Vec<Words>,
    install: Vec<Words>,
    /// Carried out even if the installation failed half-way.
    after: Vec<Words>,
}

impl Plan {
    /// The broker's package starts a service on port 1883. Masked, it cannot; afterwards it is the
    /// machine's owner who may start it. A service that ran before is left alone.
    fn new(packages: &[&'static str], has_systemd: bool, was_active: bool) -> Self {
        let apt = |words: &[&'static str]| [&QUIETLY, words].concat();
        let install = [&["apt-get", "install", "-y", "--no-install-recommends"], packages].concat();
        let (before, after) = match (packages.contains(&BROKER) && !was_active, has_systemd) {
            (false, _) => (vec![], vec![]),
            (true, true) => (
                vec![vec!["systemctl", "mask", "--runtime", SERVICE]],
                vec![
                    vec!["systemctl", "unmask", "--runtime", SERVICE],
                    vec!["systemctl", "disable", "--now", SERVICE],
                ],
            ),
            (true, false) => (vec![], vec![vec!["update-rc.d", BROKER, "disable"]]),
        };
        Self { before, install: vec![apt(&["apt-get", "update"]), apt(&install)], after }
    }

    /// Stops at the first command that fails, but not before all of `after` has been tried.
    fn carry_out(&self, mut run: impl FnMut(&[&str]) -> Result<()>) -> Result<()> {
        let installed = self.before.iter().chain(&self.install).try_for_each(|words| run(words));
        let tidied: Vec<Result<()>> = self.after.iter().map(|words| run(words)).collect();
        installed.and(tidied.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Words {
        packages(&missing(|_| false))
    }

    fn lines(commands: &[Words]) -> Vec<String> {
        commands.iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn only_what_is_missing_is_asked_for_by_its_package() {
        let clients = ["python3", "python3-pip", "nodejs", "npm"];
        let all_of =
            [&["mosquitto", "mosquitto-clients", "chromium", "chromium-driver"][..], &clients].concat();
        assert_eq!(all(), all_of);
        assert_eq!(packages(&missing(|name| name != "chromedriver")), ["chromium-driver"]);
        assert!(missing(|_| true).is_empty());
    }

    #[test]
    fn every_package_is_announced_with_its_program_and_its_reason() {
        let text = announcement(&missing(|_| false));
        for peer in &PEERS {
            let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{} ", peer.package)));
            assert!(
                line.is_some_and(|line| line.contains(peer.program) && line.ends_with(peer.why)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_program_is_a_file_that_can_be_run() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let folders = [root.join("no-such-folder"), root.join("xtask"), root.join(".ci")];
        assert_eq!(find("run", &folders), Some(root.join(".ci/run")));
        assert_eq!(find("Cargo.toml", &folders), None);
        assert_eq!(find("src", &folders), None);
    }

    #[test]
    fn servers_are_found_although_the_users_path_leaves_them_out() {
        assert!(folders().ends_with(&SERVERS.map(PathBuf::from)));
        assert!(path().expect("a path").to_string_lossy().ends_with("/usr/local/sbin:/usr/sbin:/sbin"));
    }

    #[test]
    fn lists_are_updated_once_and_nothing_is_asked() {
        let plan = Plan::new(&["chromium", "chromium-driver"], true, false);
        assert_eq!(
            lines(&plan.install),
            [
                "env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get update",
                "env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends \
                 chromium chromium-driver",
            ]
        );
        assert!(plan.before.is_empty() && plan.after.is_empty(), "no broker, no service");
    }

    #[test]
    fn the_brokers_service_neither_starts_nor_stays_enabled() {
        let plan = Plan::new(&all(), true, false);
        assert_eq!(lines(&plan.before), ["systemctl mask --runtime mosquitto.service"]);
        assert_eq!(
            lines(&plan.after),
            ["systemctl unmask --runtime mosquitto.service", "systemctl disable --now mosquitto.service"]
        );
        let plan = Plan::new(&all(), false, false);
        assert!(plan.before.is_empty());
        assert_eq!(lines(&plan.after), ["update-rc.d mosquitto disable"]);
    }

    #[test]
    fn a_service_that_ran_before_is_left_alone() {
        let plan = Plan::new(&all(), true, true);
        assert!(plan.before.is_empty() && plan.after.is_empty());
    }

    #[test]
    fn the_service_is_tidied_up_although_the_installation_failed() {
        let mut tried = Vec::new();
        let result = Plan::new(&all(), true, false).carry_out(|words| {
            tried.push(words.join(" "));
            if words.contains(&"update") { bail!("no network") } else { Ok(()) }
        });
        assert_eq!(result.expect_err("must fail").to_string(), "no network");
        let tried: Vec<_> = tried.iter().filter_map(|line| line.split(' ').rev().nth(1)).collect();
        assert_eq!(tried, ["--runtime", "apt-get", "--runtime", "--now"]);
    }

    #[test]
    fn what_is_left_running_is_an_error_of_its_own() {
        let result = Plan::new(&all(), true, false)
            .carry_out(|words| if words.contains(&"--now") { bail!("still running") } else { Ok(()) });
        assert_eq!(result.expect_err("must fail").to_string(), "still running");
    }

    #[test]
    fn root_needs_no_sudo_and_sudo_asks_for_no_password() {
        let words = ["apt-get", "update"];
        let root = Rights::Root.command(&words, Path::new("."));
        assert_eq!((root.get_program().to_str(), root.get_args().count()), (Some("apt-get"), 1));
        let sudo = Rights::Sudo.command(&words, Path::new("."));
        assert_eq!(sudo.get_program(), "sudo");
        assert_eq!(sudo.get_args().collect::<Vec<_>>(), ["-n", "apt-get", "update"]);
    }

    #[test]
    fn the_command_to_run_by_hand_names_every_package() {
        assert_eq!(
            by_hand(&["mosquitto", "chromium"]),
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends mosquitto chromium"
        );
    }
}
