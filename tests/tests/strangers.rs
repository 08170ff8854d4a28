//! Promise: sockets that say nothing keep no terminal out, also where the system lets a process have few files.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use rollcall_tests::campus::{Campus, free};
use rollcall_tests::certificates::Authority;
use rollcall_tests::gateway::{Gateway, rollcall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than strangers have places.
const SILENT: usize = 2_500;

fn silent(address: SocketAddr) -> Vec<TcpStream> {
    let dial = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        // The beginning of a handshake, or of nothing.
        stream.write_all(&[0x16, 3, 1, 2, 0]).unwrap();
        stream
    };
    (0..SILENT).map(dial).collect()
}

#[test]
fn thousands_of_sockets_that_say_nothing_keep_no_terminal_out() {
    // For this process, which holds the other ends.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let (campus, tls) = (Campus::new(), free());
    let folder = campus.folder.path();
    let authority = Authority::new("campus");
    let ca = authority.write(folder, "ca.pem");
    authority.sign("localhost", folder, "server");
    let files = "tls_cert = \"server.pem\"\ntls_key = \"server.key\"\n";
    campus.set(&format!("tls_listen = \"{tls}\"\n{files}"));
    let mut command = rollcall(folder, &["--config", "rollcall.toml"]);
    command.env_remove("ROLLCALL__MQTT__LISTEN");
    let mut few = Command::new("sh");
    few.args(["-c", "ulimit -Sn 1024 && exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    few.current_dir(folder)
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let gateway = Gateway::start(&mut few);
    let held = (silent(campus.mqtt), silent(tls));
    for (address, with) in [(campus.mqtt, None), (tls, Some(&ca))] {
        let (device, secret) = campus.devices.first().unwrap();
        let mut publish = Command::new("mosquitto_pub");
        publish.args(["-h", "localhost", "-p", &address.port().to_string(), "-q", "1"]);
        publish.args(["-u", device.as_str(), "-P", secret, "-t", &format!("rollcall/v1/{device}/heartbeat")]);
        if let Some(ca) = with {
            publish.arg("--cafile").arg(ca);
        }
        let published = publish.args(["-m", "{}"]).output().unwrap();
        assert!(published.status.success(), "{address}: {published:?}");
    }
    assert!(gateway.get("/readyz").starts_with("HTTP/1.1 200"));
    drop(held);
}
