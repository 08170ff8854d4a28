//! The command line's words for what the domain lists.
//!
//! Promises: neither list has what the other has not, since each is made from the other and the compiler
//! counts.

use clap::ValueEnum;
use clap::builder::{EnumValueParser, TypedValueParser};
use rollcall_domain::campus::DeviceKind;
use rollcall_domain::people::Role;

/// Reads the role of an account.
pub(super) fn role() -> impl TypedValueParser<Value = Role> {
    EnumValueParser::<RoleWord>::new().map(Role::from)
}

/// Reads what a terminal reads.
pub(super) fn device_kind() -> impl TypedValueParser<Value = DeviceKind> {
    EnumValueParser::<DeviceWord>::new().map(DeviceKind::from)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleWord {
    Admin,
    Teacher,
    Student,
    Monitor,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Admin => Role::Admin,
            RoleWord::Teacher => Role::Teacher,
            RoleWord::Student => Role::Student,
            RoleWord::Monitor => Role::Monitor,
        }
    }
}

impl From<Role> for RoleWord {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => RoleWord::Admin,
            Role::Teacher => RoleWord::Teacher,
            Role::Student => RoleWord::Student,
            Role::Monitor => RoleWord::Monitor,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DeviceWord {
    Fingerprint,
    Face,
    Iris,
    Palm,
    Card,
    Qr,
    Camera,
}

impl From<DeviceWord> for DeviceKind {
    fn from(word: DeviceWord) -> Self {
        match word {
            DeviceWord::Fingerprint => DeviceKind::Fingerprint,
            DeviceWord::Face => DeviceKind::Face,
            DeviceWord::Iris => DeviceKind::Iris,
            DeviceWord::Palm => DeviceKind::Palm,
            DeviceWord::Card => DeviceKind::Card,
            DeviceWord::Qr => DeviceKind::Qr,
            DeviceWord::Camera => DeviceKind::Camera,
        }
    }
}

impl From<DeviceKind> for DeviceWord {
    fn from(kind: DeviceKind) -> Self {
        match kind {
            DeviceKind::Fingerprint => DeviceWord::Fingerprint,
            DeviceKind::Face => DeviceWord::Face,
            DeviceKind::Iris => DeviceWord::Iris,
            DeviceKind::Palm => DeviceWord::Palm,
            DeviceKind::Card => DeviceWord::Card,
            DeviceKind::Qr => DeviceWord::Qr,
            DeviceKind::Camera => DeviceWord::Camera,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stands_for_the_domains_own_and_comes_back_from_it() {
        for word in RoleWord::value_variants() {
            assert_eq!(RoleWord::from(Role::from(*word)), *word);
        }
        for word in DeviceWord::value_variants() {
            assert_eq!(DeviceWord::from(DeviceKind::from(*word)), *word);
        }
    }
}
