//! How long a request may take.
//!
//! Promises: a request is answered within [`Options::patience`](crate::Options), also one whose body drips in
//! or never ends; its connection is then closed. A WebSocket is answered at once, and lasts as long as it likes.
//!
//! Refuses: waiting for the rest of a body whose request is answered. The HTTP library reads a chunked one to
//! its end, which may never come, unless somebody still holds on to it while the answer goes out.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage as _;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::{Error, InternalError, PayloadError};
use actix_web::http::header::TRANSFER_ENCODING;
use actix_web::middleware::Next;
use actix_web::rt::time::timeout;
use actix_web::web::{Bytes, Data};
use tokio_stream::Stream;

use crate::app::{known, protect};
use crate::handles::Api;
use crate::problem::Problem;

/// Answers in time, whatever the client does.
pub(crate) async fn in_time(
    api: Data<Api>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let method = known(request.method());
    let body = request.headers().contains_key(TRANSFER_ENCODING).then(|| Shared::of(&mut request));
    let hold = |answer: BoxBody| match body {
        Some(body) => Held { answer, _body: body }.boxed(),
        None => answer,
    };
    let patience = api.options().patience;
    match timeout(patience, next.call(request)).await {
        Ok(answered) => Ok(answered?.map_into_boxed_body().map_body(|_, answer| hold(answer))),
        Err(_elapsed) => {
            let what = "send all of it without a pause; if you did, look whether it was carried out before you try again";
            let problem = Problem::new("timeout", what);
            let mut response = problem.response();
            protect(response.headers_mut());
            response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
            api.metrics().answered("unmatched", method, response.status().as_u16(), patience);
            let response = response.map_body(|_, answer| hold(answer));
            Err(InternalError::from_response(problem, response).into())
        }
    }
}

/// A body that is read by whoever answers, and held by the answer.
#[derive(Clone)]
struct Shared(Rc<RefCell<Payload>>);

impl Shared {
    fn of(request: &mut ServiceRequest) -> Self {
        let body = Shared(Rc::new(RefCell::new(request.take_payload())));
        request.set_payload(Payload::Stream { payload: Box::pin(body.clone()) });
        body
    }
}

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// An answer that holds on to the body of its request.
struct Held {
    answer: BoxBody,
    _body: Shared,
}

impl MessageBody for Held {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.answer).poll_next(context)
    }
}
