//! How much of what a client sends over WebSocket is kept until it makes a frame.
//!
//! Promises: of a stranger no more is read than a stranger may say until it is let in; a client that announces a
//! frame without end costs no more memory than its largest packet.
//!
//! Why: the library compares a frame with its limit only once the whole of it has come.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::error::PayloadError;
use actix_web::web::{Bytes, Payload};
use actix_web::{FromRequest as _, HttpRequest, dev};
use rollcall_api::Problem;
use rollcall_mqtt::Peer;
use tokio_stream::Stream;

/// The bytes that came since the last frame.
#[derive(Clone)]
pub(super) struct Flow {
    unread: Rc<Cell<usize>>,
    peer: Peer,
    most_of_a_stranger: usize,
    most: usize,
}

impl Flow {
    pub(super) fn new(peer: Peer, most_of_a_stranger: usize, most: usize) -> Self {
        Flow { unread: Rc::default(), peer, most_of_a_stranger, most }
    }

    /// A frame was made of them.
    pub(super) fn understood(&self) {
        self.unread.set(0);
    }

    /// More came than makes any frame.
    pub(super) fn is_over(&self) -> bool {
        self.unread.get() > self.most
    }

    fn add(&self, bytes: usize) -> Result<(), PayloadError> {
        self.unread.set(self.unread.get().saturating_add(bytes));
        if self.is_over() { Err(PayloadError::Overflow) } else { Ok(()) }
    }

    /// A stranger has said enough. That it is let in shows by an answer, which goes out on the task that reads
    /// here, so that task is woken by nothing else and looks again then.
    fn must_wait(&self) -> bool {
        self.unread.get() >= self.most_of_a_stranger && !self.peer.is_let_in()
    }
}

/// The same body, read no faster than the client may speak.
pub(super) async fn limited(request: &HttpRequest, body: Payload, flow: &Flow) -> Result<Payload, Problem> {
    let measured = Measured { body, flow: flow.clone() };
    let mut measured: dev::Payload = dev::Payload::Stream { payload: Box::pin(measured) };
    Payload::from_request(request, &mut measured).await.map_err(|_never| Problem::fault())
}

struct Measured {
    body: Payload,
    flow: Flow,
}

impl Stream for Measured {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.flow.must_wait() {
            return Poll::Pending;
        }
        let bytes = ready!(Pin::new(&mut self.body).poll_next(context));
        Poll::Ready(bytes.map(|bytes| {
            let bytes = bytes?;
            self.flow.add(bytes.len())?;
            Ok(bytes)
        }))
    }
}
