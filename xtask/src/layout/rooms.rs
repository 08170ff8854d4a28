//! The rooms of the workspace and the arrows between them.
//!
//! Promises: a package that is not in the table, or that depends on a room the table does not give it,
//! fails, whatever the kind of dependency.

use super::Finding;
use super::metadata::Package;

/// A package of ours, its folder, and the packages of ours that it may depend on.
struct Room {
    package: &'static str,
    folder: &'static str,
    may_use: &'static [&'static str],
}

/// Adding a room is adding a row: the folder says what it is about, the arrows point inwards.
const ROOMS: [Room; 13] = [
    Room { package: "rollcall-domain", folder: "gateway/domain", may_use: &[] },
    Room { package: "rollcall-dialects", folder: "gateway/dialects", may_use: &["rollcall-domain"] },
    Room { package: "rollcall-config", folder: "config", may_use: &["rollcall-domain"] },
    Room { package: "rollcall-store", folder: "gateway/store", may_use: &["rollcall-domain"] },
    Room {
        package: "rollcall-mqtt",
        folder: "mqtt",
        may_use: &["rollcall-domain", "rollcall-dialects", "rollcall-config"],
    },
    Room {
        package: "rollcall-upstream",
        folder: "gateway/upstream",
        may_use: &["rollcall-domain", "rollcall-dialects", "rollcall-config", "rollcall-store"],
    },
    Room {
        package: "rollcall-actors",
        folder: "actors",
        may_use: &["rollcall-domain", "rollcall-config", "rollcall-store"],
    },
    Room {
        package: "rollcall-api",
        folder: "gateway/api",
        may_use: &[
            "rollcall-domain",
            "rollcall-dialects",
            "rollcall-config",
            "rollcall-store",
            "rollcall-actors",
        ],
    },
    Room {
        package: "rollcall-dashboards",
        folder: "dashboards",
        may_use: &["rollcall-domain", "rollcall-config", "rollcall-store", "rollcall-actors", "rollcall-api"],
    },
    Room {
        package: "rollcall-simulator",
        folder: "gateway/simulator",
        may_use: &["rollcall-domain", "rollcall-dialects"],
    },
    Room { package: "rollcall", folder: "gateway/app", may_use: EVERY_ROOM },
    Room { package: "rollcall-tests", folder: "tests", may_use: EVERY_ROOM_AND_THE_BINARY },
    // Tooling: it must build when the gateway does not.
    Room { package: "xtask", folder: "xtask", may_use: &[] },
];

const EVERY_ROOM_AND_THE_BINARY: &[&str] = &[
    "rollcall-domain",
    "rollcall-dialects",
    "rollcall-config",
    "rollcall-store",
    "rollcall-mqtt",
    "rollcall-upstream",
    "rollcall-actors",
    "rollcall-api",
    "rollcall-dashboards",
    "rollcall-simulator",
    "rollcall",
];

/// All but the last of those.
const EVERY_ROOM: &[&str] = match EVERY_ROOM_AND_THE_BINARY.split_last() {
    Some((_, rooms)) => rooms,
    None => &[],
};

/// Checks the folder and the arrows of every package.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        match ROOMS.iter().find(|room| room.package == package.name) {
            None => findings.push(unknown(package)),
            Some(room) => {
                if room.folder != package.folder {
                    let what = format!("package {} belongs in {}/: move it there", package.name, room.folder);
                    findings.push(Finding::in_file(&package.manifest(), what));
                }
                let is_ours =
                    |name: &str| packages.iter().any(|p| p.name == name) || name.starts_with("rollcall");
                let ours = package.dependencies.iter().map(|dependency| dependency.name.as_str());
                let wrong = ours.filter(|name| is_ours(name) && !room.may_use.contains(name));
                findings.extend(wrong.map(|name| wrong_arrow(package, room, name)));
            }
        }
    }
    findings
}

fn unknown(package: &Package) -> Finding {
    let what = format!(
        "unknown package {}: put the code into a room that exists, or add the room to the table in {} \
         with the rooms it may depend on",
        package.name,
        file!()
    );
    Finding::in_file(&package.manifest(), what)
}

fn wrong_arrow(package: &Package, room: &Room, to: &str) -> Finding {
    let allowed = if room.may_use.is_empty() { "none of ours".to_owned() } else { room.may_use.join(", ") };
    let what = format!(
        "forbidden arrow {} -> {to} (allowed: {allowed}): declare a port for it in gateway/domain and join \
         the two rooms in gateway/app",
        package.name
    );
    Finding::in_file(&package.manifest(), what)
}

#[cfg(test)]
mod tests {
    use super::super::metadata::Kind;
    use super::super::metadata::tests::package;
    use super::*;

    #[test]
    fn the_arrows_of_the_table_pass() {
        let packages = [
            package("rollcall-domain", "gateway/domain", &[("serde", Kind::Normal)]),
            package(
                "rollcall-store",
                "gateway/store",
                &[("rollcall-domain", Kind::Normal), ("redb", Kind::Normal)],
            ),
            package(
                "rollcall",
                "gateway/app",
                &[("rollcall-mqtt", Kind::Normal), ("rollcall-api", Kind::Normal)],
            ),
            package("rollcall-tests", "tests", &[("rollcall", Kind::Dev)]),
            package("xtask", "xtask", &[("anyhow", Kind::Normal)]),
        ];
        assert_eq!(check(&packages), []);
    }

    #[test]
    fn a_wrong_arrow_is_named_with_the_allowed_ones_and_the_way_out_for_every_kind() {
        for kind in [Kind::Normal, Kind::Dev, Kind::Build] {
            let findings = check(&[package("rollcall-mqtt", "mqtt", &[("rollcall-actors", kind)])]);
            let said = findings.first().expect("a finding").to_string();
            for part in [
                "mqtt/Cargo.toml",
                "rollcall-mqtt -> rollcall-actors",
                "rollcall-dialects",
                "port",
                "gateway/app",
            ] {
                assert!(said.contains(part), "{part} in {said}");
            }
        }
    }

    #[test]
    fn domain_and_xtask_use_nothing_of_ours() {
        for (name, folder) in [("rollcall-domain", "gateway/domain"), ("xtask", "xtask")] {
            let findings = check(&[package(name, folder, &[("rollcall-config", Kind::Dev)])]);
            assert!(findings.first().is_some_and(|f| f.what.contains("none of ours")), "{findings:?}");
        }
    }

    #[test]
    fn nothing_depends_on_the_whole_gateway_tests() {
        assert_eq!(check(&[package("rollcall", "gateway/app", &[("rollcall-tests", Kind::Dev)])]).len(), 1);
    }

    #[test]
    fn a_package_that_is_not_in_the_table_is_refused() {
        let findings = check(&[package("helpers", "gateway/helpers", &[])]);
        assert!(findings.first().is_some_and(|f| f.what.contains("unknown package helpers")), "{findings:?}");
    }

    #[test]
    fn a_room_in_another_folder_is_refused() {
        let findings = check(&[package("rollcall-store", "store", &[])]);
        assert!(findings.first().is_some_and(|f| f.what.contains("gateway/store/")), "{findings:?}");
    }

    #[test]
    fn the_binary_may_use_every_room_and_the_tests_the_binary_as_well() {
        let mut rooms: Vec<_> = ROOMS.iter().map(|room| room.package).collect();
        rooms.retain(|name| !["rollcall", "rollcall-tests", "xtask"].contains(name));
        assert_eq!(sorted(EVERY_ROOM), sorted(&rooms));
        rooms.push("rollcall");
        assert_eq!(sorted(EVERY_ROOM_AND_THE_BINARY), sorted(&rooms));
    }

    fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    }
}
