//! Promise: every mistake is reported at once, with key, line, what is wrong and what to write.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{complaints, environment, load_bytes, load_text, no_environment};

/// What is said about `golden/mistakes.toml`.
const EXPECTED: &str = include_str!("golden/mistakes.txt");

#[test]
fn every_mistake_in_a_file_is_reported_at_once() {
    assert_eq!(complaints(include_str!("golden/mistakes.toml")), EXPECTED.trim_end());
}

#[test]
fn syntax_errors_carry_line_and_column_and_do_not_hide_the_mistakes_elsewhere() {
    let said = complaints(
        "[campus]\nname = Campus\n[http\nlisten = \"x\"\n[qr]\nrotate_seconds = -1\n[store]\npath\n",
    );
    assert_eq!(
        said,
        "rollcall.toml:2:8: is not TOML: text without quotes; \
         put text in quotes: key = \"text\"\n\
         rollcall.toml:3:6: is not TOML: unclosed table, expected `]`; close the section's name: [section]\n\
         rollcall.toml:6:18: qr.rotate_seconds: -1 is out of range; write a whole number from 0 to 3600\n\
         rollcall.toml:8:5: is not TOML: key with no value, expected `=`; \
         write key = value, or put a # in front if it is a comment"
    );
}

#[test]
fn a_key_written_twice_is_a_mistake() {
    let said = complaints("[qr]\nrotate_seconds = 5\nrotate_seconds = 6\n");
    assert_eq!(said, "rollcall.toml:3:1: is not TOML: duplicate key \"rotate_seconds\"; keep one of the two");
}

#[test]
fn a_word_without_quotes_is_called_that_whatever_its_first_letters() {
    for word in ["Nairobi", "North Campus", "inf1nite", "trueish", "10.0.0.1:80", "5s", "0xyz"] {
        let said = complaints(&format!("[campus]\nname = {word}\n"));
        let expected = "is not TOML: text without quotes; put text in quotes: key = \"text\"";
        assert!(said.contains(expected), "{word}: {said}");
    }
    let page = rollcall_config::check_page_value("attendance.basis", "planned").unwrap_err().to_string();
    assert!(page.contains("is not TOML: text without quotes"), "{page}");
}

#[test]
fn of_two_zones_as_near_the_one_with_the_same_letters_is_meant() {
    let said = complaints("[campus]\ntimezone = \"Asia/Dakha\"\n");
    assert!(said.contains("write \"Asia/Dhaka\" if that is the place meant"), "{said}");
}

#[test]
fn a_section_written_as_a_list_of_sections_is_called_that() {
    let said = complaints("[[http]]\nlisten = \"127.0.0.1:1\"\n");
    assert_eq!(
        said,
        "rollcall.toml:1:3: http: is a list of sections, not one section; write [http], once, and its keys below"
    );
}

#[test]
fn a_syntax_error_hides_neither_contradictions_nor_bad_credentials_elsewhere() {
    let text = "[campus\n[http]\nlisten = \"0.0.0.0:7000\"\n[mqtt]\nlisten = \"0.0.0.0:7000\"\n\
                [upstream.firestore]\nproject = \"example-campus\"\n";
    let variables = environment(&[("FIREBASE_CREDENTIALS_JSON", "{}")]);
    let problems = load_text(text, &variables).unwrap_err();
    let said = problems.to_string();
    assert!(said.contains("unclosed table"), "{said}");
    assert!(said.contains("mqtt.listen: disagrees with http.listen: both take port 7000"), "{said}");
    assert!(said.contains("FIREBASE_CREDENTIALS_JSON: the text (not shown) has no client_email"), "{said}");
    assert_eq!(
        problems.count(),
        "3 problems in the settings; more may follow when the file can be read to its end"
    );
}

#[test]
fn other_mistakes_do_not_hide_bad_credentials() {
    let variables = environment(&[("FIREBASE_CREDENTIALS_JSON", "{}")]);
    let text = "qr.rotate_seconds = -1\nupstream.firestore.project = \"example-campus\"";
    let problems = load_text(text, &variables).unwrap_err();
    assert_eq!(problems.count(), "2 problems in the settings", "{problems}");
}

#[test]
fn what_a_broken_line_may_have_set_is_not_missed() {
    for text in [
        "[http]\ntls_cert = \"a\"\ntls_key = b\n",
        "[http]\nlisten = \"0.0.0.0:1883\"\n[mqtt]\nlisten = x\n",
        "[upstream.firestore]\nproject = \"example-campus\"\ncredentials_path = a\n",
    ] {
        let said = complaints(text);
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn columns_count_characters_not_bytes() {
    let said = complaints("campus = { name = \"Ã\u{e9}\u{4e2d}\", locale = \"?\" }");
    assert!(said.starts_with("rollcall.toml:1:35: campus.locale:"), "{said}");
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_no_mistakes() {
    let said = complaints("\u{feff}[campus]\r\nname = \"North\"\r\nlocale = 3\r\n");
    assert!(said.starts_with("rollcall.toml:3:10: campus.locale: is a whole number, not text"), "{said}");
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn text_that_is_not_utf8_is_reported_with_its_line() {
    let problems = load_bytes(b"[campus]\nname = \"\xff\"\n", &no_environment()).unwrap_err();
    assert_eq!(problems.to_string(), "rollcall.toml:2:9: is not text in UTF-8; save the file as UTF-8");
}

#[test]
fn half_configured_tls_is_a_mistake() {
    let cases = [
        ("http.tls_cert = \"a\"", "http.tls_cert: does nothing without http.tls_key"),
        ("http.tls_key = \"a\"", "http.tls_key: does nothing without http.tls_cert"),
        ("mqtt.tls_listen = \"0.0.0.0:8883\"", "mqtt.tls_listen: does nothing without mqtt.tls_cert"),
        (
            "mqtt.tls_cert = \"a\"\nmqtt.tls_key = \"b\"",
            "mqtt.tls_cert: does nothing without mqtt.tls_listen",
        ),
        ("mqtt.client_ca = \"a\"", "mqtt.client_ca: does nothing without mqtt.tls_listen"),
    ];
    for (text, expected) in cases {
        assert!(complaints(text).contains(expected), "{text}: {}", complaints(text));
    }
}

#[test]
fn what_does_nothing_without_another_key_is_a_mistake() {
    let cases = [
        (
            "upstream.portal.token = \"abc\"",
            "upstream.portal.token: does nothing without upstream.portal.url",
        ),
        ("mail.from = \"a@example.org\"", "mail.from: does nothing without mail.smtp_url"),
        ("mail.smtp_url = \"smtps://mail.example.org\"", "mail.smtp_url: does nothing without mail.from"),
        (
            "upstream.firestore.credentials_path = \"a\"",
            "upstream.firestore.credentials_path: does nothing without upstream.firestore.project",
        ),
        (
            "upstream.firestore.project = \"example-campus\"",
            "upstream.firestore.project: does nothing without credentials",
        ),
    ];
    for (text, expected) in cases {
        assert!(complaints(text).contains(expected), "{text}: {}", complaints(text));
    }
}

#[test]
fn two_listeners_on_one_port_are_a_mistake() {
    assert_eq!(
        complaints("http.listen = \"0.0.0.0:1883\""),
        "rollcall.toml:1:15: http.listen: disagrees with mqtt.listen: both take port 1883; \
         give each a port of its own"
    );
    assert!(
        complaints("mqtt.listen = \"127.0.0.1:8080\"").contains("mqtt.listen: disagrees with http.listen")
    );
    assert_eq!(complaints("mqtt.listen = \"192.0.2.1:7000\"\nhttp.listen = \"192.0.2.2:7000\""), "");
}

#[test]
fn periods_that_contradict_each_other_are_a_mistake() {
    assert!(complaints("auth.refresh_minutes = 5").contains(
        "auth.refresh_minutes: disagrees with auth.access_minutes: 5 is less than 60; write at least 60"
    ));
    assert!(complaints("retention.records_days = 3000").contains("retention.records_days: disagrees with retention.ledger_days: 3000 is more than 2555; write at most 2555"));
}

#[test]
fn the_sealing_key_may_not_lie_in_the_data_folder() {
    for file in ["data/key", "./data/key", "data/./key"] {
        for key in ["store.key_file", "store.replaced_key_file"] {
            let said = complaints(&format!("{key} = \"{file}\""));
            assert!(said.contains(&format!("{key}: disagrees with store.path")), "{file}: {said}");
        }
    }
}

#[test]
fn a_mapped_topic_under_the_face_terminals_prefix_is_a_mistake() {
    for topic in ["mqtt/#", "mqtt/face/x", "+/face/+", "#"] {
        let text = format!("[[dialects.mapped]]\nname = \"x\"\nstudent = \"id\"\ntopic = \"{topic}\"\n");
        assert!(complaints(&text).contains("reaches under mqtt/face/"), "{topic}");
    }
    for topic in ["mqtt/faces", "mqtt/+", "lab/#"] {
        let text = format!("[[dialects.mapped]]\nname = \"x\"\nstudent = \"id\"\ntopic = \"{topic}\"\n");
        assert_eq!(complaints(&text), "", "{topic}");
    }
}

#[test]
fn a_long_value_is_quoted_only_in_part() {
    let said = complaints(&format!("campus.name = \"{}\"", "x".repeat(500)));
    assert!(said.len() < 200, "{said}");
}
