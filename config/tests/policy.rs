//! What the rules are handed is what the settings say.

#![allow(clippy::unwrap_used, reason = "a setting that does not load should fail loudly")]

use rollcall_config::{Environment, Source, load_source};
use rollcall_domain::percentage::Basis;
use rollcall_domain::policy::Policy;

fn policy(text: &str) -> Policy {
    let source = Source::new("rollcall.toml".as_ref(), text.as_bytes().to_vec());
    load_source(&source, &Environment::default()).unwrap().settings.policy()
}

#[test]
fn untouched_settings_are_the_domains_own_defaults() {
    assert_eq!(policy(""), Policy::default());
}

#[test]
fn every_setting_of_a_rule_reaches_it() {
    let text = r#"
        [devices]
        require_binding = true
        clock_ahead_minutes = 6
        clock_behind_days = 31
        [sessions]
        default_minutes = 61
        open_before_minutes = 7
        close_after_minutes = 8
        late_after_minutes = 9
        min_present_minutes = 11
        auto_lock_after_days = 12
        max_per_term = 13
        [attendance]
        threshold_percent = 80
        basis = "planned"
        planned_sessions = 14
        max_correction_days = 15
        self_marking = true
        [qr]
        rotate_seconds = 16
        session_minutes = 17
        enrol_unknown = true
        [biometric]
        enabled = false
        min_quality = 0.815
    "#;
    let expected = Policy {
        rules: rollcall_domain::policy::SessionRules { late_after_minutes: 9, min_present_minutes: 11 },
        default_minutes: 61,
        open_before_minutes: 7,
        close_after_minutes: 8,
        auto_lock_after_days: 12,
        max_per_term: 13,
        require_binding: true,
        clock_ahead_minutes: 6,
        clock_behind_days: 31,
        biometric_enabled: false,
        min_quality_milli: 815,
        threshold_centi: 8000,
        basis: Basis::Planned,
        planned_sessions: 14,
        max_correction_days: 15,
        self_marking: true,
        qr_rotate_seconds: 16,
        qr_session_minutes: 17,
        qr_enrol_unknown: true,
    };
    assert_eq!(policy(text), expected);
}
