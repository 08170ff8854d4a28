//! How much of what a client sends is kept until it makes a message.
//!
//! Promises: a client that announces a message without end costs no more memory than [`MOST`] and one read.
//!
//! Why: the library compares a frame with its limit only once the whole of it has come.

use std::cell::Cell;
use std::rc::Rc;

use actix_web::error::PayloadError;
use actix_web::web::Payload;
use actix_web::{FromRequest as _, HttpRequest, dev};
use tokio_stream::StreamExt as _;

use crate::problem::Problem;

/// Several of the longest messages, so that one read may bring a few at once.
const MOST: usize = 8 * super::socket::LARGEST_MESSAGE;

/// The bytes that came since the last message.
#[derive(Clone, Default)]
pub(super) struct Unread(Rc<Cell<usize>>);

impl Unread {
    /// A message was made of them.
    pub(super) fn understood(&self) {
        self.0.set(0);
    }

    fn add(&self, bytes: usize) -> Result<(), PayloadError> {
        let unread = self.0.get().saturating_add(bytes);
        self.0.set(unread);
        if unread > MOST { Err(PayloadError::Overflow) } else { Ok(()) }
    }
}

/// The same body, which ends when too much of it has come without a message.
pub(super) async fn limited(request: &HttpRequest, body: Payload) -> Result<(Payload, Unread), Problem> {
    let unread = Unread::default();
    let counted = unread.clone();
    let bytes = body.map(move |bytes| bytes.and_then(|bytes| counted.add(bytes.len()).map(|()| bytes)));
    let mut limited: dev::Payload = dev::Payload::Stream { payload: Box::pin(bytes) };
    let body = Payload::from_request(request, &mut limited).await.map_err(|_never| Problem::fault())?;
    Ok((body, unread))
}
