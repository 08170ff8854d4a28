//! Finds, starts and restarts session actors, and brings every scan to the right one.
//!
//! Promises: a scan is with exactly one actor, or back here; an actor that ended is started again from the
//! ledger by whatever needs it next, but not while the store is down, when nobody can tell what is on disk;
//! a scan that comes back waits for the store to be up and the views to have seen all that was on disk by
//! then, so that it does not meet the same old state; a scan that marks nobody is kept.
//!
//! Refuses: rules. Which student and which session is asked of the domain.

use std::collections::HashMap;
use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler, Message, ResponseFuture, WeakAddr};
use rollcall_domain::clock_offset::BoxClock;
use rollcall_domain::code::Pseudonyms;
use rollcall_domain::decide::unmatched;
use rollcall_domain::ids::SessionId;
use rollcall_domain::policy::Policy;
use rollcall_domain::ports::{Clock, NotTaken};
use rollcall_store::{Store, Stuck};
use tokio::sync::{Semaphore, mpsc};

use crate::IN_FLIGHT;
use crate::house::House;
use crate::intake::Intake;
use crate::messages::{Command, CommandError, CommandResult, Watch};
use crate::names::Names;
use crate::reused::Reused;
use crate::session::{Scanned, SessionActor};
use crate::ticket::{Desk, OnAnswer, Ticket};

/// A scan that has just come in.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Incoming(pub(crate) Ticket);

/// One per gateway.
pub struct Supervisor {
    house: Arc<House>,
    sessions: HashMap<SessionId, Addr<SessionActor>>,
}

impl Supervisor {
    /// Starts it on the current arbiter, with the way in for scans.
    pub fn launch(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        policy: Policy,
        pseudonyms: Pseudonyms,
        on_answer: OnAnswer,
    ) -> (Addr<Supervisor>, Intake) {
        let (back, returned) = mpsc::unbounded_channel();
        let desk = Arc::new(Desk { back, on_answer });
        let box_clock = BoxClock::at_start(clock.now(), store.views().now().last_at());
        if box_clock.in_doubt() {
            tracing::warn!(
                "the clock is before the last entry of the ledger; no session opens by itself until it has passed that: set the clock"
            );
        }
        let house = Arc::new(House {
            store,
            clock,
            policy,
            pseudonyms,
            box_clock,
            reused: Reused::default(),
            names: Names::default(),
        });
        let supervisor = Supervisor { house: Arc::clone(&house), sessions: HashMap::new() }.start();
        actix::spawn(bring_back(returned, Arc::clone(&house), supervisor.downgrade()));
        let intake = Intake::new(house, supervisor.clone(), Arc::new(Semaphore::new(IN_FLIGHT)), desk);
        (supervisor, intake)
    }

    fn bring(&mut self, ticket: Ticket) {
        let now = self.house.store.views().now();
        if let Some(result) = self.house.known(&now, ticket.scan()) {
            return ticket.done(result);
        }
        let scan = ticket.scan();
        let room = now.campus.devices.get(&scan.device).and_then(|device| device.room);
        let near = match now.meetings_of_device(&scan.device, room, scan.captured_at) {
            Ok(near) => near,
            Err(error) => {
                tracing::error!(%error, "a scan cannot be placed; its terminal will send it again");
                return ticket.refuse(NotTaken::StorageUnavailable);
            }
        };
        let near = near.iter().map(AsRef::as_ref);
        match unmatched::place(&now.campus, &self.house.policy, ticket.scan(), near) {
            Err(kept) => self.house.unmatched(ticket, *kept),
            // A full mailbox drops the scan, which then comes back here.
            Ok((student, session)) => match self.session(session) {
                Ok(actor) => drop(actor.try_send(Scanned { student, ticket })),
                Err(_) => drop(ticket),
            },
        }
    }

    /// The actor of a session, started if there is none.
    fn session(&mut self, id: SessionId) -> Result<Addr<SessionActor>, CommandError> {
        if let Some(actor) = self.sessions.get(&id).filter(|actor| actor.connected()) {
            return Ok(actor.clone());
        }
        let store = &self.house.store;
        if !store.is_up() {
            return Err(CommandError::StorageUnavailable);
        }
        let now = store.views().now();
        let found = now.session(id).map_err(|error| {
            tracing::error!(%error, session = %id, "a session cannot be read");
            CommandError::StorageUnavailable
        })?;
        let Some(session) = found else { return Err(CommandError::NoSuchSession) };
        self.sessions.retain(|_, actor| actor.connected());
        let actor = SessionActor::new(Arc::clone(&self.house), session, now.last()).start();
        self.sessions.insert(id, actor.clone());
        Ok(actor)
    }

    /// Hands a message on and answers what the session answers.
    fn forward<M, T>(&mut self, id: SessionId, message: M) -> ResponseFuture<Result<T, CommandError>>
    where
        SessionActor: Handler<M>,
        M: Message<Result = Result<T, CommandError>> + Send + 'static,
        T: Send + 'static,
    {
        match self.session(id) {
            Err(error) => Box::pin(async { Err(error) }),
            Ok(actor) => {
                let answer = actor.send(message);
                Box::pin(async move { answer.await.unwrap_or(Err(CommandError::Busy)) })
            }
        }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(IN_FLIGHT * 2);
    }
}

/// Brings tickets that came back to the supervisor again, once there is news for them.
async fn bring_back(
    mut returned: mpsc::UnboundedReceiver<Ticket>,
    house: Arc<House>,
    supervisor: WeakAddr<Supervisor>,
) {
    let (store, mut tickets) = (&house.store, Vec::new());
    while returned.recv_many(&mut tickets, IN_FLIGHT).await > 0 {
        let up = store.until_up().await;
        let shown = store.views().wait_for(store.last()).await;
        for ticket in tickets.drain(..) {
            match (up, shown, supervisor.upgrade()) {
                // What does not fit comes back here.
                (Ok(()), Ok(()), Some(supervisor)) => drop(supervisor.try_send(Incoming(ticket))),
                (Ok(()), Err(Stuck), Some(_)) => ticket.refuse(NotTaken::StorageUnavailable),
                _ => ticket.refuse(NotTaken::Stopping),
            }
        }
    }
}

impl Handler<Incoming> for Supervisor {
    type Result = ();

    fn handle(&mut self, Incoming(ticket): Incoming, _: &mut Self::Context) {
        self.bring(ticket);
    }
}

impl Handler<Command> for Supervisor {
    type Result = ResponseFuture<CommandResult>;

    fn handle(&mut self, command: Command, _: &mut Self::Context) -> Self::Result {
        self.forward(command.session, command)
    }
}

impl Handler<Watch> for Supervisor {
    type Result = ResponseFuture<Result<(), CommandError>>;

    fn handle(&mut self, watch: Watch, _: &mut Self::Context) -> Self::Result {
        self.forward(watch.session, watch)
    }
}
