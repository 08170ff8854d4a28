//! Promise: no secret appears in any printout or error, however it is misplaced.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{complaints, environment, load_text, no_environment};
use proptest::prelude::*;
use rollcall_config::Environment;

const CANARY: &str = "hunter2";

fn everything_shown(text: &str, environment: &Environment) -> String {
    match load_text(text, environment) {
        Ok(loaded) => format!(
            "{} {loaded:?} {:?} {}",
            loaded.to_toml(),
            loaded.settings,
            serde_json::to_string(&loaded.settings).unwrap()
        ),
        Err(problems) => format!("{problems} {problems:?}"),
    }
}

#[test]
fn good_secrets_are_masked_wherever_settings_are_shown() {
    let text = "[upstream.portal]\nurl = \"https://portal.example.org/in?key=hunter2\"\ntoken = \"hunter2\"\n\
                [mail]\nsmtp_url = \"smtps://me:hunter2@mail.example.org:465/?tls=required\"\nfrom = \"a@example.org\"\n";
    let loaded = load_text(text, &no_environment()).unwrap();
    assert_eq!(loaded.settings.upstream.portal.token.as_ref().unwrap().reveal(), CANARY);
    assert!(!everything_shown(text, &no_environment()).contains(CANARY));
    let printed = loaded.to_toml();
    assert!(printed.contains("url = \"https://portal.example.org/***?***\""), "{printed}");
    assert!(printed.contains("token = \"***\""), "{printed}");
    assert!(printed.contains("smtp_url = \"smtps://***@mail.example.org:465/?***\""), "{printed}");
}

#[test]
fn the_variables_of_other_names_are_masked() {
    let variables = environment(&[
        ("ROLLCALL_ADMIN_PASSWORD", CANARY),
        ("FIREBASE_CREDENTIALS_JSON", "{\"private_key\":\"hunter2\",\"client_email\":\"x\"}"),
        ("ROLLCALL__UPSTREAM__PORTAL__TOKEN", CANARY),
    ]);
    assert!(!format!("{variables:?}").contains(CANARY));
    assert!(
        !everything_shown("upstream.firestore.project = \"example-campus\"", &variables).contains(CANARY)
    );
    assert!(
        !everything_shown("upstream.portal.url = \"https://portal.example.org\"", &variables)
            .contains(CANARY)
    );
    assert_eq!(variables.admin_password.unwrap().reveal(), CANARY);
}

#[test]
fn passwords_in_any_url_or_address_are_not_quoted() {
    for key in [
        "http.listen",
        "http.public_url",
        "http.allowed_hosts",
        "http.allowed_origins",
        "metrics.allowed_networks",
    ] {
        for url in
            ["https://me:hunter2@example.org", "http//me:hunter2@example.org", "me:hunter2@example.org"]
        {
            for text in [format!("{key} = \"{url}\""), format!("{key} = [\"{url}\"]")] {
                let said = complaints(&text);
                assert!(!said.is_empty() && !said.contains(CANARY), "{said}");
            }
        }
    }
}

#[test]
fn a_printed_mask_is_not_taken_for_a_secret() {
    let said = complaints("[upstream.portal]\nurl = \"https://portal.example.org/?***\"\ntoken = \"***\"\n");
    assert_eq!(said.matches("is the mask that check-config prints").count(), 2);
}

#[test]
fn a_password_with_an_unescaped_slash_is_not_taken_for_a_host() {
    for url in [
        "smtps://hunter2/@mail.example.org",
        "smtps://me:25#hunter2@mail.example.org",
        "smtps://me@hunter2?@x",
    ] {
        let said = complaints(&format!("mail = {{ smtp_url = \"{url}\", from = \"a@example.org\" }}"));
        assert!(said.contains("has an @ behind its host; in a password write / as %2F"), "{said}");
        assert!(!said.contains(CANARY), "{said}");
    }
}

#[test]
fn the_path_of_a_web_hook_is_masked() {
    let text = "upstream.portal.url = \"https://portal.example.org/hooks/hunter2\"";
    assert!(!everything_shown(text, &no_environment()).contains(CANARY));
    let printed = load_text(text, &no_environment()).unwrap().to_toml();
    assert!(printed.contains("url = \"https://portal.example.org/***\""), "{printed}");
}

#[test]
fn a_mail_server_in_place_of_the_sender_is_refused_and_not_quoted() {
    for from in [
        "smtps://u:hunter2@h",
        "smtps://u:hunter2@mail.example.org",
        "smtps://hunter2",
        "u:hunter2",
        "u:hunter2@mail.example.org",
        "smtps://u:hunter2@h <a@example.org>",
        "smtps://hunter2 <a@example.org>",
    ] {
        let said = complaints(&format!("mail.from = \"{from}\""));
        assert!(said.contains("mail.from: the text (not shown)"), "{said}");
        assert!(!said.contains(CANARY), "{said}");
    }
    assert!(complaints("mail.from = \"me@localhost\"").contains("\"me@localhost\" is not a mail address"));
}

#[test]
fn a_password_in_place_of_a_number_is_not_quoted() {
    for key in ["limits.user_per_hour", "biometric.min_quality", "mqtt.anonymous"] {
        let said = complaints(&format!("{key} = \"smtps://u:hunter2@h\""));
        assert!(said.contains("is the text (not shown), not") && !said.contains(CANARY), "{said}");
    }
}

const PASTED: &[&str] = &[
    r#"{\"private_key\":\"hunter2\"}"#,
    r#" {\"private_key\":\"hunter2\"}"#,
    r"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY----- hunter2",
    r"hunter2\nhunter2",
];

#[test]
fn a_key_pasted_where_a_path_belongs_is_refused_and_not_quoted() {
    for key in [
        "http.tls_key",
        "store.key_file",
        "store.replaced_key_file",
        "store.path",
        "upstream.firestore.credentials_path",
    ] {
        for pasted in PASTED {
            let said = complaints(&format!("{key} = \"{pasted}\""));
            assert!(said.contains(&format!("{key}: the text (not shown) looks like a key")), "{said}");
            assert!(!said.contains(CANARY), "{said}");
        }
    }
    for encoded in ["0123456789abcdef0123456789abcdef", "aHVudGVyMmh1bnRlcjI/aHVudGVyMmh1bnRlcjI="] {
        let said = complaints(&format!("store.key_file = \"{encoded}\""));
        assert!(said.contains("looks like a key") && !said.contains(encoded), "{said}");
    }
    for path in ["/etc/rollcall/keys/sealing-key-Of-2026-campus", "./0123456789abcdef0123456789abcdef", "k"] {
        assert_eq!(complaints(&format!("store.key_file = \"{path}\"")), "");
    }
}

#[test]
fn credentials_in_the_variables_for_a_path_and_a_host_are_refused_and_not_shown_with_or_without_a_project() {
    for settings in ["", "upstream.firestore.project = \"example-campus\""] {
        for (name, value) in [
            ("FIREBASE_CREDENTIALS_PATH", "{\"private_key\":\"hunter2\"}"),
            ("FIREBASE_CREDENTIALS_PATH", "-----BEGIN PRIVATE KEY-----\nhunter2"),
            ("FIRESTORE_EMULATOR_HOST", "u:hunter2@x:80"),
            ("FIRESTORE_EMULATOR_HOST", "http://u:hunter2@x:80"),
        ] {
            let variables = environment(&[(name, value)]);
            let problems = load_text(settings, &variables).unwrap_err();
            assert_eq!(problems.iter().len(), 1, "{problems}");
            assert!(problems.to_string().starts_with(&format!("environment {name}: the text (not shown)")));
            assert!(!format!("{problems} {problems:?} {variables:?}").contains(CANARY));
        }
    }
}

proptest! {
    #[test]
    fn a_secret_is_never_shown_however_it_is_mangled(
        before in "[^\n\r]{0,12}",
        after in "[^\n\r]{0,12}",
        key in prop::sample::select(vec!["upstream.portal.token", "upstream.portal.url", "mail.smtp_url"]),
        shape in prop::sample::select(vec!["\"{}\"", "{}", "\"{}", "[\"{}\"]", "'{}'", "{ a = \"{}\" }", "\"smtp://me:{}@\"", "\"https://{}@example.org\"", "\"https://example.org/?{}\""]),
    ) {
        let value = shape.replace("{}", &format!("{before}{CANARY}{after}"));
        let file = everything_shown(&format!("{key} = {value}\n"), &no_environment());
        prop_assert!(!file.contains(CANARY), "{}", file);
        let variable = format!("ROLLCALL__{}", key.replace('.', "__").to_uppercase());
        let variables = everything_shown("", &environment(&[(&variable, &value.replace('\0', ""))]));
        prop_assert!(!variables.contains(CANARY), "{}", variables);
    }
}
