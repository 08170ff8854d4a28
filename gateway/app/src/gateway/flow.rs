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
use tokio_stream::Stream;

/// The longest head of a frame with 125 bytes at most.
const HEAD: usize = 6;

/// What came of one client and is not understood yet.
#[derive(Clone)]
pub(super) struct Flow(Rc<State>);

struct State {
    unread: Cell<usize>,
    has_spoken: Cell<bool>,
    is_let_in: Cell<bool>,
    /// A stranger was told to wait although it had not spoken yet.
    has_waited: Cell<bool>,
    is_over: Cell<bool>,
    most_of_a_stranger: usize,
    most: usize,
}

/// What to do with the next bytes.
enum Turn {
    Read,
    Wait,
    Refuse,
}

impl Flow {
    pub(super) fn new(most_of_a_stranger: usize, most: usize) -> Self {
        let (no, unread) = (|| Cell::new(false), Cell::new(0));
        let (has_spoken, is_let_in, has_waited, is_over) = (no(), no(), no(), no());
        Flow(Rc::new(State { unread, has_spoken, is_let_in, has_waited, is_over, most_of_a_stranger, most }))
    }

    /// A frame with so many bytes was made of what came.
    pub(super) fn understood(&self, bytes: usize) {
        let length = match bytes {
            ..=125 => 0,
            126..=0xFFFF => 2,
            _ => 8,
        };
        self.0.has_spoken.set(true);
        self.0.unread.set(self.0.unread.get().saturating_sub(HEAD + length + bytes));
    }

    /// It is a stranger no longer. To be told before anything more is read, or what is read then would be held
    /// against the limits of a stranger.
    pub(super) fn let_in(&self) {
        self.0.is_let_in.set(true);
    }

    /// More came than makes any frame.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_over.get()
    }

    /// A stranger that has spoken waits for its answer, and shows that it is let in by that answer, which goes out
    /// on the task that reads here: so the task looks again then, and need not be woken. One that has not is given
    /// one look at what came, and has said too much if there is still no frame in it.
    fn turn(&self) -> Turn {
        let state = &self.0;
        match state.unread.get() {
            unread if unread > state.most => Turn::Refuse,
            unread if unread < state.most_of_a_stranger || state.is_let_in.get() => Turn::Read,
            _ if state.has_spoken.get() || !state.has_waited.replace(true) => Turn::Wait,
            _ => Turn::Refuse,
        }
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
        match self.flow.turn() {
            Turn::Read => {}
            Turn::Wait => {
                if !self.flow.0.has_spoken.get() {
                    context.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
            Turn::Refuse => {
                self.flow.0.is_over.set(true);
                return Poll::Ready(Some(Err(PayloadError::Overflow)));
            }
        }
        let bytes = ready!(Pin::new(&mut self.body).poll_next(context));
        if let Some(Ok(bytes)) = &bytes {
            self.flow.0.unread.set(self.flow.0.unread.get().saturating_add(bytes.len()));
        }
        Poll::Ready(bytes)
    }
}
