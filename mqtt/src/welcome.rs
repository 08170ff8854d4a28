//! From the first byte to CONNACK.
//!
//! Promises: a stranger can send 64 KiB at most; each refusal is answered with the code that the
//! client's version has for it and counted, and logged as far as [`crate::strangers`] allows; the place in
//! the register is taken before CONNACK.
//!
//! Refuses: v5 extended authentication.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::access::{Credentials, Denied, Identity};
use crate::codec::{self, Connect, ConnectError, Offer, Password, Refusal, Version};
use crate::connections::Seat;
use crate::door::Inner;
use crate::leave::Leave;
use crate::observer::Refused;
use crate::owed::WINDOW;
use crate::rights;
use crate::wire::Wire;

/// Bytes a client may send before it is known.
const STRANGER_LIMIT: usize = 64 * 1024;

/// A refusal: what it is called, how it is answered, and what the log says.
struct No(Refused, Option<(Version, Refusal)>, String);

/// Reads CONNECT and finds out who it is; leaves the answer in `wire`.
pub(crate) async fn welcome<S: AsyncRead + AsyncWrite>(
    wire: &mut Wire<S>,
    peer: &str,
    door: &Arc<Inner>,
) -> Result<(Connect, Seat), Leave> {
    let frame = loop {
        match wire.frame(STRANGER_LIMIT) {
            Ok(Some(frame)) => break frame,
            Ok(None) if wire.has_ended() => return Err(Leave::Closed),
            Ok(None) => wire.exchange(true).await.map_err(|_gone| Leave::Closed)?,
            Err(malformed) => {
                door.refuse_stranger(Refused::Malformed, peer, malformed);
                return Err(Leave::Malformed(malformed));
            }
        }
    };
    match admit(frame, door).await {
        Ok((connect, seat)) => {
            open(&connect, &seat, wire, door);
            Ok((connect, seat))
        }
        Err(No(what, answer, detail)) => {
            door.refuse_stranger(what, peer, detail);
            if let Some((version, refusal)) = answer {
                wire.writer(version).refuse(refusal);
            }
            Err(Leave::NotWelcome)
        }
    }
}

async fn admit(frame: codec::Frame, door: &Arc<Inner>) -> Result<(Connect, Seat), No> {
    let connect = codec::connect(frame).map_err(unreadable)?;
    let version = connect.version;
    let no = |what, refusal, detail: &str| No(what, Some((version, refusal)), detail.to_owned());
    if connect.asks_extended_authentication {
        return Err(no(Refused::Authentication, Refusal::AuthenticationMethod, "extended authentication"));
    }
    if version == Version::V311 && connect.client_id.is_empty() && !connect.clean_start {
        return Err(no(Refused::ClientId, Refusal::ClientId, "a lasting session needs a client id"));
    }
    let credentials = Credentials {
        user_name: connect.user_name.clone().unwrap_or_default(),
        password: connect.password.clone().unwrap_or(Password(Bytes::new())),
    };
    let name = format!("{:?}", credentials.user_name);
    loop {
        let revocations = door.ports.connections.revocations();
        let identity = match door.check(credentials.clone()).await {
            Ok(identity) => identity,
            Err(Denied::BadLogin) => return Err(no(Refused::BadLogin, Refusal::BadLogin, &name)),
            Err(Denied::NotAllowed) => return Err(no(Refused::NotAllowed, Refusal::NotAuthorized, &name)),
            Err(Denied::Unavailable) => return Err(no(Refused::Unavailable, Refusal::Unavailable, &name)),
        };
        if !may_leave(&connect, &identity) {
            let detail = format!("{name} with a will on a foreign topic");
            return Err(no(Refused::Publish, Refusal::NotAuthorized, &detail));
        }
        if let Ok(seat) = door.ports.connections.enter(&identity, &connect.client_id, revocations) {
            return Ok((connect, seat));
        }
    }
}

fn unreadable(error: ConnectError) -> No {
    let (what, answer) = match error {
        ConnectError::Level(level) => {
            let version = if level > 5 { Version::V5 } else { Version::V311 };
            (Refused::Version, Some((version, Refusal::Version)))
        }
        ConnectError::NotConnect | ConnectError::Malformed(_) => (Refused::Malformed, None),
    };
    No(what, answer, error.to_string())
}

/// Whether the will, if there is one, goes where the client may publish.
fn may_leave(connect: &Connect, identity: &Identity) -> bool {
    connect.will.as_ref().is_none_or(|will| rights::publishing(identity, &will.topic).is_some())
}

fn open<S: AsyncRead + AsyncWrite>(connect: &Connect, seat: &Seat, wire: &mut Wire<S>, door: &Inner) {
    let idle = u16::try_from(door.settings.idle.as_secs()).unwrap_or(u16::MAX);
    wire.writer(connect.version).welcome(&Offer {
        receive_maximum: u16::try_from(WINDOW).unwrap_or(u16::MAX),
        maximum_packet_size: door.settings.max_packet_bytes,
        keep_alive_seconds: (connect.keep_alive_seconds == 0).then_some(idle),
        client_id: connect.client_id.is_empty().then_some(seat.client_id.as_str()),
    });
}

/// The keep-alive that holds: the client's, or ours if it has none.
pub(crate) fn keep_alive(connect: &Connect, idle: Duration) -> Duration {
    match connect.keep_alive_seconds {
        0 => idle,
        seconds => Duration::from_secs(u64::from(seconds)),
    }
}
