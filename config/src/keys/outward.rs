//! Rows for the way out (portal, Firestore, mail, metrics) and for the dialects of terminals.

use super::{is, key, required, unset, whole};
use crate::form::Form;
use crate::key::Key;
use crate::key::Kind::{Flag, List, Tables, Text};

pub(super) const KEYS: &[Key] = &[
    key(
        "upstream.portal.url",
        Text(Form::PortalUrl),
        unset("\"https://portal.example.org/api/attendance\""),
        "Where records are sent. Not set: nothing is sent to a portal.",
    ),
    key(
        "upstream.portal.token",
        Text(Form::Token),
        unset("\"token-of-the-portal\""),
        "Sent to the portal as `Authorization: Bearer`. Secret: better given in the environment,\nas ROLLCALL__UPSTREAM__PORTAL__TOKEN, or keep this file to the gateway's user (0600).",
    ),
    key(
        "upstream.portal.mode",
        Text(Form::OneOf(&["batch", "single"])),
        is("\"batch\""),
        "Whether many records go in one request, or each in its own.",
    ),
    key("upstream.portal.batch", whole(1, 10_000), is("200"), "Most records in one request.").not_built(),
    key(
        "upstream.portal.interval_seconds",
        whole(1, 86_400),
        is("5"),
        "Seconds after which an unfilled batch is sent all the same.",
    ).not_built(),
    key(
        "upstream.portal.timeout_seconds",
        whole(1, 600),
        is("10"),
        "Seconds to wait for the portal's answer before trying again later.",
    ),
    key(
        "upstream.portal.backfill",
        Flag,
        is("true"),
        "Whether records from before the portal was configured are sent too.",
    ),
    key(
        "upstream.firestore.project",
        Text(Form::Project),
        unset("\"example-campus\""),
        "Google Cloud project. Not set: nothing is sent to Firestore.",
    ).not_built(),
    key(
        "upstream.firestore.credentials_path",
        Text(Form::FilePath),
        unset("\"/etc/rollcall/firebase-credentials.json\""),
        "Service account file. FIREBASE_CREDENTIALS_JSON and FIREBASE_CREDENTIALS_PATH come before\nit; firebase-credentials.json beside this file is taken when none of the three is set.",
    ).not_built(),
    key(
        "upstream.firestore.database",
        Text(Form::Database),
        is("\"(default)\""),
        "Database within the project.",
    ).not_built(),
    key(
        "upstream.firestore.collection",
        Text(Form::Collection),
        is("\"attendance\""),
        "Collection that receives one document for each student and session.",
    ).not_built(),
    key("upstream.firestore.batch", whole(1, 500), is("500"), "Most documents in one commit.").not_built(),
    key(
        "upstream.firestore.backfill",
        Flag,
        is("true"),
        "Whether records from before Firestore was configured are sent too.",
    ).not_built(),
    key(
        "mail.smtp_url",
        Text(Form::SmtpUrl),
        unset("\"smtps://rollcall:password@mail.example.org\""),
        "Mail server; smtps:// for TLS from the start, smtp:// otherwise. Needs from.\nNot set: no mail is sent. Secret, because it holds the password.",
    ).not_built(),
    key(
        "mail.from",
        Text(Form::Mailbox),
        unset("\"Rollcall <rollcall@example.org>\""),
        "Sender of the mails.",
    ).not_built(),
    key("metrics.enabled", Flag, is("true"), "Whether /metrics answers, for Prometheus."),
    key(
        "metrics.allowed_networks",
        List(Form::Network),
        is("[]"),
        "Networks that may read /metrics. Empty: private and attached networks.",
    ),
    key(
        "dialects.facesluice.prefix",
        Text(Form::Prefix),
        is("\"mqtt/face\""),
        "Beginning of the topics that face terminals of this dialect use.",
    ).not_built(),
    key(
        "dialects.zkteco.allowed_networks",
        List(Form::Network),
        is("[]"),
        "Networks from which terminals of this dialect may call /iclock. Empty: private and attached\nnetworks.",
    ).not_built(),
    key(
        "dialects.mapped",
        Tables(MAPPED),
        is("[]"),
        "Terminals that send JSON of their own: which fields mean what. One block for each kind.",
    ).not_built(),
];

/// The fields of one entry of `dialects.mapped`.
const MAPPED: &[Key] = &[
    key(
        "name",
        Text(Form::Slug),
        required("\"lab-reader\""),
        "Name of this kind of terminal; given as the dialect of a device.",
    ),
    key(
        "topic",
        Text(Form::DeviceFilter),
        required("\"lab/+/scan\""),
        "Topic filter on which these terminals publish.",
    ),
    key(
        "student",
        Text(Form::Field),
        required("\"user.id\""),
        "Field that holds the student; dots lead into objects.",
    ),
    key(
        "time",
        Text(Form::Field),
        unset("\"user.time\""),
        "Field that holds the time. Not set: the time of receipt counts.",
    ),
    key(
        "confidence",
        Text(Form::Field),
        unset("\"score\""),
        "Field that holds the match quality, 0 to 1 or percent. Not set: quality is not judged.",
    ),
];
