//! A client between the moment it came and its CONNACK.
//!
//! Promises: everything that a stranger does until it is let in, a TLS handshake included, happens on its own
//! task and within one deadline; it ends at once when its place is needed or the gateway stops.
//!
//! Refuses: knowing what a stranger says; see [`crate::welcome`].

use std::future::{Pending, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Timeout, timeout};

use crate::door::Inner;
use crate::leave::Leave;
use crate::observer::Refused;
use crate::peer::Peer;
use crate::places::{LetGo, NoPlace, Place};

/// How long a newcomer waits for a place before a stranger has to give up its own.
const MOMENT: Duration = Duration::from_secs(1);

pub(crate) struct Arrival<'a> {
    pub(crate) peer: Peer,
    /// The peer, as log lines name it.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) patience: Patience<'a>,
}

/// How long a stranger may take.
pub(crate) struct Patience<'a> {
    deadline: Pin<Box<Timeout<Pending<()>>>>,
    let_go: LetGo,
    stopping: watch::Receiver<bool>,
    door: &'a Arc<Inner>,
}

impl<'a> Arrival<'a> {
    /// Takes a place, or says why there is none.
    pub(crate) async fn new(peer: Peer, door: &'a Arc<Inner>) -> Result<Self, Leave> {
        let name = peer.to_string();
        let deadline = Box::pin(timeout(door.settings.connect_deadline, pending()));
        let stopping = door.ports.connections.stopping();
        match place(&peer, door).await {
            Ok((place, let_go)) => {
                let patience = Patience { deadline, let_go, stopping, door };
                Ok(Arrival { peer, name, place, patience })
            }
            Err(NoPlace::Full | NoPlace::Soon) => {
                let most = door.settings.max_connections;
                let detail = format_args!("{most} are open, as many as may be");
                door.refuse_stranger(Refused::TooManyConnections, &name, detail);
                Err(Leave::NotWelcome)
            }
        }
    }
}

async fn place(peer: &Peer, door: &Arc<Inner>) -> Result<(Place, LetGo), NoPlace> {
    match door.places.take(peer, false) {
        Err(NoPlace::Soon) => {}
        other => return other,
    }
    let Some(waiting) = door.places.wait(peer) else { return door.places.take(peer, true) };
    let mut stopping = door.ports.connections.stopping();
    let soon = async {
        loop {
            tokio::select! {
                () = waiting.freed() => {}
                _ = stopping.wait_for(|stopping| *stopping) => return Err(NoPlace::Full),
            }
            match door.places.take(peer, false) {
                Err(NoPlace::Soon) => {}
                other => return other,
            }
        }
    };
    match timeout(MOMENT, soon).await {
        Ok(taken) => taken,
        Err(_elapsed) => door.places.take(peer, true),
    }
}

impl Patience<'_> {
    /// What a stranger does, unless it takes too long or has to go.
    pub(crate) async fn with<T>(&mut self, name: &str, doing: impl Future<Output = T>) -> Result<T, Leave> {
        let done = tokio::select! {
            done = doing => return Ok(done),
            _ = &mut self.deadline => Leave::SlowConnect,
            reason = must_go(&mut self.let_go, &mut self.stopping) => reason,
        };
        match done {
            Leave::SlowConnect => {
                self.door.refuse_stranger(Refused::SlowConnect, name, "CONNECT did not succeed in time");
            }
            Leave::NotWelcome => {
                let detail = "others needed the place of a client that had not signed in";
                self.door.refuse_stranger(Refused::TooManyConnections, name, detail);
            }
            _ => {}
        }
        Err(done)
    }

    /// Lets time pass, unless the stranger has to go. The deadline is not looked at: the client has its answer
    /// coming, and what it did is counted.
    pub(crate) async fn pass(&mut self, time: Duration) {
        let must_go = pin!(must_go(&mut self.let_go, &mut self.stopping));
        timeout(time, must_go).await.ok();
    }
}

async fn must_go(let_go: &mut LetGo, stopping: &mut watch::Receiver<bool>) -> Leave {
    let let_go = async {
        // Gone without a word: it is a stranger no longer, and may stay.
        if let_go.wait_for(|let_go| *let_go).await.is_err() {
            pending::<()>().await;
        }
    };
    tokio::select! {
        () = let_go => Leave::NotWelcome,
        _ = stopping.wait_for(|stopping| *stopping) => Leave::Stopping,
    }
}
