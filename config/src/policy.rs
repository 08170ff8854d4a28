//! The settings that rules need, as the domain wants them.
//!
//! Promises: nothing is lost or guessed on the way; untouched settings give the domain's own defaults.
//!
//! Refuses: rules. What a number means is the domain's.

use rollcall_domain::policy::{Policy, SessionRules};

use crate::settings::Settings;

impl Settings {
    /// What the domain's rules go by.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let Self { devices, sessions, attendance, qr, biometric, .. } = self;
        Policy {
            rules: SessionRules {
                late_after_minutes: sessions.late_after_minutes,
                min_present_minutes: sessions.min_present_minutes,
            },
            default_minutes: sessions.default_minutes,
            open_before_minutes: sessions.open_before_minutes,
            close_after_minutes: sessions.close_after_minutes,
            auto_lock_after_days: sessions.auto_lock_after_days,
            max_per_term: sessions.max_per_term,
            require_binding: devices.require_binding,
            clock_ahead_minutes: devices.clock_ahead_minutes,
            clock_behind_days: devices.clock_behind_days,
            biometric_enabled: biometric.enabled,
            min_quality_milli: thousandths(biometric.min_quality),
            threshold_centi: u16::from(attendance.threshold_percent) * 100,
            basis: attendance.basis,
            planned_sessions: attendance.planned_sessions,
            max_correction_days: attendance.max_correction_days,
            self_marking: attendance.self_marking,
            qr_rotate_seconds: qr.rotate_seconds,
            qr_session_minutes: qr.session_minutes,
            qr_enrol_unknown: qr.enrol_unknown,
        }
    }
}

/// A fraction between 0 and 1, to the nearest thousandth.
fn thousandths(fraction: f64) -> u16 {
    let nearest = (fraction * 1000.0).round();
    (0..=1000_u16).find(|milli| f64::from(*milli) >= nearest).unwrap_or(1000)
}
