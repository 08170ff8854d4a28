//! `/mqtt`: MQTT for clients that speak WebSocket, on the HTTP port.
//!
//! Promises: what arrives in binary frames is one stream of bytes to the front door, whatever its frames, and the
//! other way round; neither side is read while the other does not take what it is sent, so that a client costs no
//! more than its largest packet and some kilobytes; a client that has not signed in can send 64 KiB and no more.
//!
//! Refuses: other sites' pages, as `/ws` does; text; clients that do not offer the sub-protocol `mqtt`; so many
//! clients that nobody could open a page any more.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_web::http::header::SEC_WEBSOCKET_PROTOCOL;
use actix_web::web::{Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{CloseCode, CloseReason, Item, Message, MessageStream, ProtocolError, Session};
use rollcall_api::sign_in::is_foreign_page;
use rollcall_api::{Api, Problem, at};
use rollcall_mqtt::{FrontDoor, Peer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_stream::Stream as _;

use super::flow::{Flow, limited};

/// Half of what the HTTP server has, so that pages can be opened whatever terminals do.
const MOST: usize = 1_024;
/// The same, as permits are counted.
const ALL: u32 = 1_024;
/// Names of the sub-protocol: today's, and that of older clients.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];
/// On the way between the two threads, in each direction.
const ROOM: usize = 16 * 1024;
/// The longest frame that is sent; the library queues some dozens of them.
const FRAME: usize = 4 * 1024;
/// What a client may say that has not signed in, the heads of frames and packets included.
const STRANGER: usize = 64 * 1024 + 64;
/// The longest frame for which room is made at once, before the client has signed in. Longer than what is read of
/// such a client, so that one which goes on without waiting for its answer is not sent away for it.
const STRANGERS_FRAME: usize = 512 * 1024;
/// How long a client gets to take what is left for it.
const LAST: Duration = Duration::from_millis(900);

/// The way from the HTTP port to the front door; clones share it.
#[derive(Clone)]
pub(crate) struct Sockets {
    door: FrontDoor,
    /// The front door's own threads.
    threads: Handle,
    places: Arc<Semaphore>,
    largest: usize,
}

impl Sockets {
    pub(crate) fn new(door: FrontDoor, threads: Handle, max_packet_bytes: u32) -> Self {
        // With its header, and some more packets in the same frame.
        let largest = usize::try_from(max_packet_bytes).unwrap_or(usize::MAX).saturating_add(STRANGER);
        Sockets { door, threads, places: Arc::new(Semaphore::new(MOST)), largest }
    }

    /// Waits until nobody is served any more, who stopped when the front door did.
    pub(crate) async fn all_left(&self) {
        if timeout(LAST, self.places.acquire_many(ALL)).await.is_err() {
            tracing::debug!("some WebSockets of terminals were closed before they took their last words");
        }
        self.places.close();
    }
}

pub(crate) fn configure(config: &mut ServiceConfig, sockets: Sockets) {
    config.app_data(Data::new(sockets)).service(at("/mqtt").get(connect));
}

async fn connect(
    api: Data<Api>,
    sockets: Data<Sockets>,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, Problem> {
    if is_foreign_page(&request, api.options()) {
        return Err(Problem::new("forbidden", "this came from another site's page"));
    }
    let Ok(place) = Arc::clone(&sockets.places).try_acquire_owned() else {
        return Err(Problem::new(
            "busy",
            "as many terminals use WebSocket as may; try again, or use MQTT's own port",
        ));
    };
    let address = request.peer_addr().ok_or_else(Problem::fault)?;
    let peer = Peer::new(address);
    let most = sockets.largest.saturating_add(STRANGERS_FRAME);
    let flow = Flow::new(STRANGER, most);
    let body = limited(&request, body, &flow).await?;
    let shaken = actix_ws::handle_with_protocols(&request, body, &PROTOCOLS);
    let (response, session, stream) =
        shaken.map_err(|error| Problem::new("bad_request", format!("this is for WebSocket: {error}")))?;
    if !response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Err(Problem::new("bad_request", "this is for MQTT: offer the sub-protocol mqtt"));
    }
    let (near, far) = duplex(ROOM);
    let (door, known) = (sockets.door.clone(), peer.clone());
    // Also if it is dropped before it ran, the place is given back and the client sees an end.
    sockets.threads.spawn(async move {
        door.serve(far, peer).await;
        drop(place);
    });
    let frames = Frames {
        stream: Some(stream.max_frame_size(STRANGERS_FRAME)),
        peer: known,
        flow: flow.clone(),
        largest: sockets.largest,
    };
    let incoming = Incoming { frames, flow };
    actix_web::rt::spawn(carry(incoming, session, near));
    Ok(response)
}

/// Why no more is read from a client.
enum End {
    /// One of the two is gone.
    Gone,
    Close(CloseCode, &'static str),
}

/// Moves bytes until one side ends.
async fn carry(incoming: Incoming, session: Session, near: DuplexStream) {
    let (from_door, to_door) = split(near);
    let mut upward = pin!(incoming.carry(to_door, session.clone()));
    let mut downward = pin!(downward(from_door, session.clone()));
    let reason = tokio::select! {
        end = &mut upward => match end {
            End::Close(code, why) => Some(CloseReason { code, description: Some(why.to_owned()) }),
            End::Gone => None,
        },
        () = &mut downward => None,
    };
    // A client that is not there to hear it is gone all the same.
    timeout(LAST, session.close(reason)).await.ok();
}

/// From the front door to the client, until the front door has ended.
async fn downward(mut from_door: ReadHalf<DuplexStream>, mut session: Session) {
    let mut bytes = vec![0; FRAME];
    while let Ok(length @ 1..) = from_door.read(&mut bytes).await {
        let frame = bytes.get(..length).unwrap_or_default().to_vec();
        if session.binary(frame).await.is_err() {
            return;
        }
    }
}

/// What a client sends.
struct Incoming {
    frames: Frames,
    flow: Flow,
}

impl Incoming {
    async fn carry(mut self, mut to_door: WriteHalf<DuplexStream>, mut session: Session) -> End {
        loop {
            let message = match self.frames.next().await {
                None => return End::Gone,
                Some(Err(ProtocolError::Io(_))) if !self.flow.is_over() => return End::Gone,
                Some(Err(ProtocolError::Io(_) | ProtocolError::Overflow)) => {
                    return End::Close(CloseCode::Size, "this frame is too large");
                }
                Some(Err(_)) => return End::Close(CloseCode::Protocol, "this is no frame"),
                Some(Ok(message)) => message,
            };
            self.flow.understood(length(&message));
            let bytes = match message {
                Message::Binary(bytes)
                | Message::Continuation(
                    Item::FirstBinary(bytes) | Item::Continue(bytes) | Item::Last(bytes),
                ) => bytes,
                Message::Text(_) | Message::Continuation(Item::FirstText(_)) => {
                    return End::Close(CloseCode::Unsupported, "MQTT is binary");
                }
                Message::Ping(bytes) => {
                    if session.pong(&bytes).await.is_err() {
                        return End::Gone;
                    }
                    continue;
                }
                Message::Pong(_) | Message::Nop => continue,
                Message::Close(_) => return End::Close(CloseCode::Normal, ""),
            };
            if to_door.write_all(&bytes).await.is_err() {
                return End::Gone;
            }
        }
    }
}

/// The bytes in a frame.
fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Continuation(item) => match item {
            Item::FirstText(bytes) | Item::FirstBinary(bytes) | Item::Continue(bytes) | Item::Last(bytes) => {
                bytes.len()
            }
        },
        Message::Close(_) | Message::Nop => 0,
    }
}

/// A client's frames, of which those of a stranger are short.
struct Frames {
    /// There, but for the moment in which its limit changes.
    stream: Option<MessageStream>,
    peer: Peer,
    flow: Flow,
    /// Of one that was let in; zero once it counts.
    largest: usize,
}

impl Frames {
    async fn next(&mut self) -> Option<Result<Message, ProtocolError>> {
        poll_fn(|context| {
            if self.largest > 0 && self.peer.is_let_in() {
                let largest = std::mem::take(&mut self.largest);
                self.flow.let_in();
                self.stream = self.stream.take().map(|stream| stream.max_frame_size(largest));
            }
            match &mut self.stream {
                Some(stream) => Pin::new(stream).poll_next(context),
                None => Poll::Ready(None),
            }
        })
        .await
    }
}
