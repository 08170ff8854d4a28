//! Why a connection ends.
//!
//! Promises: a v5 client is told the reason with a code that DISCONNECT may carry.

use thiserror::Error;

use crate::codec::Malformed;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Leave {
    #[error("the client said goodbye")]
    Asked,
    #[error("the client closed the connection")]
    Closed,
    #[error("nothing was heard from the client for longer than its keep-alive allows")]
    Silent,
    #[error("the client sent what is not MQTT: {0}")]
    Malformed(Malformed),
    #[error("the client did what the protocol forbids")]
    Protocol,
    #[error("the client sent more at once than it may")]
    TooMuchAtOnce,
    #[error("the client did something it may not")]
    NotAuthorized,
    #[error("the client was not let in")]
    NotWelcome,
    #[error("CONNECT did not succeed in time")]
    SlowConnect,
    #[error("the client does not take what it is sent")]
    Unresponsive,
    #[error("the store cannot take scans now")]
    StorageUnavailable,
    #[error("the router that serves its subscriptions is gone")]
    RouterGone,
    #[error("the same client connected again")]
    TakenOver,
    #[error("the same device has too many connections")]
    TooMany,
    #[error("its right to connect was withdrawn")]
    Revoked,
    #[error("the gateway is stopping")]
    Stopping,
}

impl Leave {
    /// v5's reason for DISCONNECT; `None` where there is nobody to tell.
    pub(crate) fn code(self) -> Option<u8> {
        match self {
            Leave::Asked | Leave::Closed | Leave::NotWelcome | Leave::SlowConnect => None,
            Leave::Malformed(Malformed::TooLarge { .. }) => Some(0x95),
            Leave::Malformed(Malformed::TopicAlias) => Some(0x94),
            Leave::Unresponsive | Leave::TooMany | Leave::Malformed(Malformed::TooManyFilters { .. }) => {
                Some(0x97)
            }
            Leave::Malformed(_) => Some(0x81),
            Leave::Protocol => Some(0x82),
            Leave::NotAuthorized => Some(0x87),
            Leave::TooMuchAtOnce => Some(0x93),
            Leave::StorageUnavailable | Leave::RouterGone => Some(0x89),
            Leave::Stopping => Some(0x8B),
            Leave::Silent => Some(0x8D),
            Leave::TakenOver => Some(0x8E),
            Leave::Revoked => Some(0x98),
        }
    }
}
