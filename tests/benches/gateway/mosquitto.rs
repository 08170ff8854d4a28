//! Mosquitto, as the peer: it takes the same packets and keeps nothing.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rollcall_tests::campus::free;
use tempfile::TempDir;

use crate::stopwatch::now;

const START: Duration = Duration::from_secs(10);

pub(crate) struct Mosquitto {
    process: Child,
    pub(crate) address: SocketAddr,
    _folder: TempDir,
}

impl Mosquitto {
    /// Starts one for this measurement, and waits until it listens.
    pub(crate) fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = free();
        let settings = format!(
            "listener {} {}\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\nlog_type error\n",
            address.port(),
            address.ip()
        );
        let path = folder.path().join("mosquitto.conf");
        fs::write(&path, settings)?;
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(&path).stdin(Stdio::null()).stdout(Stdio::null());
        let process = command.spawn().context("cannot start mosquitto")?;
        let mut mosquitto = Mosquitto { process, address, _folder: folder };
        let began = now();
        while TcpStream::connect(address).is_err() {
            if mosquitto.process.try_wait()?.is_some() || now().duration_since(began) > START {
                bail!("mosquitto does not listen on {address}");
            }
            std::thread::yield_now();
        }
        Ok(mosquitto)
    }

    /// What it calls itself.
    pub(crate) fn version() -> Result<String> {
        let output = Command::new("mosquitto").arg("-h").output().context("cannot run mosquitto")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().and_then(|line| line.strip_prefix("mosquitto version "));
        Ok(format!("Mosquitto {}", version.unwrap_or("of an unknown version")))
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
