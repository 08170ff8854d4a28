//! The settings that rules need, as plain values.
//!
//! Promises: the defaults are those of the documentation; a meeting keeps the [`SessionRules`] it was
//! opened with, so that changing a setting never rewrites what already happened.
//!
//! Refuses: reading them. Settings are handed in.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::moment::{days, minutes};
use crate::percentage::Basis;

/// What one meeting goes by, from its opening to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRules {
    /// Up to and including this long after the start is present; later is late.
    pub late_after_minutes: u32,
    /// Who checks out sooner than this after coming in has left early.
    pub min_present_minutes: u32,
}

/// Everything a rule may ask of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub rules: SessionRules,
    pub default_minutes: u32,
    pub open_before_minutes: u32,
    pub close_after_minutes: u32,
    /// 0: never by itself.
    pub auto_lock_after_days: u32,
    /// The most sessions a class may have in a term; 0 sets no limit.
    pub max_per_term: u32,
    pub require_binding: bool,
    pub clock_ahead_minutes: u32,
    pub clock_behind_days: u32,
    pub biometric_enabled: bool,
    /// In thousandths: 700 is a quality of 0.7.
    pub min_quality_milli: u16,
    /// In hundredths of a percent: 7500 is 75 %.
    pub threshold_centi: u16,
    pub basis: Basis,
    pub planned_sessions: u32,
    pub max_correction_days: u32,
    pub self_marking: bool,
    pub qr_rotate_seconds: u32,
    pub qr_session_minutes: u32,
    pub qr_enrol_unknown: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            rules: SessionRules { late_after_minutes: 5, min_present_minutes: 10 },
            default_minutes: 60,
            open_before_minutes: 5,
            close_after_minutes: 0,
            auto_lock_after_days: 7,
            max_per_term: 0,
            require_binding: false,
            clock_ahead_minutes: 5,
            clock_behind_days: 30,
            biometric_enabled: true,
            min_quality_milli: 700,
            threshold_centi: 7500,
            basis: Basis::Held,
            planned_sessions: 12,
            max_correction_days: 7,
            self_marking: false,
            qr_rotate_seconds: 7,
            qr_session_minutes: 10,
            qr_enrol_unknown: false,
        }
    }
}

impl Policy {
    pub fn open_before(&self) -> SignedDuration {
        minutes(self.open_before_minutes)
    }

    pub fn close_after(&self) -> SignedDuration {
        minutes(self.close_after_minutes)
    }

    pub fn auto_lock_after(&self) -> SignedDuration {
        days(self.auto_lock_after_days)
    }
}
