//! Rows for the campus itself and the way in: HTTP, MQTT, the disk, the terminals.

use super::{is, key, unset, whole};
use crate::form::Form;
use crate::key::Key;
use crate::key::Kind::{Flag, List, Text};

pub(super) const KEYS: &[Key] = &[
    key(
        "campus.name",
        Text(Form::Name),
        is("\"Campus\""),
        "Name of the campus, as pages, mails and authenticator apps show it.",
    ),
    key(
        "campus.timezone",
        Text(Form::Zone),
        is("\"UTC\""),
        "Time zone of the timetable, and of terminals that send times without a zone.\nSet it before the first session: it decides what 09:00 means.",
    ),
    key(
        "campus.locale",
        Text(Form::Locale),
        is("\"en\""),
        "Language of the pages for a person whose browser asks for none that is known.",
    ).not_built(),
    key(
        "log.level",
        Text(Form::OneOf(&["error", "warn", "info", "debug", "trace"])),
        is("\"info\""),
        "How much is logged. Use debug while looking for a fault; a reload (SIGHUP) is enough.",
    ),
    key(
        "http.listen",
        Text(Form::Listen),
        is("\"0.0.0.0:8080\""),
        "Address and port of the pages, the API and the WebSockets.\nUse 127.0.0.1:8080 behind a proxy on the same box.",
    ),
    key(
        "http.public_url",
        Text(Form::WebUrl),
        unset("\"https://rollcall.example.org\""),
        "What QR codes point to. Not set: the address by which the page was reached.\nSet it when phones reach the gateway by another name than the teacher's screen does.",
    ),
    key(
        "http.tls_cert",
        Text(Form::FilePath),
        unset("\"/etc/rollcall/tls/server.pem\""),
        "Certificate chain (PEM) for HTTPS on the address above; needs tls_key.",
    ).refused(),
    key(
        "http.tls_key",
        Text(Form::FilePath),
        unset("\"/etc/rollcall/tls/server.key\""),
        "Private key (PEM) of that certificate; readable by the gateway alone.",
    ).refused(),
    key(
        "http.allowed_hosts",
        List(Form::Host),
        is("[]"),
        "Host names under which the pages answer. Empty: any.\nSet it when the gateway is reachable from outside the campus.",
    ).not_built(),
    key(
        "http.allowed_origins",
        List(Form::WebOrigin),
        is("[]"),
        "Other web sites whose pages may call the API from a browser. Empty: none.",
    ),
    key(
        "http.trusted_proxies",
        List(Form::Network),
        is("[]"),
        "Proxies whose X-Forwarded-For header is believed. Empty: the header is ignored.",
    ).not_built(),
    key(
        "mqtt.listen",
        Text(Form::Listen),
        is("\"0.0.0.0:1883\""),
        "Address and port for terminals, MQTT 3.1.1 and 5, without TLS.\nUse 127.0.0.1:1883 when every terminal speaks TLS.",
    ),
    key(
        "mqtt.tls_listen",
        Text(Form::Listen),
        unset("\"0.0.0.0:8883\""),
        "Address and port for terminals with TLS; needs tls_cert and tls_key.",
    ),
    key(
        "mqtt.tls_cert",
        Text(Form::FilePath),
        unset("\"/etc/rollcall/tls/server.pem\""),
        "Certificate chain (PEM) shown to terminals. Files that were renewed are read on a reload (SIGHUP).",
    ),
    key(
        "mqtt.tls_key",
        Text(Form::FilePath),
        unset("\"/etc/rollcall/tls/server.key\""),
        "Private key (PEM) of that certificate; readable by the gateway alone.",
    ),
    key(
        "mqtt.client_ca",
        Text(Form::FilePath),
        unset("\"/etc/rollcall/tls/campus-ca.pem\""),
        "Authority (PEM) whose client certificates are taken instead of a device secret: the common name is\nthe device's id.",
    ),
    key(
        "mqtt.anonymous",
        Flag,
        is("false"),
        "For tests of the broker alone: strangers may publish and subscribe outside rollcall/ and\nthe dialects' topics, never send scans. Leave it off on a campus.",
    ),
    key(
        "mqtt.denied_filters",
        List(Form::Filter),
        is("[]"),
        "Topic filters that anonymous clients may not subscribe to.",
    ),
    key(
        "mqtt.max_connections",
        whole(1, 1_000_000),
        is("10000"),
        "Connections at the same time; further ones are refused with a reason.",
    ),
    key(
        "mqtt.max_packet_bytes",
        whole(4_096, 268_435_455),
        is("8388608"),
        "Largest MQTT packet in bytes. Terminals that send pictures need room.",
    ),
    key(
        "mqtt.idle_seconds",
        whole(5, 86_400),
        is("600"),
        "Seconds of silence after which a client that asked for no keep-alive is disconnected.",
    ),
    key(
        "store.path",
        Text(Form::FilePath),
        is("\"data\""),
        "Data folder; made on the first start, for the gateway's user alone. A relative path counts\nfrom the folder in which the gateway is started. `--data-dir` overrides it.",
    ),
    key(
        "store.min_free_bytes",
        whole(0, 1_099_511_627_776),
        is("268435456"),
        "Bytes kept free on that disk. Below it scans are held back, never acknowledged and lost.",
    ),
    key(
        "store.key_file",
        Text(Form::FilePath),
        unset("\"/etc/rollcall/rollcall.key\""),
        "Sealing key, in a file outside the data folder. Not set: a systemd credential, or a key\nmade on the first start. Back it up apart from the data.",
    ),
    key(
        "store.replaced_key_file",
        Text(Form::FilePath),
        unset("\"/etc/rollcall/rollcall.key.old\""),
        "Sealing key that the one above replaces, for the first start under the new one. Take it out\nafterwards; keep the file as long as backups that were made under it.",
    ),
    key(
        "devices.require_binding",
        Flag,
        is("false"),
        "Whether a terminal marks only in a session to which a teacher bound it, even where room or\ntimetable would tell the session.",
    )
    .on_page(),
    key(
        "devices.clock_ahead_minutes",
        whole(1, 1_440),
        is("5"),
        "Minutes a terminal's clock may be ahead; beyond, the time of receipt counts instead.",
    ),
    key(
        "devices.clock_behind_days",
        whole(1, 365),
        is("30"),
        "Days back a scan kept by a terminal may be dated; beyond, the time of receipt counts instead.",
    ),
];
