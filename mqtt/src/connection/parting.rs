//! How a connection ends.
//!
//! Promises: what is on its way to the disk gets a moment to arrive there; what the client left is kept or
//! handed on, and its last words are said, before it is told goodbye.
//!
//! Refuses: ending it. Why is the connection's to say.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::{Connection, GRACE};
use crate::absent::{Left, keep};
use crate::leave::Leave;
use crate::owed::WINDOW;

impl<S: AsyncRead + AsyncWrite> Connection<'_, S> {
    pub(super) fn goodbye(&mut self, with_will: bool, session_expiry_seconds: Option<u32>) -> Leave {
        if let Some(seconds) = session_expiry_seconds {
            if self.lasting.is_zero() && seconds > 0 {
                return Leave::Protocol;
            }
            self.lasting = self.door.lasting(seconds);
        }
        self.words = self.words.take().filter(|_| with_will);
        Leave::Asked
    }

    /// Waits for what is on its way to the disk, reading nothing more. Also where the client hears nothing
    /// any more, others are told what became of its scans.
    pub(super) async fn drain(&mut self) {
        self.parked.clear();
        let settled = async {
            let mut batch = Vec::new();
            while !self.session.owes_nothing() && self.completed.recv_many(&mut batch, WINDOW).await > 0 {
                self.settle(&mut batch)?;
            }
            Ok::<(), Leave>(())
        };
        if timeout(GRACE, settled).await.is_err() {
            tracing::debug!(peer = self.peer, "some scans were not on disk when their connection ended");
        }
    }

    /// Gives up the place, hands on or keeps what is left, and takes leave of the client.
    pub(super) async fn leave(self, reason: Leave) {
        let Connection { mut session, following, words, mut wire, mut seat, lasting, version, door, .. } =
            self;
        session.end();
        let words = words.filter(|_| reason != Leave::Stopping);
        let mut left = Left { session, following, words };
        let is_kept = !lasting.is_zero() && !matches!(reason, Leave::Stopping | Leave::Revoked);
        if !is_kept {
            left.say(door).await;
            drop((left, seat));
        } else if seat.step_back() {
            match Arc::clone(&door.waiting).try_acquire_owned() {
                Ok(place) => {
                    let door = Arc::clone(door);
                    tokio::spawn(async move {
                        keep(left, seat, lasting, door).await;
                        drop(place);
                    });
                }
                Err(_full) => {
                    tracing::warn!("too many sessions wait for their clients; one more is not kept");
                    left.say(door).await;
                }
            }
        } else {
            left.succeed(&seat, door).await;
        }
        door.ports.observer.connections(door.ports.connections.open());
        if let Some(code) = reason.code() {
            wire.writer(version).disconnect(code);
        }
        wire.farewell().await;
    }
}
