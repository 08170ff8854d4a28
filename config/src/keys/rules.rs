//! Rows for the rules of the campus: sessions, attendance, QR, sign-in, limits, retention.

use super::{is, key, unset, whole};
use crate::form::Form;
use crate::key::Key;
use crate::key::Kind::{Flag, Fraction, List, Text};

pub(super) const KEYS: &[Key] = &[
    key(
        "sessions.default_minutes",
        whole(1, 1_440),
        is("60"),
        "Minutes a session lasts that is started without an end.",
    ).not_built()
    .on_page(),
    key(
        "sessions.open_before_minutes",
        whole(0, 240),
        is("5"),
        "Minutes before its start at which a session opens by itself.",
    )
    .on_page(),
    key(
        "sessions.close_after_minutes",
        whole(0, 1_440),
        is("0"),
        "Minutes after its end at which a session closes by itself.",
    )
    .on_page(),
    key(
        "sessions.late_after_minutes",
        whole(0, 1_440),
        is("5"),
        "Minutes after the start that still count as present; later is late.",
    )
    .on_page(),
    key(
        "sessions.min_present_minutes",
        whole(0, 1_440),
        is("10"),
        "Who scans out sooner than this many minutes after scanning in becomes absent. 0: off.",
    )
    .on_page(),
    key(
        "sessions.auto_lock_after_days",
        whole(0, 3_650),
        is("7"),
        "Days after closing from which only an admin changes marks. 0: never locked by itself.",
    ).not_built()
    .on_page(),
    key(
        "sessions.max_per_term",
        whole(0, 1_000),
        is("0"),
        "Most sessions a class may have in a term. 0: no limit.",
    ).not_built()
    .on_page(),
    key(
        "sessions.generate_days",
        whole(1, 366),
        is("14"),
        "Days ahead for which sessions are made from the timetable.",
    ).not_built(),
    key(
        "attendance.threshold_percent",
        whole(0, 100),
        is("75"),
        "Percentage of attendance from which a student may sit the exam.",
    )
    .on_page(),
    key(
        "attendance.basis",
        Text(Form::OneOf(&["held", "planned"])),
        is("\"held\""),
        "What the percentage is taken of: the sessions held, or planned_sessions.",
    )
    .on_page(),
    key(
        "attendance.planned_sessions",
        whole(1, 1_000),
        is("12"),
        "Sessions a class is planned to have; used when basis is planned.",
    )
    .on_page(),
    key(
        "attendance.max_correction_days",
        whole(0, 366),
        is("7"),
        "Days after a session within which a student may ask for a correction. 0: the same day.",
    ).not_built()
    .on_page(),
    key(
        "attendance.self_marking",
        Flag,
        is("false"),
        "Whether students may mark themselves while a session is open; a teacher approves.",
    ).not_built()
    .on_page(),
    key(
        "qr.rotate_seconds",
        whole(0, 3_600),
        is("7"),
        "Seconds after which the projected QR code changes. 0: never within its period.",
    ).not_built()
    .on_page(),
    key("qr.session_minutes", whole(1, 1_440), is("10"), "Minutes for which a QR period is open.").not_built().on_page(),
    key(
        "qr.allow_form",
        Flag,
        is("true"),
        "Whether a student without a sign-in may type name and number on the page behind the code.",
    ).not_built()
    .on_page(),
    key(
        "qr.enrol_unknown",
        Flag,
        is("false"),
        "Whether a student first seen there is enrolled; otherwise listed for the teacher.",
    ).not_built()
    .on_page(),
    key(
        "qr.require_lan",
        Flag,
        is("true"),
        "Whether the phone must be in the campus network (allowed_networks) to mark.",
    ).not_built()
    .on_page(),
    key(
        "qr.allowed_networks",
        List(Form::Network),
        is("[]"),
        "Networks that count as the campus. Empty: private and attached networks.",
    ).not_built(),
    key(
        "qr.max_distance_meters",
        whole(10, 100_000),
        unset("150"),
        "Farthest a phone may be from the room, in metres, where the room's place is known.\nNot set: the phone is not asked where it is.",
    ).not_built(),
    key(
        "biometric.enabled",
        Flag,
        is("true"),
        "Whether face, fingerprint, iris and palm terminals may mark.",
    )
    .on_page(),
    key(
        "biometric.min_quality",
        Fraction { min: 0.0, max: 1.0 },
        is("0.7"),
        "Lowest match quality that marks; a scan below it is kept as unmatched.",
    )
    .on_page(),
    key(
        "auth.signup",
        Text(Form::OneOf(&["off", "students_with_code"])),
        is("\"off\""),
        "Whether students may make their own account with a claim code from staff.",
    ).not_built(),
    key(
        "auth.access_minutes",
        whole(1, 1_440),
        is("60"),
        "Minutes an access token lives; browsers renew theirs before.",
    ),
    key(
        "auth.refresh_minutes",
        whole(1, 1_440),
        is("1440"),
        "Minutes without use after which a person signs in again; at least access_minutes.",
    ).not_built(),
    key(
        "auth.require_2fa_for",
        List(Form::OneOf(&["admin", "teacher", "student", "monitor"])),
        is("[]"),
        "Roles that must sign in with a second factor.",
    ).not_built(),
    key(
        "limits.anonymous_per_hour",
        whole(1, 1_000_000),
        is("100"),
        "Requests an hour from one address without a sign-in.",
    ).not_built(),
    key("limits.user_per_hour", whole(1, 10_000_000), is("1000"), "Requests an hour of one account.").not_built(),
    key(
        "limits.marking_per_minute",
        whole(1, 100_000),
        is("60"),
        "Marking calls a minute of one account; a bulk call counts once.",
    ).not_built(),
    key(
        "limits.device_scans_per_second",
        whole(1, 100_000),
        is("50"),
        "Scans a second of one terminal; a faster one is slowed, and loses none.",
    ).not_built(),
    key(
        "retention.records_days",
        whole(1, 36_500),
        is("2555"),
        "Days attendance records are kept (2555 days are 7 years).",
    ).not_built(),
    key(
        "retention.ledger_days",
        whole(400, 36_500),
        is("2555"),
        "Days the audit ledger is kept; at least records_days, which are computed from it.\nFor 400 days it tells whether a scan that a terminal sends again is known.",
    ).not_built(),
    key(
        "retention.evidence_days",
        whole(1, 36_500),
        is("90"),
        "Days the raw messages of terminals are kept.",
    ).not_built(),
    key(
        "retention.evidence_max_bytes",
        whole(1_048_576, 1_099_511_627_776),
        is("2147483648"),
        "Most bytes of raw messages; beyond, the oldest go first.",
    ).not_built(),
    key(
        "retention.keep_pictures",
        Flag,
        is("false"),
        "Whether pictures taken by terminals are kept with the raw messages.\nAsk the person answerable for data protection first.",
    ).not_built(),
];
