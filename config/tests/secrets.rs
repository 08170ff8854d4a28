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
    assert!(printed.contains("url = \"https://portal.example.org/in?***\""), "{printed}");
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
