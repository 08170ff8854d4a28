//! Promise: the settings page obeys the rules of the file, for the keys that are marked for it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use rollcall_config::{check_page_value, page_keys};
use toml::Value;

#[test]
fn exactly_the_keys_with_a_star_in_the_contract_can_be_changed() {
    let paths: Vec<&str> = page_keys().map(|key| key.path).collect();
    assert_eq!(
        paths,
        [
            "devices.require_binding",
            "sessions.default_minutes",
            "sessions.open_before_minutes",
            "sessions.close_after_minutes",
            "sessions.late_after_minutes",
            "sessions.min_present_minutes",
            "sessions.auto_lock_after_days",
            "sessions.max_per_term",
            "attendance.threshold_percent",
            "attendance.basis",
            "attendance.planned_sessions",
            "attendance.max_correction_days",
            "attendance.self_marking",
            "qr.rotate_seconds",
            "qr.session_minutes",
            "qr.allow_form",
            "qr.enrol_unknown",
            "qr.require_lan",
            "biometric.enabled",
            "biometric.min_quality",
        ]
    );
}

#[test]
fn good_values_come_back_typed() {
    assert_eq!(check_page_value("qr.rotate_seconds", "15"), Ok(Value::Integer(15)));
    assert_eq!(check_page_value("qr.allow_form", "true"), Ok(Value::Boolean(true)));
    assert_eq!(check_page_value("attendance.basis", "\"planned\""), Ok(Value::String("planned".to_owned())));
    assert_eq!(check_page_value("biometric.min_quality", "1"), Ok(Value::Float(1.0)));
}

#[test]
fn bad_values_are_refused_as_in_the_file() {
    let said = |path, text| check_page_value(path, text).unwrap_err().to_string();
    assert_eq!(
        said("qr.session_minutes", "0"),
        "settings page: qr.session_minutes: 0 is out of range; write a whole number from 1 to 1440"
    );
    assert!(said("attendance.basis", "\"plan\"").contains("is not one of the words known here"));
    assert!(said("qr.rotate_seconds", "5\nqr.session_minutes = 1").contains("is not TOML"));
    assert!(said("qr.rotate_seconds", "").contains("is not TOML"));
}

#[test]
fn other_keys_are_refused() {
    let said = |path| check_page_value(path, "1").unwrap_err().to_string();
    assert_eq!(
        said("limits.user_per_hour"),
        "settings page: limits.user_per_hour: cannot be changed on the settings page; \
         write it in the settings file, or set ROLLCALL__LIMITS__USER_PER_HOUR"
    );
    assert!(said("qr.rotate_second").ends_with("unknown key; did you mean qr.rotate_seconds?"));
}
