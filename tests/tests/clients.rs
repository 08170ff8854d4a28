//! Promise: MQTT clients that others made scan in both versions, plain, over TLS and over WebSocket; certificates
//! stand for secrets and are renewed without a terminal noticing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rollcall_tests::campus::{Campus, free};
use rollcall_tests::certificates::Authority;
use rollcall_tests::gateway::{Gateway, Signal, rollcall};

/// A gateway with TLS on a campus of its own.
struct Guarded {
    campus: Campus,
    authority: Authority,
    ca: PathBuf,
    tls: SocketAddr,
    gateway: Gateway,
}

impl Guarded {
    fn start() -> Self {
        let (campus, authority, tls) = (Campus::new(), Authority::new("campus"), free());
        let folder = campus.folder.path();
        let ca = authority.write(folder, "ca.pem");
        authority.sign("localhost", folder, "server");
        let files = "tls_cert = \"server.pem\"\ntls_key = \"server.key\"\nclient_ca = \"ca.pem\"\n";
        campus.set(&format!("tls_listen = \"{tls}\"\n{files}"));
        let mut command = rollcall(folder, &["--config", "rollcall.toml"]);
        let gateway = Gateway::start(command.env_remove("ROLLCALL__MQTT__LISTEN"));
        Guarded { campus, authority, ca, tls, gateway }
    }

    fn port(&self, transport: &str) -> String {
        let address: SocketAddr = match transport {
            "tls" => self.tls,
            "websockets" => self.gateway.http().parse().unwrap(),
            _ => self.campus.mqtt,
        };
        address.port().to_string()
    }

    fn scan(&self, id: &str) -> String {
        let student = self.campus.sample.rooms.first().and_then(|room| room.students.first()).unwrap();
        format!(r#"{{"id":"{id}","student":"{student}","at":"{}"}}"#, self.campus.clock.now())
    }

    fn device(&self) -> &str {
        self.campus.devices.first().unwrap().0.as_str()
    }

    fn secret(&self) -> &str {
        &self.campus.devices.first().unwrap().1
    }

    /// One of Mosquitto's clients.
    fn mosquitto(&self, program: &str, version: &str, transport: &str, topic: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "localhost", "-p", &self.port(transport), "-V", version, "-q", "1"]);
        command.args(["-t", &format!("rollcall/v1/{}/{topic}", self.device())]).stdin(Stdio::null());
        if transport == "tls" {
            command.arg("--cafile").arg(&self.ca);
        }
        command
    }

    fn with_secret<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.args(["-u", self.device(), "-P", self.secret()])
    }

    /// Mosquitto's subscriber, once it has subscribed to the results.
    fn listen(&self, version: &str, transport: &str) -> (Child, impl Iterator<Item = String> + use<>) {
        let mut command = self.mosquitto("mosquitto_sub", version, transport, "result");
        self.with_secret(&mut command).args(["-d", "-W", "20"]).stdout(Stdio::piped());
        // It keeps what it says to itself for long if it says it to a pipe.
        let mut child = unbuffered(&command).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("Subscribed")), "not subscribed");
        (child, lines)
    }

    /// Reads the certificates again, and tells what the log says of it.
    fn reload(&mut self) -> String {
        self.gateway.signal(Signal::HUP);
        self.gateway.wait_for("certificates ")
    }

    fn publishes(&self, ca: &Path, id: &str) -> bool {
        let mut command = self.mosquitto("mosquitto_pub", "mqttv5", "tls", "scan");
        self.with_secret(&mut command).arg("--cafile").arg(ca).args(["-m", &self.scan(id)]);
        command.output().unwrap().status.success()
    }

    fn stored_at_the_end(self) -> Vec<String> {
        self.gateway.signal(Signal::KILL);
        self.gateway.end();
        self.campus.stored_scans()
    }
}

fn unbuffered(command: &Command) -> Command {
    let mut whole = Command::new("stdbuf");
    whole.arg("-oL").arg(command.get_program()).args(command.get_args());
    whole.stdin(Stdio::null()).stdout(Stdio::piped());
    whole
}

#[test]
fn mosquittos_clients_scan_and_hear_the_result_plain_and_over_tls() {
    let guarded = Guarded::start();
    let mut expected = Vec::new();
    for version in ["mqttv311", "mqttv5"] {
        for transport in ["tcp", "tls"] {
            let id = format!("{version} {transport}");
            let (mut listening, mut lines) = guarded.listen(version, transport);
            let mut publish = guarded.mosquitto("mosquitto_pub", version, transport, "scan");
            let published =
                guarded.with_secret(&mut publish).args(["-m", &guarded.scan(&id)]).output().unwrap();
            assert!(published.status.success(), "{published:?}");
            assert!(lines.any(|line| line.contains(&format!("{{\"id\":\"{id}\""))), "no result of {id}");
            listening.kill().ok();
            listening.wait().unwrap();
            expected.push(id);
        }
    }
    assert_eq!(guarded.stored_at_the_end(), expected);
}

/// One of the clients in `tests/clients`.
fn client(program: &str, script: &str, (variable, place): (&str, &str)) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let place = root.join("target/tools").join(place);
    assert!(place.is_dir(), "no {}: `cargo xtask test --only gateway-tests` installs it", place.display());
    let mut command = Command::new(program);
    command.arg(root.join("tests/clients").join(script)).env(variable, place).stdin(Stdio::null());
    command
}

fn scans_in_every_way(client: impl Fn() -> Command) {
    let guarded = Guarded::start();
    let mut expected = Vec::new();
    for version in ["3", "5"] {
        for transport in ["tcp", "tls", "websockets"] {
            let id = format!("{version} {transport}");
            let mut command = client();
            command.args([version, transport, &guarded.port(transport)]).arg(&guarded.ca);
            let Output { status, stdout, stderr } =
                command.args([guarded.device(), guarded.secret(), &guarded.scan(&id)]).output().unwrap();
            assert!(status.success(), "{id}: {}", String::from_utf8_lossy(&stderr));
            let result = String::from_utf8_lossy(&stdout).into_owned();
            assert!(result.starts_with(&format!("{{\"id\":\"{id}\",\"status\":")), "{result}");
            expected.push(id);
        }
    }
    assert_eq!(guarded.stored_at_the_end(), expected);
}

#[test]
fn paho_scans_and_hears_the_result_plain_over_tls_and_over_websocket() {
    scans_in_every_way(|| client("python3", "paho_scan.py", ("PYTHONPATH", "python")));
}

#[test]
fn npms_mqtt_scans_and_hears_the_result_plain_over_tls_and_over_websocket() {
    scans_in_every_way(|| client("node", "mqtt_scan.cjs", ("NODE_PATH", "node/node_modules")));
}

#[test]
fn a_certificate_signs_in_as_the_terminal_in_it_and_nobody_else() {
    let guarded = Guarded::start();
    let folder = guarded.campus.folder.path();
    let publish = |(cert, key): &(PathBuf, PathBuf), user: Option<&str>, id: &str| {
        let mut command = guarded.mosquitto("mosquitto_pub", "mqttv5", "tls", "scan");
        command.arg("--cert").arg(cert).arg("--key").arg(key).args(["-m", &guarded.scan(id)]);
        if let Some(user) = user {
            command.args(["-u", user]);
        }
        command.output().unwrap().status.success()
    };
    let own = guarded.authority.sign(guarded.device(), folder, "own");
    assert!(publish(&own, None, "1") && publish(&own, Some(guarded.device()), "2"));
    let (other, _) = guarded.campus.devices.get(1).unwrap();
    assert!(!publish(&own, Some(other.as_str()), "3"));
    let others = guarded.authority.sign(other.as_str(), folder, "others");
    // On the topic of the first one; what it is told of that, this client keeps to itself.
    publish(&others, None, "4");
    let unknown = guarded.authority.sign("nobody", folder, "unknown");
    assert!(!publish(&unknown, None, "5"));
    let forged = Authority::new("campus").sign(guarded.device(), folder, "forged");
    assert!(!publish(&forged, None, "6"));
    assert_eq!(guarded.stored_at_the_end(), ["1", "2"]);
}

#[test]
fn renewed_certificates_are_taken_on_sighup_and_bad_ones_leave_the_old_in_force() {
    let mut guarded = Guarded::start();
    let folder = guarded.campus.folder.path().to_owned();
    let (mut listening, mut lines) = guarded.listen("mqttv5", "tls");
    assert!(guarded.publishes(&guarded.ca, "before"));

    fs::write(folder.join("server.key"), "torn").unwrap();
    let line = guarded.reload();
    assert!(
        line.contains("certificates not reloaded") && line.contains("mqtt.tls_key: server.key"),
        "{line}"
    );
    assert!(guarded.publishes(&guarded.ca, "meanwhile"));

    let fresh = Authority::new("next year");
    let fresh_ca = fresh.write(&folder, "fresh.pem");
    fresh.sign("localhost", &folder, "server");
    let line = guarded.reload();
    assert!(line.contains("certificates reloaded"), "{line}");
    assert!(!guarded.publishes(&guarded.ca, "old") && guarded.publishes(&fresh_ca, "after"));
    // Who was there before hears of it all.
    for id in ["before", "meanwhile", "after"] {
        assert!(lines.any(|line| line.contains(&format!("{{\"id\":\"{id}\""))), "no result of {id}");
    }
    listening.kill().ok();
    listening.wait().unwrap();
    assert_eq!(guarded.stored_at_the_end(), ["before", "meanwhile", "after"]);
}

#[test]
fn files_that_do_not_fit_are_named_with_what_to_do_and_keep_the_gateway_from_starting() {
    let campus = Campus::new();
    let folder = campus.folder.path();
    let authority = Authority::new("campus");
    authority.sign("localhost", folder, "server");
    authority.sign("localhost", folder, "other");
    campus.set("tls_listen = \"127.0.0.1:0\"\ntls_cert = \"server.pem\"\ntls_key = \"other.key\"\n");
    let ask = |command: &[&str]| {
        let output = rollcall(folder, command).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = ask(&["check-config", "--config", "rollcall.toml"]);
    let why = "mqtt.tls_key: other.key is not the key of the certificate; name the PEM file";
    assert!(code == Some(1) && said.starts_with("rollcall.toml:7:") && said.contains(why), "{code:?} {said}");
    let (code, said) = ask(&["run", "--config", "rollcall.toml"]);
    assert!(code == Some(3) && said.contains(why), "{code:?} {said}");
}
