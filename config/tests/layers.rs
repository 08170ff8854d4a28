//! Promise: defaults, then the file, then the environment; empty variables take away.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use common::{complaints, environment, load_text, no_environment};
use rollcall_config::Environment;
use rollcall_domain::people::Role;
use rollcall_domain::percentage::Basis;

#[test]
fn without_a_file_the_defaults_of_the_contract_hold() {
    let settings = load_text("", &no_environment()).unwrap().settings;
    assert_eq!(settings.http.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(settings.mqtt.listen.to_string(), "0.0.0.0:1883");
    assert_eq!(settings.store.path.to_str(), Some("data"));
    assert_eq!(settings.campus.timezone.iana_name(), Some("UTC"));
    assert_eq!(settings.attendance.basis, Basis::Held);
    assert_eq!(settings.biometric.min_quality, 0.7);
    assert_eq!(settings.upstream.portal.url, None);
    assert_eq!(settings.dialects.mapped, []);
}

#[test]
fn the_environment_overrides_the_file_and_the_file_the_defaults() {
    let file = "[campus]\nname = \"North\"\nlocale = \"sw\"\n";
    let variables = environment(&[("ROLLCALL__CAMPUS__NAME", "South"), ("UNRELATED", "x")]);
    let settings = load_text(file, &variables).unwrap().settings;
    assert_eq!((settings.campus.name.as_str(), settings.campus.locale.as_str()), ("South", "sw"));
}

#[test]
fn each_value_says_where_it_comes_from() {
    let variables = environment(&[("ROLLCALL__CAMPUS__NAME", "South")]);
    let printed = load_text("\n[campus]\nlocale = \"sw\"\n", &variables).unwrap().to_toml();
    let comment = |key: &str| {
        let line = printed.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_once("# ").unwrap().1.to_owned()
    };
    assert_eq!(comment("name"), "environment ROLLCALL__CAMPUS__NAME");
    assert_eq!(comment("locale"), "rollcall.toml:3; not built yet");
    assert_eq!(comment("timezone"), "default");
}

#[test]
fn nested_sections_are_reached_from_the_environment() {
    let variables = environment(&[("ROLLCALL__UPSTREAM__PORTAL__URL", "https://portal.example.org/in")]);
    let settings = load_text("", &variables).unwrap().settings;
    assert_eq!(settings.upstream.portal.url.unwrap().reveal().as_str(), "https://portal.example.org/in");
}

#[test]
fn lists_in_the_environment_are_comma_separated_or_toml() {
    for text in ["admin, teacher", "admin,teacher,", "[\"admin\", \"teacher\"]"] {
        let variables = environment(&[("ROLLCALL__AUTH__REQUIRE_2FA_FOR", text)]);
        let settings = load_text("", &variables).unwrap().settings;
        assert_eq!(settings.auth.require_2fa_for, [Role::Admin, Role::Teacher], "{text}");
    }
}

#[test]
fn tables_in_the_environment_are_toml() {
    let variables = environment(&[(
        "ROLLCALL__DIALECTS__MAPPED",
        "[{ name = \"lab\", topic = \"lab/+/in\", student = \"id\" }]",
    )]);
    let settings = load_text("", &variables).unwrap().settings;
    assert_eq!(settings.dialects.mapped[0].topic, "lab/+/in");
}

#[test]
fn an_empty_variable_takes_away_what_the_file_set() {
    let file = "[http]\npublic_url = \"https://rollcall.example.org\"\nallowed_hosts = [\"a.example.org\"]\n";
    let variables = environment(&[("ROLLCALL__HTTP__PUBLIC_URL", ""), ("ROLLCALL__HTTP__ALLOWED_HOSTS", "")]);
    let settings = load_text(file, &variables).unwrap().settings;
    assert_eq!((settings.http.public_url, settings.http.allowed_hosts), (None, Vec::new()));
}

#[test]
fn a_mistake_in_the_file_is_reported_although_a_variable_hides_it() {
    let variables = environment(&[("ROLLCALL__QR__ROTATE_SECONDS", "9")]);
    let problems = load_text("[qr]\nrotate_seconds = -1\n", &variables).unwrap_err();
    assert!(problems.to_string().starts_with("rollcall.toml:2:18: qr.rotate_seconds: -1 is out of range"));
}

#[test]
fn variables_with_unknown_names_are_mistakes_with_a_suggestion() {
    for (name, advice) in [
        ("ROLLCALL__HTTP__LISTN", "did you mean ROLLCALL__HTTP__LISTEN?"),
        ("ROLLCALL__http__listen", "write it in capitals: ROLLCALL__HTTP__LISTEN"),
        ("ROLLCALL__PORTAL__TOKEN", "did you mean ROLLCALL__UPSTREAM__PORTAL__TOKEN?"),
        (
            "ROLLCALL__DIALECTS__MAPPED__0__NAME",
            "set ROLLCALL__DIALECTS__MAPPED as a whole: write a list of tables such as \
             [{ name = \"lab-reader\", topic = \"lab/+/scan\", student = \"user.id\" }]",
        ),
        ("ROLLCALL__XYZZY", "unset it; every key is in rollcall.example.toml"),
    ] {
        let problems = load_text("", &environment(&[(name, "1")])).unwrap_err();
        assert_eq!(problems.to_string(), format!("environment {name}: unknown key; {advice}"));
    }
}

#[test]
fn variables_that_an_orchestrator_sets_are_none_of_our_business() {
    let variables = environment(&[
        ("ROLLCALL_SERVICE_HOST", "192.0.2.1"),
        ("ROLLCALL_SERVICE_PORT_HTTP", "8080"),
        ("ROLLCALL_PORT", "tcp://x"),
        ("ROLLCALL_PORT_8080_TCP_ADDR", "192.0.2.1"),
    ]);
    assert!(load_text("", &variables).is_ok());
    assert_eq!(variables.ignored().count(), 0);
}

#[test]
fn variables_that_look_meant_for_us_but_are_not_read_are_remarked_and_no_mistake() {
    for (name, advice) in [
        ("ROLLCALL_HTTP_LISTEN", "did you mean ROLLCALL__HTTP__LISTEN?"),
        ("rollcall__http__listen", "did you mean ROLLCALL__HTTP__LISTEN?"),
        ("Rollcall_Admin_Password", "did you mean ROLLCALL_ADMIN_PASSWORD?"),
        ("ROLLCALL_XYZZY", "settings are given as ROLLCALL__SECTION__KEY"),
    ] {
        let variables = environment(&[(name, "hunter2")]);
        assert!(load_text("", &variables).is_ok());
        let remarks: Vec<&str> = variables.ignored().collect();
        assert_eq!(remarks, [format!("environment {name} is not read; {advice}")]);
    }
}

#[test]
fn a_variable_that_is_not_text_is_a_mistake() {
    let pairs = [(OsString::from("ROLLCALL__CAMPUS__NAME"), OsString::from_vec(vec![0xff]))];
    let problems = load_text("", &Environment::from_pairs(pairs)).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "environment ROLLCALL__CAMPUS__NAME: campus.name: is not text in UTF-8; set it to text in UTF-8"
    );
}

#[test]
fn time_zones_are_found_whatever_their_case() {
    let settings = load_text("campus.timezone = \"asia/dhaka\"", &no_environment()).unwrap().settings;
    assert_eq!(settings.campus.timezone.iana_name(), Some("Asia/Dhaka"));
}

#[test]
fn a_single_address_is_a_network_of_one() {
    let text = "metrics.allowed_networks = [\"192.0.2.7\", \"2001:db8::1\"]";
    let networks = load_text(text, &no_environment()).unwrap().settings.metrics.allowed_networks;
    assert_eq!(
        networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["192.0.2.7/32", "2001:db8::1/128"]
    );
}

#[test]
fn port_zero_never_clashes() {
    assert_eq!(complaints("http.listen = \"127.0.0.1:0\"\nmqtt.listen = \"127.0.0.1:0\""), "");
}

#[test]
fn only_what_somebody_changed_is_told_to_be_not_built_yet() {
    let idle = |text: &str| -> Vec<&str> {
        load_text(text, &no_environment()).unwrap().idle_keys().iter().map(|key| key.path).collect()
    };
    assert_eq!(idle(""), [""; 0]);
    assert_eq!(idle("limits.user_per_hour = 1000\nmqtt.denied_filters = []\nqr.require_lan = true"), [""; 0]);
    let text = "limits.user_per_hour = 5\nqr.max_distance_meters = 150\nsessions.late_after_minutes = 6";
    assert_eq!(idle(text), ["qr.max_distance_meters", "limits.user_per_hour"]);
}

#[test]
fn settings_with_https_are_sound_but_nothing_may_run_on_them_yet() {
    let tls = "[http]\ntls_cert = \"a\"\ntls_key = \"b\"\n";
    let problems = load_text(tls, &no_environment()).unwrap().ready().unwrap_err();
    assert_eq!(problems.found(), 2);
    assert!(problems.to_string().starts_with("rollcall.toml:2:12: http.tls_cert: is not built yet; "));
    let other = load_text("limits.user_per_hour = 5", &no_environment()).unwrap();
    assert!(other.ready().is_ok());
}
