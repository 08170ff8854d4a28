//! The router behind the door: links made when somebody follows more than its own topics.
//!
//! Promises: no thread that serves sockets waits for the router; a link's name comes from a bounded pool;
//! a router that died is replaced when the next link is asked for.
//!
//! Refuses: acknowledgements and client packets. The router sees QoS 0 on topics that begin as the gateway
//! wants, so none of its panics can be reached by a client: QoS, filters and answers are the session's.
//!
//! One thread does all that blocks (`build`, `publish`, `subscribe`). Links are closed by it alone, after
//! their receiving half is gone, because `wake` on a link the router dropped panics the router.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use rollcall_dialects::topics::Topic;
use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::protocol::{Disconnect, DisconnectReasonCode, Packet};
use rumqttd::{Notification, Router, RouterConfig};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::message::Message;

/// Connections that may follow at once; also bounds the names the router remembers for ever.
const SLOTS: usize = 128;
/// What every link subscribes to; sessions pick from it, so that the router holds one log.
const FEED: &str = "feed/#";
/// Stands before every topic in the router, which panics at one whose first character is not ASCII.
const PREFIX: &str = "feed/";
/// How long the router may take to make a link.
const DEADLINE: Duration = Duration::from_secs(5);

enum Order {
    Open(oneshot::Sender<LinkRx>, LinkSlot),
    Publish { topic: String, message: Bytes },
}

struct LinkSlot(oneshot::Receiver<()>);

/// The way to the router; cheap to clone.
#[derive(Clone)]
pub(crate) struct Links {
    orders: mpsc::Sender<Order>,
    followers: Arc<AtomicUsize>,
}

/// One connection's link. Dropping it closes the link.
pub(crate) struct Follower {
    receiver: LinkRx,
    followers: Arc<AtomicUsize>,
    /// Stands last, so that it is dropped after `receiver`: only then may the link be closed.
    _open: oneshot::Sender<()>,
}

/// A message from the feed.
pub(crate) struct Forwarded {
    pub(crate) topic: Topic,
    /// Where it stands among all.
    pub(crate) place: u64,
    pub(crate) message: Message,
}

impl Links {
    /// Starts the thread that talks to the router.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::channel(1024);
        let worker = || Worker::new().run(inbox);
        std::thread::Builder::new().name("rollcall-links".into()).spawn(worker)?;
        Ok(Links { orders, followers: Arc::default() })
    }

    /// A link to the feed; `None` when all slots are taken or the router cannot be reached.
    pub(crate) async fn follow(&self) -> Option<Follower> {
        timeout(DEADLINE, self.open()).await.ok().flatten()
    }

    async fn open(&self) -> Option<Follower> {
        let (reply, link) = oneshot::channel();
        let (open, closed) = oneshot::channel();
        self.orders.send(Order::Open(reply, LinkSlot(closed))).await.ok()?;
        let receiver = link.await.ok()?;
        self.followers.fetch_add(1, Ordering::Relaxed);
        Some(Follower { receiver, followers: Arc::clone(&self.followers), _open: open })
    }

    /// Whether anybody would see what is shown now.
    pub(crate) fn is_watched(&self) -> bool {
        self.followers.load(Ordering::Relaxed) > 0
    }

    /// Shows a message to followers without holding anything up: false if there is no room.
    pub(crate) fn show(&self, topic: &Topic, message: &Message) -> bool {
        self.orders.try_send(order(topic, message)).is_ok()
    }

    /// Shows a message to followers once there is room; false if there will never be.
    pub(crate) async fn send(&self, topic: &Topic, message: &Message) -> bool {
        self.orders.send(order(topic, message)).await.is_ok()
    }
}

impl Follower {
    /// The next message; `None` when the router let go of this link. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Noticed> {
        match self.receiver.next().await {
            Ok(Some(Notification::Forward(forward))) => Some(forwarded(&forward.publish)),
            Ok(Some(Notification::Unschedule)) => Some(Noticed::Paused),
            Ok(_) => Some(Noticed::Nothing),
            Err(_) => None,
        }
    }

    /// Asks for more after `Paused`, exactly once each. Not to be cancelled.
    pub(crate) async fn resume(&self) -> bool {
        self.receiver.wake().await.is_ok()
    }
}

fn order(topic: &Topic, message: &Message) -> Order {
    Order::Publish { topic: format!("{PREFIX}{topic}"), message: message.pack() }
}

fn forwarded(publish: &rumqttd::protocol::Publish) -> Noticed {
    unpacked(publish).map_or(Noticed::Nothing, Noticed::Message)
}

fn unpacked(publish: &rumqttd::protocol::Publish) -> Option<Forwarded> {
    let name = std::str::from_utf8(&publish.topic).ok()?.strip_prefix(PREFIX)?;
    let (topic, mut packed) = (Topic::parse(name).ok()?, publish.payload.clone());
    let place = packed.try_get_u64().ok()?;
    let message = Message::unpack(&topic, packed)?;
    Some(Forwarded { topic, place, message })
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) enum Noticed {
    Message(Forwarded),
    Paused,
    Nothing,
}

/// The router did not answer. (rumqttd's own error carries the event that could not be sent: 500 bytes.)
#[derive(Debug, thiserror::Error)]
#[error("the router does not answer: {0}")]
struct RouterGone(String);

fn gone(error: impl std::fmt::Display) -> RouterGone {
    RouterGone(error.to_string())
}

type Connector = Box<dyn Fn(&str) -> Result<(LinkTx, LinkRx), RouterGone>>;

struct Open {
    name: String,
    link: LinkTx,
    slot: LinkSlot,
}

struct Worker {
    connect: Connector,
    feed: Option<LinkTx>,
    free: VecDeque<String>,
    open: Vec<Open>,
    /// How many messages were published, over all routers.
    published: u64,
}

impl Worker {
    fn new() -> Self {
        let free = (0..SLOTS).map(|number| format!("slot-{number}")).collect();
        Worker { connect: spawn_router(), feed: None, free, open: Vec::new(), published: 0 }
    }

    fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        while let Some(order) = inbox.blocking_recv() {
            match order {
                Order::Open(reply, slot) => self.open(reply, slot),
                Order::Publish { topic, message } => self.publish(&topic, &message),
            }
        }
    }

    fn open(&mut self, reply: oneshot::Sender<LinkRx>, slot: LinkSlot) {
        self.close_abandoned();
        let Some(name) = self.free.pop_front() else { return };
        match self.build(&name).and_then(subscribed) {
            Ok((link, receiver)) => {
                let refused = reply.send(receiver).is_err();
                tracing::debug!(name, refused, "a link to the router was made");
                self.open.push(Open { name, link, slot });
            }
            Err(error) => {
                tracing::warn!(%error, "no link to the router; the client will follow nothing");
                self.free.push_back(name);
            }
        }
    }

    /// Builds a link, on a new router if the present one is gone.
    fn build(&mut self, name: &str) -> Result<(LinkTx, LinkRx), RouterGone> {
        (self.connect)(name).or_else(|error| {
            tracing::error!(%error, "the router is gone; starting another");
            self.connect = spawn_router();
            self.feed = None;
            (self.connect)(name)
        })
    }

    fn publish(&mut self, topic: &str, message: &Bytes) {
        self.close_abandoned();
        self.published += 1;
        let mut payload = BytesMut::with_capacity(8 + message.len());
        payload.put_u64(self.published);
        payload.put_slice(message);
        let payload = payload.freeze();
        if self.feed.is_none() {
            self.feed = self.build("feed").map(|(link, _)| link).ok();
        }
        let sent =
            self.feed.as_mut().map(|feed| feed.publish(topic.to_owned(), payload.clone()).map_err(gone));
        if !matches!(sent, Some(Ok(_))) {
            self.feed = None;
        }
    }

    /// Tells the router about links whose connection has dropped the receiving half.
    fn close_abandoned(&mut self) {
        for open in self.open.extract_if(.., |open| open.slot.is_abandoned()) {
            let Open { name, mut link, .. } = open;
            if say_goodbye(&mut link).is_err() {
                tracing::debug!(name, "the router was gone before the link was closed");
            }
            self.free.push_back(name);
        }
    }
}

fn subscribed((mut link, receiver): (LinkTx, LinkRx)) -> Result<(LinkTx, LinkRx), RouterGone> {
    link.subscribe(FEED).map_err(gone)?;
    Ok((link, receiver))
}

impl LinkSlot {
    fn is_abandoned(&mut self) -> bool {
        matches!(self.0.try_recv(), Err(oneshot::error::TryRecvError::Closed))
    }
}

/// Dropping a link's halves does not end it; only this packet does.
fn say_goodbye(link: &mut LinkTx) -> Result<(), RouterGone> {
    let reason_code = DisconnectReasonCode::NormalDisconnection;
    let mut sending = pin!(link.send(Packet::Disconnect(Disconnect { reason_code }, None)));
    // `send` is async in name only: it blocks this thread and is ready at the first poll.
    match sending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(sent) => sent.map(|_| ()).map_err(gone),
        std::task::Poll::Pending => Ok(()),
    }
}

/// A router on its own thread. Its event type has no public name, so the channel hides in a closure.
fn spawn_router() -> Connector {
    let config = RouterConfig {
        max_connections: SLOTS + 2,
        max_outgoing_packet_count: 200,
        max_segment_size: 1024 * 1024,
        max_segment_count: 8,
        ..RouterConfig::default()
    };
    let events = Router::new(0, config).spawn();
    Box::new(move |name| {
        let (tx, rx, _) = LinkBuilder::new(name, events.clone()).build().map_err(gone)?;
        Ok((tx, rx))
    })
}
