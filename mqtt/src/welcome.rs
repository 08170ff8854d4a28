//! From the first byte to CONNACK.
//!
//! Promises: a stranger can send 64 KiB at most; each refusal is answered with the code that the
//! client's version has for it and counted, and logged as far as [`crate::strangers`] allows; the place in
//! the register is taken before CONNACK; failed sign-ins of one address are answered later and later
//! ([`crate::failures`]).
//!
//! Refuses: v5 extended authentication.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rollcall_dialects::topics::Purpose;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::absent::Left;
use crate::access::{Credentials, Denied, Identity, Proof};
use crate::arrival::Arrival;
use crate::codec::{self, Connect, ConnectError, Offer, Password, Refusal, Version};
use crate::connections::{Entering, Inheritance, Seat};
use crate::door::Inner;
use crate::leave::Leave;
use crate::observer::Refused;
use crate::owed::WINDOW;
use crate::peer::Peer;
use crate::places::Place;
use crate::rights::{self, Publishing};
use crate::tls::Shown;
use crate::wire::Wire;

/// Bytes a client may send before it is known.
const STRANGER_LIMIT: usize = 64 * 1024;

/// How long the connection before gets to hand over what is left.
const HANDOVER: Duration = Duration::from_secs(2);

/// A client that was let in.
pub(crate) struct Welcomed {
    pub(crate) connect: Connect,
    pub(crate) seat: Seat,
    /// Of its session, if it had one and wants it.
    pub(crate) left: Option<Left>,
    /// How long its session is kept after it left.
    pub(crate) lasting: Duration,
}

/// A refusal: what it is called, how it is answered, and what the log says.
struct No(Refused, Option<(Version, Refusal)>, String);

/// Who is to be let in, and what is known of it already.
struct Newcomer<'a> {
    shown: Shown,
    arrival: (&'a Peer, &'a Place),
    name: &'a str,
}

/// A client that was not let in, and how long its answer, which is in the wire, has to wait.
struct Turned(Leave, Duration);

/// Lets the client in, for as long as it may take.
pub(crate) async fn enter<S: AsyncRead + AsyncWrite>(
    wire: &mut Wire<S>,
    shown: Shown,
    arrival: &mut Arrival<'_>,
    door: &Arc<Inner>,
) -> Result<Welcomed, Leave> {
    let Arrival { peer, name, place, patience } = arrival;
    let newcomer = Newcomer { shown, arrival: (peer, place), name };
    match patience.with(name, welcome(wire, newcomer, door)).await? {
        Ok(welcomed) => Ok(welcomed),
        Err(Turned(reason, wait)) => {
            if !wait.is_zero() {
                patience.pass(wait).await;
            }
            Err(reason)
        }
    }
}

/// Reads CONNECT and finds out who it is; leaves the answer in `wire`.
async fn welcome<S: AsyncRead + AsyncWrite>(
    wire: &mut Wire<S>,
    newcomer: Newcomer<'_>,
    door: &Arc<Inner>,
) -> Result<Welcomed, Turned> {
    let (name, source) = (newcomer.name, newcomer.arrival.0.source());
    let turned = |reason| Turned(reason, Duration::ZERO);
    let frame = loop {
        match wire.frame(STRANGER_LIMIT) {
            Ok(Some(frame)) => break frame,
            Ok(None) if wire.has_ended() => return Err(turned(Leave::Closed)),
            Ok(None) => wire.exchange(true).await.map_err(|_gone| turned(Leave::Closed))?,
            Err(malformed) => {
                door.refuse_stranger(Refused::Malformed, name, malformed);
                return Err(turned(Leave::Malformed(malformed)));
            }
        }
    };
    match admit(frame, newcomer, door).await {
        Ok((mut connect, seat, inheritance)) => {
            // The secret is needed no longer.
            connect.password = None;
            let left = inherited(inheritance).await;
            let lasting = door.lasting(connect.session_expiry_seconds);
            let welcomed = Welcomed { connect, seat, left, lasting };
            open(&welcomed, wire, door);
            Ok(welcomed)
        }
        Err(No(what, answer, detail)) => {
            door.refuse_stranger(what, name, detail);
            if let Some((version, refusal)) = answer {
                wire.writer(version).refuse(refusal);
            }
            let has_failed = matches!(what, Refused::BadLogin | Refused::NotAllowed);
            let wait = has_failed.then(|| door.failures.failed(source, door.ports.clock.monotonic()));
            Err(Turned(Leave::NotWelcome, wait.unwrap_or_default()))
        }
    }
}

async fn inherited(inheritance: Option<Inheritance>) -> Option<Left> {
    timeout(HANDOVER, inheritance?).await.ok()?.ok()
}

async fn admit(
    frame: codec::Frame,
    newcomer: Newcomer<'_>,
    door: &Arc<Inner>,
) -> Result<(Connect, Seat, Option<Inheritance>), No> {
    let connect = codec::connect(frame).map_err(unreadable)?;
    let version = connect.version;
    let no = |what, refusal, detail: &str| No(what, Some((version, refusal)), detail.to_owned());
    if connect.asks_extended_authentication {
        return Err(no(Refused::Authentication, Refusal::AuthenticationMethod, "extended authentication"));
    }
    if version == Version::V311 && connect.client_id.is_empty() && !connect.clean_start {
        return Err(no(Refused::ClientId, Refusal::ClientId, "a lasting session needs a client id"));
    }
    let given = connect.user_name.as_deref().unwrap_or_default();
    let name = format!("{given:?}");
    let credentials = match newcomer.shown {
        // Who shows a certificate is the one in it, or nobody.
        Shown::Certificate(proven) if given.is_empty() || given == proven => {
            Credentials { user_name: proven, proof: Proof::Certificate }
        }
        Shown::Certificate(proven) => {
            let detail = format!("{name} with the certificate of {proven:?}");
            return Err(no(Refused::BadLogin, Refusal::BadLogin, &detail));
        }
        Shown::Nothing => {
            let password = connect.password.clone().unwrap_or(Password(Bytes::new()));
            Credentials { user_name: given.to_owned(), proof: Proof::Password(password) }
        }
    };
    let name = format!("{:?}", credentials.user_name);
    let (_, place) = newcomer.arrival;
    loop {
        let revocations = door.ports.connections.revocations();
        let identity = match door.check(credentials.clone()).await {
            Ok(identity) => identity,
            Err(Denied::BadLogin) => return Err(no(Refused::BadLogin, Refusal::BadLogin, &name)),
            Err(Denied::NotAllowed) => return Err(no(Refused::NotAllowed, Refusal::NotAuthorized, &name)),
            Err(Denied::Unavailable) => return Err(no(Refused::Unavailable, Refusal::Unavailable, &name)),
        };
        if !may_leave(&connect, &identity, door) {
            let detail = format!("{name} with a will on a foreign topic");
            return Err(no(Refused::Publish, Refusal::NotAuthorized, &detail));
        }
        if !place.let_in() {
            return Err(No(Refused::TooManyConnections, None, format!("{name} came too late for its place")));
        }
        let (client_id, clean_start) = (connect.client_id.as_str(), connect.clean_start);
        let entering = Entering { identity: &identity, client_id, clean_start, revocations };
        if let Ok((seat, inheritance)) = door.ports.connections.enter(&entering) {
            return Ok((connect, seat, inheritance));
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
fn may_leave(connect: &Connect, identity: &Identity, door: &Inner) -> bool {
    connect.will.as_ref().is_none_or(|will| {
        let publishing = rights::publishing(identity, &will.topic, &door.settings.reserved);
        matches!(publishing, Publishing::Up(Purpose::Status) | Publishing::Routed)
    })
}

fn open<S: AsyncRead + AsyncWrite>(welcomed: &Welcomed, wire: &mut Wire<S>, door: &Inner) {
    let Welcomed { connect, seat, left, lasting } = welcomed;
    let asked = Duration::from_secs(connect.session_expiry_seconds.into());
    let idle = u16::try_from(door.settings.idle.as_secs()).unwrap_or(u16::MAX);
    wire.writer(connect.version).welcome(&Offer {
        receive_maximum: u16::try_from(WINDOW).unwrap_or(u16::MAX),
        maximum_packet_size: door.settings.max_packet_bytes,
        keep_alive_seconds: (!(1..=idle).contains(&connect.keep_alive_seconds)).then_some(idle),
        client_id: connect.client_id.is_empty().then_some(seat.client_id.as_str()),
        session_expiry_seconds: (*lasting < asked)
            .then(|| u32::try_from(lasting.as_secs()).unwrap_or(u32::MAX)),
        session_present: left.is_some(),
    });
}

/// The keep-alive that holds: the client's, or ours if it has none; no longer than ours if it can be told so.
pub(crate) fn keep_alive(connect: &Connect, idle: Duration) -> Duration {
    let asked = Duration::from_secs(connect.keep_alive_seconds.into());
    match connect.version {
        _ if asked.is_zero() => idle,
        Version::V311 => asked,
        Version::V5 => asked.min(idle),
    }
}
