//! Which room may name which technology.
//!
//! Promises: a technology with an owner is a dependency of nobody else, so that replacing it touches
//! one room; the domain depends on nothing that reads, waits or draws lots.

use super::Finding;
use super::metadata::{Kind, Package};

/// A technology and the packages that may depend on it.
struct Technology {
    crates: &'static [&'static str],
    owners: &'static [&'static str],
    /// Whether others may use it in their tests.
    in_tests: bool,
    reason: &'static str,
}

const TECHNOLOGIES: [Technology; 7] = [
    Technology {
        crates: &["redb"],
        owners: &["rollcall-store"],
        in_tests: false,
        reason: "what is on disk has one format and one owner",
    },
    Technology {
        crates: &["rumqttd"],
        owners: &["rollcall-mqtt"],
        in_tests: false,
        reason: "the broker's faults are kept behind the front door",
    },
    Technology {
        crates: &["rumqttc"],
        owners: &["rollcall-simulator", "rollcall-tests"],
        in_tests: false,
        reason: "the gateway is a broker; only what plays a terminal is a client",
    },
    Technology {
        crates: &["actix"],
        owners: &["rollcall-actors", "rollcall-api", "rollcall", "rollcall-tests"],
        in_tests: false,
        reason: "state over time lives in actors",
    },
    Technology {
        crates: &["actix-web", "actix-ws"],
        owners: &["rollcall-api", "rollcall-dashboards", "rollcall", "rollcall-tests"],
        in_tests: false,
        reason: "rules and stores are not reached through HTTP",
    },
    Technology {
        crates: &["reqwest"],
        owners: &["rollcall-upstream", "rollcall-simulator", "rollcall", "rollcall-tests"],
        in_tests: false,
        reason: "what leaves the box leaves through one room, which keeps retries and cursors",
    },
    Technology {
        crates: &["anyhow"],
        owners: &["rollcall", "xtask", "rollcall-tests"],
        in_tests: true,
        reason: "a room's errors are one enum with facts as fields, so that callers can tell them apart",
    },
];

/// What the domain may depend on outside its tests, and why.
const DOMAIN_MAY_USE: [(&str, &str); 7] = [
    ("aes-gcm", "personal values and QR tokens are sealed"),
    ("base64", "tokens are text"),
    ("blake3", "dedup keys and the chain of events are keyed hashes"),
    ("jiff", "campus days and time zones"),
    ("serde", "events and views have a stored form"),
    ("subtle", "secrets are compared in constant time"),
    ("thiserror", "errors with facts as fields"),
];

/// Checks the outside dependencies of every package.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        for dependency in &package.dependencies {
            for technology in &TECHNOLOGIES {
                let named = technology.crates.contains(&dependency.name.as_str());
                let owned = technology.owners.contains(&package.name.as_str());
                let tests = technology.in_tests && dependency.kind == Kind::Dev;
                if named && !owned && !tests {
                    findings.push(not_the_owner(package, &dependency.name, technology));
                }
            }
        }
        if package.name == "rollcall-domain" {
            findings.extend(check_domain(package));
        }
    }
    findings
}

fn not_the_owner(package: &Package, name: &str, technology: &Technology) -> Finding {
    let what = format!(
        "{} may not depend on {name} (only {} may; {}): use what the owning room offers, or a port in \
         gateway/domain",
        package.name,
        technology.owners.join(", "),
        technology.reason
    );
    Finding::in_file(&package.manifest(), what)
}

fn check_domain(package: &Package) -> Vec<Finding> {
    let outside = package.dependencies.iter().filter(|d| d.kind != Kind::Dev);
    outside
        .filter(|d| !d.name.starts_with("rollcall"))
        .filter(|d| !DOMAIN_MAY_USE.iter().any(|(name, _)| *name == d.name))
        .map(|dependency| {
            let allowed: Vec<_> = DOMAIN_MAY_USE.iter().map(|(name, why)| format!("{name}: {why}")).collect();
            let what = format!(
                "the domain may not depend on {} (allowed: {}): do it in the room that owns it, behind a \
                 port; a pure crate the domain needs is added with its reason to the list in {}",
                dependency.name,
                allowed.join("; "),
                file!()
            );
            Finding::in_file(&package.manifest(), what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::metadata::tests::package;
    use super::*;

    fn findings(name: &str, dependency: &str, kind: Kind) -> Vec<String> {
        check(&[package(name, "somewhere", &[(dependency, kind)])]).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn owners_may_name_their_technology() {
        for technology in &TECHNOLOGIES {
            for owner in technology.owners {
                for name in technology.crates {
                    assert_eq!(findings(owner, name, Kind::Normal), [""; 0]);
                }
            }
        }
    }

    #[test]
    fn others_may_not_even_in_their_tests() {
        for (name, dependency) in [
            ("rollcall-actors", "redb"),
            ("rollcall-api", "rumqttd"),
            ("rollcall-mqtt", "rumqttc"),
            ("rollcall-store", "actix"),
            ("rollcall-actors", "actix-web"),
            ("rollcall-api", "reqwest"),
        ] {
            for kind in [Kind::Normal, Kind::Dev, Kind::Build] {
                let said = findings(name, dependency, kind);
                let said = said.first().expect("a finding");
                assert!(said.contains(&format!("{name} may not depend on {dependency}")), "{said}");
            }
        }
    }

    #[test]
    fn anyhow_is_for_programs_and_for_tests() {
        assert_eq!(findings("rollcall-store", "anyhow", Kind::Dev), [""; 0]);
        assert_eq!(findings("rollcall-store", "anyhow", Kind::Normal).len(), 1);
    }

    #[test]
    fn the_domain_takes_only_its_list_outside_tests() {
        assert_eq!(findings("rollcall-domain", "jiff", Kind::Normal), [""; 0]);
        assert_eq!(findings("rollcall-domain", "proptest", Kind::Dev), [""; 0]);
        let said = findings("rollcall-domain", "tokio", Kind::Normal);
        assert!(said.first().is_some_and(|said| said.contains("may not depend on tokio")), "{said:?}");
        assert_eq!(findings("rollcall-domain", "cc", Kind::Build).len(), 1);
    }
}
