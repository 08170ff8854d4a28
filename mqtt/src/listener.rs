//! Accepting sockets.
//!
//! Promises: one slow or hostile client delays nobody else's accept; running out of file descriptors does
//! not end the listener; a stop is done within a second, and what was stored by then is acknowledged.
//!
//! A TLS handshake is part of serving its connection, so it holds up nobody either.
//!
//! Refuses: more connections than the settings allow; they are closed without a word.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::door::FrontDoor;
use crate::error::MqttError;
use crate::peer::Peer;
use crate::tls::Tls;

/// How long connections get for their last words.
const STOP: Duration = Duration::from_millis(900);
/// Between two failed accepts.
const PAUSE: Duration = Duration::from_millis(50);
/// Connections that wait to be accepted, if the system allows as many.
const BACKLOG: u32 = 4_096;

/// A TCP port behind which the front door is.
pub struct Listener {
    socket: TcpListener,
    tls: Option<Tls>,
    door: FrontDoor,
}

impl Listener {
    /// # Errors
    /// The address cannot be listened on.
    pub async fn bind(address: SocketAddr, door: FrontDoor) -> Result<Self, MqttError> {
        let socket = listen(address).map_err(|source| MqttError::Listen { address, source })?;
        Ok(Listener { socket, tls: None, door })
    }

    /// Speaks TLS on the port.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Listener { tls: Some(tls), ..self }
    }

    /// Where it listens; tells the port that was found if 0 was asked for.
    pub fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Accepts until `shutdown` is done, then ends every connection of this front door.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut patience = patience();
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => {
                        drop(open.spawn(serve(stream, peer, self.tls.clone(), self.door.clone())));
                    }
                    Err(error) => {
                        if error.kind() != ErrorKind::ConnectionAborted {
                            self.door.inner.places.let_one_go();
                        }
                        not_accepted(&error, &mut patience).await;
                    }
                },
                Some(ended) = open.join_next() => report(ended),
                () = &mut shutdown => break,
            }
        }
        drop(self.socket);
        self.door.inner.ports.connections.stop();
        last_words(open).await;
    }
}

/// All terminals of a campus may come at once, after a power cut. One for which the system had no room to wait
/// tries again only after a second, then after two more.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Spaces failed accepts. What passed while all went well is not made up for.
fn patience() -> Interval {
    let mut patience = interval(PAUSE);
    patience.set_missed_tick_behavior(MissedTickBehavior::Delay);
    patience
}

/// Most likely out of file descriptors: asking again at once would only burn the processor.
async fn not_accepted(error: &std::io::Error, patience: &mut Interval) {
    tracing::warn!(%error, "a connection could not be accepted");
    patience.tick().await;
}

async fn last_words(mut open: JoinSet<()>) {
    let all_left = async {
        while let Some(ended) = open.join_next().await {
            report(ended);
        }
    };
    if timeout(STOP, all_left).await.is_err() {
        tracing::debug!("some connections were closed before they took their last words");
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "serving a connection failed; its client will connect again");
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, tls: Option<Tls>, door: FrontDoor) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "the client left while it was accepted");
    }
    let peer = Peer::new(peer);
    match tls {
        None => door.serve(stream, peer).await,
        Some(tls) => door.serve_tls(stream, &tls, peer).await,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_an_hour_without_trouble_failed_accepts_are_still_spaced() {
        let mut patience = patience();
        tokio::time::advance(Duration::from_secs(3_600)).await;
        let error = std::io::Error::from(std::io::ErrorKind::OutOfMemory);
        let ten_failures = async {
            for _ in 0..10 {
                not_accepted(&error, &mut patience).await;
            }
        };
        assert!(timeout(Duration::from_millis(400), ten_failures).await.is_err());
    }
}
