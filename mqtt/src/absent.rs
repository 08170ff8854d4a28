//! Sessions whose clients are gone, and may come back.
//!
//! Promises: what is sent to such a client meanwhile is kept for it; its last words are said when their time
//! has come, or its session ends, whichever is first, and not at all if it is back before; a session is
//! handed to the next connection whole.
//!
//! Refuses: outliving the gateway, or the time that the client asked for.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rollcall_dialects::topics::Topic;
use tokio::time::timeout;

use crate::connection::ended;
use crate::connections::{Note, Seat};
use crate::door::Inner;
use crate::following::Following;
use crate::leave::Leave;
use crate::message::Message;
use crate::session::Session;

/// What to say for a client that did not say goodbye.
pub(crate) struct LastWords {
    pub(crate) topic: Topic,
    pub(crate) message: Message,
    /// How long it has to come back before.
    pub(crate) delay: Duration,
}

/// What a client left behind.
pub(crate) struct Left {
    pub(crate) session: Session,
    pub(crate) following: Following,
    /// Not said yet.
    pub(crate) words: Option<LastWords>,
}

/// Keeps it for so long.
pub(crate) async fn keep(mut left: Left, mut seat: Seat, lasting: Duration, door: Arc<Inner>) {
    let mut end = pin!(timeout(lasting, pending::<()>()));
    let delay = left.words.as_ref().map_or(lasting, |words| lasting.min(words.delay));
    let mut speaking = pin!(timeout(delay, pending::<()>()));
    // Nothing is written to a client that is not there.
    let mut nowhere = BytesMut::new();
    loop {
        let mut speaks = left.words.is_some();
        tokio::select! {
            biased;
            reason = ended(&mut seat.ended) => {
                if reason == Leave::TakenOver {
                    return left.succeed(&seat, &door).await;
                }
                speaks &= reason != Leave::Stopping;
                left.words = left.words.filter(|_| speaks);
                break;
            }
            _ = &mut end => break,
            _ = &mut speaking, if speaks => say(left.words.take(), &door).await,
            Some(note) = seat.mailbox.recv() => {
                let Note { purpose, payload, fate } = note;
                let now = door.ports.clock.monotonic();
                if let Err(reason) = left.session.own_message(purpose, payload, fate, now, &mut nowhere) {
                    tracing::debug!(%reason, "a message for an absent client was not kept");
                }
            }
            noticed = left.following.next() => {
                let now = door.ports.clock.monotonic();
                let forwarded = left.following.settle(noticed, &door).await;
                if let Ok(Some((topic, message))) = forwarded {
                    left.session.forward(&topic, message, now, &mut nowhere).ok();
                }
            }
        }
    }
    say(left.words, &door).await;
}

async fn say(words: Option<LastWords>, door: &Arc<Inner>) {
    if let Some(LastWords { topic, message, .. }) = words {
        door.route(&topic, message).await;
    }
}

impl Left {
    /// Hands it to whoever took the place of its client, who is back, or has begun anew.
    pub(crate) async fn succeed(mut self, seat: &Seat, door: &Arc<Inner>) {
        let heir = seat.heir();
        if heir.is_none() || self.words.as_ref().is_some_and(|words| words.delay.is_zero()) {
            self.say(door).await;
        }
        self.words = None;
        if let Some(heir) = heir {
            drop(heir.send(self));
        }
    }

    /// Says them now, since its session is over.
    pub(crate) async fn say(&mut self, door: &Arc<Inner>) {
        say(self.words.take(), door).await;
    }
}
